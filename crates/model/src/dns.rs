//! Cluster DNS: the Service that pods ask, the pods behind it, and the resolver behind those.

pub mod asked;
pub mod matrix;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::aws::Vpc;
use crate::kubernetes::{Pod, Service};
use crate::{Component, Running, Snapshot, Topology};

/// Link-local address of the VPC resolver. Source: Amazon DNS server, VPC user guide.
pub const VPC_RESOLVER_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 253));
/// IPv6 address of the VPC resolver.
pub const VPC_RESOLVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253));
/// Address on which NodeLocal DNSCache listens unless told otherwise.
pub const NODE_LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 20, 10));

/// First label of names that were made up so that no cache holds them and no server knows them.
pub const MADE_UP: &str = "eksnet-no-such-name-";

/// Cluster DNS as the evidence shows it. What is empty here may be missing for lack of evidence: read
/// the source itself before claiming that it is absent.
#[derive(Clone, Debug)]
pub struct ClusterDns<'a> {
    /// `kube-system/kube-dns`.
    pub service: Option<&'a Service>,
    /// The pods behind it, by name: those that its selector matches, and those that run CoreDNS in its
    /// namespace. Pods that have ended are left out.
    pub pods: Vec<&'a Pod>,
    /// What the Service's EndpointSlices say, one entry per pod.
    pub endpoints: Vec<DnsEndpoint<'a>>,
    /// Addresses on which NodeLocal DNSCache listens besides the Service's.
    pub node_local: BTreeSet<IpAddr>,
}

/// One endpoint of cluster DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsEndpoint<'a> {
    /// Its addresses; two in dual-stack clusters.
    pub addresses: Vec<IpAddr>,
    /// Its pod, where the slice names it.
    pub pod: Option<&'a str>,
    /// Its node, where the slice names it.
    pub node: Option<&'a str>,
    /// Whether it takes traffic: `ready` unset counts as ready.
    pub ready: bool,
    /// Whether its pod is going away.
    pub terminating: bool,
    /// Whether it serves 53/UDP.
    pub udp: bool,
    /// Whether it serves 53/TCP.
    pub tcp: bool,
}

impl<'a> ClusterDns<'a> {
    /// Namespace of cluster DNS.
    pub const NAMESPACE: &'static str = "kube-system";
    /// Name of its Service.
    pub const SERVICE: &'static str = "kube-dns";

    /// Finds cluster DNS.
    #[must_use]
    pub fn of(topology: &Topology<'a>) -> Self {
        let service = topology.service(Self::NAMESPACE, Self::SERVICE);
        let pods = topology
            .pods()
            .filter(|pod| pod.metadata.namespace == Self::NAMESPACE && !pod.is_terminal())
            .filter(|pod| {
                Component::of_pod(pod) == Component::CoreDns
                    || service.is_some_and(|service| selects(service, pod))
            })
            .collect();
        Self {
            service,
            pods,
            endpoints: endpoints(topology),
            node_local: node_local(topology),
        }
    }

    /// Addresses that pods ask: those of the Service, as written in it.
    #[must_use]
    pub fn cluster_ips(&self) -> Vec<IpAddr> {
        self.service
            .into_iter()
            .flat_map(Service::cluster_ips)
            .filter_map(|ip| ip.parse().ok())
            .collect()
    }

    /// Whether pods may ask that address: the Service's, or NodeLocal DNSCache's.
    #[must_use]
    pub fn is_server(&self, ip: IpAddr) -> bool {
        self.node_local.contains(&ip) || self.cluster_ips().contains(&ip)
    }

    /// The endpoints that take traffic on 53/UDP.
    pub fn ready_endpoints(&self) -> impl Iterator<Item = &DnsEndpoint<'a>> {
        self.endpoints.iter().filter(|one| one.ready && one.udp)
    }

    /// The pods that answer: those with a ready endpoint, or without any EndpointSlice those that are
    /// Ready themselves.
    pub fn serving_pods(&self) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().copied().filter(|pod| {
            if self.endpoints.is_empty() {
                return pod.is_ready() && pod.metadata.deletion_timestamp.is_none();
            }
            self.endpoints.iter().any(|one| {
                one.ready
                    && (one.pod == Some(pod.metadata.name.as_str())
                        || pod
                            .ips()
                            .filter_map(|ip| ip.parse().ok())
                            .any(|ip: IpAddr| one.addresses.contains(&ip)))
            })
        })
    }

    /// The pod that has this address.
    #[must_use]
    pub fn pod_by_ip(&self, ip: IpAddr) -> Option<&'a Pod> {
        self.pods
            .iter()
            .copied()
            .find(|pod| pod.ips().any(|own| own.parse() == Ok(ip)))
    }

    /// Names of the nodes that its pods are on.
    #[must_use]
    pub fn nodes(&self) -> BTreeSet<&'a str> {
        self.pods
            .iter()
            .map(|pod| pod.spec.node_name.as_str())
            .filter(|node| !node.is_empty())
            .collect()
    }
}

/// Whether a Service's selector matches a pod of its namespace. A Service without selector matches
/// none: its endpoints are written by hand.
#[must_use]
pub fn selects(service: &Service, pod: &Pod) -> bool {
    !service.spec.selector.is_empty()
        && service.metadata.namespace == pod.metadata.namespace
        && service
            .spec
            .selector
            .iter()
            .all(|(key, value)| pod.metadata.labels.get(key) == Some(value))
}

/// Addresses of the Amazon-provided resolver as pods of that VPC may ask it: the link-local one, and
/// the third address of the VPC's *primary* block. Secondary blocks have none.
#[must_use]
pub fn vpc_resolvers(vpc: Option<&Vpc>) -> Vec<IpAddr> {
    let plus_two = vpc
        .and_then(|vpc| vpc.cidr_block.parse::<IpNet>().ok())
        .and_then(|net| match net.network() {
            IpAddr::V4(base) => Some(IpAddr::V4((u32::from(base).checked_add(2)?).into())),
            IpAddr::V6(_) => None,
        });
    [Some(VPC_RESOLVER_V4), Some(VPC_RESOLVER_V6), plus_two]
        .into_iter()
        .flatten()
        .collect()
}

/// A name in the form in which two spellings of it compare: lower case, no dot at the end.
#[must_use]
pub fn bare(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether a name lies in the cluster's domain: CoreDNS answers it without asking anyone.
#[must_use]
pub fn in_domain(name: &str, domain: &str) -> bool {
    let (name, domain) = (bare(name), bare(domain));
    name == domain
        || name
            .strip_suffix(&domain)
            .is_some_and(|rest| rest.ends_with('.'))
}

/// The name that a query has to spell out, with its last dot: of `NAME.NAMESPACE` and
/// `NAME.NAMESPACE.svc` where the cluster has such a Service, else the name itself.
#[must_use]
pub fn full_name(snapshot: &Snapshot, name: &str) -> String {
    let own = bare(name);
    let parts: Vec<&str> = own.split('.').collect();
    let is_service = |name: &str, namespace: &str| {
        let mut services = snapshot.kubernetes.services.value().into_iter().flatten();
        services.any(|one| one.metadata.name == name && one.metadata.namespace == namespace)
    };
    let domain = snapshot.cluster.dns_domain();
    match parts[..] {
        [name, namespace] | [name, namespace, "svc"] if is_service(name, namespace) => {
            format!("{name}.{namespace}.svc.{domain}.")
        }
        _ => format!("{own}."),
    }
}

fn endpoints<'a>(topology: &Topology<'a>) -> Vec<DnsEndpoint<'a>> {
    let mut found: BTreeMap<(&str, Vec<IpAddr>), DnsEndpoint<'a>> = BTreeMap::new();
    let slices = topology.endpoint_slices().filter(|slice| {
        slice.metadata.namespace == ClusterDns::NAMESPACE
            && slice.service() == Some(ClusterDns::SERVICE)
    });
    for slice in slices {
        let serves = |protocol: &str| {
            slice.ports.iter().any(|port| {
                let own = if port.protocol.is_empty() {
                    "TCP"
                } else {
                    &port.protocol
                };
                // The name says that it is DNS where the pods listen on another port.
                own == protocol
                    && (port.port.is_none_or(|number| number == 53) || port.name.starts_with("dns"))
            })
        };
        for one in &slice.endpoints {
            let addresses: Vec<IpAddr> = one
                .addresses
                .iter()
                .filter_map(|ip| ip.parse().ok())
                .collect();
            let pod = one.target_ref.as_ref().map(|pod| pod.name.as_str());
            // A dual-stack pod stands in one slice per family.
            let key = (
                pod.unwrap_or(""),
                pod.map_or_else(|| addresses.clone(), |_| Vec::new()),
            );
            let (udp, tcp) = (serves("UDP"), serves("TCP"));
            let entry = found.entry(key).or_insert_with(|| DnsEndpoint {
                addresses: Vec::new(),
                pod,
                node: one.node_name.as_deref(),
                ready: false,
                terminating: false,
                udp: false,
                tcp: false,
            });
            entry.addresses.extend(addresses);
            entry.ready |= one.is_ready();
            entry.terminating |= one.conditions.terminating == Some(true);
            entry.udp |= udp;
            entry.tcp |= tcp;
        }
    }
    found.into_values().collect()
}

/// The addresses of `-localip`; the usual one where a DaemonSet runs the cache without that flag.
fn node_local(topology: &Topology<'_>) -> BTreeSet<IpAddr> {
    let mut addresses = BTreeSet::new();
    for set in topology.daemonsets() {
        let spec = &set.spec.template.spec;
        if Component::of(spec, &set.spec.template.metadata.labels) != Component::NodeLocalDns {
            continue;
        }
        let flag = Running::of(Component::NodeLocalDns, spec)
            .and_then(|running| running.flag("localip"))
            .unwrap_or("169.254.20.10");
        addresses.extend(
            flag.split(',')
                .filter_map(|ip| ip.trim().parse::<IpAddr>().ok()),
        );
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(json: serde_json::Value) -> Snapshot {
        serde_json::from_value(json).expect("a snapshot")
    }

    fn slice(ready: serde_json::Value, family: &str, ip: &str) -> serde_json::Value {
        serde_json::json!({
            "metadata": {"namespace": "kube-system", "name": family, "labels": {"kubernetes.io/service-name": "kube-dns"}},
            "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}],
            "endpoints": [{"addresses": [ip], "conditions": {"ready": ready}, "nodeName": "n1",
                "targetRef": {"kind": "Pod", "namespace": "kube-system", "name": "coredns-1"}}],
        })
    }

    #[test]
    fn a_dual_stack_pod_is_one_endpoint_and_unset_ready_means_ready() {
        let snapshot = snapshot(serde_json::json!({"kubernetes": {"endpointslices": [
            slice(serde_json::Value::Null, "v4", "10.0.0.5"), slice(serde_json::Value::Null, "v6", "fd00::5")]}}));
        let topology = Topology::of(&snapshot);
        let dns = ClusterDns::of(&topology);
        assert_eq!(dns.endpoints.len(), 1);
        let endpoint = &dns.endpoints[0];
        assert!(endpoint.ready && endpoint.udp && endpoint.tcp);
        assert_eq!(endpoint.addresses.len(), 2);
        assert_eq!(dns.ready_endpoints().count(), 1);
    }

    #[test]
    fn pods_of_other_namespaces_are_not_cluster_dns() {
        let pod = |namespace: &str, name: &str| {
            serde_json::json!({"metadata": {"namespace": namespace, "name": name},
                "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "registry/coredns:v1"}]},
                "status": {"phase": "Running", "podIP": "10.0.0.5", "conditions": [{"type": "Ready", "status": "True"}]}})
        };
        let snapshot = snapshot(serde_json::json!({"kubernetes": {
            "pods": [pod("kube-system", "coredns-1"), pod("team", "coredns-2")]}}));
        let topology = Topology::of(&snapshot);
        let dns = ClusterDns::of(&topology);
        assert_eq!(dns.pods.len(), 1);
        assert_eq!(dns.serving_pods().count(), 1);
        assert_eq!(dns.nodes().into_iter().collect::<Vec<_>>(), ["n1"]);
    }

    #[test]
    fn the_resolver_is_at_plus_two_of_the_primary_block_alone() {
        let vpc: Vpc = serde_json::from_value(serde_json::json!({"CidrBlock": "10.7.0.0/16",
            "CidrBlockAssociationSet": [{"CidrBlock": "100.64.0.0/16"}]}))
        .expect("a VPC");
        let resolvers = vpc_resolvers(Some(&vpc));
        assert!(resolvers.contains(&"10.7.0.2".parse().expect("an address")));
        assert!(!resolvers.contains(&"100.64.0.2".parse().expect("an address")));
        assert_eq!(vpc_resolvers(None).len(), 2);
    }

    #[test]
    fn the_local_cache_is_found_by_its_image_and_listens_where_its_flag_says() {
        let snapshot = snapshot(serde_json::json!({"kubernetes": {"daemonsets": [{
            "metadata": {"namespace": "kube-system", "name": "cache"},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "r/k8s-dns-node-cache:1",
                "args": ["-localip", "169.254.20.11,10.100.0.10"]}]}}}}]}}));
        let topology = Topology::of(&snapshot);
        let dns = ClusterDns::of(&topology);
        assert!(dns.is_server("169.254.20.11".parse().expect("an address")));
        assert!(!dns.is_server(NODE_LOCAL));
    }

    #[test]
    fn names_are_in_the_domain_by_whole_labels() {
        assert!(in_domain(
            "kubernetes.default.svc.Cluster.local.",
            "cluster.local"
        ));
        assert!(!in_domain("notcluster.local", "cluster.local"));
    }

    #[test]
    fn a_service_is_asked_for_by_its_full_name_and_a_host_as_it_is() {
        let snapshot = snapshot(serde_json::json!({"kubernetes": {"services": [
            {"metadata": {"namespace": "shop", "name": "web"}}]}}));
        for (name, full) in [
            ("web.shop", "web.shop.svc.cluster.local."),
            ("Web.shop.svc", "web.shop.svc.cluster.local."),
            ("web.bank", "web.bank."),
            (
                "sts.us-west-2.amazonaws.com.",
                "sts.us-west-2.amazonaws.com.",
            ),
        ] {
            assert_eq!(full_name(&snapshot, name), full);
        }
    }
}
