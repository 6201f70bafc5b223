//! What probe pods ask: the matrix of `P.*` probes from one standpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use eksnet_model::kubernetes::Pod;
use eksnet_model::{AwsEndpoint, ClusterFacts, Component, Snapshot, Text, Topology};
use eksnet_probe::{ProbeKind, ProbeSpec, QueryType, Transport};
use ipnet::IpNet;

use crate::kubernetes::ClusterHints;

/// Most CoreDNS pods that each standpoint asks.
pub(crate) const MOST_DNS_PODS: usize = 40;
/// The VPC resolver at its fixed addresses, which answer in every VPC.
const RESOLVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);
const RESOLVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253);
/// NodeLocal DNSCache, where it is installed with its usual address.
const NODE_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 20, 10);
/// The instance metadata service.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// A name outside of the cluster and of the VPC that a resolver without egress still answers.
const EXTERNAL: &str = "amazon.com.";

/// What probes are aimed at, drawn from the evidence once and the same for every standpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    domain: String,
    /// Addresses of the cluster's DNS Service.
    dns_services: Vec<IpAddr>,
    /// Addresses of CoreDNS pods.
    dns_pods: Vec<IpAddr>,
    /// Whether NodeLocal DNSCache runs.
    node_local: bool,
    /// Resolvers of the VPC, and servers of its DHCP options.
    resolvers: Vec<IpAddr>,
    /// Address of the Service `kubernetes`.
    kubernetes: Vec<IpAddr>,
    /// Host and port of the API server's own endpoint.
    api: Option<(String, u16)>,
    ca_pem: Option<String>,
    /// AWS host names that components of this cluster call, `sts` first.
    aws: Vec<String>,
    region: Option<String>,
    /// Whether the nodes are instances of EC2, as far as is known.
    on_ec2: bool,
    /// What was left out, in words.
    pub(crate) sampled: Option<Text>,
}

impl Targets {
    pub(crate) fn of(snapshot: &Snapshot, topology: &Topology<'_>, hints: &ClusterHints) -> Self {
        let facts = &snapshot.cluster;
        let on_ec2 = facts.eks != Some(false);
        let region = facts.region.as_deref().filter(|_| on_ec2);
        let dns: Vec<&Pod> = topology
            .pods_of(Component::CoreDns)
            .filter(|pod| !pod.is_terminal() && !pod.status.pod_ip.is_empty())
            .collect();
        let dns_pods = spread(&dns, topology);
        let sampled = (dns.len() > dns_pods.len()).then(|| {
            format!(
                "{} of {} CoreDNS pods were asked",
                dns_pods.len(),
                dns.len()
            )
            .into()
        });
        Self {
            domain: facts.dns_domain().to_owned(),
            dns_services: service_ips(snapshot, "kube-system", "kube-dns"),
            dns_pods,
            node_local: topology.pods_of(Component::NodeLocalDns).next().is_some(),
            resolvers: if on_ec2 {
                resolvers(snapshot, topology)
            } else {
                Vec::new()
            },
            kubernetes: service_ips(snapshot, "default", "kubernetes"),
            api: api_endpoint(snapshot, hints),
            ca_pem: hints.ca_pem.clone(),
            aws: if on_ec2 {
                aws_hosts(facts, topology)
            } else {
                Vec::new()
            },
            region: region.map(str::to_owned),
            on_ec2,
            sampled,
        }
    }

    /// The region, where it is known and its names can be asked for.
    pub(crate) fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The probes of one standpoint, with `identity` those of a workload's identity too.
    pub(crate) fn probes(&self, identity: bool) -> Vec<ProbeSpec> {
        let mut plan = Plan::default();
        plan.add(ProbeKind::Resolv);
        let in_cluster = format!("kubernetes.default.svc.{}.", self.domain);
        let dotted: Vec<String> = self.aws.iter().map(|host| format!("{host}.")).collect();
        let sts = dotted.first();
        for service in &self.dns_services {
            plan.dns(*service, &in_cluster);
            for name in &dotted {
                plan.dns(*service, name);
            }
            plan.dns(*service, EXTERNAL);
            if let Some((host, _)) = self.api.as_ref().filter(|(host, _)| is_name(host)) {
                plan.dns(*service, &format!("{host}."));
            }
        }
        if self.node_local {
            plan.dns(NODE_LOCAL.into(), &in_cluster);
            sts.into_iter()
                .for_each(|name| plan.dns(NODE_LOCAL.into(), name));
        }
        for pod in &self.dns_pods {
            plan.dns(*pod, &in_cluster);
            sts.into_iter().for_each(|name| plan.dns(*pod, name));
        }
        for resolver in &self.resolvers {
            // Names of the cluster are never asked here: that they do not exist there is right.
            for name in &dotted {
                plan.dns(*resolver, name);
            }
            plan.dns(*resolver, EXTERNAL);
        }
        plan.lookup("kubernetes.default");
        for host in &self.aws {
            plan.lookup(host);
        }
        for ip in &self.kubernetes {
            plan.tcp(&ip.to_string(), 443);
        }
        if let Some((host, port)) = &self.api {
            plan.tcp(host, *port);
            plan.add(ProbeKind::Tls {
                host: host.clone(),
                port: *port,
                ca_pem: self.ca_pem.clone(),
                timeout_ms: 5000,
            });
        }
        for host in &self.aws {
            plan.tcp(host, 443);
        }
        if let Some(host) = self.aws.first() {
            plan.add(ProbeKind::Tls {
                host: host.clone(),
                port: 443,
                ca_pem: None,
                timeout_ms: 5000,
            });
            // STS tells the time, and whether it is AWS that answers.
            plan.add(ProbeKind::Http {
                host: host.clone(),
                port: 443,
                path: "/".to_owned(),
                timeout_ms: 5000,
            });
        }
        if self.on_ec2 {
            plan.add(ProbeKind::Imds {
                server: SocketAddr::new(METADATA.into(), 80),
                timeout_ms: 2000,
            });
        }
        if let Some(region) = self.region().filter(|_| identity) {
            plan.add(ProbeKind::Sts {
                region: region.to_owned(),
                endpoint: None,
                timeout_ms: 10_000,
            });
        }
        plan.probes
    }
}

/// Probes with their ids.
#[derive(Default)]
struct Plan {
    probes: Vec<ProbeSpec>,
}

impl Plan {
    fn add(&mut self, kind: ProbeKind) {
        // One question twice would be counted as two observations.
        if self.probes.iter().any(|known| known.kind == kind) {
            return;
        }
        let id = u32::try_from(self.probes.len() + 1).unwrap_or(u32::MAX);
        self.probes.push(ProbeSpec { id, kind });
    }

    /// A question over UDP and over TCP: five tries, 200 ms apart, 2 s each.
    fn dns(&mut self, server: IpAddr, name: &str) {
        for transport in [Transport::Udp, Transport::Tcp] {
            self.add(ProbeKind::Dns {
                server: SocketAddr::new(server, 53),
                transport,
                name: name.to_owned(),
                query: QueryType::A,
                tries: 5,
                gap_ms: 200,
                timeout_ms: 2000,
            });
        }
    }

    fn lookup(&mut self, name: &str) {
        self.add(ProbeKind::Lookup {
            name: name.to_owned(),
            timeout_ms: 8000,
        });
    }

    fn tcp(&mut self, host: &str, port: u16) {
        self.add(ProbeKind::Tcp {
            host: host.to_owned(),
            port,
            tries: 3,
            timeout_ms: 3000,
        });
    }
}

/// Addresses of CoreDNS pods: all of them, or so many that every zone and as many nodes as possible
/// are among them.
fn spread(pods: &[&Pod], topology: &Topology<'_>) -> Vec<IpAddr> {
    let mut zones: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    let mut nodes: BTreeSet<&str> = BTreeSet::new();
    // First one pod of each node, then the others.
    let (first, others): (Vec<&Pod>, Vec<&Pod>) = pods
        .iter()
        .copied()
        .partition(|pod| nodes.insert(pod.spec.node_name.as_str()));
    for pod in first.into_iter().chain(others) {
        let zone = topology
            .node(&pod.spec.node_name)
            .and_then(|node| node.zone())
            .unwrap_or("");
        zones.entry(zone).or_default().push(pod);
    }
    let longest = zones.values().map(Vec::len).max().unwrap_or(0);
    let in_turn = (0..longest).flat_map(|at| zones.values().filter_map(move |pods| pods.get(at)));
    in_turn
        .filter_map(|pod| pod.status.pod_ip.parse().ok())
        .take(MOST_DNS_PODS)
        .collect()
}

fn service_ips(snapshot: &Snapshot, namespace: &str, name: &str) -> Vec<IpAddr> {
    let services = snapshot.kubernetes.services.value().into_iter().flatten();
    services
        .filter(|service| service.metadata.namespace == namespace && service.metadata.name == name)
        .flat_map(|service| service.cluster_ips())
        .filter_map(|ip| ip.parse().ok())
        .collect()
}

/// The VPC resolver at its fixed address and at the base of the primary block plus two, and the
/// servers that the DHCP options name.
///
/// The resolver of secondary blocks does not exist: see
/// <https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html> (read November 2026).
fn resolvers(snapshot: &Snapshot, topology: &Topology<'_>) -> Vec<IpAddr> {
    let mut servers: Vec<IpAddr> = Vec::new();
    let vpc = topology.vpc();
    if let Some(IpNet::V4(net)) = vpc.and_then(|vpc| vpc.cidr_block.parse().ok()) {
        let base = u32::from(net.network());
        servers.push(Ipv4Addr::from(base.saturating_add(2)).into());
    }
    servers.push(RESOLVER.into());
    let serves_v6 = service_ips(snapshot, "kube-system", "kube-dns")
        .iter()
        .any(IpAddr::is_ipv6);
    if serves_v6 {
        servers.push(RESOLVER_V6.into());
    }
    let options = snapshot.aws.dhcp_options.value().into_iter().flatten();
    let own = options
        .filter(|options| vpc.is_some_and(|vpc| vpc.dhcp_options_id == options.dhcp_options_id));
    let named = own
        .flat_map(|options| &options.dhcp_configurations)
        .filter(|configuration| configuration.key == "domain-name-servers")
        .flat_map(|configuration| &configuration.values)
        // `AmazonProvidedDNS` is no address, and is asked already.
        .filter_map(|value| value.value.parse().ok());
    for server in named {
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

/// The endpoint that nodes use: as EKS tells it, else the kubeconfig's, unless that is a tunnel on
/// this machine.
fn api_endpoint(snapshot: &Snapshot, hints: &ClusterHints) -> Option<(String, u16)> {
    let by_eks = snapshot
        .aws
        .cluster
        .value()
        .and_then(|cluster| cluster.endpoint.strip_prefix("https://"))
        .map(|host| host.trim_end_matches('/').to_owned())
        .filter(|host| !host.is_empty());
    if let Some(host) = by_eks {
        return Some((host, 443));
    }
    let host = hints.api_host.as_str();
    let is_here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    (!host.is_empty() && !is_here).then(|| (host.to_owned(), hints.api_port))
}

fn is_name(host: &str) -> bool {
    host.parse::<IpAddr>().is_err()
}

/// The hosts that the checks expect this cluster's components to reach, `sts` first: it speaks for all
/// where one name has to do.
fn aws_hosts(facts: &ClusterFacts, topology: &Topology<'_>) -> Vec<String> {
    let mut endpoints = AwsEndpoint::expected(facts, topology);
    endpoints.sort_by_key(|endpoint| endpoint.service != "sts");
    endpoints
        .into_iter()
        .map(|endpoint| endpoint.host.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use eksnet_model::Evidence;
    use serde_json::{Value, json};

    use super::*;

    fn coredns(n: usize, node: &str) -> Value {
        json!({"metadata": {"namespace": "kube-system", "name": format!("coredns-{n}")},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": "x/coredns:v1"}]},
            "status": {"phase": "Running", "podIP": format!("10.0.{}.{}", n / 200, n % 200 + 1)}})
    }

    fn snapshot(pods: Vec<Value>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.cluster.region = Some("us-west-2".into());
        snapshot.cluster.eks = Some(true);
        snapshot.kubernetes.pods = Evidence::Present(serde_json::from_value(json!(pods)).unwrap());
        snapshot.kubernetes.services = Evidence::Present(serde_json::from_value(json!([
            {"metadata": {"namespace": "kube-system", "name": "kube-dns"}, "spec": {"clusterIP": "10.100.0.10"}},
            {"metadata": {"namespace": "default", "name": "kubernetes"}, "spec": {"clusterIP": "10.100.0.1"}},
        ])).unwrap());
        snapshot
    }

    fn hints() -> ClusterHints {
        ClusterHints {
            api_host: "0A.gr7.us-west-2.eks.amazonaws.com".to_owned(),
            api_port: 443,
            ..ClusterHints::default()
        }
    }

    fn targets(snapshot: &Snapshot) -> Targets {
        Targets::of(snapshot, &Topology::of(snapshot), &hints())
    }

    fn asked(targets: &Targets, server: &str) -> Vec<String> {
        let mut names: Vec<String> = targets
            .probes(false)
            .into_iter()
            .filter_map(|spec| match spec.kind {
                ProbeKind::Dns {
                    server: of,
                    transport,
                    name,
                    tries,
                    gap_ms,
                    timeout_ms,
                    ..
                } if of.to_string() == server => {
                    assert_eq!((tries, gap_ms, timeout_ms), (5, 200, 2000));
                    Some(format!("{transport:?} {name}").to_lowercase())
                }
                _ => None,
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn every_server_is_asked_its_names_over_both_transports() {
        let targets = targets(&snapshot(vec![coredns(0, "n1")]));
        let pod = asked(&targets, "10.0.0.1:53");
        assert_eq!(
            pod,
            [
                "tcp kubernetes.default.svc.cluster.local.",
                "tcp sts.us-west-2.amazonaws.com.",
                "udp kubernetes.default.svc.cluster.local.",
                "udp sts.us-west-2.amazonaws.com.",
            ]
        );
        let service = asked(&targets, "10.100.0.10:53");
        for name in [
            "kubernetes.default.svc.cluster.local.",
            "eks.us-west-2.amazonaws.com.",
            EXTERNAL,
        ] {
            assert!(service.contains(&format!("udp {name}")), "{service:?}");
        }
        let resolver = asked(&targets, "169.254.169.253:53");
        assert!(resolver.contains(&format!("tcp {EXTERNAL}")));
        assert!(
            !resolver.iter().any(|name| name.contains("cluster.local")),
            "{resolver:?}"
        );
    }

    #[test]
    fn the_autoscalers_endpoint_is_asked_for_where_an_autoscaler_runs() {
        let mut autoscaler = coredns(7, "n1");
        autoscaler["spec"]["containers"][0]["image"] = json!("x/cluster-autoscaler:v1.33.0");
        let with = targets(&snapshot(vec![autoscaler]));
        assert!(
            asked(&with, "10.100.0.10:53")
                .contains(&"udp autoscaling.us-west-2.amazonaws.com.".to_owned())
        );
        let without = targets(&snapshot(vec![]));
        assert!(
            !asked(&without, "10.100.0.10:53")
                .iter()
                .any(|name| name.contains("autoscaling"))
        );
    }

    #[test]
    fn the_resolver_of_the_vpc_is_two_above_its_primary_block() {
        let mut snapshot = snapshot(vec![]);
        snapshot.aws.cluster = Evidence::Present(
            serde_json::from_value(json!({
            "endpoint": "https://OWN.gr7.us-west-2.eks.amazonaws.com",
            "resourcesVpcConfig": {"vpcId": "vpc-1"}}))
            .unwrap(),
        );
        snapshot.aws.vpcs = Evidence::Present(
            serde_json::from_value(json!([
            {"VpcId": "vpc-1", "CidrBlock": "172.31.0.0/16", "DhcpOptionsId": "dopt-1"}]))
            .unwrap(),
        );
        snapshot.aws.dhcp_options = Evidence::Present(
            serde_json::from_value(json!([
            {"DhcpOptionsId": "dopt-1", "DhcpConfigurations": [{"Key": "domain-name-servers",
                "Values": [{"Value": "10.9.9.9"}, {"Value": "AmazonProvidedDNS"}]}]}]))
            .unwrap(),
        );
        let targets = targets(&snapshot);
        let resolvers: Vec<String> = targets.resolvers.iter().map(ToString::to_string).collect();
        assert_eq!(resolvers, ["172.31.0.2", "169.254.169.253", "10.9.9.9"]);
        assert_eq!(
            targets.api.unwrap().0,
            "OWN.gr7.us-west-2.eks.amazonaws.com"
        );
    }

    #[test]
    fn outside_of_aws_nothing_of_aws_is_asked() {
        let mut snapshot = snapshot(vec![]);
        snapshot.cluster.eks = Some(false);
        let probes = targets(&snapshot).probes(true);
        let text = serde_json::to_string(&probes).unwrap();
        for word in ["169.254", "sts", "us-west-2.amazonaws.com."] {
            let own = text.replace("0A.gr7.us-west-2.eks.amazonaws.com", "");
            assert!(!own.contains(word), "{word} in {own}");
        }
        // Without a region the resolver can still be asked for a name of the world.
        snapshot.cluster.eks = Some(true);
        snapshot.cluster.region = None;
        assert_eq!(
            asked(&targets(&snapshot), "169.254.169.253:53"),
            ["tcp amazon.com.", "udp amazon.com."]
        );
    }

    #[test]
    fn a_tunnel_on_this_machine_is_not_probed_from_pods() {
        let tunnel = ClusterHints {
            api_host: "127.0.0.1".to_owned(),
            api_port: 8443,
            ..hints()
        };
        let snapshot = snapshot(vec![]);
        let targets = Targets::of(&snapshot, &Topology::of(&snapshot), &tunnel);
        assert_eq!(targets.api, None);
    }

    #[test]
    fn many_coredns_pods_are_sampled_over_zones_and_nodes() {
        let mut snapshot = snapshot(
            (0..100)
                .map(|n| coredns(n, if n < 95 { "a" } else { "b" }))
                .collect(),
        );
        snapshot.kubernetes.nodes = Evidence::Present(
            serde_json::from_value(json!([
                {"metadata": {"name": "a", "labels": {"topology.kubernetes.io/zone": "z1"}}},
                {"metadata": {"name": "b", "labels": {"topology.kubernetes.io/zone": "z2"}}},
            ]))
            .unwrap(),
        );
        let targets = targets(&snapshot);
        assert_eq!(targets.dns_pods.len(), MOST_DNS_PODS);
        let of_b = (95..100).map(|n| format!("10.0.0.{}", n + 1).parse::<IpAddr>().unwrap());
        assert!(of_b.into_iter().all(|ip| targets.dns_pods.contains(&ip)));
        assert_eq!(
            targets.sampled.as_deref(),
            Some("40 of 100 CoreDNS pods were asked")
        );
    }

    #[test]
    fn ids_are_unique_and_the_identity_is_asked_only_where_it_is_wanted() {
        let targets = targets(&snapshot(vec![coredns(0, "n1"), coredns(1, "n2")]));
        let probes = targets.probes(true);
        let ids: BTreeSet<u32> = probes.iter().map(|spec| spec.id).collect();
        assert_eq!(ids.len(), probes.len());
        let sts = |probes: &[ProbeSpec]| {
            probes
                .iter()
                .any(|spec| matches!(spec.kind, ProbeKind::Sts { .. }))
        };
        assert!(sts(&probes) && !sts(&targets.probes(false)));
    }
}
