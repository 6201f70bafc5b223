//! Pairs of a probe pod and a CoreDNS pod, and what passed between them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_model::kubernetes::Pod;
use eksnet_model::{ClusterDns, Cx, DnsPath, Fact, ProbePod, Source, Text};
use eksnet_probe::Transport;

/// One probe pod that asked one CoreDNS pod by its own address.
pub(super) struct Pair<'a> {
    pub(super) client: &'a ProbePod,
    pub(super) server: &'a Pod,
    udp: Option<DnsPath>,
    tcp: Option<DnsPath>,
}

/// All pairs that were tried. A dual-stack pod is asked by either address; the better one counts.
pub(super) fn all<'a>(cx: &Cx<'_>, clients: &[&'a ProbePod], servers: &[&'a Pod]) -> Vec<Pair<'a>> {
    let domain = cx.cluster().dns_domain();
    let mut pairs = Vec::new();
    for client in clients.iter().copied() {
        for server in servers {
            let best = |transport| {
                server
                    .ips()
                    .filter_map(|ip| ip.parse().ok())
                    .filter_map(|ip| client.dns_path(ip, transport, domain))
                    .max_by_key(|path| path.answered)
            };
            let (udp, tcp) = (best(Transport::Udp), best(Transport::Tcp));
            if udp.is_some() || tcp.is_some() {
                pairs.push(Pair {
                    client,
                    server,
                    udp,
                    tcp,
                });
            }
        }
    }
    pairs
}

impl<'a> Pair<'a> {
    pub(super) fn name(&self) -> &'a str {
        &self.server.metadata.name
    }

    pub(super) fn same_node(&self) -> bool {
        self.client.at.node == self.server.spec.node_name.as_str()
    }

    fn path(&self, transport: Transport) -> Option<DnsPath> {
        match transport {
            Transport::Udp => self.udp,
            Transport::Tcp => self.tcp,
        }
    }

    /// Whether every try over that transport was lost; some of them is loss, not a block.
    pub(super) fn is_dead(&self, transport: Transport) -> bool {
        self.path(transport).is_some_and(DnsPath::is_dead)
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.is_dead(Transport::Udp) || self.is_dead(Transport::Tcp)
    }

    /// Whether the same pod answers another probe over the transports that are dead here: the pod is
    /// alive, and the way to it is not.
    pub(super) fn has_baseline(&self, all: &[Pair<'_>]) -> bool {
        [Transport::Udp, Transport::Tcp]
            .into_iter()
            .filter(|transport| self.is_dead(*transport))
            .any(|transport| {
                all.iter().any(|other| {
                    other.name() == self.name() && other.path(transport).is_some_and(DnsPath::works)
                })
            })
    }

    pub(super) fn answers_on_own_node(&self, all: &[Pair<'_>]) -> bool {
        all.iter().any(|other| {
            other.name() == self.name()
                && other.same_node()
                && other.udp.is_some_and(DnsPath::works)
        })
    }

    fn scores(&self) -> String {
        let score =
            |path: Option<DnsPath>| path.map_or_else(|| "not tried".to_owned(), DnsPath::score);
        format!("udp {} tcp {}", score(self.udp), score(self.tcp))
    }

    /// The pair as proof, beside the best other probe of the same pod.
    pub(super) fn fact(&self, all: &[Pair<'_>]) -> Fact {
        let baseline = all
            .iter()
            .filter(|other| other.name() == self.name() && !other.is_blocked())
            .max_by_key(|other| other.udp.map_or(0, |path| path.answered));
        let baseline = baseline.map_or_else(String::new, |other| {
            let from = if other.same_node() {
                "its own node".to_owned()
            } else {
                standpoint(other.client)
            };
            format!("; from {from}: {}", other.scores())
        });
        Fact::new(
            Source::Probes,
            format!(
                "{} -> {}:53 {}",
                standpoint(self.client),
                self.server.status.pod_ip,
                self.name()
            ),
            format!("DNS from namespace {}", self.client.at.namespace),
            format!("{}{baseline}", self.scores()),
        )
        .at(self.client.at_time)
    }
}

fn standpoint(pod: &ProbePod) -> String {
    if pod.at.class.is_empty() {
        pod.at.node.to_string()
    } else {
        format!("{} ({})", pod.at.node, pod.at.class)
    }
}

/// What the Service's address gave the same clients.
#[derive(Default)]
pub(super) struct Vip {
    pub(super) dead: bool,
    pub(super) lossy: bool,
    pub(super) clean: bool,
    pub(super) fact: Option<Fact>,
}

impl Vip {
    pub(super) fn of(
        cx: &Cx<'_>,
        dns: &ClusterDns<'_>,
        clients: &BTreeSet<&Text>,
        all: &[Pair<'_>],
    ) -> Self {
        let domain = cx.cluster().dns_domain();
        let mut vip = Self::default();
        for pair in all
            .iter()
            .filter(|pair| clients.contains(&pair.client.at.node))
        {
            for ip in dns.cluster_ips() {
                let Some(path) = pair.client.dns_path(ip, Transport::Udp, domain) else {
                    continue;
                };
                vip.dead |= path.is_dead();
                vip.lossy |= path.is_lossy();
                vip.clean |= path.answered == path.tries();
                vip.fact.get_or_insert_with(|| {
                    Fact::new(
                        Source::Probes,
                        format!("{} -> {ip}:53 kube-dns", standpoint(pair.client)),
                        "DNS over UDP",
                        path.score(),
                    )
                    .at(pair.client.at_time)
                });
            }
        }
        // Clean on one node and not on another says nothing for all of them.
        vip.clean &= !vip.dead && !vip.lossy;
        vip
    }
}

/// Whether the pairs that fail are those that cross subnets, where network ACLs apply.
#[derive(Default)]
pub(super) struct Subnets {
    pub(super) cross_only: bool,
    pub(super) same_blocked: bool,
    pub(super) fact: Option<Fact>,
}

impl Subnets {
    pub(super) fn of(cx: &Cx<'_>, of_class: &[&Pair<'_>], blocked: &[&Pair<'_>]) -> Self {
        let same = |pair: &Pair<'_>| Some(client(cx, pair)? == server(cx, pair)?);
        let blocked_same: Vec<Option<bool>> = blocked.iter().map(|pair| same(pair)).collect();
        let same_blocked = blocked_same.contains(&Some(true));
        let same_works = of_class
            .iter()
            .any(|pair| !pair.is_blocked() && same(pair) == Some(true));
        let cross_only = same_works && blocked_same.iter().all(|one| *one == Some(false));
        let pair = blocked.iter().find(|pair| same(pair).is_some());
        let fact = pair.and_then(|pair| {
            Some(Fact::new(
                Source::Subnets,
                format!("{} and {}", pair.client.at.node, pair.name()),
                "subnets",
                format!("{} and {}", client(cx, pair)?, server(cx, pair)?),
            ))
        });
        Self {
            cross_only,
            same_blocked,
            fact,
        }
    }
}

fn client<'a>(cx: &'a Cx<'_>, pair: &Pair<'_>) -> Option<&'a str> {
    let topology = cx.topology();
    let by_ip = pair.client.ip.and_then(|ip| topology.subnet_by_ip(ip));
    let subnet = by_ip.or_else(|| topology.subnet_of_node(topology.node(&pair.client.at.node)?))?;
    Some(&subnet.subnet_id)
}

fn server<'a>(cx: &'a Cx<'_>, pair: &Pair<'_>) -> Option<&'a str> {
    let ip: IpAddr = pair.server.status.pod_ip.parse().ok()?;
    Some(&cx.topology().subnet_by_ip(ip)?.subnet_id)
}
