//! How full each node is.

use std::collections::BTreeMap;

use eksnet_model::aws::{InstanceType, NetworkInterface};
use eksnet_model::kubernetes::{CniMetrics, Node};
use eksnet_model::{Ceiling, CniSettings, NodeUse, Topology};

/// From this share on, in percent, a node counts as nearly full.
const NEARLY_PERCENT: u32 = 95;

/// A node that is full or nearly so.
pub(super) struct Full<'a> {
    pub node: &'a Node,
    /// Pods, and how many the kubelet admits; where nearly full.
    pub slots: Option<(u32, u32)>,
    /// Addresses given and had, interfaces had and possible; where nearly full.
    pub addresses: Option<Addresses>,
    /// Interfaces of others on an instance whose slots are all taken.
    pub foreign: Vec<&'a NetworkInterface>,
}

#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub assigned: u32,
    pub total: u32,
    pub enis: u32,
    pub max_enis: u32,
}

impl Full<'_> {
    pub(super) fn out_of_slots(&self) -> bool {
        self.slots.is_some_and(|(pods, most)| pods >= most)
    }
}

/// Judges every node but those of Fargate, which have one slot for one pod.
pub(super) fn full_nodes<'a>(
    topology: &Topology<'a>,
    metrics: &[CniMetrics],
    settings: Option<&CniSettings>,
    types: &[InstanceType],
) -> Vec<Full<'a>> {
    let uses = NodeUse::of_nodes(topology);
    let by_node: BTreeMap<&str, &CniMetrics> =
        metrics.iter().map(|one| (one.node.as_str(), one)).collect();
    let mut found = Vec::new();
    for node in topology.nodes() {
        if node.compute_type() == Some("fargate") || node.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let name = node.metadata.name.as_str();
        let pods = uses.get(name).copied().unwrap_or_default().pods;
        let slots = slots(node)
            .filter(|most| pods * 100 >= most * NEARLY_PERCENT)
            .map(|most| (pods, most));
        // In IPv6 mode the stock is one prefix that never runs out, and its metrics stand still.
        let ipv4 = !settings.is_some_and(|settings| settings.ipv6);
        let addresses = by_node
            .get(name)
            .filter(|_| ipv4)
            .and_then(|one| addresses(one));
        let foreign = foreign(topology, node, settings, types);
        if slots.is_some() || addresses.is_some() || !foreign.is_empty() {
            found.push(Full {
                node,
                slots,
                addresses,
                foreign,
            });
        }
    }
    found
}

/// Pods that the kubelet admits.
fn slots(node: &Node) -> Option<u32> {
    let written = node.status.allocatable.get("pods");
    written
        .and_then(|pods| pods.parse().ok())
        .or_else(|| node.max_pods())
}

/// The stock, where it is used up and no interface can be added.
fn addresses(metrics: &CniMetrics) -> Option<Addresses> {
    let number = |name: &str| {
        let value = metrics.value(name)?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // counts of a node, never above its addresses
        (value >= 0.0).then_some(value as u32)
    };
    let stock = Addresses {
        assigned: number("awscni_assigned_ip_addresses")?,
        total: number("awscni_total_ip_addresses")?,
        enis: number("awscni_eni_allocated")?,
        max_enis: number("awscni_eni_max")?,
    };
    (stock.total > 0 && stock.assigned + 1 >= stock.total && stock.enis >= stock.max_enis)
        .then_some(stock)
}

/// Interfaces that the CNI does not manage, where the instance has no slot left for another.
fn foreign<'a>(
    topology: &Topology<'a>,
    node: &Node,
    settings: Option<&CniSettings>,
    types: &[InstanceType],
) -> Vec<&'a NetworkInterface> {
    let ceiling = settings.and_then(|settings| Ceiling::of(topology, node, settings, types));
    let Some((ceiling, id)) = ceiling.zip(node.instance_id()) else {
        return Vec::new();
    };
    let attached = topology
        .interfaces_of(id)
        .into_iter()
        .filter(|one| one.interface_type != "branch")
        .filter(|one| {
            let card = one.attachment.as_ref().and_then(|a| a.network_card_index);
            card.unwrap_or(0) == 0
        })
        .count();
    if u32::try_from(attached).is_ok_and(|attached| attached >= ceiling.limits.enis) {
        ceiling.unmanaged
    } else {
        Vec::new()
    }
}
