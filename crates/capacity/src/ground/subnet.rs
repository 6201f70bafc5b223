//! One subnet: how full it is, and whom with.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;

use eksnet_model::aws::{NetworkInterface, Subnet, tag};
use eksnet_model::{CniSettings, Snapshot, Topology, pod_subnets};
use ipnet::Ipv4Net;

use super::list;
use crate::blocks::{BlockMap, Cell};

/// One subnet.
pub(crate) struct SubnetGround<'a> {
    pub(crate) subnet: &'a Subnet,
    /// Address by address; `None` where its block or the VPC's interfaces are not known.
    pub(crate) map: Option<BlockMap>,
    /// Addresses that can be used.
    pub(crate) usable: Option<u32>,
    /// Addresses that EC2 counts as used and that no interface that was seen holds: where there are any,
    /// fewer blocks are free than the map shows.
    pub(crate) unseen: Option<u32>,
    /// Whether nodes stand in it.
    pub(crate) of_nodes: bool,
    /// Whether pods take addresses from it.
    pub(crate) of_pods: bool,
    /// Whether the control plane was given it.
    pub(crate) of_control_plane: bool,
}

impl SubnetGround<'_> {
    /// Free addresses, as EC2 counts.
    pub(crate) fn free(&self) -> Option<u32> {
        self.subnet.available_ip_address_count
    }

    /// Free /28 blocks.
    pub(crate) fn blocks(&self) -> Option<u32> {
        self.map.as_ref().map(BlockMap::free_block_count)
    }
}

pub(crate) fn subnets<'a>(
    snapshot: &'a Snapshot,
    topology: &Topology<'a>,
    settings: Option<&CniSettings>,
    pods: &HashSet<Ipv4Addr>,
) -> Vec<SubnetGround<'a>> {
    let all = list(&snapshot.aws.subnets);
    let configs = list(&snapshot.kubernetes.eniconfigs);
    let mut of_nodes: HashSet<&str> = HashSet::new();
    let mut of_pods: HashSet<&str> = HashSet::new();
    for node in topology.nodes() {
        if let Some(home) = topology.subnet_of_node(node) {
            of_nodes.insert(&home.subnet_id);
        }
        if let Some(settings) = settings.filter(|_| node.has_cni_pod()) {
            let found = pod_subnets(topology, settings, configs, all, node);
            of_pods.extend(found.iter().map(|one| one.subnet_id.as_str()));
        }
    }
    let next: HashSet<&str> = list(&snapshot.aws.auto_scaling_groups)
        .iter()
        .flat_map(|group| group.subnets())
        .collect();
    let plane: HashSet<&str> = snapshot
        .aws
        .cluster
        .value()
        .into_iter()
        .flat_map(|cluster| &cluster.resources_vpc_config.subnet_ids)
        .map(String::as_str)
        .collect();
    let used = |one: &Subnet| {
        let id = one.subnet_id.as_str();
        of_nodes.contains(id) || of_pods.contains(id) || next.contains(id) || plane.contains(id)
    };
    let any_used = all.iter().any(used);
    let filled = maps(snapshot, topology, pods);
    let mut found: Vec<SubnetGround<'_>> = all
        .iter()
        .filter(|one| !any_used || used(one))
        .map(|subnet| {
            let id = subnet.subnet_id.as_str();
            let map = filled.get(id).cloned();
            let net: Option<Ipv4Net> = subnet.cidr_block.parse().ok();
            let usable = net.map(|net| BlockMap::empty(net).counts().free);
            let unseen = match (&map, usable, subnet.available_ip_address_count) {
                (Some(map), Some(usable), Some(free)) => {
                    let counts = map.counts();
                    let seen = usable - counts.free - counts.free_for_prefixes - counts.reserved;
                    Some(usable.saturating_sub(free).saturating_sub(seen))
                }
                _ => None,
            };
            SubnetGround {
                subnet,
                map,
                usable,
                unseen,
                of_nodes: of_nodes.contains(id),
                of_pods: of_pods.contains(id),
                of_control_plane: plane.contains(id),
            }
        })
        .collect();
    found.sort_by(|a, b| a.subnet.subnet_id.cmp(&b.subnet.subnet_id));
    found
}

/// Every subnet address by address, where the VPC's interfaces are all known.
fn maps<'a>(
    snapshot: &'a Snapshot,
    topology: &Topology<'a>,
    pods: &HashSet<Ipv4Addr>,
) -> HashMap<&'a str, BlockMap> {
    if !snapshot.aws.network_interfaces.is_complete() {
        return HashMap::new();
    }
    let mut maps: HashMap<&str, BlockMap> = list(&snapshot.aws.subnets)
        .iter()
        .filter_map(|one| {
            let net = one.cidr_block.parse().ok()?;
            Some((one.subnet_id.as_str(), BlockMap::empty(net)))
        })
        .collect();
    for range in list(&snapshot.aws.subnet_cidr_reservations) {
        if let (Some(map), Ok(net)) = (
            maps.get_mut(range.subnet_id.as_str()),
            range.cidr.parse::<Ipv4Net>(),
        ) {
            map.reserve(net, range.reservation_type == "prefix");
        }
    }
    let members: BTreeSet<&str> = topology
        .nodes()
        .filter_map(|node| node.instance_id())
        .chain(
            topology
                .nodes()
                .filter(|node| node.instance_id().is_none())
                .filter_map(|node| topology.instance_of(node))
                .map(|instance| instance.instance_id.as_str()),
        )
        .collect();
    let name = snapshot.cluster.name.as_deref();
    for interface in list(&snapshot.aws.network_interfaces) {
        if let Some(map) = maps.get_mut(interface.subnet_id.as_str()) {
            fill(map, interface, &members, pods, name);
        }
    }
    maps
}

fn fill(
    map: &mut BlockMap,
    interface: &NetworkInterface,
    members: &BTreeSet<&str>,
    pods: &HashSet<Ipv4Addr>,
    cluster: Option<&str>,
) {
    let instance = interface
        .attachment
        .as_ref()
        .and_then(|attachment| attachment.instance_id.as_deref());
    let of_node = instance.is_some_and(|id| members.contains(id));
    let of_cni = interface.description.starts_with("aws-K8S-")
        || tag(&interface.tag_set, "node.k8s.amazonaws.com/instance_id").is_some();
    let of_plane = interface
        .description
        .strip_prefix("Amazon EKS ")
        .is_some_and(|name| cluster.is_none_or(|cluster| name == cluster));
    let is_branch = interface.interface_type == "branch"
        || interface.description.starts_with("aws-k8s-branch-eni");
    let whose = if of_node {
        Cell::Node
    } else if is_branch {
        Cell::Pod
    } else if of_plane {
        Cell::ControlPlane
    } else if of_cni && interface.status == "available" {
        Cell::Leaked
    } else {
        Cell::Foreign
    };
    let second = |address: Ipv4Addr| match whose {
        Cell::Node if pods.contains(&address) => Cell::Pod,
        Cell::Node => Cell::Warm,
        other => other,
    };
    if let Ok(own) = interface.private_ip_address.parse() {
        map.take(own, whose);
    }
    for one in &interface.private_ip_addresses {
        if let Ok(address) = one.private_ip_address.parse::<Ipv4Addr>() {
            let cell = if one.primary { whose } else { second(address) };
            map.take(address, cell);
        }
    }
    for prefix in &interface.ipv4_prefixes {
        if let Ok(net) = prefix.ipv4_prefix.parse::<Ipv4Net>() {
            for address in u32::from(net.network())..=u32::from(net.broadcast()) {
                let address = Ipv4Addr::from(address);
                map.take(address, second(address));
            }
        }
    }
}
