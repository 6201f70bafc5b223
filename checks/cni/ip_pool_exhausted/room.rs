//! Whether a node's stock could grow: what stands in the way.

use std::collections::BTreeMap;

use eksnet_model::aws::InstanceType;
use eksnet_model::capacity::addresses_of_one_step;
use eksnet_model::kubernetes::{CniMetrics, Node};
use eksnet_model::{Ceiling, CniSettings, Fact, NodeUse, Source, Topology};

/// The stock of a node as its metrics and EC2 show it.
#[derive(Default)]
pub(super) struct Room {
    pub assigned: Option<u32>,
    pub total: Option<u32>,
    /// Addresses that the node can have at most.
    pub ceiling: Option<u32>,
    /// Free addresses of its subnet, and what ipamd asks for at once.
    pub subnet: Option<(String, u32, u32)>,
    /// Pods that need an address of the stock.
    pub ordinary: Option<u32>,
}

pub(super) struct Setup<'s> {
    pub settings: Option<&'s CniSettings>,
    pub types: &'s [InstanceType],
    pub metrics: BTreeMap<&'s str, &'s CniMetrics>,
    /// Pods of each node; none where they were not all listed.
    pub uses: Option<BTreeMap<&'s str, NodeUse>>,
}

pub(super) fn room(topology: &Topology<'_>, node: &Node, setup: &Setup<'_>) -> Room {
    let ipv6 = setup.settings.is_some_and(|settings| settings.ipv6);
    let name = node.metadata.name.as_str();
    let metrics = setup.metrics.get(name).copied().filter(|_| !ipv6);
    let number = |name: &str| {
        let value = metrics?.value(name)?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // counts of a node, never above its addresses
        (value >= 0.0).then_some(value as u32)
    };
    let ceiling = setup
        .settings
        .filter(|_| !ipv6)
        .and_then(|settings| Ceiling::of(topology, node, settings, setup.types));
    let step = ceiling
        .as_ref()
        .zip(setup.settings)
        .map(|(ceiling, settings)| addresses_of_one_step(settings, &ceiling.limits, ceiling.mode));
    let custom = setup
        .settings
        .is_some_and(|settings| settings.custom_networking);
    let subnet = topology
        .subnet_of_node(node)
        .filter(|_| !custom)
        .and_then(|subnet| {
            let free = subnet.available_ip_address_count?;
            Some((subnet.subnet_id.clone(), free, step?))
        });
    // ipamd's own figure leaves the trunk in, so the lower one counts.
    let by_ipamd = number("awscni_ip_max").filter(|most| *most > 0);
    let computed = ceiling.map(|ceiling| ceiling.addresses);
    Room {
        assigned: number("awscni_assigned_ip_addresses"),
        total: number("awscni_total_ip_addresses"),
        ceiling: match (by_ipamd, computed) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        },
        subnet,
        ordinary: setup
            .uses
            .as_ref()
            .map(|uses| uses.get(name).copied().unwrap_or_default().ordinary()),
    }
}

impl Room {
    /// Whether the node has all addresses that it can have.
    pub(super) fn at_limit(&self) -> Option<bool> {
        Some(self.total? >= self.ceiling?)
    }

    /// Whether the subnet holds what ipamd would ask for.
    pub(super) fn subnet_has_room(&self) -> Option<bool> {
        self.subnet.as_ref().map(|(_, free, step)| free >= step)
    }

    /// Whether all addresses that the node can have are given, and more pods want one.
    pub(super) fn assigned_at_cap(&self) -> bool {
        match (self.assigned, self.ceiling, self.ordinary) {
            (Some(assigned), Some(ceiling), Some(ordinary)) => {
                assigned >= ceiling && ordinary > ceiling
            }
            _ => false,
        }
    }

    /// Fewer than two addresses are free, and there will be no more.
    pub(super) fn nearly_empty(&self) -> bool {
        let free = match (self.assigned, self.total) {
            (Some(assigned), Some(total)) if total > 0 => total.saturating_sub(assigned),
            _ => return false,
        };
        free < 2 && (self.at_limit() == Some(true) || self.subnet_has_room() == Some(false))
    }

    pub(super) fn facts(&self, node: &str) -> Vec<Fact> {
        let mut facts = Vec::new();
        if let (Some(assigned), Some(total)) = (self.assigned, self.total) {
            let most = self
                .ceiling
                .map_or(String::new(), |most| format!(", {most} at most"));
            facts.push(Fact::new(
                Source::CniMetrics,
                format!("Node {node}"),
                "stock of addresses",
                format!("{assigned} of {total} given{most}"),
            ));
        }
        if let Some((subnet, free, step)) = &self.subnet {
            facts.push(
                Fact::new(
                    Source::Subnets,
                    subnet,
                    "AvailableIpAddressCount",
                    free.to_string(),
                )
                .expected(format!("{step} or more, what ipamd asks for at once")),
            );
        }
        facts
    }
}
