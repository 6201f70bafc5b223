//! Nodes that hold nothing but pods which must not be evicted.

use std::collections::BTreeMap;

use eksnet_model::kubernetes::Pod;
use eksnet_model::{
    Component, Confidence, Cx, Deployed, Fact, Finding, Place, Severity, Source, Subject,
};

use super::{KARPENTER, META, SAFE};

/// A node is judged once its pods run for longer than this, in seconds.
const LONG_S: i64 = 3600;

/// The nodes that only pinned pods keep, by these autoscalers.
pub(super) fn finding(cx: &Cx<'_>, scalers: &[Deployed<'_>]) -> Option<Finding> {
    if !cx.pods().is_complete() {
        return None;
    }
    let has = |component| scalers.iter().any(|one| one.component == component);
    let (by_ca, by_karpenter) = (has(Component::ClusterAutoscaler), has(Component::Karpenter));
    let is_pinned = |pod: &Pod| {
        let is = |key: &str, wanted: &str| {
            pod.metadata
                .annotations
                .get(key)
                .is_some_and(|value| value == wanted)
        };
        (by_ca && is(SAFE, "false")) || (by_karpenter && is(KARPENTER, "true"))
    };
    let mut nodes: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in cx
        .pods()
        .optional()?
        .iter()
        .filter(|pod| !pod.is_terminal())
    {
        let stays = matches!(pod.owner_kind(), Some("DaemonSet" | "Node"));
        if !stays && !pod.spec.node_name.is_empty() {
            nodes.entry(&pod.spec.node_name).or_default().push(pod);
        }
    }
    // An autoscaler that is pinned is what this check asks for.
    nodes.retain(|_, pods| {
        pods.iter().all(|pod| is_pinned(pod))
            && pods.iter().all(|pod| {
                let age = cx.now().zip(pod.status.start_time);
                age.is_some_and(|(now, start)| now.seconds_since(start) > LONG_S)
            })
            && !pods.iter().any(|pod| {
                matches!(
                    Component::of_pod(pod),
                    Component::ClusterAutoscaler | Component::Karpenter
                )
            })
    });
    let (node, pods) = nodes.first_key_value()?;
    let pod = pods.first()?;
    let what = match nodes.len() {
        1 => format!("Node {node} is kept"),
        many => format!("{many} nodes are kept"),
    };
    let key = if by_ca { SAFE } else { KARPENTER };
    let mut finding = META
        .finding(
            Severity::Info,
            format!("{what} by nothing but pods that must not be evicted"),
        )
        .detail("An autoscaler leaves them alone until these pods end, however empty the nodes are.")
        .confidence(Confidence::Confirmed)
        .subjects(nodes.keys().take(20).map(|node| Subject::node(*node)))
        .signal("pins-nodes")
        .at(Place::nodes(nodes.keys().copied()))
        .confirm(format!(
            "kubectl get pods -A --field-selector spec.nodeName={node} -o custom-columns=NS:.metadata.namespace,POD:.metadata.name,ANNOTATIONS:.metadata.annotations"
        ))
        .fix(format!(
            "kubectl -n {} annotate pod {} {key}-   # once it may be evicted; lasting: in the pod template of its owner",
            pod.metadata.namespace, pod.metadata.name
        ));
    for (node, pods) in nodes.iter().take(5) {
        let names: Vec<String> = pods.iter().take(3).map(|pod| pod.key()).collect();
        finding = finding.fact(Fact::new(
            Source::Pods,
            format!("Node {node}"),
            "pods that pin it",
            names.join(", "),
        ));
    }
    Some(finding)
}
