//! Which aligned blocks of 16 addresses of a subnet are free, by the interfaces that are listed.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use eksnet_model::aws::{NetworkInterface, Subnet};
use ipnet::Ipv4Net;

/// Addresses of a block.
const BLOCK: u32 = 16;
/// Fewer free addresses than this are scarcity, whatever blocks they make.
const ENOUGH_FREE: u32 = 32;
/// Blocks wanted besides one for each instance.
const SPARE: u32 = 2;
/// AWS keeps so many addresses of a subnet for itself.
const KEPT: u32 = 5;

pub(super) enum Blocks<'a> {
    /// Fewer free blocks than wanted.
    Known(Scarce<'a>),
    /// Interfaces of other accounts hold addresses that are not listed.
    Hidden,
}

pub(super) struct Scarce<'a> {
    pub(super) subnet: &'a Subnet,
    pub(super) free: u32,
    pub(super) blocks: u32,
    /// Instances with an interface in it.
    pub(super) nodes: u32,
}

impl Scarce<'_> {
    pub(super) fn wanted(&self) -> u32 {
        self.nodes + SPARE
    }
}

/// `None` where blocks are not scarce, no instance is in the subnet, or figures are missing.
pub(super) fn of<'a>(subnet: &'a Subnet, interfaces: &[NetworkInterface]) -> Option<Blocks<'a>> {
    let net: Ipv4Net = subnet.cidr_block.parse().ok()?;
    let free = subnet.available_ip_address_count?;
    let own: Vec<&NetworkInterface> = interfaces
        .iter()
        .filter(|one| one.subnet_id == subnet.subnet_id)
        .collect();
    let instances: BTreeSet<&str> = own
        .iter()
        .filter_map(|one| one.attachment.as_ref()?.instance_id.as_deref())
        .collect();
    if instances.is_empty() || free < ENOUGH_FREE || net.prefix_len() > 27 {
        return None;
    }
    let mut used: BTreeSet<u32> = BTreeSet::new();
    let mut addresses: BTreeSet<Ipv4Addr> = BTreeSet::new();
    let mut prefixed = 0;
    for interface in own {
        for address in interface
            .private_ip_addresses
            .iter()
            .map(|one| &one.private_ip_address)
            .chain(std::iter::once(&interface.private_ip_address))
        {
            addresses.extend(address.parse::<Ipv4Addr>());
        }
        for prefix in &interface.ipv4_prefixes {
            if let Ok(prefix) = prefix.ipv4_prefix.parse::<Ipv4Net>() {
                used.insert(u32::from(prefix.network()) / BLOCK);
                prefixed += BLOCK;
            }
        }
    }
    let size = 1_u32 << (32 - net.prefix_len());
    let listed = u32::try_from(addresses.len()).unwrap_or(u32::MAX) + prefixed;
    let taken = size.saturating_sub(KEPT).saturating_sub(free);
    if taken > listed.saturating_add(BLOCK) {
        return Some(Blocks::Hidden);
    }
    used.extend(addresses.iter().map(|one| u32::from(*one) / BLOCK));
    // The first four addresses and the last one are AWS's.
    used.insert(u32::from(net.network()) / BLOCK);
    used.insert(u32::from(net.broadcast()) / BLOCK);
    let first = u32::from(net.network()) / BLOCK;
    let all = size / BLOCK;
    let blocks = (first..first + all)
        .filter(|block| !used.contains(block))
        .count();
    let scarce = Scarce {
        subnet,
        free,
        blocks: u32::try_from(blocks).unwrap_or(u32::MAX),
        nodes: u32::try_from(instances.len()).unwrap_or(u32::MAX),
    };
    (scarce.blocks < scarce.wanted()).then_some(Blocks::Known(scarce))
}
