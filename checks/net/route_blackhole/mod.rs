//! `net/route-blackhole`: routes that point to nothing, and NAT gateways that do not work.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::aws::{NatGateway, Route, RouteTable};
use eksnet_model::path::{Egress, is_default, sending_subnets};
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Heard, Meta, Place, Role, Severity, Source, Stop,
    Subject, SubjectKind, logs_and_events,
};

const LISTED: &[&str] = &["route-listed-as-blackhole"];

const META: Meta = Meta {
    id: "net/route-blackhole",
    title: "A route points to nothing, or its NAT gateway does not work",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::RouteTables],
    helps: &[
        Source::NatGateways,
        Source::Nodes,
        Source::Instances,
        Source::Subnets,
        Source::Logs,
        Source::Events,
    ],
    signals: &[
        "default-route",
        "other-route",
        "nat-failed",
        "nat-without-way-out",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let tables = cx.route_tables().some();
    let all = tables.as_ref().map_or(&[][..], |all| all.as_slice());
    let _ = (
        cx.nodes().optional(),
        cx.instances().optional(),
        cx.subnets().optional(),
    );
    let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (subnet, nodes) in sending_subnets(cx.topology(), true) {
        let table = cx
            .topology()
            .subnet(subnet)
            .and_then(|subnet| cx.topology().route_table_of(subnet));
        if let Some(table) = table {
            used.entry(&table.route_table_id).or_default().extend(nodes);
        }
    }
    let mut findings = Vec::new();
    // Where no node's table is known, every table counts.
    let counts =
        |table: &RouteTable| used.is_empty() || used.contains_key(table.route_table_id.as_str());
    for table in all.iter().filter(|table| counts(table)) {
        let nodes = used
            .get(table.route_table_id.as_str())
            .cloned()
            .unwrap_or_default();
        for route in table
            .routes
            .iter()
            .filter(|route| route.state == "blackhole")
        {
            findings.push(dead_route(table, route, &nodes));
        }
    }
    for gateway in cx.nat_gateways().optional().into_iter().flatten() {
        let mut targets = all
            .iter()
            .filter(|table| counts(table) && leads_to(table, gateway));
        let table = targets.next();
        let nodes = table
            .and_then(|table| used.get(table.route_table_id.as_str()))
            .cloned()
            .unwrap_or_default();
        // A gateway that no route leads to is of no account, where the routes are known.
        if table.is_none() && !all.is_empty() {
            continue;
        }
        if matches!(gateway.state.as_str(), "failed" | "deleting" | "deleted") {
            findings.push(dead_gateway(gateway, &nodes));
        } else if gateway.connectivity_type != "private" && is_cut_off(cx, gateway) {
            findings.push(cut_off(cx, gateway, &nodes));
        }
    }
    for said in Heard::by(&scans, LISTED) {
        for (target, destination) in said.values("target").zip(said.values("destination")) {
            let known = findings
                .iter()
                .any(|one| one.facts.iter().any(|fact| fact.saw.contains(target)));
            if !known {
                findings.push(listed(&said, target, destination));
            }
        }
    }
    if findings.is_empty() {
        tables?;
    }
    Ok(findings)
}

/// What a route names, by the id of its kind.
fn target(route: &Route) -> &str {
    [
        &route.nat_gateway_id,
        &route.gateway_id,
        &route.transit_gateway_id,
        &route.vpc_peering_connection_id,
        &route.network_interface_id,
        &route.instance_id,
        &route.egress_only_internet_gateway_id,
    ]
    .into_iter()
    .find_map(|id| id.as_deref())
    .unwrap_or("a target that is gone")
}

fn destination(route: &Route) -> &str {
    route
        .destination_cidr_block
        .as_deref()
        .or(route.destination_ipv6_cidr_block.as_deref())
        .or(route.destination_prefix_list_id.as_deref())
        .unwrap_or("its destination")
}

fn leads_to(table: &RouteTable, gateway: &NatGateway) -> bool {
    let mut routes = table.routes.iter();
    routes.any(|route| route.nat_gateway_id.as_deref() == Some(&gateway.nat_gateway_id))
}

fn at(finding: Finding, nodes: &BTreeSet<&str>) -> Finding {
    if nodes.is_empty() {
        return finding;
    }
    let place = Place::nodes(nodes.iter().copied());
    finding.at(place.clone()).reaches(place)
}

fn dead_route(table: &RouteTable, route: &Route, nodes: &BTreeSet<&str>) -> Finding {
    let id = table.route_table_id.as_str();
    let default = is_default(route) && Egress::of(table) == Egress::Blackhole;
    let (destination, target) = (destination(route), target(route));
    let finding = META
        .finding(
            if default { Severity::Critical } else { Severity::Error },
            if default {
                format!("The default route of {id} leads to {target}, which no longer exists")
            } else {
                format!("Route {destination} of {id} leads to {target}, which no longer exists")
            },
        )
        .confidence(Confidence::Confirmed)
        .detail("AWS drops what takes this route and answers nothing: connections end in timeouts.")
        .subject(Subject::new(SubjectKind::RouteTable, id))
        .subject(Subject::new(SubjectKind::Other, destination))
        .fact(Fact::new(Source::RouteTables, id, destination, format!("{target}, blackhole")).expected("active"))
        .signal(if default { "default-route" } else { "other-route" })
        .confirm(format!("aws ec2 describe-route-tables --route-table-ids {id} --query \"RouteTables[].Routes[?State=='blackhole']\""))
        .fix(if default {
            format!("aws ec2 replace-route --route-table-id {id} --destination-cidr-block {destination} --nat-gateway-id NAT_GATEWAY")
        } else {
            format!("aws ec2 delete-route --route-table-id {id} --destination-cidr-block {destination}   # or lead it to what took the place of {target}")
        });
    at(finding, nodes)
}

fn dead_gateway(gateway: &NatGateway, nodes: &BTreeSet<&str>) -> Finding {
    let id = gateway.nat_gateway_id.as_str();
    let why = gateway
        .failure_message
        .as_deref()
        .or(gateway.failure_code.as_deref())
        .map_or_else(String::new, |why| format!(": {why}"));
    let finding = META
        .finding(Severity::Critical, format!("NAT gateway {id} is {}{why}", gateway.state))
        .confidence(Confidence::Confirmed)
        .detail("It is the way out of the subnets whose route tables name it.")
        .subject(Subject::new(SubjectKind::Other, id))
        .fact(Fact::new(Source::NatGateways, id, "State", gateway.state.as_str()).expected("available"))
        .signal("nat-failed")
        .confirm(format!("aws ec2 describe-nat-gateways --nat-gateway-ids {id} --query 'NatGateways[].[State,FailureCode,FailureMessage]'"))
        .fix("aws ec2 create-nat-gateway --subnet-id PUBLIC_SUBNET --allocation-id EIP_ALLOCATION   # then replace the routes that name the old one");
    at(finding, nodes)
}

/// Whether a public gateway's own subnet has no route to an internet gateway.
fn is_cut_off(cx: &Cx<'_>, gateway: &NatGateway) -> bool {
    let topology = cx.topology();
    let own = topology
        .subnet(&gateway.subnet_id)
        .and_then(|subnet| topology.route_table_of(subnet));
    own.is_some_and(|table| Egress::of(table) != Egress::Internet)
}

fn cut_off(cx: &Cx<'_>, gateway: &NatGateway, nodes: &BTreeSet<&str>) -> Finding {
    let (id, subnet) = (gateway.nat_gateway_id.as_str(), gateway.subnet_id.as_str());
    let table = cx
        .topology()
        .subnet(subnet)
        .and_then(|subnet| cx.topology().route_table_of(subnet))
        .map_or("ROUTE_TABLE", |table| table.route_table_id.as_str());
    let finding = META
        .finding(Severity::Critical, format!("NAT gateway {id} stands in {subnet}, which has no route to an internet gateway"))
        .confidence(Confidence::Confirmed)
        .detail("A public NAT gateway hands packets on by its own subnet's route table. Without an internet gateway there they go nowhere, or in a circle.")
        .subject(Subject::new(SubjectKind::Other, id))
        .fact(Fact::new(Source::RouteTables, format!("{table} of {subnet}"), "default route", "no internet gateway").expected("igw-.."))
        .signal("nat-without-way-out")
        .confirm(format!("aws ec2 describe-route-tables --route-table-ids {table} --query 'RouteTables[].Routes'"))
        .fix(format!("aws ec2 create-route --route-table-id {table} --destination-cidr-block 0.0.0.0/0 --gateway-id INTERNET_GATEWAY"));
    at(finding, nodes)
}

fn listed(said: &Heard<'_>, target: &str, destination: &str) -> Finding {
    let default = destination == "0.0.0.0/0";
    META.finding(
        if default { Severity::Critical } else { Severity::Error },
        format!("Route {destination} leads to {target}, which no longer exists"),
    )
    .confidence(Confidence::Confirmed)
    .detail("AWS lists the route as blackhole: it drops what takes it.")
    .subject(Subject::new(SubjectKind::Other, destination))
    .fact(said.fact("route"))
    .signal(if default { "default-route" } else { "other-route" })
    .confirm("aws ec2 describe-route-tables --filters Name=route.state,Values=blackhole --query 'RouteTables[].[RouteTableId,Routes]'")
    .fix(format!("aws ec2 replace-route --route-table-id ROUTE_TABLE --destination-cidr-block {destination} --nat-gateway-id NAT_GATEWAY"))
}
