//! Node groups, measured.

use eksnet_model::Text;
use eksnet_model::aws::AutoScalingGroup;
use serde::Serialize;

use super::node::{Addresses, NodeState, PodKinds, Share};
use super::{StoppedBy, all_known, countable, fill, stopped_by};
use crate::ground::{Ground, list};
use crate::simulate::{Engine, PodShape};

/// How many nodes a group may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sizes {
    /// Least.
    pub min: u32,
    /// Wanted.
    pub desired: u32,
    /// Most.
    pub max: u32,
}

/// A node group.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupUse {
    /// Name.
    pub name: Text,
    /// Nodes that are there.
    pub nodes: u32,
    /// Instance types.
    pub instance_types: Vec<Text>,
    /// How many nodes it may have; `null` where neither EKS nor Auto Scaling tells.
    pub sizes: Option<Sizes>,
    /// Interfaces.
    pub enis: Share,
    /// Addresses of pods.
    pub addresses: Addresses,
    /// Slots of the kubelets.
    pub slots: Share,
    /// Pods by kind.
    pub pods: Option<PodKinds>,
    /// CPU requests, in thousandths of a core.
    pub cpu_m: Share,
    /// Memory requests, in bytes.
    pub memory: Share,
    /// Ordinary pods without requests that can still start on its nodes while nothing else does.
    pub can_start: Option<u32>,
    /// The same by the limits that are known.
    pub can_start_at_most: Option<u32>,
    /// What stops the pod after those.
    pub stopped_by: Vec<StoppedBy>,
}

pub(super) fn groups(
    ground: &Ground<'_>,
    nodes: &[NodeState],
    engine: &Engine,
    pod: &PodShape,
) -> Vec<GroupUse> {
    ground
        .groups
        .iter()
        .enumerate()
        .map(|(group, name)| {
            let own: Vec<NodeState> = ground
                .nodes
                .iter()
                .zip(nodes)
                .filter(|(one, _)| one.group == group)
                .map(|(_, state)| state.clone())
                .collect();
            let (pods, tally) = fill(engine, pod, |of| ground.nodes[of].group == group);
            let mut types: Vec<Text> = own
                .iter()
                .filter_map(|one| one.instance_type.clone())
                .collect();
            types.sort();
            types.dedup();
            GroupUse {
                name: name.clone(),
                nodes: u32::try_from(own.len()).unwrap_or(u32::MAX),
                instance_types: types,
                sizes: sizes(ground, group),
                enis: Share::sum(own.iter().map(|one| one.enis)),
                addresses: Addresses::sum(own.iter().map(|one| one.addresses)),
                slots: Share::sum(own.iter().map(|one| one.slots)),
                pods: PodKinds::sum(own.iter().map(|one| one.pods)),
                cpu_m: Share::sum(own.iter().map(|one| one.cpu_m)),
                memory: Share::sum(own.iter().map(|one| one.memory)),
                can_start: all_known(&own).then_some(pods),
                can_start_at_most: countable(&own).then_some(pods),
                stopped_by: stopped_by(tally),
            }
        })
        .collect()
}

/// How many nodes a group may have: by its Auto Scaling groups, else by EKS.
pub(crate) fn sizes(ground: &Ground<'_>, group: usize) -> Option<Sizes> {
    let name = ground.groups[group].as_str();
    let aws = &ground.snapshot.aws;
    let managed = list(&aws.nodegroups)
        .iter()
        .find(|one| one.nodegroup_name == name);
    let members: Vec<&str> = ground
        .nodes
        .iter()
        .filter(|one| one.group == group)
        .filter_map(|one| one.node.instance_id())
        .collect();
    let is_of = |asg: &&AutoScalingGroup| {
        asg.auto_scaling_group_name == name
            || asg.nodegroup() == Some(name)
            || managed.is_some_and(|group| {
                group
                    .resources
                    .auto_scaling_groups
                    .iter()
                    .any(|one| one.name == asg.auto_scaling_group_name)
            })
            || asg
                .instances
                .iter()
                .any(|one| members.contains(&one.instance_id.as_str()))
    };
    let found: Vec<&AutoScalingGroup> = list(&aws.auto_scaling_groups)
        .iter()
        .filter(is_of)
        .collect();
    if found.is_empty() {
        return managed.map(|group| Sizes {
            min: group.scaling_config.min_size,
            desired: group.scaling_config.desired_size,
            max: group.scaling_config.max_size,
        });
    }
    Some(Sizes {
        min: found.iter().map(|one| one.min_size).sum(),
        desired: found.iter().map(|one| one.desired_capacity).sum(),
        max: found.iter().map(|one| one.max_size).sum(),
    })
}
