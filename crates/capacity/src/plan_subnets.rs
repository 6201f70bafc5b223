//! Whether subnets hold planned nodes.

use eksnet_model::capacity::{Held, PREFIX};
use ipnet::Ipv4Net;
use serde::Serialize;

use crate::blocks::BlockMap;

/// What planned nodes need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) nodes: u32,
    pub(crate) surge: u32,
    pub(crate) fresh: Held,
    pub(crate) full: Held,
    /// Addresses besides what the CNI holds.
    pub(crate) own: u32,
    pub(crate) prefixes: bool,
    /// Addresses of the control plane, and those more while it is updated.
    pub(crate) plane: (u32, u32),
}

/// Planned subnets together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubnetsPlan {
    /// Addresses that can be used.
    pub usable: u32,
    /// Whether they hold the nodes when fresh.
    pub hold_fresh: bool,
    /// Whether they hold the nodes when full.
    pub hold_full: bool,
    /// Whether they hold them while full nodes and the control plane are updated.
    pub hold_update: bool,
    /// Full nodes that fit, spread over the subnets.
    pub full_nodes_that_fit: u32,
    /// Each of them.
    pub subnets: Vec<SubnetPlan>,
}

/// A planned subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubnetPlan {
    /// Block.
    pub cidr: Ipv4Net,
    /// Addresses that can be used.
    pub usable: u32,
    /// Free /28 blocks when it is empty; `null` where the CNI takes single addresses.
    pub prefix_blocks: Option<u32>,
    /// Nodes in it.
    pub nodes: u32,
    /// Nodes more while a node group is updated.
    pub surge_nodes: u32,
    /// Addresses when its nodes are fresh, the control plane's included.
    pub fresh: u32,
    /// Addresses when they are full.
    pub full: u32,
    /// Addresses while they are updated.
    pub during_update: u32,
    /// Whether it holds the nodes when fresh.
    pub holds_fresh: bool,
    /// Whether it holds the nodes when full.
    pub holds_full: bool,
    /// Whether it holds the update.
    pub holds_update: bool,
}

impl SubnetsPlan {
    /// Nodes are spread evenly, as an Auto Scaling group does.
    pub(crate) fn of(subnets: &[Ipv4Net], need: &Need) -> Self {
        let count = u32::try_from(subnets.len()).unwrap_or(u32::MAX);
        let planned: Vec<SubnetPlan> = (0..)
            .zip(subnets)
            .map(|(at, cidr)| subnet(*cidr, need, at, count))
            .collect();
        let fits = subnets
            .iter()
            .zip(0..)
            .map(|(cidr, at)| full_nodes(*cidr, need, share(need.plane.0, at, count)))
            .min()
            .unwrap_or(0);
        Self {
            usable: planned.iter().map(|one| one.usable).sum(),
            hold_fresh: planned.iter().all(|one| one.holds_fresh),
            hold_full: planned.iter().all(|one| one.holds_full),
            hold_update: planned.iter().all(|one| one.holds_update),
            // The subnet that is full first stops the group there.
            full_nodes_that_fit: fits.saturating_mul(count),
            subnets: planned,
        }
    }
}

/// Of `total`, the part of the subnet at `at`.
fn share(total: u32, at: u32, count: u32) -> u32 {
    total / count + u32::from(at < total % count)
}

fn subnet(cidr: Ipv4Net, need: &Need, at: u32, count: u32) -> SubnetPlan {
    let empty = BlockMap::empty(cidr);
    let usable = empty.counts().free;
    let blocks = u32::try_from(empty.free_blocks().len()).unwrap_or(u32::MAX);
    let nodes = share(need.nodes, at, count);
    let surge = share(need.surge, at, count);
    let plane = share(need.plane.0, at, count);
    let update = plane + share(need.plane.1, at, count);
    let of = |held: Held| held.of_subnet() + need.own;
    let addresses =
        |nodes: u32, held: Held, plane: u32| nodes.saturating_mul(of(held)).saturating_add(plane);
    let holds = |nodes: u32, held: Held, plane: u32| {
        let prefixes = nodes.saturating_mul(held.addresses / PREFIX);
        addresses(nodes, held, plane) <= usable && (!need.prefixes || prefixes <= blocks)
    };
    SubnetPlan {
        cidr,
        usable,
        prefix_blocks: need.prefixes.then_some(blocks),
        nodes,
        surge_nodes: surge,
        fresh: addresses(nodes, need.fresh, plane),
        full: addresses(nodes, need.full, plane),
        during_update: addresses(nodes.saturating_add(surge), need.full, update),
        holds_fresh: holds(nodes, need.fresh, plane),
        holds_full: holds(nodes, need.full, plane),
        holds_update: holds(nodes.saturating_add(surge), need.full, update),
    }
}

fn full_nodes(cidr: Ipv4Net, need: &Need, plane: u32) -> u32 {
    let empty = BlockMap::empty(cidr);
    let each = (need.full.of_subnet() + need.own).max(1);
    let by_addresses = empty.counts().free.saturating_sub(plane) / each;
    if need.prefixes {
        let blocks = u32::try_from(empty.free_blocks().len()).unwrap_or(u32::MAX);
        by_addresses.min(blocks / (need.full.addresses / PREFIX).max(1))
    } else {
        by_addresses
    }
}
