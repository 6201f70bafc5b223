//! What probe pods ask: the matrix of `P.*` probes from one standpoint.

mod forced;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use eksnet_model::dns::{MADE_UP, full_name, in_domain};
use eksnet_model::kubernetes::Pod;
use eksnet_model::{AwsEndpoint, ClusterFacts, Component, Snapshot, Text, Topology};
use eksnet_probe::{ProbeKind, ProbeSpec, QueryType, Transport};
use ipnet::IpNet;

pub(crate) use forced::with;

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

/// How much a standpoint asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// DNS alone: everything times out within 8 s.
    Dns,
    /// All of the network.
    Network,
    /// The network, and a workload's identity.
    Identity,
}

/// What probes are aimed at, drawn from the evidence once and the same for every standpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    domain: String,
    /// Addresses of the cluster's DNS Service.
    dns_services: Vec<IpAddr>,
    /// Addresses of CoreDNS pods.
    dns_pods: Vec<IpAddr>,
    /// The nodes that those are on.
    dns_nodes: BTreeMap<IpAddr, String>,
    /// What makes this run's made-up names its own.
    salt: String,
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
    /// Names that were asked for: as written, and in full.
    named: Vec<(String, String)>,
    /// Whether the nodes are instances of EC2, as far as is known.
    on_ec2: bool,
    /// What was left out, in words.
    pub(crate) sampled: Option<Text>,
}

impl Targets {
    pub(crate) fn of(
        snapshot: &Snapshot,
        topology: &Topology<'_>,
        hints: &ClusterHints,
        names: &[String],
        salt: &str,
    ) -> Self {
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
            dns_nodes: dns
                .iter()
                .filter_map(|pod| {
                    Some((pod.status.pod_ip.parse().ok()?, pod.spec.node_name.clone()))
                })
                .collect(),
            dns_pods,
            salt: salt.to_owned(),
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
            named: names
                .iter()
                .map(|name| (name.clone(), full_name(snapshot, name)))
                .collect(),
            on_ec2,
            sampled,
        }
    }

    /// The region, where it is known and its names can be asked for.
    pub(crate) fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The probes of one standpoint.
    pub(crate) fn probes(&self, asks: Asks) -> Vec<ProbeSpec> {
        let mut plan = Plan::default();
        plan.add(ProbeKind::Resolv);
        self.dns(&mut plan);
        if asks != Asks::Dns {
            self.connections(&mut plan);
        }
        if let Some(region) = self.region().filter(|_| asks == Asks::Identity) {
            plan.add(ProbeKind::Sts {
                region: region.to_owned(),
                endpoint: None,
                timeout_ms: 10_000,
            });
        }
        plan.probes
    }

    fn dns(&self, plan: &mut Plan) {
        let in_cluster = format!("kubernetes.default.svc.{}.", self.domain);
        let dotted: Vec<String> = self.aws.iter().map(|host| format!("{host}.")).collect();
        let sts = dotted.first();
        // That it does not exist needs no upstream either, and no answer of an earlier time can serve.
        let made_up = format!("{MADE_UP}{}.{}.", self.salt, self.domain);
        for service in &self.dns_services {
            plan.dns(*service, &in_cluster);
            plan.dns(*service, &made_up);
            plan.large(*service);
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
            plan.dns(*pod, &made_up);
            sts.into_iter().for_each(|name| plan.dns(*pod, name));
        }
        for resolver in &self.resolvers {
            // Names of the cluster are never asked here: that they do not exist there is right.
            for name in &dotted {
                plan.dns(*resolver, name);
            }
            plan.dns(*resolver, EXTERNAL);
            plan.large(*resolver);
        }
        for (written, full) in &self.named {
            let node_local = self.node_local.then_some(NODE_LOCAL.into());
            let outside = !in_domain(full, &self.domain);
            let resolvers = self.resolvers.iter().filter(|_| outside);
            let servers = self
                .dns_services
                .iter()
                .chain(&node_local)
                .chain(&self.dns_pods);
            for server in servers.chain(resolvers) {
                plan.dns(*server, full);
            }
            plan.lookup(written);
        }
        plan.lookup("kubernetes.default");
        for host in &self.aws {
            plan.lookup(host);
        }
    }

    fn connections(&self, plan: &mut Plan) {
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

    /// A question for an answer that does not fit a packet without EDNS.
    fn large(&mut self, server: IpAddr) {
        self.ask(server, EXTERNAL, QueryType::Txt);
    }

    fn dns(&mut self, server: IpAddr, name: &str) {
        self.ask(server, name, QueryType::A);
    }

    /// A question over UDP and over TCP: five tries, 200 ms apart, 2 s each.
    fn ask(&mut self, server: IpAddr, name: &str, query: QueryType) {
        for transport in [Transport::Udp, Transport::Tcp] {
            self.add(ProbeKind::Dns {
                server: SocketAddr::new(server, 53),
                transport,
                name: name.to_owned(),
                query,
                tries: 5,
                gap_ms: 200,
                timeout_ms: 2000,
            });
        }
    }

    fn lookup(&mut self, name: &str) {
        self.add(ProbeKind::Lookup {
            name: name.to_owned(),
            timeout_ms: 5000,
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
mod tests;
