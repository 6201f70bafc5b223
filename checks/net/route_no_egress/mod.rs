//! `net/route-no-egress`: subnets of nodes without a usable default route.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use eksnet_model::aws::RouteTable;
use eksnet_model::path::{Egress, sending_subnets};
use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Fact, Finding, Gap, Heard, LogScan, Meta, Place, Role,
    Severity, Source, Stop, Subject, SubjectKind, Why, logs_and_events,
};
use eksnet_probe::{TcpOutcome, TcpState};

const NO_PUBLIC_IP: &[&str] = &["subnet-without-public-ip"];
const CALLS: &[&str] = &["aws-call-without-way"];
/// What no node does without.
const CORE: [&str; 3] = ["sts", "ec2", "ecr.api"];

const META: Meta = Meta {
    id: "net/route-no-egress",
    title: "A subnet of nodes has no usable way out",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[
        Source::Nodes,
        Source::Instances,
        Source::Subnets,
        Source::RouteTables,
    ],
    helps: &[
        Source::Probes,
        Source::VpcEndpoints,
        Source::Nodegroups,
        Source::DaemonSets,
        Source::Vpcs,
        Source::Logs,
        Source::Events,
    ],
    signals: &["isolated-subnet", "no-public-address", "calls-dead"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let _ = (cx.vpcs().optional(), cx.instances().some());
    let (nodes, subnets, tables) = (
        cx.nodes().some(),
        cx.subnets().some(),
        cx.route_tables().some(),
    );
    let custom = cx
        .daemonsets()
        .optional()
        .and_then(|all| CniSettings::of(all))
        .is_some_and(|cni| cni.custom_networking);
    let dead: Vec<Heard<'_>> = Heard::by(&scans, CALLS)
        .filter(|said| {
            let mut addresses = said.values("address").filter_map(|one| one.parse().ok());
            addresses.any(|address: IpAddr| !cx.topology().is_private(address))
        })
        .collect();
    let mut findings = refused_groups(cx, &scans);
    let gone_out = gone_out(cx);
    let by_design = has_core_endpoint(cx);
    let mut isolated: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    let (mut bare, mut judged) = (BTreeMap::new(), false);
    for (id, senders) in sending_subnets(cx.topology(), custom) {
        let subnet = cx.topology().subnet(id);
        let Some(table) = subnet.and_then(|subnet| cx.topology().route_table_of(subnet)) else {
            continue;
        };
        judged = true;
        match Egress::of(table) {
            Egress::Isolated => {
                let entry = isolated.entry(&table.route_table_id).or_default();
                entry.0.insert(id);
                entry.1.extend(senders);
            }
            Egress::Internet => {
                let without: BTreeSet<&str> = senders
                    .into_iter()
                    .filter(|name| is_bare(cx, name, id) && !gone_out.contains(name))
                    .collect();
                if !without.is_empty() {
                    bare.insert(id, without);
                }
            }
            _ => {}
        }
    }
    if by_design != Some(true) {
        for (table, (subnets, nodes)) in &isolated {
            findings.push(closed(table, subnets, nodes, &dead, by_design));
        }
        for (subnet, nodes) in &bare {
            findings.push(without_address(subnet, nodes, &dead, by_design));
        }
    }
    // Tables alone, without the nodes: a dead call is what makes them matter.
    if !judged && !dead.is_empty() && by_design != Some(true) {
        let all = tables.as_ref().map_or(&[][..], |all| all.as_slice());
        findings.extend(tables_alone(all, &dead));
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    let _ = (nodes?, subnets?, tables?);
    if !judged {
        return Err(Stop::unknown(Gap::new(
            Source::RouteTables,
            Why::Failed,
            "of no node the subnet and its route table are known",
        )));
    }
    Ok(findings)
}

/// Whether the VPC has an endpoint for what no node does without: a network that is closed on purpose.
/// `None` where endpoints were not read.
fn has_core_endpoint(cx: &Cx<'_>) -> Option<bool> {
    let endpoints = cx.vpc_endpoints().optional()?;
    Some(
        endpoints
            .iter()
            .any(|one| one.is_available() && CORE.iter().any(|service| one.is_for(service))),
    )
}

/// Whether a node's instance has no public address. Those whose instance is not known are left out, and so are
/// pods' subnets.
fn is_bare(cx: &Cx<'_>, node: &str, subnet: &str) -> bool {
    let topology = cx.topology();
    let instance = topology
        .node(node)
        .and_then(|node| topology.instance_of(node));
    instance.is_some_and(|one| one.subnet_id == subnet && one.public_ip_address.is_none())
}

/// Nodes on which a probe opened a connection to a public address: they have a way out.
fn gone_out<'a>(cx: &'a Cx<'_>) -> BTreeSet<&'a str> {
    let opens = |tcp: &TcpOutcome| {
        tcp.tries
            .iter()
            .any(|each| each.state == TcpState::Open && !cx.topology().is_private(each.address))
    };
    let run = cx.probes().optional();
    run.into_iter()
        .flat_map(|run| &run.pods)
        .filter(|pod| pod.tcp().any(|(_, _, tcp)| opens(tcp)))
        .map(|pod| pod.at.node.as_str())
        .collect()
}

/// Node groups that EKS refused for their subnets.
fn refused_groups(cx: &Cx<'_>, scans: &[LogScan]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let fix = |subnet: &str| {
        format!("aws ec2 modify-subnet-attribute --subnet-id {subnet} --map-public-ip-on-launch")
    };
    for group in cx.nodegroups().optional().into_iter().flatten() {
        for issue in &group.health.issues {
            let fits = issue.code == "Ec2SubnetInvalidConfiguration"
                && issue.message.contains("public IP");
            if !fits {
                continue;
            }
            let subnets = issue.resource_ids.join(", ");
            let subnet = issue.resource_ids.first().map_or("SUBNET", String::as_str);
            findings.push(
                META.finding(
                    Severity::Critical,
                    format!("Node group {} stands in public subnets that give no public addresses ({subnets})", group.nodegroup_name),
                )
                .confidence(Confidence::Confirmed)
                .detail("An internet gateway is the way out for interfaces with a public address alone: these nodes reach neither the API endpoint nor AWS.")
                .subject(Subject::new(SubjectKind::NodeGroup, group.nodegroup_name.as_str()))
                .fact(Fact::new(Source::Nodegroups, group.nodegroup_name.as_str(), issue.code.as_str(), issue.message.as_str()))
                .signal("no-public-address")
                .confirm(format!("aws ec2 describe-subnets --subnet-ids {} --query 'Subnets[].[SubnetId,MapPublicIpOnLaunch]'", issue.resource_ids.join(" ")))
                .fix(fix(subnet)),
            );
        }
    }
    if findings.is_empty() {
        for said in Heard::by(scans, NO_PUBLIC_IP).take(1) {
            let subnet = said.value("subnet").unwrap_or("SUBNET");
            findings.push(
                META.finding(Severity::Critical, format!("Public subnet {subnet} gives nodes no public address, and so no way out"))
                    .confidence(Confidence::Confirmed)
                    .detail("EKS refuses the node group: an internet gateway is the way out for interfaces with a public address alone.")
                    .subject(Subject::new(SubjectKind::Subnet, subnet))
                    .fact(said.fact("refused node group"))
                    .signal("no-public-address")
                    .confirm(format!("aws ec2 describe-subnets --subnet-ids {subnet} --query 'Subnets[].[SubnetId,MapPublicIpOnLaunch]'"))
                    .fix(fix(subnet)),
            );
        }
    }
    findings
}

fn with_dead(finding: Finding, dead: &[Heard<'_>]) -> Finding {
    if dead.is_empty() {
        return finding;
    }
    finding
        .signal("calls-dead")
        .facts(dead.iter().take(2).map(|one| one.fact("failed calls")))
}

fn rank(dead: &[Heard<'_>], by_design: Option<bool>) -> (Severity, Confidence) {
    match (dead.is_empty(), by_design) {
        (false, _) => (Severity::Critical, Confidence::Confirmed),
        (true, Some(false)) => (Severity::Critical, Confidence::Likely),
        (true, _) => (Severity::Warning, Confidence::Possible),
    }
}

fn closed(
    table: &str,
    subnets: &BTreeSet<&str>,
    nodes: &BTreeSet<&str>,
    dead: &[Heard<'_>],
    by_design: Option<bool>,
) -> Finding {
    let list = subnets.iter().copied().collect::<Vec<_>>().join(", ");
    let (severity, confidence) = rank(dead, by_design);
    let at = Place::nodes(nodes.iter().copied());
    with_dead(
        META.finding(severity, format!("Route table {table} gives the nodes in {list} no way out of the VPC"))
            .confidence(confidence)
            .detail("It has no default route, and no VPC endpoint for what every node calls is known: images, credentials and the EC2 API are out of reach.")
            .subject(Subject::new(SubjectKind::RouteTable, table))
            .subjects(subnets.iter().map(|id| Subject::new(SubjectKind::Subnet, *id)))
            .fact(Fact::new(Source::RouteTables, table, "default route", "none").expected("a NAT gateway"))
            .signal("isolated-subnet")
            .at(at.clone())
            .reaches(at)
            .confirm(format!("aws ec2 describe-route-tables --route-table-ids {table} --query 'RouteTables[].Routes'"))
            .fix(format!("aws ec2 create-route --route-table-id {table} --destination-cidr-block 0.0.0.0/0 --nat-gateway-id NAT_GATEWAY")),
        dead,
    )
}

fn without_address(
    subnet: &str,
    nodes: &BTreeSet<&str>,
    dead: &[Heard<'_>],
    by_design: Option<bool>,
) -> Finding {
    let (severity, confidence) = rank(dead, by_design);
    let at = Place::nodes(nodes.iter().copied());
    let (count, have) = match nodes.len() {
        1 => (
            format!("Node {}", nodes.first().copied().unwrap_or_default()),
            "has",
        ),
        many => (format!("{many} nodes"), "have"),
    };
    with_dead(
        META.finding(severity, format!("{count} in public subnet {subnet} {have} no public address, and so no way out"))
            .confidence(confidence)
            .detail("The default route leads to an internet gateway, which forwards for interfaces with a public address alone.")
            .subject(Subject::new(SubjectKind::Subnet, subnet))
            .fact(Fact::new(Source::Instances, nodes.iter().copied().take(3).collect::<Vec<_>>().join(", "), "PublicIpAddress", "none").expected("an address, or a subnet with a NAT gateway"))
            .signal("no-public-address")
            .at(at.clone())
            .reaches(at)
            .confirm(format!("aws ec2 describe-subnets --subnet-ids {subnet} --query 'Subnets[].MapPublicIpOnLaunch'"))
            .fix(format!("aws ec2 modify-subnet-attribute --subnet-id {subnet} --map-public-ip-on-launch   # and replace the nodes")),
        dead,
    )
}

fn tables_alone(tables: &[RouteTable], dead: &[Heard<'_>]) -> Option<Finding> {
    let first = tables.first()?;
    let all_closed = tables
        .iter()
        .all(|table| Egress::of(table) == Egress::Isolated);
    all_closed.then(|| {
        let nodes = BTreeSet::new();
        let subnets: BTreeSet<&str> = first
            .associations
            .iter()
            .filter_map(|one| one.subnet_id.as_deref())
            .collect();
        let mut finding = closed(&first.route_table_id, &subnets, &nodes, dead, None)
            .confidence(Confidence::Likely);
        finding.reach = eksnet_model::Reach::Cluster;
        finding
    })
}
