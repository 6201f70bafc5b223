//! `node/not-ready`: nodes that do not report, or report that they cannot run pods.

mod by_log;

use std::collections::BTreeMap;

use eksnet_model::kubernetes::{Lease, Node, NodeCondition};
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Place, Role, Severity, Source, Stop, Subject,
};

/// A node that has just started is NotReady until its CNI is up; below this age of the condition, in
/// seconds, that is no fault. `Unknown` is exempt: the node controller sets it only after its own
/// grace period of 40 s or more without a heartbeat.
const STARTING_S: i64 = 120;
/// Share of the nodes, in percent, from which on it is an outage.
const OUTAGE_PERCENT: usize = 20;

const META: Meta = Meta {
    id: "node/not-ready",
    title: "Nodes are NotReady or no longer report",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Nodes],
    helps: &[Source::Leases, Source::Logs],
    signals: &["kubelet-silent", "cni-not-initialized", "runtime-down"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let nodes = match cx.nodes().some() {
        Ok(nodes) => nodes,
        Err(stop) => {
            let heard = by_log::findings(cx);
            return if heard.is_empty() {
                Err(stop)
            } else {
                Ok(heard)
            };
        }
    };
    if nodes.is_empty() {
        return Err(Stop::not_applicable("the cluster has no nodes"));
    }
    let bad: Vec<(&Node, &NodeCondition)> = nodes
        .iter()
        .filter(|node| node.metadata.deletion_timestamp.is_none())
        .filter_map(|node| Some((node, node.condition("Ready")?)))
        .filter(|(_, ready)| is_fault(cx, ready))
        .collect();
    let leases = cx
        .leases()
        .optional()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let severity = severity(nodes, &bad);
    Ok(bad
        .iter()
        .map(|(node, ready)| finding(cx, node, ready, leases, severity))
        .collect())
}

fn is_fault(cx: &Cx<'_>, ready: &NodeCondition) -> bool {
    match ready.status.as_str() {
        "True" => false,
        "Unknown" => true,
        _ => match (cx.now(), ready.last_transition_time) {
            (Some(now), Some(since)) => now.seconds_since(since) > STARTING_S,
            _ => true,
        },
    }
}

/// An outage when a fifth of the nodes, or every node of a zone with more than one, is affected.
fn severity(nodes: &[Node], bad: &[(&Node, &NodeCondition)]) -> Severity {
    let mut zones: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for node in nodes {
        let (all, down) = zones.entry(node.zone().unwrap_or("")).or_default();
        *all += 1;
        *down += usize::from(
            bad.iter()
                .any(|(one, _)| one.metadata.name == node.metadata.name),
        );
    }
    let whole_zone = zones.values().any(|(all, down)| *all > 1 && all == down);
    if bad.len() * 100 >= nodes.len() * OUTAGE_PERCENT || whole_zone {
        Severity::Critical
    } else {
        Severity::Error
    }
}

fn finding(
    cx: &Cx<'_>,
    node: &Node,
    ready: &NodeCondition,
    leases: &[Lease],
    severity: Severity,
) -> Finding {
    let name = &node.metadata.name;
    let mut finding = META
        .finding(severity, format!("Node {name} {}", what(ready)))
        .subject(with_instance(Subject::node(name), node))
        .fact(
            Fact::new(
                Source::Nodes,
                format!("Node {name}"),
                "condition Ready",
                format!("{} ({}: {})", ready.status, ready.reason, ready.message),
            )
            .expected("True")
            .at(ready.last_transition_time),
        )
        .at(Place::nodes([name.as_str()]))
        .reaches(Place::nodes([name.as_str()]))
        .confirm(format!("kubectl describe node {name}"));
    let lease = leases.iter().find(|lease| {
        lease.metadata.namespace == "kube-node-lease" && lease.metadata.name == *name
    });
    if let (Some(renewed), Some(now)) = (lease.and_then(|lease| lease.spec.renew_time), cx.now()) {
        let age = now.seconds_since(renewed);
        finding = finding.fact(
            Fact::new(
                Source::Leases,
                format!("Lease kube-node-lease/{name}"),
                "renewTime",
                format!("{age} s ago"),
            )
            .expected("within 40 s")
            .at(Some(renewed)),
        );
        // Condition and lease are written by different parts: the node controller and the kubelet.
        if ready.status == "Unknown" && age > 40 {
            finding = finding.confidence(Confidence::Confirmed);
        }
    }
    let signals = match cause(ready) {
        Cause::Silent => {
            finding = fix_silent(finding, node);
            "kubelet-silent"
        }
        Cause::Cni => {
            finding = finding
                .detail("The container network is not set up on this node: aws-node has not written its configuration.")
                .fix(format!("kubectl -n kube-system get pods -l k8s-app=aws-node --field-selector spec.nodeName={name} -o wide"));
            "cni-not-initialized"
        }
        Cause::Runtime => {
            finding = finding
                .detail("The container runtime does not answer the kubelet.")
                .fix(format!("kubectl drain {name} --ignore-daemonsets --delete-emptydir-data && kubectl delete node {name}"));
            "runtime-down"
        }
        Cause::Other => return finding.fix(format!("kubectl describe node {name}")),
    };
    finding.signal(signals)
}

enum Cause {
    Silent,
    Cni,
    Runtime,
    Other,
}

fn cause(ready: &NodeCondition) -> Cause {
    let message = ready.message.to_ascii_lowercase();
    if ready.status == "Unknown" {
        Cause::Silent
    } else if message.contains("cni plugin not initialized")
        || message.contains("cni config uninitialized")
    {
        Cause::Cni
    } else if message.contains("pleg is not healthy")
        || message.contains("container runtime is down")
    {
        Cause::Runtime
    } else {
        Cause::Other
    }
}

fn what(ready: &NodeCondition) -> &'static str {
    match cause(ready) {
        Cause::Silent => "stopped reporting: its kubelet is down or cut off",
        Cause::Cni => "is NotReady: its container network is not set up",
        Cause::Runtime => "is NotReady: its container runtime does not answer",
        Cause::Other => "is NotReady",
    }
}

fn fix_silent(finding: Finding, node: &Node) -> Finding {
    let name = &node.metadata.name;
    let finding = finding.detail(
        "Pods on this node cannot be managed, and leave their Services' endpoints: whatever ran only here is down.",
    );
    match node.instance_id() {
        Some(id) => finding
            .confirm(format!(
                "aws ec2 describe-instance-status --include-all-instances --instance-ids {id}"
            ))
            .fix(format!("aws ec2 reboot-instances --instance-ids {id}")),
        None => finding
            .confirm(format!(
                "kubectl get lease -n kube-node-lease {name} -o jsonpath='{{.spec.renewTime}}'"
            ))
            .fix(format!(
                "Start the kubelet on {name} (systemctl restart kubelet), or replace the node"
            )),
    }
}

fn with_instance(subject: Subject, node: &Node) -> Subject {
    match node.instance_id() {
        Some(id) => subject.with_id(id),
        None => subject,
    }
}
