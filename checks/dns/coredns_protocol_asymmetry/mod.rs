//! `dns/coredns-protocol-asymmetry`: cluster DNS answers over one of UDP and TCP, and not over the other.

mod large;
mod remedy;
mod ways;

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_model::dns::vpc_resolvers;
use eksnet_model::{
    Check, ClusterDns, Confidence, Cx, Fact, Finding, Gap, Heard, Meta, Place, Role, Severity,
    Source, Stop, Subject, SubjectKind, Why, logs_and_events,
};
use ways::{Dead, Way};

/// Lines older than this, in seconds, are history.
const RECENT_S: i64 = 3600;
/// Most ways or lines that stand as proof.
const MAX_FACTS: usize = 6;
const RETRIES: &[&str] = &["dns-tcp-retry-failed"];

const META: Meta = Meta {
    id: "dns/coredns-protocol-asymmetry",
    title: "Cluster DNS answers over one of UDP and TCP and not over the other",
    severity: Severity::Error,
    role: Role::Mechanism,
    needs: &[Source::Probes],
    helps: &[
        Source::Observations,
        Source::Services,
        Source::Pods,
        Source::EndpointSlices,
        Source::Vpcs,
        Source::Logs,
        Source::Events,
    ],
    signals: &["udp-dead", "tcp-dead", "truncated", "large-lost"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let _ = (
        cx.services().optional(),
        cx.pods().optional(),
        cx.endpoint_slices().optional(),
        cx.vpcs().optional(),
    );
    let servers = Servers::of(cx);
    let ways = ways::all(cx, &servers);
    let scans = logs_and_events(cx, &crate::signature_set(&META));
    let said: Vec<Heard<'_>> = Heard::recent(cx, &scans, RETRIES, RECENT_S)
        .into_iter()
        .filter(|one| {
            one.values("server")
                .filter_map(|server| server.parse().ok())
                .any(|server| servers.holds(server, one.value("name").unwrap_or("")))
        })
        .collect();
    let mut findings = Vec::new();
    for dead in [Dead::Udp, Dead::Tcp] {
        let mine: Vec<&Way> = ways.iter().filter(|way| way.is(dead)).collect();
        let lines = if dead == Dead::Tcp { &said[..] } else { &[] };
        // Ways that work, or lines of hours ago, do not make one.
        if !mine.is_empty() || !lines.is_empty() {
            findings.push(finding(cx, &servers, dead, &mine, lines));
        }
    }
    let large = large::finding(cx, &servers);
    findings.extend(large.iter().flatten().cloned());
    if findings.is_empty() {
        cx.probes().some()?;
        large.map_err(Stop::unknown)?;
        judged(&ways)?;
    }
    Ok(findings)
}

/// A pass needs a way on which both transports were answered.
fn judged(ways: &[Way]) -> Result<(), Stop> {
    let gap = |why: &str| Err(Stop::unknown(Gap::new(Source::Probes, Why::Sampled, why)));
    if let Some(way) = ways.iter().find(|way| way.no_tcp_at_all) {
        return gap(&format!(
            "{} opened no TCP connection to anything: what it gets over TCP tells nothing of cluster DNS",
            way.client
        ));
    }
    if ways.iter().any(Way::both_answer) {
        return Ok(());
    }
    gap(if ways.iter().any(Way::both_asked) {
        "cluster DNS answered over neither UDP nor TCP, or lost a part of both"
    } else {
        "no probe asked cluster DNS over both UDP and TCP"
    })
}

/// The addresses of cluster DNS.
struct Servers<'a> {
    dns: ClusterDns<'a>,
    resolvers: Vec<IpAddr>,
    domain: &'a str,
}

impl<'a> Servers<'a> {
    fn of(cx: &Cx<'a>) -> Self {
        Self {
            dns: ClusterDns::of(cx.topology()),
            resolvers: vpc_resolvers(cx.topology().vpc()),
            domain: cx.cluster().dns_domain(),
        }
    }

    fn is_known(&self, server: IpAddr) -> bool {
        self.dns.cluster_ips().contains(&server)
            || self.dns.pod_by_ip(server).is_some()
            || self
                .dns
                .endpoints
                .iter()
                .any(|one| one.addresses.contains(&server))
    }

    /// Whether a server that was asked for `name` is cluster DNS: by the Service and its pods; where those
    /// are not known, by being asked for a name of the cluster, or by being none of the VPC's resolvers.
    fn holds(&self, server: IpAddr, name: &str) -> bool {
        if self.is_known(server) {
            return true;
        }
        let looks_like_resolver = match server {
            IpAddr::V4(v4) => v4.is_link_local() || v4.octets()[3] == 2 || !v4.is_private(),
            IpAddr::V6(v6) => v6.segments()[0] & 0xfe00 != 0xfc00,
        };
        self.dns.service.is_none()
            && !self.resolvers.contains(&server)
            && !self.dns.node_local.contains(&server)
            && (eksnet_model::dns::in_domain(name, self.domain) || !looks_like_resolver)
            && !matches!(server, IpAddr::V4(v4) if v4.is_link_local() || v4.is_loopback())
    }
}

fn finding(
    cx: &Cx<'_>,
    servers: &Servers<'_>,
    dead: Dead,
    ways: &[&Way],
    lines: &[Heard<'_>],
) -> Finding {
    let mut asked: BTreeSet<String> = ways.iter().map(|way| way.server.to_string()).collect();
    asked.extend(
        lines
            .iter()
            .flat_map(|line| line.values("server").map(str::to_owned)),
    );
    let clients: BTreeSet<&str> = ways.iter().map(|way| way.client.as_str()).collect();
    let from = match clients.len() {
        0 => String::new(),
        1 | 2 => format!(
            " for {}",
            clients.iter().copied().collect::<Vec<_>>().join(" and ")
        ),
        many => format!(" for {many} clients"),
    };
    let truncated = ways.iter().any(|way| way.truncated) || !lines.is_empty();
    let (works, fails) = match dead {
        Dead::Udp => ("TCP", "UDP"),
        Dead::Tcp => ("UDP", "TCP"),
    };
    let asked: Vec<String> = asked.into_iter().take(3).collect();
    let severity = match dead {
        Dead::Udp => Severity::Error,
        // Somebody needed an answer that did not fit.
        Dead::Tcp if truncated => Severity::Error,
        Dead::Tcp => Severity::Warning,
    };
    let mut finding = META
        .finding(
            severity,
            format!(
                "Cluster DNS at {} answers over {works} and not over {fails}{from}",
                asked.join(", ")
            ),
        )
        .confidence(confidence(ways, lines))
        .detail(remedy::detail(dead, truncated))
        .subject(Subject::namespaced(
            SubjectKind::Service,
            ClusterDns::NAMESPACE,
            ClusterDns::SERVICE,
        ))
        .subject(Subject::new(SubjectKind::Other, format!("{fails} 53")))
        .facts(ways.iter().take(MAX_FACTS).map(|way| way.fact()))
        .facts(
            lines
                .iter()
                .take(MAX_FACTS)
                .map(|line| line.fact("look-up over TCP").expected("an answer")),
        )
        .signal(match dead {
            Dead::Udp => "udp-dead",
            Dead::Tcp => "tcp-dead",
        });
    if truncated {
        finding = finding.signal("truncated");
    }
    let mut place = Place::nodes(ways.iter().filter_map(|way| way.node.clone()));
    let heard = Heard::place(cx, lines);
    place.nodes.extend(heard.nodes);
    if !place.nodes.is_empty() {
        finding = finding.at(place.clone()).reaches(place);
    }
    let ip = asked.first().map_or("SERVER", String::as_str);
    let pods: Vec<&str> = servers
        .dns
        .pods
        .iter()
        .map(|pod| pod.status.pod_ip.as_str())
        .filter(|ip| !ip.is_empty())
        .collect();
    remedy::remedied(finding, dead, ip, servers.domain, &pods)
}

/// Probes that asked often prove it. By hand a name is asked once or twice; and of a name outside of the
/// cluster the way from CoreDNS to its own upstream may be what is lost.
fn confidence(ways: &[&Way], lines: &[Heard<'_>]) -> Confidence {
    let best = ways.iter().map(|way| way.confidence()).max();
    let by_lines = (!lines.is_empty()).then_some(Confidence::Likely);
    best.max(by_lines).unwrap_or(Confidence::Possible)
}

/// The proof of one way.
fn fact(source: Source, client: &str, server: IpAddr, saw: String) -> Fact {
    Fact::new(source, format!("{client} -> {server}:53"), "DNS", saw)
        .expected("answers over both UDP and TCP")
}
