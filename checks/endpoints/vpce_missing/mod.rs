//! `endpoints/vpce-missing`: subnets without a way out lack the VPC endpoint of a service that is called.

mod dead;
mod needed;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::vpce::endpoint_service_name;
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Meta, Place, Role, Severity, Source, Stop, Subject,
    SubjectKind, Text, Why, logs_and_events,
};

use dead::Dead;
use needed::{Lacking, Needed};

/// Without these no node joins and no image is pulled.
const VITAL: [&str; 5] = ["ec2", "ecr.api", "ecr.dkr", "s3", "sts"];
/// Without these something is not seen, and nothing breaks.
const SOFT: [&str; 2] = ["logs", "xray"];

const META: Meta = Meta {
    id: "endpoints/vpce-missing",
    title: "Subnets without a way out lack a VPC endpoint that is needed",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[
        Source::Nodes,
        Source::Subnets,
        Source::RouteTables,
        Source::VpcEndpoints,
    ],
    helps: &[
        Source::Pods,
        Source::Instances,
        Source::DaemonSets,
        Source::PodIdentityAssociations,
        Source::Vpcs,
        Source::Probes,
        Source::Observations,
        Source::Logs,
        Source::Events,
    ],
    signals: &["isolated-subnet", "service-dead", "no-ecr-token"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let mut dead = Dead::of(cx, &scans);
    let needed = Needed::of(cx);
    let mut findings = Vec::new();
    if let Ok(needed) = &needed
        && !needed.lacking.is_empty()
    {
        findings.push(isolated(cx, &needed.lacking, &dead));
        dead.by_service
            .retain(|service, _| !needed.lacking.contains_key(service.as_str()));
    }
    findings.extend(dead.findings(cx));
    if !findings.is_empty() {
        return Ok(findings);
    }
    let needed = needed?;
    if let Some(subnet) = needed.elsewhere.first() {
        return Err(Stop::unknown(Gap::new(
            Source::Probes,
            Why::NotRequested,
            format!(
                "the default route of {subnet} leads to another network: whether AWS is reached by it shows a probe alone"
            ),
        )));
    }
    Ok(findings)
}

fn severity(services: &BTreeSet<&str>) -> Severity {
    if services.iter().any(|service| VITAL.contains(service)) {
        Severity::Critical
    } else if services.iter().all(|service| SOFT.contains(service)) {
        Severity::Warning
    } else {
        Severity::Error
    }
}

/// Services that the route tables show to be out of reach, in one finding.
fn isolated(cx: &Cx<'_>, lacking: &BTreeMap<Text, Lacking<'_>>, dead: &Dead<'_>) -> Finding {
    let services: BTreeSet<&str> = lacking.keys().map(Text::as_str).collect();
    let subnets: BTreeSet<&str> = lacking
        .values()
        .flat_map(|one| one.subnets.iter().copied())
        .collect();
    let nodes: BTreeSet<&str> = lacking
        .values()
        .flat_map(|one| one.nodes.iter().copied())
        .collect();
    let list: Vec<&str> = services.iter().copied().collect();
    let list = list.join(", ");
    let subnet_list: Vec<&str> = subnets.iter().copied().collect();
    let seen_dead = lacking
        .keys()
        .any(|service| dead.by_service.contains_key(service));
    let title = if subnets.len() == 1 {
        format!(
            "Subnet {} has no way out and no VPC endpoint for {list}",
            subnet_list[0]
        )
    } else {
        format!(
            "{} subnets have no way out and no VPC endpoint for {list}",
            subnets.len()
        )
    };
    let mut at = Place::nodes(nodes.iter().copied());
    at.hosts = lacking.values().map(|one| one.host.clone()).collect();
    let mut finding = META
        .finding(severity(&services), title)
        .confidence(if seen_dead { Confidence::Confirmed } else { Confidence::Likely })
        .detail("The route table has no default route, so calls of AWS get nowhere unless an endpoint in the VPC takes them.")
        .subjects(subnets.iter().map(|id| Subject::new(SubjectKind::Subnet, *id)))
        .signal("isolated-subnet")
        .at(at.clone())
        .reaches(at);
    for one in lacking.values().take(5) {
        finding = finding.fact(
            Fact::new(
                Source::VpcEndpoints,
                one.host.clone(),
                format!("endpoint for {}", one.service),
                "none",
            )
            .expected(format!("available: {} calls it", one.wanted_by)),
        );
    }
    for (table, subnet) in lacking
        .values()
        .flat_map(|one| one.tables.iter())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .take(3)
    {
        finding = finding.fact(
            Fact::new(
                Source::RouteTables,
                format!("{table} of {subnet}"),
                "default route",
                "none",
            )
            .expected("a NAT gateway, or endpoints for all that is called"),
        );
    }
    for service in lacking.keys() {
        if let Some(said) = dead.by_service.get(service) {
            finding = finding
                .signal("service-dead")
                .facts(said.iter().take(1).map(|one| one.fact("failed calls")));
        }
    }
    let vpc = cx.topology().vpc_id().unwrap_or("VPC_ID");
    let region = cx.cluster().region.as_deref().unwrap_or("REGION");
    finding = finding.confirm(format!(
        "aws ec2 describe-vpc-endpoints --filters Name=vpc-id,Values={vpc} --query 'VpcEndpoints[].[ServiceName,State]' --output text"
    ));
    for one in lacking.values() {
        finding = finding.fix(create(
            vpc,
            region,
            &one.service,
            &subnet_list.join(" "),
            &one.tables,
        ));
    }
    finding
}

fn create(
    vpc: &str,
    region: &str,
    service: &str,
    subnets: &str,
    tables: &BTreeSet<(&str, &str)>,
) -> String {
    let name = endpoint_service_name(region, service);
    if service == "s3" {
        let ids: BTreeSet<&str> = tables.iter().map(|(table, _)| *table).collect();
        let ids = ids.into_iter().collect::<Vec<_>>().join(" ");
        let ids = if ids.is_empty() { "ROUTE_TABLES" } else { &ids };
        return format!(
            "aws ec2 create-vpc-endpoint --vpc-id {vpc} --vpc-endpoint-type Gateway --service-name {name} --route-table-ids {ids}"
        );
    }
    format!(
        "aws ec2 create-vpc-endpoint --vpc-id {vpc} --vpc-endpoint-type Interface --private-dns-enabled --service-name {name} --subnet-ids {subnets} --security-group-ids SG_THAT_ADMITS_443"
    )
}
