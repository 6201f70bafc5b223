//! Network ACLs: stateless, ordered, the first entry that matches decides.
//!
//! Rules: <https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html> (read 2026-05). They
//! filter what crosses a subnet's border in either direction, answers included; traffic within one
//! subnet never meets them, nor does traffic to the VPC resolver, IMDS, NTP or DHCP.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::{Flow, Missing, Passage, Protocol, Side, covered_ports, covers_protocol};
use crate::Text;
use crate::aws::{NaclEntry, NetworkAcl};

/// Ports that clients send from. Linux's own range is smaller, but source address translation with
/// random ports, Windows and NAT gateways use all of it:
/// <https://docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html#nacl-ephemeral-ports>
pub const EPHEMERAL: RangeInclusive<u16> = 1024..=65535;

/// Number of the entry that ends every ACL and denies the rest.
const LAST_RULE: u32 = 32767;

/// One end of a flow: a subnet.
#[derive(Clone, Copy, Debug)]
pub struct AclEnd<'a> {
    /// Id of the subnet.
    pub subnet: &'a str,
    /// Addresses that send or receive there: the subnet's block, or one address of it.
    pub block: IpNet,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leg {
    /// From the client to the server's port.
    Forward,
    /// From the server back to the client's port.
    Return,
}

/// An ACL that drops a packet of a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AclDenial {
    /// Id of the ACL.
    pub acl: Text,
    /// Subnet at whose border it drops.
    pub subnet: Text,
    /// Direction, seen from that subnet.
    pub side: Side,
    /// Whether the question or the answer is dropped.
    pub leg: Leg,
    /// Protocol of the packet.
    pub protocol: Protocol,
    /// Number of the entry that denies; `None` for the one that ends every ACL.
    pub entry: Option<u32>,
    /// Destination ports that had to pass.
    pub ports: (u16, u16),
    /// The first of them that does not.
    pub port: u16,
    /// How many of them do not.
    pub count: u32,
    /// Addresses at the other side of the border.
    pub peer: IpNet,
}

/// Network ACLs by the subnets that they hold for.
#[derive(Debug)]
pub struct NetworkAcls<'a> {
    by_subnet: BTreeMap<&'a str, &'a NetworkAcl>,
}

impl<'a> NetworkAcls<'a> {
    /// The ACL of each subnet. A subnet that is left out has an ACL that is not known.
    #[must_use]
    pub fn new(of_subnets: impl IntoIterator<Item = (&'a str, &'a NetworkAcl)>) -> Self {
        Self {
            by_subnet: of_subnets.into_iter().collect(),
        }
    }

    /// The ACL of a subnet.
    #[must_use]
    pub fn of(&self, subnet: &str) -> Option<&'a NetworkAcl> {
        self.by_subnet.get(subnet).copied()
    }

    /// Whether a client may ask and get its answer at every port of `answers` (see [`EPHEMERAL`]):
    /// out of the client's subnet, into the server's, and both ways back.
    #[must_use]
    pub fn passage(
        &self,
        flow: Flow,
        client: AclEnd<'_>,
        server: AclEnd<'_>,
        answers: RangeInclusive<u16>,
    ) -> Passage<AclDenial> {
        if client.subnet == server.subnet {
            return Passage::Allowed(Vec::new());
        }
        if client.block.addr().is_ipv4() != server.block.addr().is_ipv4() {
            return Passage::Undecided(vec![Missing::AddressLike(client.block.addr())]);
        }
        let asked = flow.port..=flow.port;
        let hops = [
            (client, server, Side::Egress, Leg::Forward, asked.clone()),
            (server, client, Side::Ingress, Leg::Forward, asked),
            (server, client, Side::Egress, Leg::Return, answers.clone()),
            (client, server, Side::Ingress, Leg::Return, answers),
        ];
        hops.into_iter()
            .map(|(own, peer, side, leg, ports)| {
                self.hop(flow.protocol, own, peer, side, leg, ports)
            })
            .reduce(Passage::and)
            .unwrap_or(Passage::Allowed(Vec::new()))
    }

    /// Whether a client may ask an address outside the VPC: only the border of its own subnet is
    /// known then.
    #[must_use]
    pub fn passage_out(
        &self,
        flow: Flow,
        client: AclEnd<'_>,
        server: IpNet,
        answers: RangeInclusive<u16>,
    ) -> Passage<AclDenial> {
        let server = AclEnd {
            subnet: "",
            block: server,
        };
        let asked = flow.port..=flow.port;
        let out = self.hop(
            flow.protocol,
            client,
            server,
            Side::Egress,
            Leg::Forward,
            asked,
        );
        out.and(self.hop(
            flow.protocol,
            client,
            server,
            Side::Ingress,
            Leg::Return,
            answers,
        ))
    }

    fn hop(
        &self,
        protocol: Protocol,
        own: AclEnd<'_>,
        peer: AclEnd<'_>,
        side: Side,
        leg: Leg,
        ports: RangeInclusive<u16>,
    ) -> Passage<AclDenial> {
        let Some(acl) = self.of(own.subnet) else {
            return Passage::Undecided(vec![Missing::AclOf(own.subnet.into())]);
        };
        match judge(acl, side, protocol, &ports, peer.block) {
            Ok(None) => Passage::Allowed(vec![
                format!("{} {}", acl.network_acl_id, side.name()).into(),
            ]),
            Ok(Some(Verdict { entry, port, count })) => Passage::Denied(vec![AclDenial {
                acl: acl.network_acl_id.as_str().into(),
                subnet: own.subnet.into(),
                side,
                leg,
                protocol,
                entry,
                ports: (*ports.start(), *ports.end()),
                port,
                count,
                peer: peer.block,
            }]),
            Err(missing) => Passage::Undecided(vec![missing]),
        }
    }
}

/// A number for a new entry of that direction: before the entry that denies, else behind all others.
/// `None` when no number is left there.
#[must_use]
pub fn free_rule_number(acl: &NetworkAcl, side: Side, before: Option<u32>) -> Option<u32> {
    let taken: Vec<u32> = acl
        .entries
        .iter()
        .filter(|entry| entry.egress == (side == Side::Egress) && entry.rule_number < LAST_RULE)
        .map(|entry| entry.rule_number)
        .collect();
    let free = |number: &u32| !taken.contains(number);
    match before {
        // Tens first: room for what comes later.
        Some(before) => {
            let tens = (1..before)
                .rev()
                .filter(|number| number % 10 == 0)
                .find(free);
            tens.or_else(|| (1..before).rev().find(free))
        }
        None => {
            let next = taken.iter().max().map_or(100, |most| most / 10 * 10 + 10);
            (next..LAST_RULE).find(free)
        }
    }
}

/// What an ACL denies of a range of ports.
struct Verdict {
    /// The entry that denies the first of them.
    entry: Option<u32>,
    port: u16,
    count: u32,
}

/// The ports of `ports` that are denied to or from some address of `peer`; `None` when all pass.
///
/// Entries are constant between the borders of their blocks and port ranges, so one address and one
/// port of each part stand for the whole of it.
fn judge(
    acl: &NetworkAcl,
    side: Side,
    protocol: Protocol,
    ports: &RangeInclusive<u16>,
    peer: IpNet,
) -> Result<Option<Verdict>, Missing> {
    let mut entries: Vec<&NaclEntry> = acl
        .entries
        .iter()
        .filter(|entry| entry.egress == (side == Side::Egress))
        .collect();
    entries.sort_by_key(|entry| entry.rule_number);
    let mut open = None;
    let mut found: Option<Verdict> = None;
    let parts = parts_of_ports(&entries, ports);
    let addresses = parts_of_block(&entries, peer);
    for (at, port) in parts.iter().copied().enumerate() {
        for address in &addresses {
            match first_match(acl, &entries, protocol, port, *address) {
                Ok(Decision::Allow) => {}
                Ok(Decision::Deny(entry)) => {
                    let end = parts
                        .get(at + 1)
                        .map_or(u32::from(*ports.end()) + 1, |next| u32::from(*next));
                    let count = end - u32::from(port);
                    match &mut found {
                        Some(verdict) => verdict.count += count,
                        None => found = Some(Verdict { entry, port, count }),
                    }
                    break;
                }
                Err(missing) => open = Some(missing),
            }
        }
    }
    match (found, open) {
        (Some(verdict), _) => Ok(Some(verdict)),
        (None, Some(missing)) => Err(missing),
        (None, None) => Ok(None),
    }
}

fn parts_of_ports(entries: &[&NaclEntry], ports: &RangeInclusive<u16>) -> Vec<u16> {
    let mut parts = vec![*ports.start()];
    for range in entries.iter().filter_map(|entry| entry.port_range.as_ref()) {
        let borders = [range.from, range.to.saturating_add(1)];
        parts.extend(
            borders
                .into_iter()
                .filter_map(|port| u16::try_from(port).ok())
                .filter(|port| ports.contains(port)),
        );
    }
    parts.sort_unstable();
    parts.dedup();
    parts
}

fn parts_of_block(entries: &[&NaclEntry], peer: IpNet) -> Vec<IpAddr> {
    let mut parts = vec![peer.network()];
    for net in entries.iter().filter_map(|entry| block_of(entry)?.ok()) {
        if peer.contains(&net) {
            parts.push(net.network());
            parts.extend(next(net.broadcast()).filter(|after| peer.contains(after)));
        }
    }
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// The address after; none after the last.
fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|n| IpAddr::V6(n.into())),
    }
}

/// The block of an entry, or the text that is none. `None` when it names none.
fn block_of(entry: &NaclEntry) -> Option<Result<IpNet, &str>> {
    let written = entry
        .cidr_block
        .as_deref()
        .or(entry.ipv6_cidr_block.as_deref())?;
    Some(written.parse().map_err(|_| written))
}

enum Decision {
    Allow,
    Deny(Option<u32>),
}

fn first_match(
    acl: &NetworkAcl,
    entries: &[&NaclEntry],
    protocol: Protocol,
    port: u16,
    address: IpAddr,
) -> Result<Decision, Missing> {
    let unreadable = |what: &str| Missing::Unreadable {
        owner: acl.network_acl_id.as_str().into(),
        what: what.into(),
    };
    for entry in entries {
        let everything = matches!(entry.protocol.trim(), "-1" | "all");
        match covers_protocol(&entry.protocol, protocol) {
            Some(true) => {}
            Some(false) => continue,
            None => return Err(unreadable(&entry.protocol)),
        }
        let range = entry.port_range.as_ref();
        let (from, to) = covered_ports(range.map(|r| r.from), range.map(|r| r.to));
        if !everything && !(from..=to).contains(&i32::from(port)) {
            continue;
        }
        match block_of(entry) {
            Some(Ok(net)) if net.contains(&address) => {}
            Some(Ok(_)) | None => continue,
            Some(Err(written)) => return Err(unreadable(written)),
        }
        return match entry.rule_action.as_str() {
            "allow" => Ok(Decision::Allow),
            "deny" => {
                let number = Some(entry.rule_number).filter(|number| *number < LAST_RULE);
                Ok(Decision::Deny(number))
            }
            other => Err(unreadable(other)),
        };
    }
    Ok(Decision::Deny(None))
}

#[cfg(test)]
mod tests;
