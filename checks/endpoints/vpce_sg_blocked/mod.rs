//! `endpoints/vpce-sg-blocked`: the security groups of a VPC endpoint's interfaces do not admit 443.

mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use eksnet_model::path::Side;
use eksnet_model::vpce::endpoint_service;
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Heard, Meta, Place, Role, Severity, Source, Stop,
    Subject, SubjectKind, Text, Why, logs_and_events,
};

use rules::{Blocked, Rules};

const SIGNATURES: &[&str] = &["vpce-address-dead"];
/// Without these no node joins, no image is pulled, no credentials are had.
const VITAL: [&str; 4] = ["sts", "ec2", "ecr.api", "ecr.dkr"];

const META: Meta = Meta {
    id: "endpoints/vpce-sg-blocked",
    title: "The security groups of a VPC endpoint do not admit 443",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[
        Source::Nodes,
        Source::Instances,
        Source::NetworkInterfaces,
        Source::SecurityGroups,
        Source::VpcEndpoints,
    ],
    helps: &[
        Source::Logs,
        Source::Events,
        Source::DaemonSets,
        Source::PrefixLists,
        Source::Vpcs,
    ],
    signals: &["address-dead", "no-rule"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let _ = cx.vpcs().optional();
    let mut dead: BTreeMap<String, Vec<Heard<'_>>> = BTreeMap::new();
    for said in Heard::by(&scans, SIGNATURES) {
        for host in said.values("host") {
            // The API endpoint of the cluster is no VPC endpoint.
            if let Some(service) = endpoint_service(host).filter(|_| !host.contains(".eks.")) {
                dead.entry(service).or_default().push(said);
            }
        }
    }
    let rules = Rules::of(cx);
    let mut findings = Vec::new();
    if let Ok(rules) = &rules {
        for blocked in &rules.blocked {
            let said = dead.remove(&blocked.service).unwrap_or_default();
            findings.push(by_rules(cx, blocked, &said));
        }
    }
    for (service, said) in &dead {
        // Rules that are known to admit the call leave another cause.
        let admitted = rules
            .as_ref()
            .is_ok_and(|rules| rules.admitted.contains(service));
        if !admitted {
            findings.push(by_log(cx, service, said));
        }
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    let rules = rules?;
    if rules.none {
        return Err(Stop::not_applicable("the VPC has no interface endpoint"));
    }
    if let Some(missing) = &rules.missing {
        return Err(Stop::unknown(Gap::new(
            Source::SecurityGroups,
            Why::Failed,
            format!("what may pass hangs on {missing}"),
        )));
    }
    Ok(findings)
}

fn severity(service: &str) -> Severity {
    if VITAL.contains(&service) {
        Severity::Critical
    } else {
        Severity::Error
    }
}

fn place(cx: &Cx<'_>, said: &[Heard<'_>]) -> Place {
    let mut at = Place::default();
    for one in said {
        let place = one.at(cx.topology());
        at.nodes.extend(place.nodes);
        at.workloads.extend(place.workloads);
        at.hosts.extend(one.values("host").map(Text::from));
    }
    at
}

fn by_rules(cx: &Cx<'_>, blocked: &Blocked<'_>, said: &[Heard<'_>]) -> Finding {
    let groups = blocked.groups.join(", ");
    let mut at = place(cx, said);
    at.nodes
        .extend(blocked.nodes.iter().map(|node| Text::from(*node)));
    let peers: BTreeSet<&str> = blocked.sources.iter().map(String::as_str).collect();
    let peers = peers.into_iter().collect::<Vec<_>>().join(", ");
    let what = match blocked.side {
        Side::Ingress => format!("its security groups ({groups}) admit no 443 from {peers}"),
        Side::Egress => format!("security groups of the nodes ({groups}) let no 443 out to it"),
    };
    let mut finding = META
        .finding(
            severity(&blocked.service),
            format!("VPC endpoint {} for {} is closed: {what}", blocked.id, blocked.service),
        )
        .confidence(Confidence::Confirmed)
        .detail("Its name resolves to its interfaces for the whole VPC, so calls of the service go there and nowhere else, and are dropped.")
        .subject(Subject::new(SubjectKind::VpcEndpoint, blocked.id))
        .facts(said.iter().take(3).map(|one| one.fact("failed calls")))
        .fact(
            Fact::new(
                Source::SecurityGroups,
                groups.as_str(),
                format!("{} tcp 443", blocked.side.name()),
                format!("no rule admits {peers}"),
            )
            .expected("admitted"),
        )
        .signal("no-rule")
        .at(at.clone())
        .reaches(at);
    if !said.is_empty() {
        finding = finding.signal("address-dead");
    }
    let group = blocked.groups.first().map_or("SG", String::as_str);
    let source = blocked.sources.first().map_or("NODE_SG", String::as_str);
    finding
        .confirm(format!("aws ec2 describe-security-group-rules --filters Name=group-id,Values={group}"))
        .fix(match blocked.side {
            Side::Ingress => format!("aws ec2 authorize-security-group-ingress --group-id {group} --protocol tcp --port 443 --source-group {source}"),
            Side::Egress => format!("aws ec2 authorize-security-group-egress --group-id {group} --protocol tcp --port 443 --cidr 0.0.0.0/0"),
        })
}

fn by_log(cx: &Cx<'_>, service: &str, said: &[Heard<'_>]) -> Finding {
    let at = place(cx, said);
    let host = said
        .iter()
        .flat_map(|one| one.values("host"))
        .find(|host| endpoint_service(host).as_deref() == Some(service))
        .unwrap_or(service);
    let addresses: BTreeSet<IpAddr> = said
        .iter()
        .flat_map(|one| one.values("address"))
        .filter_map(|address| address.parse().ok())
        .collect();
    let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let id = cx
        .vpc_endpoints()
        .optional()
        .into_iter()
        .flatten()
        .find(|one| one.is_for(service) && !one.is_gateway())
        .map(|one| one.vpc_endpoint_id.as_str());
    let past = said.iter().all(|one| one.is_past(cx.now()));
    META.finding(
        if past { Severity::Warning } else { severity(service) },
        format!("The VPC endpoint for {service} does not answer at {}: its security group has to admit 443", list.join(", ")),
    )
    .confidence(Confidence::Likely)
    .detail("A public service has a private address here, so an interface endpoint takes its calls. Packets to it are dropped without a refusal, as a security group does that does not know the sender; a network ACL is the other cause that is left.")
    .subject(match id {
        Some(id) => Subject::new(SubjectKind::VpcEndpoint, id),
        None => Subject::new(SubjectKind::Host, host),
    })
    .facts(said.iter().take(3).map(|one| one.fact("failed calls")))
    .signal("address-dead")
    .at(at.clone())
    .reaches(at)
    .confirm(match list.first() {
        Some(address) => format!("aws ec2 describe-network-interfaces --filters Name=addresses.private-ip-address,Values={address} --query 'NetworkInterfaces[].[Description,Groups]'"),
        None => "aws ec2 describe-vpc-endpoints --query 'VpcEndpoints[].[ServiceName,Groups]'".to_owned(),
    })
    .fix("aws ec2 authorize-security-group-ingress --group-id ENDPOINT_SG --protocol tcp --port 443 --cidr VPC_CIDR")
}
