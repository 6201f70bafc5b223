//! The Auto Scaling groups that nodes of the cluster came from.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::aws::{AutoScalingGroup, tag};
use eksnet_model::kubernetes::Node;
use eksnet_model::{Cx, TagFilter};

/// A group with its nodes.
#[derive(Debug)]
pub(super) struct Owned<'a> {
    pub(super) group: &'a AutoScalingGroup,
    /// Names of its nodes, sorted.
    pub(super) nodes: Vec<&'a str>,
    instances: BTreeSet<&'a str>,
}

/// The groups that nodes of the cluster belong to, by name. Nodes that Karpenter launched have none,
/// and a group that is being deleted counts no more.
pub(super) fn owned<'a>(
    cx: &'a Cx<'_>,
    groups: &'a [AutoScalingGroup],
    nodes: &'a [Node],
) -> Vec<Owned<'a>> {
    // Read for its record; the index is quicker than the list.
    let _ = cx.instances().optional();
    let mut members: BTreeMap<&str, &str> = BTreeMap::new();
    for group in groups {
        for instance in &group.instances {
            members.insert(&instance.instance_id, &group.auto_scaling_group_name);
        }
    }
    let mut by_name: BTreeMap<&str, Owned<'_>> = BTreeMap::new();
    for group in groups.iter().filter(|group| group.status.is_none()) {
        let owned = Owned {
            group,
            nodes: Vec::new(),
            instances: BTreeSet::new(),
        };
        by_name.insert(&group.auto_scaling_group_name, owned);
    }
    for node in nodes.iter().filter(|node| !is_karpenters(node)) {
        let Some(id) = node.instance_id() else {
            continue;
        };
        let tagged = || cx.topology().instance_of(node)?.auto_scaling_group();
        let group = members.get(id).copied().or_else(tagged);
        if let Some(owned) = group.and_then(|name| by_name.get_mut(name)) {
            owned.nodes.push(&node.metadata.name);
            owned.instances.insert(id);
        }
    }
    let mut found: Vec<Owned<'_>> = by_name
        .into_values()
        .filter(|owned| !owned.nodes.is_empty())
        .collect();
    for owned in &mut found {
        owned.nodes.sort_unstable();
    }
    found
}

/// Whether Karpenter launched the node, by its current or its old label.
pub(super) fn is_karpenters(node: &Node) -> bool {
    node.label("karpenter.sh/nodepool").is_some()
        || node.label("karpenter.sh/provisioner-name").is_some()
}

impl Owned<'_> {
    /// Whether the group cannot be scaled anyway.
    pub(super) fn is_fixed(&self) -> bool {
        self.group.min_size == self.group.max_size
    }

    /// An instance of the group that has the tag which the group lacks.
    pub(super) fn tagged_instance(&self, cx: &Cx<'_>, filter: &TagFilter) -> Option<String> {
        let instances = cx.instances().optional()?;
        instances
            .iter()
            .find(|instance| {
                self.instances.contains(instance.instance_id.as_str())
                    && tag(&instance.tags, &filter.key).is_some()
            })
            .map(|instance| instance.instance_id.clone())
    }
}
