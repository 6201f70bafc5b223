//! `net/node-publicly-exposed`: nodes that the internet can reach.

mod open;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::aws::{Instance, tag};
use eksnet_model::path::Egress;
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Meta, Place, Role, Severity, Source, Stop, Subject,
    SubjectKind, Why,
};

use open::{Exposed, OpenRule, leads_to_internet};

/// Most nodes and instances that are named in a text.
const MAX_NAMED: usize = 4;

const META: Meta = Meta {
    id: "net/node-publicly-exposed",
    title: "Nodes can be reached from the internet",
    severity: Severity::Warning,
    role: Role::Risk,
    needs: &[
        Source::Nodes,
        Source::Instances,
        Source::Subnets,
        Source::RouteTables,
        Source::SecurityGroups,
    ],
    helps: &[Source::NetworkInterfaces, Source::Services],
    signals: &["public-address", "world-admitted"],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let (nodes, instances) = (cx.nodes().some(), cx.instances().some());
    let (subnets, tables) = (cx.subnets().some(), cx.route_tables().some());
    let groups = cx.security_groups().some();
    let _ = (cx.services().optional(), cx.network_interfaces().optional());
    let known = groups.as_ref().map_or(&[][..], |all| all.as_slice());
    let targets = targets(cx);
    let mut exposed: BTreeMap<BTreeSet<OpenRule>, Vec<Exposed<'_>>> = BTreeMap::new();
    let mut gaps = Vec::new();
    for (name, instance) in &targets {
        let Some(instance) = instance else {
            gaps.push(Gap::new(
                Source::Instances,
                Why::Failed,
                format!("the instance of node {name} is not known"),
            ));
            continue;
        };
        let Some(one) = Exposed::of(cx, name, instance) else {
            continue;
        };
        let (rules, missing) = open::rules(cx, known, &one);
        if rules.is_empty()
            && let Some(id) = missing
        {
            gaps.push(
                Gap::new(
                    Source::SecurityGroups,
                    Why::Failed,
                    format!("what {name} admits hangs on {id}"),
                )
                .closed_by(format!("aws ec2 describe-security-groups --group-ids {id}")),
            );
        } else if !rules.is_empty() || (one.routed == Some(true) && one.address.is_some()) {
            exposed.entry(rules).or_default().push(one);
        }
    }
    let findings: Vec<Finding> = exposed
        .iter()
        .filter_map(|(rules, nodes)| match rules.is_empty() {
            true => address_alone(cx, nodes),
            false => Some(admitted(rules, nodes)),
        })
        .collect();
    if !findings.is_empty() {
        return Ok(findings);
    }
    let _ = (nodes?, instances?, subnets?, tables?, groups?);
    if targets.is_empty() {
        return Err(Stop::not_applicable("no node is an instance of EC2"));
    }
    if !gaps.is_empty() {
        return Err(Stop::Unknown(gaps));
    }
    Ok(findings)
}

/// Names of nodes with their instances. Without nodes, instances that are tagged as some cluster's: others in
/// the VPC, such as a bastion host or a NAT instance, are meant to be public.
fn targets<'a>(cx: &'a Cx<'_>) -> Vec<(&'a str, Option<&'a Instance>)> {
    let topology = cx.topology();
    let nodes: Vec<_> = topology
        .nodes()
        .filter(|node| !matches!(node.compute_type(), Some("fargate" | "hybrid")))
        .map(|node| (node.metadata.name.as_str(), topology.instance_of(node)))
        .collect();
    if cx.nodes().is_complete() || !nodes.is_empty() {
        return nodes;
    }
    let is_node = |one: &&Instance| {
        tag(&one.tags, "eks:cluster-name").is_some()
            || tag(&one.tags, "eks:nodegroup-name").is_some()
            || one
                .tags
                .iter()
                .any(|tag| tag.key.starts_with("kubernetes.io/cluster/"))
    };
    cx.instances()
        .optional()
        .into_iter()
        .flatten()
        .filter(is_node)
        .map(|one| (one.instance_id.as_str(), Some(one)))
        .collect()
}

fn named(nodes: &[Exposed<'_>]) -> String {
    match nodes {
        [one] => format!("Node {}", one.name),
        many => format!("{} nodes", many.len()),
    }
}

/// What both findings say of the nodes.
fn about(finding: Finding, nodes: &[Exposed<'_>]) -> Finding {
    let ids: Vec<&str> = nodes
        .iter()
        .map(|one| one.instance.instance_id.as_str())
        .take(MAX_NAMED)
        .collect();
    let names = nodes.iter().map(|one| one.name);
    finding
        .subjects(names.clone().map(Subject::node))
        .facts(nodes.iter().take(MAX_NAMED).map(|one| {
            let address = one.address.or(one.v6).unwrap_or_default();
            Fact::new(
                Source::Instances,
                format!("{} ({})", one.name, one.instance.instance_id),
                "public address",
                format!("{address} in {}", one.instance.subnet_id),
            )
            .expected("none")
        }))
        .facts(open::routes(nodes).into_iter().map(|(subnet, table, gateway)| {
            Fact::new(Source::RouteTables, table, format!("default route of {subnet}"), gateway)
        }))
        .signal("public-address")
        .at(Place::nodes(names.clone()))
        .reaches(Place::nodes(names))
        .confirm(format!(
            "aws ec2 describe-instances --instance-ids {} --query 'Reservations[].Instances[].[InstanceId,PublicIpAddress,SubnetId]' --output table",
            ids.join(" ")
        ))
}

fn admitted(rules: &BTreeSet<OpenRule>, nodes: &[Exposed<'_>]) -> Finding {
    let groups: BTreeSet<&str> = rules.iter().map(|rule| rule.group.as_str()).collect();
    let what: BTreeSet<String> = rules.iter().map(OpenRule::words).collect();
    let what: Vec<String> = what.into_iter().take(MAX_NAMED).collect();
    let sure = nodes.iter().any(|one| one.routed == Some(true));
    let have = if nodes.len() == 1 { "has" } else { "have" };
    let has = if nodes.len() == 1 {
        "a public address"
    } else {
        "public addresses"
    };
    let mut finding = META
        .finding(
            Severity::Warning,
            format!(
                "{} {have} {has}, and {} admits the internet to {}",
                named(nodes),
                groups.iter().copied().collect::<Vec<_>>().join(", "),
                what.join(", ")
            ),
        )
        .confidence(if sure { Confidence::Confirmed } else { Confidence::Likely })
        .detail("Anyone can reach what listens there, on the node itself or in pods on its network. No public load balancer of the cluster needs it.")
        .subjects(groups.iter().map(|id| Subject::new(SubjectKind::SecurityGroup, *id)))
        .facts(rules.iter().map(|rule| {
            Fact::new(
                Source::SecurityGroups,
                rule.group.as_str(),
                "ingress",
                format!("{} from {}", rule.words(), rule.cidr),
            )
            .expected("the addresses that need it alone")
        }))
        .signal("world-admitted");
    finding = about(finding, nodes);
    for group in &groups {
        finding = finding.confirm(format!(
            "aws ec2 describe-security-group-rules --filters Name=group-id,Values={group} --query 'SecurityGroupRules[?!IsEgress].[SecurityGroupRuleId,IpProtocol,FromPort,ToPort,CidrIpv4,CidrIpv6]' --output table"
        ));
    }
    for rule in rules {
        finding = finding.fix(format!(
            "aws ec2 revoke-security-group-ingress --group-id {} --ip-permissions '{}'   # after a rule for those who need it",
            rule.group,
            rule.permission()
        ));
    }
    finding
}

/// Nodes with a public address that no rule opens. A fact only where the VPC has another way out: elsewhere
/// the address is what nodes reach AWS by.
fn address_alone(cx: &Cx<'_>, nodes: &[Exposed<'_>]) -> Option<Finding> {
    let vpc = nodes.first()?.instance.vpc_id.as_str();
    let private: Vec<&str> = cx
        .subnets()
        .optional()?
        .iter()
        .filter(|subnet| vpc.is_empty() || subnet.vpc_id == vpc)
        .filter(|subnet| {
            let table = cx.topology().route_table_of(subnet);
            table.is_some_and(|table| {
                Egress::of(table) == Egress::Nat && !leads_to_internet(table, false)
            })
        })
        .map(|subnet| subnet.subnet_id.as_str())
        .collect();
    if private.is_empty() {
        return None;
    }
    let (have, stand) = match nodes.len() {
        1 => ("has a public address", "stands"),
        _ => ("have public addresses", "stand"),
    };
    let subnets: BTreeSet<&str> = nodes
        .iter()
        .map(|one| one.instance.subnet_id.as_str())
        .collect();
    let subnets: Vec<&str> = subnets.into_iter().collect();
    let finding = META
        .finding(
            Severity::Info,
            format!(
                "{} {have} and {stand} in {}, while the VPC has subnets behind a NAT gateway",
                named(nodes),
                subnets.join(", ")
            ),
        )
        .confidence(Confidence::Confirmed)
        .detail("No rule of their security groups admits the internet to more than a load balancer needs: one rule is all that keeps them closed.");
    Some(about(finding, nodes).fix(format!(
        "Make the node group anew in {}, behind a NAT gateway",
        private.join(", ")
    )))
}
