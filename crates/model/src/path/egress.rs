//! The way out of a subnet, by its route table.

use std::collections::{BTreeMap, BTreeSet};

use super::uplinks;
use crate::Topology;
use crate::aws::{Route, RouteTable};

/// Where the default route of a subnet leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Egress {
    /// Nowhere: there is none.
    Isolated,
    /// To something that no longer exists.
    Blackhole,
    /// To another network: a transit gateway, a virtual private gateway, an appliance. What it does with
    /// the packets is not known here.
    Elsewhere,
    /// To a NAT gateway.
    Nat,
    /// To an internet gateway: good for interfaces with a public address.
    Internet,
}

impl Egress {
    /// The best of the table's default routes.
    #[must_use]
    pub fn of(table: &RouteTable) -> Self {
        let routes = table.routes.iter().filter(|route| is_default(route));
        routes.map(of_route).max().unwrap_or(Self::Isolated)
    }

    /// Whether packets are known not to leave.
    #[must_use]
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Isolated | Self::Blackhole)
    }
}

/// Whether a route is for everything that no other route names.
#[must_use]
pub fn is_default(route: &Route) -> bool {
    route.destination_cidr_block.as_deref() == Some("0.0.0.0/0")
        || route.destination_ipv6_cidr_block.as_deref() == Some("::/0")
}

fn of_route(route: &Route) -> Egress {
    if route.state == "blackhole" {
        Egress::Blackhole
    } else if route.nat_gateway_id.is_some() || route.egress_only_internet_gateway_id.is_some() {
        Egress::Nat
    } else if route
        .gateway_id
        .as_deref()
        .is_some_and(|id| id.starts_with("igw-"))
    {
        Egress::Internet
    } else {
        Egress::Elsewhere
    }
}

/// The subnets from which nodes and their pods send, with the names of those nodes.
#[must_use]
pub fn sending_subnets<'a>(
    topology: &Topology<'a>,
    custom_networking: bool,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in topology.nodes() {
        if node.compute_type() == Some("hybrid") {
            continue;
        }
        let name = node.metadata.name.as_str();
        let ways = uplinks(topology, node, custom_networking);
        let mut subnets: BTreeSet<&str> = ways.iter().map(|way| way.subnet).collect();
        subnets.extend(
            topology
                .subnet_of_node(node)
                .map(|subnet| subnet.subnet_id.as_str()),
        );
        for subnet in subnets.into_iter().filter(|id| !id.is_empty()) {
            found.entry(subnet).or_default().insert(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(routes: serde_json::Value) -> RouteTable {
        serde_json::from_value(serde_json::json!({"RouteTableId": "rtb-1", "Routes": routes}))
            .expect("a table")
    }

    #[test]
    fn the_best_default_route_counts() {
        let of = |routes| Egress::of(&table(routes));
        assert_eq!(
            of(serde_json::json!([{"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"}])),
            Egress::Isolated
        );
        assert_eq!(
            of(
                serde_json::json!([{"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "blackhole"}])
            ),
            Egress::Blackhole
        );
        assert_eq!(
            of(serde_json::json!([
                {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "blackhole"},
                {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1", "State": "active"}])),
            Egress::Nat
        );
        assert_eq!(
            of(serde_json::json!([{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1"}])),
            Egress::Internet
        );
        assert_eq!(
            of(
                serde_json::json!([{"DestinationCidrBlock": "0.0.0.0/0", "TransitGatewayId": "tgw-1"}])
            ),
            Egress::Elsewhere
        );
    }
}
