//! Whether a name resolves, over all the ways in which a probe pod tried.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_probe::{Answer, DnsOutcome, Outcome, ProbeKind, Transport};

use crate::dns::bare;
use crate::{DnsAnswer, ProbePod};

/// What asking for one name came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolution {
    /// Addresses that were given by any way.
    pub addresses: BTreeSet<IpAddr>,
    /// The ways that were tried.
    pub ways: Vec<Way>,
}

/// One way of asking for a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// Whom: `10.100.0.10:53 over UDP`, or `the pod's resolver`.
    pub via: String,
    /// What came back most, such as `timeout 5/5`.
    pub saw: String,
    /// The outcome that was seen most.
    pub outcome: DnsOutcome,
    /// Whether an address came back.
    pub resolved: bool,
}

impl Resolution {
    /// Whether any way gave an address.
    #[must_use]
    pub fn resolved(&self) -> bool {
        !self.addresses.is_empty() || self.ways.iter().any(|way| way.resolved)
    }

    /// Whether a server said explicitly that it has no address for the name, or would not say.
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        self.ways.iter().any(|way| {
            matches!(
                way.outcome,
                DnsOutcome::Nxdomain
                    | DnsOutcome::Nodata
                    | DnsOutcome::Servfail
                    | DnsOutcome::Refused
            )
        })
    }

    /// Whether a way that failed ended like that.
    #[must_use]
    pub fn failed_with(&self, outcome: DnsOutcome) -> bool {
        self.ways
            .iter()
            .any(|way| !way.resolved && way.outcome == outcome)
    }
}

impl ProbePod {
    /// What asking `servers` directly for `host` came to; `None` when none was asked.
    #[must_use]
    pub fn resolution_at(&self, host: &str, servers: &[IpAddr]) -> Option<Resolution> {
        let mut found = Resolution::default();
        let asked = self
            .dns()
            .filter(|answer| servers.contains(&answer.server) && bare(answer.name) == bare(host));
        for answer in asked {
            found.addresses.extend(addresses(&answer));
            let Some(outcome) = answer.outcomes().first().copied() else {
                continue;
            };
            let resolved = answer.count(DnsOutcome::Ok) > 0;
            let transport = match answer.transport {
                Transport::Udp => "UDP",
                Transport::Tcp => "TCP",
            };
            found.ways.push(Way {
                via: format!("{}:53 over {transport}", answer.server),
                saw: format!(
                    "{} {}/{}",
                    outcome.word(),
                    answer.count(outcome),
                    answer.tries.len()
                ),
                outcome,
                resolved,
            });
        }
        Some(found).filter(|found| !found.ways.is_empty())
    }

    /// What asking for `host` as a program in this pod would came to: through its resolver, and at
    /// the servers in its `/etc/resolv.conf`, or `servers` where that was not read. `None` when that
    /// was not tried.
    #[must_use]
    pub fn resolution(&self, host: &str, servers: &[IpAddr]) -> Option<Resolution> {
        let own: Vec<IpAddr> = self
            .resolv()
            .map(|resolv| {
                resolv
                    .nameservers
                    .iter()
                    .filter_map(|ip| ip.parse().ok())
                    .collect()
            })
            .unwrap_or_default();
        let servers = if own.is_empty() { servers } else { &own };
        let mut found = self.resolution_at(host, servers).unwrap_or_default();
        for (kind, outcome) in self.answers() {
            let (got, error) = match (kind, outcome) {
                (ProbeKind::Lookup { name, .. }, Outcome::Lookup(lookup))
                    if bare(name) == bare(host) =>
                {
                    (&lookup.addresses, lookup.error)
                }
                (ProbeKind::Tcp { host: asked, .. }, Outcome::Tcp(tcp))
                    if bare(asked) == bare(host) =>
                {
                    (&tcp.addresses, tcp.lookup_error)
                }
                _ => continue,
            };
            found.addresses.extend(got.iter().copied());
            let outcome = match error {
                Some(error) => error,
                None if got.is_empty() => DnsOutcome::Nodata,
                None => DnsOutcome::Ok,
            };
            let way = Way {
                via: "the pod's resolver".to_owned(),
                saw: outcome.word().to_owned(),
                outcome,
                resolved: !got.is_empty(),
            };
            if !found.ways.contains(&way) {
                found.ways.push(way);
            }
        }
        Some(found).filter(|found| !found.ways.is_empty())
    }
}

fn addresses(answer: &DnsAnswer<'_>) -> Vec<IpAddr> {
    answer
        .tries
        .iter()
        .flat_map(|each| &each.answers)
        .filter_map(|answer| match answer {
            Answer::Address(ip) => Some(*ip),
            Answer::Alias(_) | Answer::Other(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "sts.us-west-2.amazonaws.com";

    fn pod(json: serde_json::Value) -> ProbePod {
        serde_json::from_value(json).expect("a probe pod")
    }

    #[test]
    fn a_name_that_one_server_knows_resolves_though_another_does_not() {
        let pod = pod(serde_json::json!({
            "plan": [
                {"id": 1, "kind": "dns", "server": "10.100.0.10:53", "transport": "udp", "name": format!("{HOST}."), "query": "A", "tries": 1, "gapMs": 1, "timeoutMs": 1},
                {"id": 2, "kind": "dns", "server": "10.0.0.2:53", "transport": "udp", "name": format!("{HOST}."), "query": "A", "tries": 1, "gapMs": 1, "timeoutMs": 1}],
            "results": [
                {"id": 1, "outcome": {"kind": "dns", "tries": [{"outcome": "timeout", "elapsedMs": 1.0}]}},
                {"id": 2, "outcome": {"kind": "dns", "tries": [{"outcome": "ok", "elapsedMs": 1.0, "answers": [{"address": "1.2.3.4"}]}]}}]}));
        let cluster = ["10.100.0.10".parse().expect("an address")];
        let vpc = ["10.0.0.2".parse().expect("an address")];
        let through_cluster = pod.resolution(HOST, &cluster).expect("asked");
        assert!(!through_cluster.resolved() && !through_cluster.is_explicit());
        assert_eq!(through_cluster.ways[0].saw, "timeout 1/1");
        assert!(pod.resolution_at(HOST, &vpc).expect("asked").resolved());
        assert_eq!(pod.resolution("ec2.us-west-2.amazonaws.com", &vpc), None);
    }

    #[test]
    fn the_servers_of_the_pod_itself_count_and_lookups_with_them() {
        let pod = pod(serde_json::json!({
            "plan": [{"id": 1, "kind": "resolv"}, {"id": 2, "kind": "lookup", "name": HOST, "timeoutMs": 1}],
            "results": [
                {"id": 1, "outcome": {"kind": "resolv", "nameservers": ["169.254.20.10"]}},
                {"id": 2, "outcome": {"kind": "lookup", "addresses": [], "elapsedMs": 1.0, "error": "nxdomain"}}]}));
        let found = pod.resolution(HOST, &[]).expect("asked");
        assert!(!found.resolved() && found.is_explicit());
        assert!(found.failed_with(DnsOutcome::Nxdomain));
    }
}
