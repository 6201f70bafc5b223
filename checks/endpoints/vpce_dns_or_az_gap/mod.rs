//! `endpoints/vpce-dns-or-az-gap`: a VPC endpoint is there, and its name does not lead to it, or it has no
//! interface in a zone of nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use eksnet_model::aws::VpcEndpoint;
use eksnet_model::path::{Egress, sending_subnets};
use eksnet_model::vpce::endpoint_service;
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Heard, Meta, Place, Role, Severity, Source, Stop,
    Subject, SubjectKind, Text, Why, logs_and_events,
};

const CALLS: &[&str] = &["aws-name-public-and-dead"];

const META: Meta = Meta {
    id: "endpoints/vpce-dns-or-az-gap",
    title: "A VPC endpoint is not used, or lacks a zone of nodes",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::VpcEndpoints],
    helps: &[
        Source::Nodes,
        Source::Instances,
        Source::Subnets,
        Source::RouteTables,
        Source::Vpcs,
        Source::Observations,
        Source::Logs,
        Source::Events,
    ],
    signals: &["private-dns-off", "public-answer", "zone-gap"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let endpoints = cx.vpc_endpoints().some()?;
    let _ = (
        cx.vpcs().optional(),
        cx.nodes().optional(),
        cx.instances().optional(),
        cx.subnets().optional(),
        cx.route_tables().optional(),
    );
    let mut dead: BTreeMap<String, Vec<Heard<'_>>> = BTreeMap::new();
    for said in Heard::by(&scans, CALLS) {
        let mut addresses = said.values("address").filter_map(|one| one.parse().ok());
        if !addresses.any(|address: IpAddr| !cx.topology().is_private(address)) {
            continue;
        }
        for service in said.values("host").filter_map(endpoint_service) {
            dead.entry(service).or_default().push(said);
        }
    }
    let answers = public_answers(cx);
    let interfaces: Vec<&VpcEndpoint> = endpoints
        .iter()
        .filter(|one| !one.is_gateway() && one.is_available())
        .collect();
    if interfaces.is_empty() {
        return Err(Stop::not_applicable("the VPC has no interface endpoint"));
    }
    let mut findings = Vec::new();
    let mut open = Vec::new();
    let mut unsaid = None;
    let zones = zones(cx);
    for endpoint in interfaces {
        let service = service(endpoint);
        // S3's interface is meant to be called by its own names.
        if endpoint.private_dns_enabled == Some(false) && service != "s3" {
            let said = dead.get(service).map_or(&[][..], Vec::as_slice);
            let answer = answers.get(service);
            if !said.is_empty() || answer.is_some() {
                findings.push(unused(cx, endpoint, service, said, answer));
            } else if zones.isolated {
                open.push(endpoint.vpc_endpoint_id.as_str());
            }
        }
        if endpoint.private_dns_enabled.is_none() {
            unsaid.get_or_insert(endpoint.vpc_endpoint_id.as_str());
        }
        if let Some(lacks) = zones.lacking(cx, endpoint) {
            findings.push(gap(endpoint, service, &lacks));
        }
    }
    if findings.is_empty()
        && let Some(id) = open.first()
    {
        return Err(Stop::unknown(Gap::new(
            Source::Observations,
            Why::NotRequested,
            format!(
                "{id} has private DNS off; whether a private zone of your own leads to it, a look-up in the VPC shows"
            ),
        )));
    }
    if let (true, Some(id)) = (findings.is_empty(), unsaid) {
        return Err(Stop::unknown(Gap::new(
            Source::VpcEndpoints,
            Why::Truncated,
            format!("whether private DNS of {id} is on is not in what was pasted"),
        )));
    }
    Ok(findings)
}

/// `ecr.api` of `com.amazonaws.eu-west-1.ecr.api`.
fn service(endpoint: &VpcEndpoint) -> &str {
    let rest = endpoint
        .service_name
        .split("amazonaws.")
        .nth(1)
        .unwrap_or_default();
    rest.split_once('.').map_or(rest, |(_, service)| service)
}

/// Look-ups of AWS's names that gave public addresses alone, by service.
fn public_answers(cx: &Cx<'_>) -> BTreeMap<String, Fact> {
    let mut found = BTreeMap::new();
    for one in cx
        .observations()
        .optional()
        .into_iter()
        .flat_map(|all| &all.lookups)
    {
        let public = !one.addresses.is_empty()
            && one
                .addresses
                .iter()
                .all(|address| !cx.topology().is_private(*address));
        if let Some(service) = endpoint_service(&one.name).filter(|_| public) {
            let addresses: Vec<String> = one.addresses.iter().map(ToString::to_string).collect();
            found.entry(service).or_insert_with(|| {
                Fact::new(
                    Source::Observations,
                    one.name.clone(),
                    "look-up",
                    addresses.join(", "),
                )
                .expected("addresses of the VPC")
            });
        }
    }
    found
}

/// Where nodes are.
struct Zones {
    zones: BTreeSet<String>,
    /// Whether some of their subnets have no way out.
    isolated: bool,
}

fn zones(cx: &Cx<'_>) -> Zones {
    let topology = cx.topology();
    let mut found = Zones {
        zones: BTreeSet::new(),
        isolated: false,
    };
    for id in sending_subnets(topology, false).into_keys() {
        let Some(subnet) = topology.subnet(id) else {
            continue;
        };
        if !subnet.availability_zone.is_empty() {
            found.zones.insert(subnet.availability_zone.clone());
        }
        found.isolated |= topology
            .route_table_of(subnet)
            .is_some_and(|table| Egress::of(table).is_closed());
    }
    found
}

impl Zones {
    /// Zones of nodes in which the endpoint has no interface; `None` where there is none, or its own zones
    /// are not all known.
    fn lacking(&self, cx: &Cx<'_>, endpoint: &VpcEndpoint) -> Option<Vec<&str>> {
        let own: Option<BTreeSet<&str>> = endpoint
            .subnet_ids
            .iter()
            .map(|id| {
                cx.topology()
                    .subnet(id)
                    .map(|subnet| subnet.availability_zone.as_str())
            })
            .collect();
        let own = own.filter(|own| !own.is_empty())?;
        let lacks: Vec<&str> = self
            .zones
            .iter()
            .map(String::as_str)
            .filter(|zone| !own.contains(zone))
            .collect();
        (!lacks.is_empty()).then_some(lacks)
    }
}

fn unused(
    cx: &Cx<'_>,
    endpoint: &VpcEndpoint,
    service: &str,
    said: &[Heard<'_>],
    answer: Option<&Fact>,
) -> Finding {
    let id = endpoint.vpc_endpoint_id.as_str();
    let mut at = Place::default();
    for one in said {
        let place = one.at(cx.topology());
        at.nodes.extend(place.nodes);
        at.workloads.extend(place.workloads);
        at.hosts.extend(one.values("host").map(Text::from));
    }
    let mut finding = META
        .finding(Severity::Error, format!("VPC endpoint {id} for {service} is not used: its private DNS is off"))
        .confidence(Confidence::Confirmed)
        .detail("The endpoint takes calls at its own names alone. The service's ordinary name still leads to public addresses, which are out of reach here.")
        .subject(Subject::new(SubjectKind::VpcEndpoint, id))
        .fact(Fact::new(Source::VpcEndpoints, id, "PrivateDnsEnabled", "false").expected("true"))
        .facts(said.iter().take(3).map(|one| one.fact("failed calls")))
        .facts(answer.cloned())
        .signal("private-dns-off")
        .at(at.clone());
    if answer.is_some() || !said.is_empty() {
        finding = finding.signal("public-answer");
    }
    if at != Place::default() {
        finding = finding.reaches(at);
    }
    let region = endpoint
        .service_name
        .split("amazonaws.")
        .nth(1)
        .and_then(|rest| rest.split('.').next())
        .unwrap_or("REGION");
    finding
        .confirm(format!("dig +short {service}.{region}.amazonaws.com   # in the VPC: addresses of {id} are private"))
        .fix(format!("aws ec2 modify-vpc-endpoint --vpc-endpoint-id {id} --private-dns-enabled"))
}

fn gap(endpoint: &VpcEndpoint, service: &str, lacks: &[&str]) -> Finding {
    let id = endpoint.vpc_endpoint_id.as_str();
    let list = lacks.join(", ");
    META.finding(Severity::Warning, format!("VPC endpoint {id} for {service} has no interface in {list}, where nodes are"))
        .confidence(Confidence::Likely)
        .detail("Nodes there use its interfaces in other zones: it works, costs traffic between zones, and fails with them.")
        .subject(Subject::new(SubjectKind::VpcEndpoint, id))
        .fact(Fact::new(Source::VpcEndpoints, id, "SubnetIds", endpoint.subnet_ids.join(", ")).expected(format!("a subnet in {list} too")))
        .signal("zone-gap")
        .at(Place::default())
        .confirm(format!("aws ec2 describe-vpc-endpoints --vpc-endpoint-ids {id} --query 'VpcEndpoints[].SubnetIds'"))
        .fix(format!("aws ec2 modify-vpc-endpoint --vpc-endpoint-id {id} --add-subnet-ids SUBNET_IN_{}", lacks.first().copied().unwrap_or("ZONE")))
}
