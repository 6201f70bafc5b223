//! The columns: servers that were asked, and what each is.

use std::net::IpAddr;

use eksnet_probe::ProbeKind;
use serde::Serialize;

use crate::dns::{NODE_LOCAL, VPC_RESOLVER_V4, VPC_RESOLVER_V6, vpc_resolvers};
use crate::{ClusterDns, ProbePod, Snapshot, Text, Topology};

/// What a server is, in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerKind {
    /// Whatever the pod's resolv.conf says, asked as programs ask.
    ResolvConf,
    /// The Service that pods are told.
    ClusterIp,
    /// A CoreDNS pod.
    CorednsPod,
    /// NodeLocal DNSCache.
    NodeLocal,
    /// The VPC's resolver at the base of its primary block plus two.
    VpcResolver,
    /// The VPC's resolver at its link-local address.
    LinkLocal,
    /// A server of the VPC's DHCP options.
    Dhcp,
    /// Any other.
    Other,
}

/// A server that was asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// What it is.
    pub kind: ServerKind,
    /// Its address; `None` of resolv.conf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The pod that has it, where it is one of a pod.
    pub pod: Text,
    /// Node of that pod.
    pub node: Text,
    /// Zone of that node.
    pub zone: Text,
}

/// The servers of all plans, in the order of their kinds; among pods by name.
pub(super) fn columns(
    snapshot: &Snapshot,
    topology: &Topology<'_>,
    dns: &ClusterDns<'_>,
    pods: &[ProbePod],
    wants: &dyn Fn(&str) -> bool,
) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    let known = Known {
        topology,
        dns,
        resolvers: vpc_resolvers(topology.vpc()),
        dhcp: dhcp_servers(snapshot, topology),
    };
    let kinds = pods
        .iter()
        .flat_map(|pod| pod.answers())
        .map(|(kind, _)| kind);
    for kind in kinds {
        let column = match kind {
            ProbeKind::Dns { server, name, .. } if wants(name) => known.column(server.ip()),
            ProbeKind::Lookup { name, .. } if wants(name) => Column {
                kind: ServerKind::ResolvConf,
                address: None,
                pod: Text::default(),
                node: Text::default(),
                zone: Text::default(),
            },
            _ => continue,
        };
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns.sort_by(|one, other| {
        (one.kind, &one.pod, one.address).cmp(&(other.kind, &other.pod, other.address))
    });
    columns
}

struct Known<'a> {
    topology: &'a Topology<'a>,
    dns: &'a ClusterDns<'a>,
    resolvers: Vec<IpAddr>,
    dhcp: Vec<IpAddr>,
}

impl Known<'_> {
    fn column(&self, address: IpAddr) -> Column {
        let pod = self.dns.pod_by_ip(address);
        let node = pod
            .map(|pod| pod.spec.node_name.as_str())
            .unwrap_or_default();
        let zone = self.topology.node(node).and_then(|node| node.zone());
        Column {
            kind: self.kind(address, pod.is_some()),
            address: Some(address),
            pod: pod
                .map(|pod| pod.metadata.name.as_str())
                .unwrap_or_default()
                .into(),
            node: node.into(),
            zone: zone.unwrap_or_default().into(),
        }
    }

    fn kind(&self, address: IpAddr, is_pod: bool) -> ServerKind {
        if self.dns.cluster_ips().contains(&address) {
            ServerKind::ClusterIp
        } else if is_pod {
            ServerKind::CorednsPod
        } else if self.dns.node_local.contains(&address) || address == NODE_LOCAL {
            ServerKind::NodeLocal
        } else if address == VPC_RESOLVER_V4 || address == VPC_RESOLVER_V6 {
            ServerKind::LinkLocal
        } else if self.resolvers.contains(&address) {
            ServerKind::VpcResolver
        } else if self.dhcp.contains(&address) {
            ServerKind::Dhcp
        } else {
            ServerKind::Other
        }
    }
}

/// Addresses of the servers that the VPC's DHCP options name.
fn dhcp_servers(snapshot: &Snapshot, topology: &Topology<'_>) -> Vec<IpAddr> {
    let vpc = topology.vpc();
    let options = snapshot.aws.dhcp_options.value().into_iter().flatten();
    options
        .filter(|options| vpc.is_none_or(|vpc| vpc.dhcp_options_id == options.dhcp_options_id))
        .flat_map(|options| &options.dhcp_configurations)
        .filter(|configuration| configuration.key == "domain-name-servers")
        .flat_map(|configuration| &configuration.values)
        .filter_map(|value| value.value.parse().ok())
        .collect()
}
