//! Whether one node, one zone or one drain takes cluster DNS away.

use std::collections::BTreeSet;

use eksnet_model::kubernetes::{Node, Pod};
use eksnet_model::{Component, Confidence, Cx, Fact, Finding, Place, Severity, Source};

use super::{about, more_pods};

/// The worst lack of spread; `None` where all is well or not all is known.
pub(super) fn fault(cx: &Cx<'_>) -> Option<Finding> {
    cx.pods().all_in("kube-system").ok()?;
    let pods: Vec<&Pod> = cx
        .topology()
        .pods_of(Component::CoreDns)
        .filter(|pod| pod.metadata.namespace == "kube-system" && !pod.is_terminal())
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .collect();
    let open: Vec<&Node> = cx
        .topology()
        .nodes()
        .filter(|node| node.is_ready() == Some(true) && !node.spec.unschedulable)
        .filter(|node| node.is_linux() && node.compute_type().is_none())
        .collect();
    if pods.is_empty() || open.len() < 2 {
        return None;
    }
    let names: BTreeSet<&str> = pods
        .iter()
        .map(|pod| pod.spec.node_name.as_str())
        .filter(|node| !node.is_empty())
        .collect();
    if pods.len() < 2 {
        return Some(alone(cx, pods[0]));
    }
    if names.len() == 1 {
        return names.first().map(|node| one_node(cx, &pods, node));
    }
    one_zone(cx, &names, &open).or_else(|| no_budget(cx, &pods))
}

fn alone(cx: &Cx<'_>, pod: &Pod) -> Finding {
    let finding = about(
        Severity::Warning,
        "CoreDNS runs as one pod: its restart takes names away from the whole cluster".to_owned(),
    )
    .confidence(Confidence::Confirmed)
    .detail("A drain, a crash or the loss of one node ends cluster DNS until a new pod is ready.")
    .fact(
        Fact::new(
            Source::Pods,
            format!("Pod {}", pod.key()),
            "pods of CoreDNS",
            "1",
        )
        .expected("2 or more"),
    );
    more_pods(cx, finding)
}

fn one_node(cx: &Cx<'_>, pods: &[&Pod], node: &str) -> Finding {
    let finding = about(
        Severity::Error,
        format!("CoreDNS stands with all {} pods on node {node}", pods.len()),
    )
    .confidence(Confidence::Confirmed)
    .detail("The loss of this node, or the packet limit of its network interface, takes cluster DNS away. The add-on's anti-affinity is a wish and allows it.")
    .fact(
        Fact::new(Source::Pods, "pods of CoreDNS", "spec.nodeName", node).expected("two nodes or more"),
    )
    .at(Place::nodes([node]))
    .signal("one-node")
    .fix("kubectl -n kube-system rollout restart deployment coredns   # which spreads them while other nodes have room");
    more_pods(cx, finding)
}

fn one_zone(cx: &Cx<'_>, names: &BTreeSet<&str>, open: &[&Node]) -> Option<Finding> {
    let zone_of = |name: &&str| cx.topology().node(name).and_then(Node::zone);
    let zones: BTreeSet<&str> = names.iter().filter_map(zone_of).collect();
    let all: BTreeSet<&str> = open.iter().filter_map(|node| node.zone()).collect();
    if zones.len() != 1 || all.len() < 2 || names.iter().any(|name| zone_of(name).is_none()) {
        return None;
    }
    let zone = zones.first()?;
    Some(
        about(
            Severity::Warning,
            format!("CoreDNS stands in zone {zone} alone, of {} zones with nodes", all.len()),
        )
        .confidence(Confidence::Confirmed)
        .detail("The loss of the zone takes cluster DNS away, and queries from other zones cross to it.")
        .fact(Fact::new(Source::Nodes, "nodes of CoreDNS", "zone", *zone).expected("two zones or more"))
        .fix("kubectl -n kube-system patch deployment coredns -p '{\"spec\":{\"template\":{\"spec\":{\"topologySpreadConstraints\":[{\"maxSkew\":1,\"topologyKey\":\"topology.kubernetes.io/zone\",\"whenUnsatisfiable\":\"ScheduleAnyway\",\"labelSelector\":{\"matchLabels\":{\"k8s-app\":\"kube-dns\"}}}]}}}}'"),
    )
}

fn no_budget(cx: &Cx<'_>, pods: &[&Pod]) -> Option<Finding> {
    let budgets = cx.pod_disruption_budgets().all_in("kube-system").ok()?;
    let protects = budgets.iter().any(|budget| {
        budget.metadata.namespace == "kube-system"
            && budget.spec.selector.as_ref().is_some_and(|selector| {
                pods.iter()
                    .any(|pod| selector.matches(&pod.metadata.labels))
            })
    });
    (!protects).then(|| {
        about(
            Severity::Warning,
            "CoreDNS has no PodDisruptionBudget: a drain may take all of its pods at once".to_owned(),
        )
        .confidence(Confidence::Confirmed)
        .detail("Upgrades and autoscalers evict its pods without regard to one another.")
        .fact(
            Fact::new(Source::PodDisruptionBudgets, "namespace kube-system", "budgets for CoreDNS", "0")
                .expected("1"),
        )
        .fix("kubectl -n kube-system create poddisruptionbudget coredns --selector=k8s-app=kube-dns --max-unavailable=1")
    })
}
