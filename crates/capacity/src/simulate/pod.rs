//! The pods that are placed: all alike.

use eksnet_model::kubernetes::{Node, PodRequests, PodSpec, Taint, Toleration};

use crate::ground::Ground;

/// What a pod demands of a node, whatever else runs there.
#[derive(Clone, Debug)]
pub(crate) struct PodShape {
    pub(crate) requests: PodRequests,
    /// Whether it uses the node's network.
    pub(crate) on_host_network: bool,
    /// Nodes that its selector, affinity and tolerations admit.
    pub(crate) fits: Vec<bool>,
}

impl PodShape {
    /// One that is placed anywhere: to measure what there is.
    pub(crate) fn anywhere(ground: &Ground<'_>) -> Self {
        Self {
            requests: PodRequests::default(),
            on_host_network: false,
            fits: vec![true; ground.nodes.len()],
        }
    }

    /// A pod of a template.
    pub(crate) fn of(ground: &Ground<'_>, spec: &PodSpec) -> Self {
        Self {
            requests: spec.requests().unwrap_or_default(),
            on_host_network: spec.host_network,
            fits: fits(ground, spec),
        }
    }

    /// Whether it takes an address of the CNI's stock.
    pub(crate) fn takes_address(&self) -> bool {
        !self.on_host_network && self.requests.branch == 0
    }
}

fn fits(ground: &Ground<'_>, spec: &PodSpec) -> Vec<bool> {
    ground
        .nodes
        .iter()
        .map(|one| selects(spec, one.node) && tolerates(spec, one.node))
        .collect()
}

/// Whether node selector and required node affinity admit a node.
pub(crate) fn selects(spec: &PodSpec, node: &Node) -> bool {
    let labels = &node.metadata.labels;
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required.as_ref());
    spec.node_selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && required.is_none_or(|required| required.matches(&node.metadata.name, labels))
}

/// Whether the pod tolerates every taint that keeps pods away.
pub(crate) fn tolerates(spec: &PodSpec, node: &Node) -> bool {
    node.spec
        .taints
        .iter()
        .filter(|taint| taint.effect != "PreferNoSchedule")
        // That a node is cordoned or not ready is told apart.
        .filter(|taint| !taint.key.starts_with("node.kubernetes.io/"))
        .all(|taint| spec.tolerations.iter().any(|one| tolerates_one(one, taint)))
}

fn tolerates_one(toleration: &Toleration, taint: &Taint) -> bool {
    let key = match toleration.operator.as_str() {
        "Exists" => toleration.key.is_empty() || toleration.key == taint.key,
        _ => toleration.key == taint.key && toleration.value == taint.value,
    };
    key && (toleration.effect.is_empty() || toleration.effect == taint.effect)
}
