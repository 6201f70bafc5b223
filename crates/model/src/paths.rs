//! Whether a way through the network works, over all questions that a probe pod put to one server.

use std::net::IpAddr;

use eksnet_probe::{DnsOutcome, Outcome, ProbeKind, QueryType, Resolv, TcpOutcome, Transport};

use crate::ProbePod;
use crate::dns::in_domain;

/// What all queries from one pod to one server over one transport came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DnsPath {
    /// Tries that the server answered, whatever the answer.
    pub answered: usize,
    /// Tries that came back as refused connections: a host is there, and nothing listens.
    pub refused: usize,
    /// Tries that were lost: no answer in time, or no route.
    pub lost: usize,
}

impl DnsPath {
    /// Number of tries.
    #[must_use]
    pub fn tries(self) -> usize {
        self.answered + self.refused + self.lost
    }

    /// Whether every try was lost. Some of them is loss, not a block.
    #[must_use]
    pub fn is_dead(self) -> bool {
        self.lost > 0 && self.lost == self.tries()
    }

    /// Whether connections were refused and nothing was answered.
    #[must_use]
    pub fn is_refused(self) -> bool {
        self.refused > 0 && self.answered == 0
    }

    /// Whether some tries were answered and some were lost.
    #[must_use]
    pub fn is_lossy(self) -> bool {
        self.answered > 0 && self.lost > 0
    }

    /// Whether at least four of five tries were answered.
    #[must_use]
    pub fn works(self) -> bool {
        self.answered > 0 && self.answered * 5 >= self.tries() * 4
    }

    /// `answered/tries`, as in `0/5`.
    #[must_use]
    pub fn score(self) -> String {
        format!("{}/{}", self.answered, self.tries())
    }
}

impl ProbePod {
    /// The way to a DNS server over one transport; `None` when it was not tried.
    ///
    /// Answers that do not fit a packet count for nothing: they are lost where others are not.
    /// Names in the cluster's domain decide where they were asked: CoreDNS answers those by itself,
    /// while any other name can time out because of what is behind it. Without them an answer still
    /// shows that the way works, and silence shows nothing.
    #[must_use]
    pub fn dns_path(&self, server: IpAddr, transport: Transport, domain: &str) -> Option<DnsPath> {
        let (mut own, mut other) = (DnsPath::default(), DnsPath::default());
        for answer in self
            .every_dns()
            .filter(|answer| answer.server == server)
            .filter(|answer| answer.transport == transport && answer.query != QueryType::Txt)
        {
            let path = if in_domain(answer.name, domain) {
                &mut own
            } else {
                &mut other
            };
            for each in answer.tries {
                match each.outcome {
                    DnsOutcome::Timeout | DnsOutcome::NoRoute => path.lost += 1,
                    DnsOutcome::ConnRefused => path.refused += 1,
                    _ => path.answered += 1,
                }
            }
        }
        if own.tries() > 0 {
            Some(own)
        } else {
            Some(other).filter(|path| path.answered > 0 || path.refused > 0)
        }
    }

    /// The pod's `/etc/resolv.conf`, where it was read.
    #[must_use]
    pub fn resolv(&self) -> Option<&Resolv> {
        self.answers().find_map(|(_, outcome)| match outcome {
            Outcome::Resolv(resolv) if resolv.error.is_none() => Some(resolv),
            _ => None,
        })
    }

    /// Every TCP probe: host, port, and what came back.
    pub fn tcp(&self) -> impl Iterator<Item = (&str, u16, &TcpOutcome)> {
        self.answers()
            .filter_map(|(kind, outcome)| match (kind, outcome) {
                (ProbeKind::Tcp { host, port, .. }, Outcome::Tcp(tcp)) => {
                    Some((host.as_str(), *port, tcp))
                }
                _ => None,
            })
    }

    /// Whether any packet of this pod came back from anywhere: its own network works.
    #[must_use]
    pub fn reached_anything(&self) -> bool {
        use eksnet_probe::TcpState;
        self.dns().any(|answer| answer.answered() > 0)
            || self.tcp().any(|(_, _, tcp)| {
                tcp.tries
                    .iter()
                    .any(|each| matches!(each.state, TcpState::Open | TcpState::Refused))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(names: &[(&str, &str)]) -> ProbePod {
        let plan: Vec<serde_json::Value> = names
            .iter()
            .enumerate()
            .map(|(id, (name, _))| {
                serde_json::json!({"id": id, "kind": "dns", "server": "10.0.0.5:53", "transport": "udp", "name": name,
                    "query": "A", "tries": 5, "gapMs": 200, "timeoutMs": 2000})
            })
            .collect();
        let results: Vec<serde_json::Value> = names
            .iter()
            .enumerate()
            .map(|(id, (_, outcome))| {
                let each = serde_json::json!({"outcome": outcome, "elapsedMs": 1.0});
                serde_json::json!({"id": id, "outcome": {"kind": "dns", "tries": [each, each]}})
            })
            .collect();
        serde_json::from_value(serde_json::json!({"plan": plan, "results": results}))
            .expect("a probe pod")
    }

    fn path(names: &[(&str, &str)]) -> Option<DnsPath> {
        let server = "10.0.0.5".parse().expect("an address");
        pod(names).dns_path(server, Transport::Udp, "cluster.local")
    }

    #[test]
    fn a_server_that_is_stuck_on_its_upstream_is_still_reached() {
        let path = path(&[
            ("kubernetes.default.svc.cluster.local.", "ok"),
            ("example.com.", "timeout"),
        ]);
        assert_eq!(path.map(DnsPath::score).as_deref(), Some("2/2"));
    }

    #[test]
    fn silence_for_other_names_alone_says_nothing_and_an_answer_does() {
        assert_eq!(path(&[("example.com.", "timeout")]), None);
        assert!(path(&[("example.com.", "servfail")]).is_some_and(DnsPath::works));
    }

    #[test]
    fn lost_refused_and_lossy_are_told_apart() {
        let name = "kubernetes.default.svc.cluster.local";
        assert!(path(&[(name, "timeout")]).is_some_and(DnsPath::is_dead));
        assert!(path(&[(name, "conn-refused")]).is_some_and(DnsPath::is_refused));
        let half = path(&[(name, "ok"), (name, "timeout")]).expect("a path");
        assert!(half.is_lossy() && !half.works() && !half.is_dead());
    }
}
