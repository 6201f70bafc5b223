//! Which way packets to an address take: to an interface in the VPC, or out of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_model::aws::VpcEndpoint;
use eksnet_model::path::Routed;
use eksnet_model::{Cx, Fact, Finding, Source, Text};

/// What the static evidence says of the way.
#[derive(Default)]
pub(super) struct Way {
    private: bool,
    public: bool,
    /// The VPC endpoint that a dead address belongs to.
    endpoint: Option<String>,
    egress: BTreeSet<Egress>,
    /// Subnets of the nodes without a way out, for commands.
    closed: BTreeSet<String>,
    pub(super) facts: Vec<Fact>,
}

/// The way out of a subnet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Egress {
    Open,
    None,
    Blackhole,
}

impl Way {
    pub(super) fn of(cx: &Cx<'_>, dead: &BTreeSet<IpAddr>, nodes: &BTreeSet<Text>) -> Self {
        let mut way = Self::default();
        let _ = (
            cx.vpcs().optional(),
            cx.network_interfaces().optional(),
            cx.route_tables().optional(),
        );
        for address in dead {
            if cx.topology().is_private(*address) {
                way.private = true;
            } else {
                way.public = true;
            }
        }
        way.endpoint = dead.iter().find_map(|address| endpoint_of(cx, *address));
        if let Some(id) = &way.endpoint {
            way.facts.push(Fact::new(
                Source::VpcEndpoints,
                id.as_str(),
                "interface",
                "holds an address that does not open",
            ));
        }
        let public = dead.iter().filter(|ip| !cx.topology().is_private(**ip));
        way.read_routes(cx, nodes, &public.copied().collect::<Vec<_>>());
        way
    }

    /// The routes of the nodes' subnets to the addresses. A pod leaves by its node's subnet, or by that of its
    /// ENIConfig.
    fn read_routes(&mut self, cx: &Cx<'_>, nodes: &BTreeSet<Text>, addresses: &[IpAddr]) {
        let topology = cx.topology();
        let lists = cx.prefix_lists().optional().map_or(&[][..], Vec::as_slice);
        let subnets: BTreeSet<&str> = nodes
            .iter()
            .filter_map(|node| topology.subnet_of_node(topology.node(node)?))
            .map(|subnet| subnet.subnet_id.as_str())
            .collect();
        for id in subnets {
            let Some(subnet) = topology.subnet(id) else {
                continue;
            };
            let Some(table) = topology.route_table_of(subnet) else {
                continue;
            };
            let mut seen = BTreeSet::new();
            for address in addresses {
                let (egress, has) = match Routed::of(table, lists, *address) {
                    Routed::Via(_) => (Egress::Open, "active"),
                    Routed::Nowhere => (Egress::None, "none"),
                    Routed::Blackhole(_) => (Egress::Blackhole, "blackhole"),
                    Routed::Undecided(_) => continue,
                };
                if !seen.insert(egress) {
                    continue;
                }
                self.egress.insert(egress);
                if egress != Egress::Open {
                    self.closed.insert(id.to_owned());
                }
                self.facts.push(Fact::new(
                    Source::RouteTables,
                    format!("{} of {}", table.route_table_id, subnet.subnet_id),
                    format!("route to {address}"),
                    has,
                ));
            }
        }
    }

    pub(super) fn signals(&self) -> Vec<&'static str> {
        let mut signals = Vec::new();
        for (seen, signal) in [
            (self.private, "address-private"),
            (self.public, "address-public"),
            (self.endpoint.is_some(), "address-of-vpce"),
            (self.egress.contains(&Egress::None), "no-egress-route"),
            (self.egress.contains(&Egress::Open), "egress-route"),
            (self.egress.contains(&Egress::Blackhole), "blackhole-route"),
        ] {
            if seen {
                signals.push(signal);
            }
        }
        signals
    }

    /// Which causes are left for that way, and what decides.
    pub(super) fn explained(&self, cx: &Cx<'_>, host: &str, finding: Finding) -> Finding {
        let region = cx.cluster().region.as_deref().unwrap_or("REGION");
        if let Some(id) = &self.endpoint {
            return finding
                .detail("The address is an interface of a VPC endpoint. Its security groups have to admit 443 from the nodes and pods that call.")
                .confirm(format!("aws ec2 describe-vpc-endpoints --vpc-endpoint-ids {id} --query 'VpcEndpoints[].Groups'"))
                .fix("kubectl eksnet doctor --only endpoints/vpce-sg-blocked,net/nacl-stateless   # the rule that it names is the one to add");
        }
        let subnets = self.closed.iter().cloned().collect::<Vec<_>>().join(" ");
        if self.egress.contains(&Egress::Blackhole) {
            return finding
                .detail("The route that the packets take leads to something that no longer exists.")
                .fix(format!(
                    "aws ec2 describe-route-tables --filters Name=association.subnet-id,Values={}",
                    subnets.replace(' ', ",")
                ))
                .fix("Replace that route's target, by a NAT gateway that is available where it is the default route");
        }
        if self.egress.contains(&Egress::None) {
            let service = eksnet_model::endpoints::service_of(host).unwrap_or("SERVICE");
            let vpc = cx.topology().vpc_id().unwrap_or("VPC_ID");
            let suffix = match cx.cluster().dns_suffix() {
                "amazonaws.com.cn" => "cn.com.amazonaws",
                _ => "com.amazonaws",
            };
            return finding
                .detail("The address is public and the subnet has no way out: neither NAT nor internet gateway. An isolated subnet needs an interface endpoint for every service that is called.")
                .fix(format!(
                    "aws ec2 create-vpc-endpoint --vpc-id {vpc} --vpc-endpoint-type Interface --private-dns-enabled --service-name {suffix}.{region}.{service} --subnet-ids {subnets} --security-group-ids SG_THAT_ADMITS_443"
                ));
        }
        if self.private {
            return finding
                .detail("The address is private: an interface endpoint, or another network behind peering. Left as causes: the endpoint's security groups, network ACLs, or the route to that network.")
                .fix("kubectl eksnet doctor --only endpoints,net   # it compares the security groups of the endpoint with those of the nodes");
        }
        if self.egress.contains(&Egress::Open) {
            return finding
                .detail("The address is public and the subnet has a way out. Left as causes: egress rules of the security group, network ACLs, the NAT gateway itself, or pods on secondary interfaces without SNAT.")
                .fix("kubectl eksnet doctor --only net,cni/snat-egress,isolation/netpol-blocks-aws");
        }
        finding
            .detail("The name resolved, and nothing came back from the address. Left as causes: no route out of the subnet, security groups, network ACLs, the NAT gateway, a NetworkPolicy, or a proxy that the workload was not told of.")
            .fix("kubectl eksnet doctor --only endpoints,net,isolation   # with AWS access: route tables and security groups decide")
    }
}

/// The VPC endpoint whose interface holds an address.
fn endpoint_of(cx: &Cx<'_>, address: IpAddr) -> Option<String> {
    let interface = cx.topology().interface_by_ip(address)?;
    let id = &interface.network_interface_id;
    let owner = |endpoint: &&VpcEndpoint| endpoint.network_interface_ids.contains(id);
    let endpoint = cx.vpc_endpoints().optional()?.iter().find(owner)?;
    Some(endpoint.vpc_endpoint_id.clone())
}
