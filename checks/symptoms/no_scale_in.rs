//! `sym/no-scale-in`: nodes that run nothing but DaemonSets stay, though an autoscaler could remove them.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::aws::AutoScalingGroup;
use eksnet_model::kubernetes::{Node, Pod};
use eksnet_model::{
    ClusterAutoscaler, Component, Cx, Deployed, Fact, Finding, Hits, LogScan, Place, Role,
    Severity, Source, Stop, Symptom, SystemPods,
};

/// A node younger than this, in seconds, may still be within the unneeded time and its delays.
const SETTLED_S: i64 = 1200;
/// A failure of the autoscaler's loop that lasts for this long, in seconds, stops scale-down.
const LASTING_S: i64 = 600;

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/no-scale-in",
    observe,
};

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let scalers = Deployed::seen(cx, &[Component::ClusterAutoscaler])?;
    let Some((scaler, flags)) = scalers
        .iter()
        .find_map(|scaler| Some((scaler, ClusterAutoscaler::of(scaler)?)))
        .filter(|(_, flags)| flags.is_on("scale-down-enabled", true))
    else {
        return Ok(Vec::new());
    };
    let nodes = cx.nodes().some()?;
    let idle = idle_nodes(cx, &flags, nodes, cx.pods().some()?);
    let failing = failing_loop(cx);
    // Scale-down rests for a while after nodes were added.
    let settled = nodes.iter().all(|node| is_older(cx, node, SETTLED_S));
    if idle.is_empty() || (failing.is_none() && !settled) {
        return Ok(Vec::new());
    }
    let groups = cx.auto_scaling_groups().optional();
    let stay = match groups {
        Some(groups) => removable(cx, &flags, groups, &idle),
        // Whether a group is above its minimum is not known: only a loop that fails speaks then.
        None if failing.is_some() => idle,
        None => return Ok(Vec::new()),
    };
    if stay.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![finding(cx, scaler, &stay, failing)])
}

fn finding(
    cx: &Cx<'_>,
    scaler: &Deployed<'_>,
    stay: &[&Node],
    failing: Option<(&LogScan, &Hits)>,
) -> Finding {
    let names: Vec<&str> = stay
        .iter()
        .map(|node| node.metadata.name.as_str())
        .collect();
    let who = match names.as_slice() {
        [one] => format!("Node {one} runs"),
        many => format!("{} nodes run", many.len()),
    };
    let severity = if failing.is_some() {
        Severity::Error
    } else {
        Severity::Warning
    };
    let mut finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        severity,
        format!(
            "{who} no workload, and cluster-autoscaler ({}) does not remove {}",
            scaler.workload(),
            if names.len() == 1 { "it" } else { "them" }
        ),
    )
    .subject(scaler.subject())
    .signal("idle-nodes")
    .at(Place::nodes(names.iter().copied()).of(scaler.workload()))
    .confirm("kubectl get pods -A -o wide --sort-by=.spec.nodeName");
    for node in stay.iter().take(5) {
        let created = node.metadata.creation_timestamp;
        finding = finding.fact(
            Fact::new(
                Source::Pods,
                format!("Node {}", node.metadata.name),
                "pods that keep the node",
                match created {
                    Some(created) => format!("0 (the node was made {})", created.ago(cx.now())),
                    None => "0".to_owned(),
                },
            )
            .expected("at least 1, or the node removed"),
        );
    }
    if let Some((scan, hits)) = failing {
        finding = finding.signal("log-loop-fails").fact(
            Fact::new(
                Source::Logs,
                scan.place(),
                "failed loops",
                hits.count.to_string(),
            )
            .expected("0")
            .at(hits.last),
        );
    }
    finding
}

/// Nodes that run no pod but those of DaemonSets and of the node itself, and that nothing holds.
fn idle_nodes<'a>(
    cx: &Cx<'_>,
    flags: &ClusterAutoscaler<'_>,
    nodes: &'a [Node],
    pods: &[Pod],
) -> Vec<&'a Node> {
    let system_pods_hold = !matches!(
        flags.system_pods(),
        Some(SystemPods::Drained | SystemPods::KeptFor(_))
    );
    let busy: BTreeSet<&str> = pods
        .iter()
        .filter(|pod| !pod.is_terminal() && !belongs_to_node(pod))
        .filter(|pod| pod.metadata.namespace != "kube-system" || system_pods_hold || is_pinned(pod))
        .map(|pod| pod.spec.node_name.as_str())
        .collect();
    nodes
        .iter()
        .filter(|node| {
            is_older(cx, node, SETTLED_S)
                && node.is_ready() == Some(true)
                && node.metadata.deletion_timestamp.is_none()
                && node.label("karpenter.sh/nodepool").is_none()
                && !is_held(node)
                && !busy.contains(node.metadata.name.as_str())
        })
        .collect()
}

/// Pods that come and go with their node.
fn belongs_to_node(pod: &Pod) -> bool {
    matches!(pod.owner_kind(), Some("DaemonSet" | "Node"))
        || pod
            .metadata
            .annotations
            .contains_key("kubernetes.io/config.source")
}

/// Pods that keep their node whatever the flags: those that may not be evicted, and the autoscaler.
fn is_pinned(pod: &Pod) -> bool {
    let key = "cluster-autoscaler.kubernetes.io/safe-to-evict";
    pod.metadata
        .annotations
        .get(key)
        .is_some_and(|value| value == "false")
        || Component::of_pod(pod) == Component::ClusterAutoscaler
}

/// Nodes that are on their way out, or shall stay.
fn is_held(node: &Node) -> bool {
    let disabled = node
        .metadata
        .annotations
        .get("cluster-autoscaler.kubernetes.io/scale-down-disabled");
    disabled.is_some_and(|value| value == "true")
        || node
            .spec
            .taints
            .iter()
            .any(|taint| taint.key == "ToBeDeletedByClusterAutoscaler")
}

fn is_older(cx: &Cx<'_>, node: &Node, seconds: i64) -> bool {
    match (cx.now(), node.metadata.creation_timestamp) {
        (Some(now), Some(created)) => now.seconds_since(created) > seconds,
        _ => true,
    }
}

/// The idle nodes of groups that the autoscaler manages, as many as each group is above its minimum.
fn removable<'a>(
    cx: &Cx<'_>,
    flags: &ClusterAutoscaler<'_>,
    groups: &[AutoScalingGroup],
    idle: &[&'a Node],
) -> Vec<&'a Node> {
    let discovery = flags.discovery();
    let mut room: BTreeMap<&str, usize> = BTreeMap::new();
    let mut members: BTreeMap<&str, &str> = BTreeMap::new();
    for group in groups.iter().filter(|group| discovery.selects(group)) {
        let min = discovery
            .named(group)
            .map_or(group.min_size, |named| named.min.max(group.min_size));
        let name = group.auto_scaling_group_name.as_str();
        room.insert(name, group.desired_capacity.saturating_sub(min) as usize);
        members.extend(
            group
                .instances
                .iter()
                .map(|instance| (instance.instance_id.as_str(), name)),
        );
    }
    idle.iter()
        .copied()
        .filter(|node| {
            let tagged = || cx.topology().instance_of(node)?.auto_scaling_group();
            let listed = node.instance_id().and_then(|id| members.get(id).copied());
            let Some(room) = listed.or_else(tagged).and_then(|name| room.get_mut(name)) else {
                return false;
            };
            let fits = *room > 0;
            *room = room.saturating_sub(1);
            fits
        })
        .collect()
}

/// The log of an autoscaler whose loop has failed for so long that no scale-down can have happened.
fn failing_loop<'c>(cx: &'c Cx<'_>) -> Option<(&'c LogScan, &'c Hits)> {
    cx.logs().optional()?.iter().find_map(|scan| {
        let hits = scan.hits("ca-asg-cache-failed")?;
        let lasted = match (hits.first, hits.last) {
            (Some(first), Some(last)) => last.seconds_since(first) >= LASTING_S,
            _ => hits.count > 1,
        };
        let removed_since = scan
            .hits("ca-scale-down")
            .is_some_and(|removed| removed.last > hits.first);
        (lasted && !removed_since && cx.within(hits.last, LASTING_S)).then_some((scan, hits))
    })
}
