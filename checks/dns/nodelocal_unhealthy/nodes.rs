//! Nodes without a cache that is ready.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::{DaemonSet, Node, Pod};
use eksnet_model::{Component, Confidence, Cx, Fact, Finding, Place, Source, Subject};

use super::{Cache, NAMESPACE};

/// A node or pod that is this young, in seconds, may still be starting.
const STARTING_S: i64 = 120;
/// Most nodes that are spelt out.
const MAX_NODES: usize = 6;

pub(super) fn findings(cx: &Cx<'_>, cache: &Cache<'_>, set: &DaemonSet) -> Option<Finding> {
    let mut by_node: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in cx.topology().pods_of(Component::NodeLocalDns) {
        by_node.entry(&pod.spec.node_name).or_default().push(pod);
    }
    let without: Vec<(&Node, Option<&Pod>)> = cx
        .topology()
        .nodes()
        .filter(|node| is_mine(cx, node, set))
        .filter_map(|node| {
            let own = by_node.get(node.metadata.name.as_str());
            let own = own.map_or(&[][..], Vec::as_slice);
            let is_fine = own
                .iter()
                .any(|pod| pod.is_ready() || young(cx, pod.metadata.creation_timestamp));
            (!is_fine).then(|| (node, own.first().copied()))
        })
        .collect();
    let (first, _) = without.first()?;
    let names: BTreeSet<&str> = without
        .iter()
        .map(|(node, _)| node.metadata.name.as_str())
        .collect();
    let who = match without.len() {
        1 => format!("Node {} has", first.metadata.name),
        many => format!("{many} nodes have"),
    };
    let place = Place::nodes(names.iter().copied());
    let tainted = without
        .iter()
        .any(|(node, pod)| pod.is_none() && !node.spec.taints.is_empty());
    let name = cache.name();
    let mut finding = cache
        .about(format!("{who} no ready NodeLocal DNSCache"), "pod-missing")
        .confidence(Confidence::Confirmed)
        .detail(if cache.told {
            "Pods there are told the cache's address alone: no name resolves on these nodes."
        } else {
            "Where the kubelet hands out the cache's address, no name resolves on these nodes; where the cache only takes over the address of cluster DNS, rules that a killed cache left behind keep queries from the DNS pods."
        })
        .subjects(names.iter().take(MAX_NODES).map(|node| Subject::node(*node)))
        .facts(without.iter().take(MAX_NODES).map(|(node, pod)| fact(node, *pod)))
        .at(place.clone())
        .reaches(place)
        .confirm(format!("kubectl -n {NAMESPACE} describe daemonset {name}"));
    if let Some(pod) = without.iter().find_map(|(_, pod)| *pod) {
        finding = finding.fix(format!(
            "kubectl -n {NAMESPACE} logs {} --previous   # why it ends; then: kubectl -n {NAMESPACE} rollout restart daemonset {name}",
            pod.metadata.name
        ));
    }
    if tainted || finding.remedy.fix.is_empty() {
        finding = finding.fix(format!(
            "kubectl -n {NAMESPACE} patch daemonset {name} --type=merge -p '{{\"spec\":{{\"template\":{{\"spec\":{{\"priorityClassName\":\"system-node-critical\",\"tolerations\":[{{\"operator\":\"Exists\"}}]}}}}}}}}'   # every node, whatever its taints"
        ));
    }
    Some(finding)
}

/// Linux nodes that the DaemonSet's own selector does not leave out, and that had the time to start.
fn is_mine(cx: &Cx<'_>, node: &Node, set: &DaemonSet) -> bool {
    let selected = set
        .spec
        .template
        .spec
        .node_selector
        .iter()
        .all(|(key, value)| node.label(key) == Some(value.as_str()));
    node.has_cni_pod()
        && selected
        && node.is_ready() != Some(false)
        && !node.spec.unschedulable
        && node.metadata.deletion_timestamp.is_none()
        && !young(cx, node.metadata.creation_timestamp)
}

fn young(cx: &Cx<'_>, created: Option<eksnet_model::Time>) -> bool {
    match (cx.now(), created) {
        (Some(now), Some(created)) => now.seconds_since(created) < STARTING_S,
        _ => false,
    }
}

fn fact(node: &Node, pod: Option<&Pod>) -> Fact {
    let name = &node.metadata.name;
    let saw = match pod {
        None => {
            let taints: Vec<String> = node
                .spec
                .taints
                .iter()
                .map(|taint| format!("{}:{}", taint.key, taint.effect))
                .collect();
            if taints.is_empty() {
                "none".to_owned()
            } else {
                format!("none; the node has the taints {}", taints.join(", "))
            }
        }
        Some(pod) => {
            let ended = pod.status.container_statuses.iter().find_map(|status| {
                let last = status.last_state.terminated.as_ref()?;
                Some(format!(", last ended: {}", last.reason))
            });
            let trouble = pod.trouble().map_or("not ready", |(reason, _)| reason);
            format!(
                "{} {trouble}{}",
                pod.metadata.name,
                ended.unwrap_or_default()
            )
        }
    };
    let source = if pod.is_some() {
        Source::Pods
    } else {
        Source::Nodes
    };
    Fact::new(source, format!("Node {name}"), "pod of the cache", saw).expected("ready")
}
