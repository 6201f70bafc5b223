//! Subnets, measured.

use eksnet_model::capacity::{Held, addresses_of_a_new_node};
use eksnet_model::{Text, aws};
use serde::Serialize;

use crate::blocks::{BlockMap, Counts};
use crate::ground::{Ground, SubnetGround};

/// A subnet.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubnetState {
    /// Id.
    pub id: Text,
    /// Name, by its tag.
    pub name: Option<Text>,
    /// Zone.
    pub zone: Text,
    /// Block.
    pub cidr: Text,
    /// Whom it is for: `nodes`, `pods`, `control-plane`.
    pub roles: Vec<&'static str>,
    /// Whether its route to the internet is a gateway of its own; `null` where routes are not known.
    pub public: Option<bool>,
    /// Addresses that can be used.
    pub usable: Option<u32>,
    /// Free addresses, as EC2 counts.
    pub free: Option<u32>,
    /// Free aligned /28 blocks, of which prefixes are made; not more than these where
    /// `unseenAddresses` is not 0.
    pub free_prefix_blocks: Option<u32>,
    /// Addresses by use; `null` where the VPC's interfaces are not all known.
    pub uses: Option<Counts>,
    /// Addresses that EC2 counts as used and that no interface that was seen holds.
    pub unseen_addresses: Option<u32>,
    /// Nodes that take pods' addresses from it.
    pub nodes: u32,
    /// Addresses that one more node takes when its first pod runs: the most of the types in use.
    pub fresh_node: Option<u32>,
    /// Such nodes that its free addresses are enough for.
    pub fresh_nodes_that_fit: Option<u32>,
    /// Address by address.
    #[serde(skip)]
    pub map: Option<BlockMap>,
}

pub(super) fn state(ground: &Ground<'_>, at: usize, one: &SubnetGround<'_>) -> SubnetState {
    let subnet = one.subnet;
    let users: Vec<_> = ground
        .nodes
        .iter()
        .filter(|node| node.subnets.contains(&at))
        .collect();
    let costs = users.iter().filter_map(|node| {
        let (limits, mode) = (node.limits?, node.mode?);
        let settings = ground.settings.as_ref()?;
        if settings.ipv6 {
            return Some((1, 0));
        }
        let held = Held::by_a_node(settings, &limits, mode, 1, node.kubelet);
        let blocks = if mode.prefixes {
            held.addresses / 16
        } else {
            0
        };
        Some((addresses_of_a_new_node(settings, &limits, mode), blocks))
    });
    let fresh = costs.max();
    let fits = match (fresh, subnet.available_ip_address_count) {
        (Some((addresses, blocks)), Some(free)) if addresses > 0 => {
            let by_addresses = free / addresses;
            match (blocks, one.blocks()) {
                (0, _) => Some(by_addresses),
                (blocks, Some(there)) => Some(by_addresses.min(there / blocks)),
                (_, None) => None,
            }
        }
        _ => None,
    };
    let mut roles = Vec::new();
    for (is, role) in [
        (one.of_nodes, "nodes"),
        (one.of_pods, "pods"),
        (one.of_control_plane, "control-plane"),
    ] {
        if is {
            roles.push(role);
        }
    }
    SubnetState {
        id: subnet.subnet_id.as_str().into(),
        name: aws::tag(&subnet.tags, "Name").map(Text::from),
        zone: subnet.availability_zone.as_str().into(),
        cidr: subnet.cidr_block.as_str().into(),
        roles,
        public: public(ground, subnet),
        usable: one.usable,
        free: one.free(),
        free_prefix_blocks: one.blocks(),
        uses: one.map.as_ref().map(BlockMap::counts),
        unseen_addresses: one.unseen,
        nodes: u32::try_from(users.len()).unwrap_or(u32::MAX),
        fresh_node: fresh.map(|(addresses, _)| addresses),
        fresh_nodes_that_fit: fits,
        map: one.map.clone(),
    }
}

/// By route: a subnet is public when its default route leads to an internet gateway.
fn public(ground: &Ground<'_>, subnet: &aws::Subnet) -> Option<bool> {
    if !ground.snapshot.aws.route_tables.is_complete() {
        return None;
    }
    let table = ground.topology.route_table_of(subnet)?;
    Some(table.routes.iter().any(|route| {
        route.destination_cidr_block.as_deref() == Some("0.0.0.0/0")
            && route
                .gateway_id
                .as_deref()
                .is_some_and(|id| id.starts_with("igw-"))
    }))
}
