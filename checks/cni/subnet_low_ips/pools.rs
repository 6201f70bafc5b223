//! Which subnets the nodes of which place take addresses from, and what one more node costs there.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::aws::{AutoScalingGroup, InstanceType, Subnet};
use eksnet_model::capacity::{Limits, Mode, addresses_of_a_new_node, addresses_of_one_step};
use eksnet_model::kubernetes::{EniConfig, Node};
use eksnet_model::{CniSettings, Topology, discovered_subnets, subnet_of_eni_config};
use ipnet::IpNet;

/// Subnets that stand for one another, and who takes addresses from them.
pub(super) struct Pool<'a> {
    /// Where the nodes stand; the others help out.
    pub home: &'a Subnet,
    /// All that may be used; empty when tags keep every one out.
    pub subnets: Vec<&'a Subnet>,
    pub nodes: Vec<&'a Node>,
    pub need: Need,
}

/// Addresses that are asked for, where the instance types are known.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// By one more node.
    pub node: Option<u32>,
    /// By ipamd at once.
    pub step: Option<u32>,
}

/// Nothing but the node's own address: IPv6 pods, or pods whose addresses are from elsewhere.
pub(super) const OWN_ADDRESS: Need = Need {
    node: Some(1),
    step: Some(1),
};

impl Pool<'_> {
    /// Free addresses of all its subnets; the id of one whose count is not known otherwise.
    pub(super) fn free(&self) -> Result<u32, &str> {
        let mut free = 0;
        for subnet in &self.subnets {
            free += subnet
                .available_ip_address_count
                .ok_or(subnet.subnet_id.as_str())?;
        }
        Ok(free)
    }

    /// Addresses that can be used in all its subnets.
    pub(super) fn size(&self) -> u32 {
        self.subnets.iter().map(|subnet| size(subnet)).sum()
    }
}

/// Addresses that can be used in a subnet. EC2 keeps five of each block for itself, and its count of
/// free ones knows that: <https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html> (read
/// 2026-05).
pub(super) fn size(subnet: &Subnet) -> u32 {
    match subnet.cidr_block.parse() {
        Ok(IpNet::V4(block)) => 2u32
            .saturating_pow(u32::from(32 - block.prefix_len()))
            .saturating_sub(5),
        _ => 0,
    }
}

/// What decides which subnets are used.
pub(super) struct Setup<'a> {
    pub settings: Option<&'a CniSettings>,
    pub eni_configs: &'a [EniConfig],
    pub instance_types: &'a [InstanceType],
    pub groups: &'a [AutoScalingGroup],
}

/// A pool for each subnet that pods' addresses come from. The second list holds nodes whose subnet is not
/// known.
pub(super) fn pools<'a>(
    topology: &Topology<'a>,
    all: &'a [Subnet],
    setup: &Setup<'_>,
) -> (Vec<Pool<'a>>, Vec<&'a Node>) {
    let custom = setup.settings.is_some_and(|s| s.custom_networking);
    let mut homes: BTreeMap<&str, (&Subnet, Vec<&Node>)> = BTreeMap::new();
    let mut unknown = Vec::new();
    for node in topology.nodes().filter(|node| node.has_cni_pod()) {
        let own = topology.subnet_of_node(node);
        let home = if custom {
            setup.settings.and_then(|settings| {
                subnet_of_eni_config(topology, settings, setup.eni_configs, node)
            })
        } else {
            own
        };
        match home {
            Some(home) => homes
                .entry(&home.subnet_id)
                .or_insert((home, Vec::new()))
                .1
                .push(node),
            None => unknown.push(node),
        }
    }
    // Where a group may launch its next node, though none stands there yet.
    let next: BTreeSet<&str> = setup
        .groups
        .iter()
        .flat_map(|group| group.subnets())
        .collect();
    if !custom {
        for subnet in all
            .iter()
            .filter(|one| next.contains(one.subnet_id.as_str()))
        {
            homes
                .entry(&subnet.subnet_id)
                .or_insert((subnet, Vec::new()));
        }
    }
    let mut pools: Vec<Pool<'_>> = homes
        .into_values()
        .map(|(home, nodes)| {
            let need = need(topology, setup, &nodes);
            Pool {
                home,
                subnets: usable(all, home, setup.settings),
                nodes,
                need,
            }
        })
        .collect();
    if custom {
        pools.extend(own_subnets(topology, &pools));
    }
    (pools, unknown)
}

/// With custom networking, the subnets that nodes take nothing but their own address from.
fn own_subnets<'a>(topology: &Topology<'a>, others: &[Pool<'a>]) -> Vec<Pool<'a>> {
    let mut found: Vec<Pool<'_>> = Vec::new();
    for node in topology.nodes().filter(|node| node.has_cni_pod()) {
        let Some(home) = topology.subnet_of_node(node) else {
            continue;
        };
        let is_home = |pool: &&mut Pool<'_>| pool.home.subnet_id == home.subnet_id;
        if let Some(pool) = found.iter_mut().find(is_home) {
            pool.nodes.push(node);
        } else if others
            .iter()
            .all(|pool| pool.home.subnet_id != home.subnet_id)
        {
            found.push(Pool {
                home,
                subnets: vec![home],
                nodes: vec![node],
                need: OWN_ADDRESS,
            });
        }
    }
    found
}

/// The home subnet, and with subnet discovery those of its zone that a tag takes into use.
fn usable<'a>(
    all: &'a [Subnet],
    home: &'a Subnet,
    settings: Option<&CniSettings>,
) -> Vec<&'a Subnet> {
    let discovers = settings.is_none_or(|s| s.subnet_discovery && !s.custom_networking);
    if !discovers {
        return vec![home];
    }
    discovered_subnets(all, home)
}

/// The most that a node of the types in use asks for. Without nodes, that of all nodes.
fn need(topology: &Topology<'_>, setup: &Setup<'_>, nodes: &[&Node]) -> Need {
    let Some(settings) = setup.settings else {
        return Need::default();
    };
    // An IPv6 pod takes none of these addresses: only the node's own counts.
    if settings.ipv6 {
        return OWN_ADDRESS;
    }
    let kinds: BTreeSet<&str> = if nodes.is_empty() {
        topology.nodes().filter_map(Node::instance_type).collect()
    } else {
        nodes
            .iter()
            .filter_map(|node| node.instance_type())
            .collect()
    };
    let costs = || {
        kinds.iter().filter_map(|kind| {
            let limits = Limits::of(kind, setup.instance_types)?;
            let mode = Mode::of(settings, &limits)?;
            Some((
                addresses_of_a_new_node(settings, &limits, mode),
                addresses_of_one_step(settings, &limits, mode),
            ))
        })
    };
    Need {
        node: costs().map(|(node, _)| node).max(),
        step: costs().map(|(_, step)| step).max(),
    }
}
