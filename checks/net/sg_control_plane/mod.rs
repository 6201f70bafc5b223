//! `net/sg-control-plane`: security groups stand between the nodes and the control plane.

mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Gap, Heard, Meta, Place, Role, Severity,
    Source, Stop, Subject, SubjectKind, Text, Why, logs_and_events,
};

use rules::{Closed, Rules, Way};

const KUBELET: &[&str] = &["kubelet-port-timeout"];
const API: &[&str] = &["api-endpoint-timeout"];

const META: Meta = Meta {
    id: "net/sg-control-plane",
    title: "Security groups stand between the nodes and the control plane",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[
        Source::Cluster,
        Source::Nodes,
        Source::Instances,
        Source::NetworkInterfaces,
        Source::SecurityGroups,
    ],
    helps: &[
        Source::Logs,
        Source::Events,
        Source::Vpcs,
        Source::PrefixLists,
    ],
    signals: &[
        "api-timeout",
        "kubelet-timeout",
        "api-denied",
        "kubelet-denied",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let _ = cx.vpcs().optional();
    let rules = Rules::of(cx);
    let mut said: BTreeMap<Way, Vec<Heard<'_>>> = BTreeMap::new();
    for one in Heard::by(&scans, KUBELET) {
        said.entry(Way::Kubelet).or_default().push(one);
    }
    for one in Heard::by(&scans, API) {
        // A public address is reached by the way out of the subnet, not by these groups.
        let mut addresses = one
            .values("address")
            .filter_map(|address| address.parse().ok());
        if addresses.any(|address: IpAddr| cx.topology().is_private(address)) {
            said.entry(Way::Api).or_default().push(one);
        }
    }
    let mut findings = Vec::new();
    if let Ok(rules) = &rules {
        for closed in &rules.closed {
            let proof = said.remove(&closed.way).unwrap_or_default();
            findings.push(by_rules(cx, closed, &proof));
        }
    }
    for (way, said) in &said {
        if !rules.as_ref().is_ok_and(|rules| rules.open.contains(way)) {
            findings.push(by_log(cx, *way, said));
        }
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    let rules = rules?;
    if let Some(missing) = &rules.missing {
        return Err(Stop::unknown(Gap::new(
            Source::SecurityGroups,
            Why::Failed,
            format!("what may pass hangs on {missing}"),
        )));
    }
    Ok(findings)
}

fn place(cx: &Cx<'_>, said: &[Heard<'_>]) -> Place {
    let mut at = Place::default();
    for one in said {
        at.nodes.extend(one.at(cx.topology()).nodes);
        for node in one.values("node") {
            let known = node
                .parse()
                .ok()
                .and_then(|ip| cx.topology().node_by_ip(ip))
                .or_else(|| cx.topology().node(node));
            at.nodes
                .extend(known.map(|node| Text::from(&node.metadata.name)));
        }
    }
    at
}

fn by_rules(cx: &Cx<'_>, closed: &Closed<'_>, said: &[Heard<'_>]) -> Finding {
    let mut at = place(cx, said);
    at.nodes
        .extend(closed.nodes.iter().map(|node| Text::from(*node)));
    let groups = closed.groups.join(", ");
    let peers = closed.peers.join(", ");
    let (severity, title, signal) = match closed.way {
        Way::Api => (
            Severity::Critical,
            format!("Security groups {groups} keep nodes from the API server's interfaces on 443"),
            "api-denied",
        ),
        Way::Kubelet => (
            Severity::Error,
            format!("Security groups {groups} keep the API server from kubelets on 10250"),
            "kubelet-denied",
        ),
    };
    let mut finding = META
        .finding(severity, title)
        .confidence(Confidence::Confirmed)
        .detail(match closed.way {
            Way::Api => "The private API endpoint is in use, and no rule admits the nodes to its interfaces: kubelets cannot register or report, and pods cannot reach the API.",
            Way::Kubelet => "kubectl logs   # exec, port-forward and metrics need the kubelet's port, and no rule admits the control plane to it.",
        })
        .subjects(closed.groups.iter().map(|id| Subject::new(SubjectKind::SecurityGroup, id.as_str())))
        .facts(said.iter().take(3).map(|one| one.fact("failed calls")))
        .fact(
            Fact::new(
                Source::SecurityGroups,
                groups.as_str(),
                format!("{} tcp {}", closed.side.name(), closed.way.port()),
                format!("no rule admits {peers}"),
            )
            .expected("admitted"),
        )
        .signal(signal)
        .at(at.clone())
        .reaches(at);
    if !said.is_empty() {
        finding = finding.signal(timeout(closed.way));
    }
    let first =
        |all: &[String], none: &str| all.first().cloned().unwrap_or_else(|| none.to_owned());
    let direction = closed.side.name();
    let group = first(&closed.groups, "SG");
    finding
        .confirm(format!("aws ec2 describe-security-group-rules --filters Name=group-id,Values={group}"))
        .fix(format!(
            "aws ec2 authorize-security-group-{direction} --group-id {group} --ip-permissions 'IpProtocol=tcp,FromPort={port},ToPort={port},UserIdGroupPairs=[{{GroupId={}}}]'",
            first(&closed.peers, "SG"),
            port = closed.way.port(),
        ))
}

fn timeout(way: Way) -> &'static str {
    match way {
        Way::Api => "api-timeout",
        Way::Kubelet => "kubelet-timeout",
    }
}

fn by_log(cx: &Cx<'_>, way: Way, said: &[Heard<'_>]) -> Finding {
    let at = place(cx, said);
    let past = said.iter().all(|one| one.is_past(cx.now()));
    let nodes: BTreeSet<&str> = said.iter().flat_map(|one| one.values("node")).collect();
    let host = said
        .iter()
        .find_map(|one| one.value("host"))
        .unwrap_or("the API endpoint");
    let who: BTreeSet<String> = said
        .iter()
        .filter(|one| one.scan.component != Component::Unknown || !one.scan.pod.is_empty())
        .map(|one| one.speaker(cx.topology()))
        .collect();
    let caller = if who.is_empty() {
        "the API server".to_owned()
    } else {
        who.into_iter().collect::<Vec<_>>().join(", ")
    };
    let which = match nodes.iter().next() {
        Some(node) if nodes.len() == 1 => format!("the kubelet of {node}"),
        _ if nodes.is_empty() => "kubelets".to_owned(),
        _ => format!("{} kubelets", nodes.len()),
    };
    let (severity, title) = match way {
        Way::Api => (
            Severity::Critical,
            format!(
                "Nodes get no answer from {host} at its private address: its security group has to admit 443 from them"
            ),
        ),
        Way::Kubelet => (
            Severity::Error,
            format!(
                "Port 10250 of {which} does not answer {caller}: the node's security group has to admit it"
            ),
        ),
    };
    let finding = META
        .finding(if past { Severity::Warning } else { severity }, title)
        .confidence(Confidence::Likely)
        .detail(match way {
            Way::Api => "The endpoint resolves to interfaces in the VPC, and packets to them are dropped without a refusal. Besides the security groups a network ACL can do that.",
            Way::Kubelet => "A kubelet that does not run refuses; a timeout means that packets are dropped on the way: by the node's security group, that of the control plane, or a network ACL.",
        })
        .subject(match way {
            Way::Api => Subject::new(SubjectKind::Host, host),
            Way::Kubelet => Subject::new(SubjectKind::Other, "kubelets"),
        })
        .subjects(at.nodes.iter().map(|node| Subject::node(node.clone())))
        .facts(said.iter().take(3).map(|one| one.fact("failed calls")))
        .signal(timeout(way))
        .at(at);
    let cluster = cx
        .eks_cluster()
        .optional()
        .map(|cluster| {
            cluster
                .resources_vpc_config
                .cluster_security_group_id
                .as_str()
        })
        .filter(|id| !id.is_empty())
        .unwrap_or("CLUSTER_SG");
    let name = cx.cluster_name();
    finding
        .confirm(format!("aws eks describe-cluster --name {name} --query cluster.resourcesVpcConfig"))
        .confirm("aws ec2 describe-security-group-rules --filters Name=group-id,Values=NODE_SG")
        .fix(match way {
            Way::Api => format!("aws ec2 authorize-security-group-ingress --group-id {cluster} --protocol tcp --port 443 --source-group NODE_SG"),
            Way::Kubelet => format!("aws ec2 authorize-security-group-ingress --group-id NODE_SG --protocol tcp --port 10250 --source-group {cluster}"),
        })
}
