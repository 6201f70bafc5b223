//! The ways from clients to cluster DNS, over both transports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use eksnet_model::dns::in_domain;
use eksnet_model::observed::{Call, CallEnd, Ground, Vantage};
use eksnet_model::{Confidence, Cx, DnsPath, Fact, Observations, ProbePod, Source, Text, Time};
use eksnet_probe::{DnsOutcome, TcpState, Transport};

use super::{Servers, fact};

/// The transport that is not answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dead {
    Udp,
    Tcp,
}

/// One client that asked one address of cluster DNS.
pub(super) struct Way {
    pub(super) client: String,
    pub(super) server: IpAddr,
    /// Node of the client, where it is known.
    pub(super) node: Option<Text>,
    /// Whether an answer over UDP did not fit.
    pub(super) truncated: bool,
    /// Whether the client opened no TCP connection, of those that it tried elsewhere.
    pub(super) no_tcp_at_all: bool,
    udp: DnsPath,
    tcp: DnsPath,
    /// Whether names of the cluster decide: CoreDNS answers those by itself.
    of_cluster: bool,
    source: Source,
    at: Option<Time>,
    namespace: Text,
}

impl Way {
    pub(super) fn is(&self, dead: Dead) -> bool {
        let is_shut = |path: DnsPath| path.is_dead() || path.is_refused();
        match dead {
            Dead::Udp => is_shut(self.udp) && self.tcp.works(),
            Dead::Tcp => is_shut(self.tcp) && self.udp.works() && !self.no_tcp_at_all,
        }
    }

    pub(super) fn both_asked(&self) -> bool {
        self.udp.tries() > 0 && self.tcp.tries() > 0
    }

    pub(super) fn both_answer(&self) -> bool {
        self.udp.answered > 0 && self.tcp.answered > 0
    }

    pub(super) fn confidence(&self) -> Confidence {
        match (self.source, self.of_cluster) {
            (Source::Probes, _) if self.udp.tries() > 2 && self.tcp.tries() > 2 => {
                Confidence::Confirmed
            }
            (Source::Probes, _) | (_, true) => Confidence::Likely,
            // A handshake that fails hangs on nothing behind CoreDNS.
            _ if self.tcp.answered == 0 => Confidence::Likely,
            _ => Confidence::Possible,
        }
    }

    pub(super) fn fact(&self) -> Fact {
        let client = match self.namespace.as_str() {
            "" => self.client.clone(),
            namespace => format!("{} in namespace {namespace}", self.client),
        };
        let more = if self.truncated {
            "; an answer over UDP did not fit"
        } else {
            ""
        };
        let saw = format!("udp {} tcp {}{more}", self.udp.score(), self.tcp.score());
        fact(self.source, &client, self.server, saw).at(self.at)
    }
}

/// All ways, of probes and of what was tried by hand.
pub(super) fn all(cx: &Cx<'_>, servers: &Servers<'_>) -> Vec<Way> {
    let seen = cx.observations().optional();
    let by_hand = seen.map_or_else(Vec::new, |seen| by_hand(servers, seen));
    let files: Vec<&Text> = seen
        .into_iter()
        .flat_map(|seen| seen.lookups.iter().map(|one| &one.from.file))
        .collect();
    let probes = cx.probes().optional();
    let pods = probes.into_iter().flat_map(|run| &run.pods);
    let mut ways: Vec<Way> = pods
        // What was tried by hand in a pod stands among the probes too.
        .filter(|pod| !files.contains(&&pod.name))
        .flat_map(|pod| of_probe(servers, pod))
        .collect();
    ways.extend(by_hand);
    ways
}

fn of_probe(servers: &Servers<'_>, pod: &ProbePod) -> Vec<Way> {
    let mut asked: Vec<IpAddr> = pod
        .dns()
        .filter(|answer| servers.holds(answer.server, answer.name))
        .map(|answer| answer.server)
        .collect();
    asked.sort_unstable();
    asked.dedup();
    let tcp_opened = |server: IpAddr| {
        pod.tcp().any(|(_, _, tcp)| {
            let mut tries = tcp.tries.iter();
            tries.any(|each| matches!(each.state, TcpState::Open | TcpState::Refused))
        }) || pod.dns().any(|answer| {
            answer.transport == Transport::Tcp && answer.server != server && answer.answered() > 0
        })
    };
    asked
        .into_iter()
        .map(|server| {
            let path = |transport| {
                pod.dns_path(server, transport, servers.domain)
                    .unwrap_or_default()
            };
            let (udp, tcp) = (path(Transport::Udp), path(Transport::Tcp));
            Way {
                client: pod.at.node.to_string(),
                server,
                node: Some(pod.at.node.clone()).filter(|node| !node.is_empty()),
                truncated: false,
                no_tcp_at_all: tcp.is_dead() && pod.tcp().count() > 0 && !tcp_opened(server),
                udp,
                tcp,
                of_cluster: true,
                source: Source::Probes,
                at: pod.at_time,
                namespace: pod.at.namespace.clone(),
            }
        })
        .collect()
}

fn by_hand(servers: &Servers<'_>, seen: &Observations) -> Vec<Way> {
    let mut ways: BTreeMap<(String, IpAddr, bool), Way> = BTreeMap::new();
    for lookup in &seen.lookups {
        let (Some(server), Some(outcome)) = (seen.server_of(lookup), lookup.outcome) else {
            continue;
        };
        if !servers.holds(server, &lookup.name) {
            continue;
        }
        let own = in_domain(&lookup.name, servers.domain);
        let way = entry(&mut ways, &lookup.from, server, own);
        let path = if lookup.tcp {
            &mut way.tcp
        } else {
            &mut way.udp
        };
        match outcome {
            DnsOutcome::Timeout | DnsOutcome::NoRoute => path.lost += 1,
            DnsOutcome::ConnRefused => path.refused += 1,
            // It came from elsewhere: a fault of another kind.
            DnsOutcome::Malformed => {}
            _ => path.answered += 1,
        }
        way.truncated |= outcome == DnsOutcome::Truncated;
    }
    for call in seen.calls.iter().filter(|call| call.port == Some(53)) {
        let Some(server) = call.address.filter(|server| servers.holds(*server, "")) else {
            continue;
        };
        if is_udp(call) {
            continue;
        }
        // A connection hangs on no name.
        for own in [true, false] {
            if !ways.contains_key(&(call.from.standpoint(), server, own)) {
                continue;
            }
            let way = entry(&mut ways, &call.from, server, own);
            match call.end {
                CallEnd::Answered => way.tcp.answered += 1,
                CallEnd::TimedOut | CallEnd::NoRoute => way.tcp.lost += 1,
                CallEnd::Refused => way.tcp.refused += 1,
                _ => {}
            }
        }
    }
    ways.into_values().collect()
}

/// Whether `nc` sent UDP: it reports success for what nobody answered.
fn is_udp(call: &Call) -> bool {
    let mut words = call.from.command.split_whitespace();
    call.said.contains("udp")
        || words.any(|word| {
            word == "--udp"
                || (word.starts_with('-') && !word.starts_with("--") && word.contains('u'))
        })
}

fn entry<'w>(
    ways: &'w mut BTreeMap<(String, IpAddr, bool), Way>,
    from: &Vantage,
    server: IpAddr,
    own: bool,
) -> &'w mut Way {
    let client = from.standpoint();
    let node = (from.ground == Ground::Node && !from.name.is_empty()).then(|| from.name.clone());
    ways.entry((client.clone(), server, own))
        .or_insert_with(|| Way {
            client,
            server,
            node,
            truncated: false,
            no_tcp_at_all: false,
            udp: DnsPath::default(),
            tcp: DnsPath::default(),
            of_cluster: own,
            source: Source::Observations,
            at: None,
            namespace: Text::default(),
        })
}
