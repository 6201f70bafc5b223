//! Which nodes have a public address, and what their groups admit from anywhere.

use std::collections::BTreeSet;

use eksnet_model::Cx;
use eksnet_model::aws::{Instance, IpPermission, RouteTable, SecurityGroup};
use eksnet_model::kubernetes::{IntOrString, Service};

/// Ports that Services get on nodes.
const NODE_PORTS: std::ops::RangeInclusive<i32> = 30_000..=32_767;

/// A node with a public address, in a subnet that is not known to be private.
#[derive(Clone, Debug)]
pub(super) struct Exposed<'a> {
    pub name: &'a str,
    pub instance: &'a Instance,
    /// Public IPv4 address.
    pub address: Option<&'a str>,
    /// IPv6 address: all of them are public where the route leads out.
    pub v6: Option<&'a str>,
    /// Whether its subnet leads to an internet gateway, where that is known.
    pub routed: Option<bool>,
    table: Option<&'a RouteTable>,
}

impl<'a> Exposed<'a> {
    /// `None` where nothing of the node is public.
    pub(super) fn of(cx: &Cx<'a>, name: &'a str, instance: &'a Instance) -> Option<Self> {
        let topology = cx.topology();
        if matches!(
            instance.state.name.as_str(),
            "terminated" | "shutting-down" | "stopped"
        ) {
            return None;
        }
        let table = topology
            .subnet(&instance.subnet_id)
            .and_then(|subnet| topology.route_table_of(subnet));
        let leads = |v6| table.is_none_or(|table| leads_to_internet(table, v6));
        let address = instance
            .public_ip_address
            .as_deref()
            .filter(|_| leads(false));
        let v6 = topology
            .interfaces_of(&instance.instance_id)
            .into_iter()
            .flat_map(|one| &one.ipv6_addresses)
            .map(|one| one.ipv6_address.as_str())
            .next()
            .filter(|_| leads(true));
        (address.is_some() || v6.is_some()).then_some(Self {
            name,
            instance,
            address,
            v6,
            routed: table.map(|_| true),
            table,
        })
    }
}

/// Whether the default route of that family is an internet gateway.
pub(super) fn leads_to_internet(table: &RouteTable, v6: bool) -> bool {
    table.routes.iter().any(|route| {
        let is_default = if v6 {
            route.destination_ipv6_cidr_block.as_deref() == Some("::/0")
        } else {
            route.destination_cidr_block.as_deref() == Some("0.0.0.0/0")
        };
        let gateway = route.gateway_id.as_deref().unwrap_or_default();
        is_default && route.state != "blackhole" && gateway.starts_with("igw-")
    })
}

/// Subnet, route table and internet gateway of each node.
pub(super) fn routes<'a>(nodes: &[Exposed<'a>]) -> BTreeSet<(&'a str, &'a str, &'a str)> {
    let mut found = BTreeSet::new();
    for one in nodes {
        let Some(table) = one.table else { continue };
        let gateways = table
            .routes
            .iter()
            .filter_map(|route| route.gateway_id.as_deref());
        if let Some(gateway) = gateways.into_iter().find(|id| id.starts_with("igw-")) {
            found.insert((
                one.instance.subnet_id.as_str(),
                table.route_table_id.as_str(),
                gateway,
            ));
        }
    }
    found
}

/// A rule that admits anyone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OpenRule {
    pub group: String,
    pub cidr: String,
    protocol: String,
    ports: Option<(i32, i32)>,
}

impl OpenRule {
    /// `tcp/22`, `tcp/0-65535`, `all traffic`.
    pub(super) fn words(&self) -> String {
        match (self.protocol.as_str(), self.ports) {
            ("all", _) => "all traffic".to_owned(),
            (protocol, None) => format!("all {protocol}"),
            (protocol, Some((from, to))) if from == to => format!("{protocol}/{from}"),
            (protocol, Some((from, to))) => format!("{protocol}/{from}-{to}"),
        }
    }

    /// As the AWS CLI takes it.
    pub(super) fn permission(&self) -> String {
        let protocol = if self.protocol == "all" {
            "-1"
        } else {
            self.protocol.as_str()
        };
        let ports = self.ports.map_or_else(String::new, |(from, to)| {
            format!("FromPort={from},ToPort={to},")
        });
        let ranges = if self.cidr.contains(':') {
            format!("Ipv6Ranges=[{{CidrIpv6={}}}]", self.cidr)
        } else {
            format!("IpRanges=[{{CidrIp={}}}]", self.cidr)
        };
        format!("IpProtocol={protocol},{ports}{ranges}")
    }
}

/// The rules that admit anyone to this node on more than load balancers need, and the id of a group of its
/// that was not read.
pub(super) fn rules(
    cx: &Cx<'_>,
    known: &[SecurityGroup],
    node: &Exposed<'_>,
) -> (BTreeSet<OpenRule>, Option<String>) {
    let (mut found, mut missing) = (BTreeSet::new(), None);
    for id in node
        .instance
        .security_groups
        .iter()
        .map(|one| &one.group_id)
    {
        let Some(group) = known.iter().find(|group| group.group_id == *id) else {
            missing = Some(id.clone());
            continue;
        };
        for permission in &group.ip_permissions {
            let Some(protocol) = protocol(permission) else {
                continue;
            };
            let ports = ports(permission, protocol);
            if is_for_load_balancer(cx, protocol, ports) {
                continue;
            }
            let v4 = permission.ip_ranges.iter().map(|one| &one.cidr_ip);
            let v6 = permission.ipv6_ranges.iter().map(|one| &one.cidr_ipv6);
            let v4 = v4.filter(|cidr| node.address.is_some() && is_world(cidr));
            let v6 = v6.filter(|cidr| node.v6.is_some() && is_world(cidr));
            found.extend(v4.chain(v6).map(|cidr| OpenRule {
                group: id.clone(),
                cidr: cidr.clone(),
                protocol: protocol.to_owned(),
                ports,
            }));
        }
    }
    (found, missing)
}

/// Half of all addresses is as good as all.
fn is_world(cidr: &str) -> bool {
    cidr.parse::<ipnet::IpNet>()
        .is_ok_and(|net| net.prefix_len() <= 1)
}

/// ICMP opens nothing: path MTU discovery needs it.
fn protocol(permission: &IpPermission) -> Option<&'static str> {
    match permission.ip_protocol.as_str() {
        "-1" => Some("all"),
        "tcp" | "6" => Some("tcp"),
        "udp" | "17" => Some("udp"),
        _ => None,
    }
}

fn ports(permission: &IpPermission, protocol: &str) -> Option<(i32, i32)> {
    let from = permission.from_port.filter(|port| *port >= 0)?;
    let to = permission.to_port.filter(|port| *port >= 0)?;
    (protocol != "all").then_some((from, to))
}

/// Whether these ports are what a public load balancer of the cluster sends to: those that Services have on
/// nodes, and those of pods where the balancer's targets are addresses. Where no Service was read, ports of
/// the range that Services have count as needed.
fn is_for_load_balancer(cx: &Cx<'_>, protocol: &str, ports: Option<(i32, i32)>) -> bool {
    let Some((from, to)) = ports else {
        return false;
    };
    let on_nodes = NODE_PORTS.contains(&from) && NODE_PORTS.contains(&to);
    let Some(services) = cx.services().optional() else {
        return on_nodes;
    };
    let inside = |port: i32| (from..=to).contains(&port);
    services.iter().filter(|one| is_public(one)).any(|service| {
        service.spec.ports.iter().any(|port| {
            let udp = port.protocol.eq_ignore_ascii_case("udp");
            // Descriptions of Services show their node ports apart.
            let node = port.node_port.map(i32::from).is_none_or(inside);
            let target = match port.target_port {
                Some(IntOrString::Int(number)) => i32::try_from(number).unwrap_or(-1),
                _ => i32::from(port.port),
            };
            let direct = from == to && target == from && has_address_targets(service);
            (protocol == "udp") == udp && ((on_nodes && node) || direct)
        })
    })
}

const ANNOTATION: &str = "service.beta.kubernetes.io/aws-load-balancer-";

fn annotation<'a>(service: &'a Service, name: &str) -> Option<&'a str> {
    let key = format!("{ANNOTATION}{name}");
    service.metadata.annotations.get(&key).map(String::as_str)
}

fn is_public(service: &Service) -> bool {
    service.spec.kind == "LoadBalancer"
        && annotation(service, "scheme") != Some("internal")
        && annotation(service, "internal").is_none_or(|value| value == "false")
}

fn has_address_targets(service: &Service) -> bool {
    annotation(service, "nlb-target-type") == Some("ip")
        || annotation(service, "type") == Some("nlb-ip")
}
