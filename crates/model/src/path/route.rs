//! Where a route table sends a packet.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Missing;
use crate::aws::{PrefixList, Route, RouteTable};

/// What becomes of a packet by the routes of its subnet: the most specific one decides.
/// <https://docs.aws.amazon.com/vpc/latest/userguide/RouteTables.html#route-tables-priority> (read November 2026).
#[derive(Clone, Debug, PartialEq)]
pub enum Routed<'a> {
    /// No route holds the address: the packet is dropped.
    Nowhere,
    /// The route leads to something that no longer exists: the packet is dropped.
    Blackhole(&'a Route),
    /// It takes this route.
    Via(&'a Route),
    /// The routes that were read do not tell.
    Undecided(Missing),
}

impl<'a> Routed<'a> {
    /// The way of a packet to `to`.
    #[must_use]
    pub fn of(table: &'a RouteTable, lists: &[PrefixList], to: IpAddr) -> Self {
        let mut best: Option<(u8, &Route)> = None;
        let mut missing = None;
        for route in &table.routes {
            let list = route.destination_prefix_list_id.as_deref();
            let known = list.map(|id| lists.iter().find(|one| one.prefix_list_id == id));
            let blocks: Vec<&str> = match known {
                Some(None) => {
                    let id = list.unwrap_or_default();
                    missing.get_or_insert_with(|| Missing::PrefixList(id.into()));
                    continue;
                }
                Some(Some(list)) => list
                    .entries
                    .iter()
                    .map(|entry| entry.cidr.as_str())
                    .collect(),
                None => [
                    &route.destination_cidr_block,
                    &route.destination_ipv6_cidr_block,
                ]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect(),
            };
            for block in blocks {
                let Ok(net) = block.parse::<IpNet>() else {
                    missing.get_or_insert_with(|| Missing::Unreadable {
                        owner: table.route_table_id.as_str().into(),
                        what: block.into(),
                    });
                    continue;
                };
                let length = net.prefix_len();
                if net.contains(&to) && best.is_none_or(|(longest, _)| length > longest) {
                    best = Some((length, route));
                }
            }
        }
        let of_one = if to.is_ipv4() { 32 } else { 128 };
        match (best, missing) {
            // Nothing is more specific than the address itself.
            (best, Some(missing)) if best.is_none_or(|(length, _)| length < of_one) => {
                Self::Undecided(missing)
            }
            (None, _) => Self::Nowhere,
            (Some((_, route)), _) if route.state == "blackhole" => Self::Blackhole(route),
            (Some((_, route)), _) => Self::Via(route),
        }
    }
}
