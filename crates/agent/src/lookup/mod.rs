//! `P.getaddrinfo`: a name as a program in the pod would resolve it.
//!
//! The order of things is glibc's (`res_search` in `resolv/res_query.c` and `res_send` in
//! `resolv/res_send.c` of glibc 2.36): the host table first; then the name as it is where it has
//! `ndots` dots, the search list, the name as it is where that had not been tried. Every server is
//! asked in turn, each for `timeout` seconds, `attempts` times over. hickory-resolver's own search
//! list and server rotation are left aside, because they differ where it matters here: its pool
//! gives all servers together the time that glibc gives to each, so that a dead first server hides
//! a live second one, and its UDP transport repeats lost packets, which hides loss.

mod client;
mod settings;
mod sockets;

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use eksnet_probe::{DnsOutcome, LookupOutcome, Outcome};
use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RecordType};
use hickory_resolver::Hosts;
use tokio::time::{Instant, timeout};

use crate::dns::milliseconds;
use crate::resolv::read_resolv;
use crate::surroundings::Surroundings;

use client::Client;
use settings::Settings;

/// Most of the host table that is read, in bytes.
const MAX_HOSTS_BYTES: u64 = 256 * 1024;

/// Most addresses kept of one name.
const MAX_ADDRESSES: usize = 16;

/// Resolves `name` and says how long it took.
pub(crate) async fn probe(name: &str, limit: Duration, surroundings: &Surroundings) -> Outcome {
    let start = Instant::now();
    let found = resolve(name, limit, surroundings).await;
    let elapsed_ms = milliseconds(start.elapsed());
    let (addresses, error) = match found {
        Ok(addresses) => (addresses, None),
        Err(Unresolved::Dns(outcome)) => (Vec::new(), Some(outcome)),
        Err(Unresolved::NotAsked(why)) => return Outcome::NotRun { why },
    };
    Outcome::Lookup(LookupOutcome {
        addresses,
        elapsed_ms,
        error,
    })
}

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// How DNS answered, or did not.
    Dns(DnsOutcome),
    /// The agent could not ask.
    NotAsked(String),
}

/// The addresses of `host`, IPv4 first: of a literal itself, else from the host table, else from
/// DNS within `limit`.
pub(crate) async fn resolve(
    host: &str,
    limit: Duration,
    surroundings: &Surroundings,
) -> Result<Vec<IpAddr>, Unresolved> {
    if let Some(address) = literal(host) {
        return Ok(vec![address]);
    }
    let name = Name::from_ascii(host).map_err(|error| {
        let host = crate::text::bounded(&format!("{host:?}"));
        Unresolved::NotAsked(format!("{host} is no DNS name: {error}"))
    })?;
    let mut addresses = from_table(&surroundings.hosts, &name);
    if addresses.is_empty() {
        let settings = Settings::new(&read_resolv(&surroundings.resolv_conf));
        addresses = timeout(limit, from_dns(&name, &settings, surroundings))
            .await
            .unwrap_or(Err(Unresolved::Dns(DnsOutcome::Timeout)))?;
    }
    addresses.truncate(MAX_ADDRESSES);
    Ok(addresses)
}

/// The address that `host` is, with or without the brackets of a URL.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    bare.parse().ok()
}

fn from_table(path: &Path, name: &Name) -> Vec<IpAddr> {
    let mut hosts = Hosts::default();
    let Ok(file) = File::open(path) else {
        return Vec::new();
    };
    // What was read before a line that is no text counts, as for libc.
    let _ = hosts.read_hosts_conf(file.take(MAX_HOSTS_BYTES));
    [RecordType::A, RecordType::AAAA]
        .into_iter()
        .filter_map(|kind| hosts.lookup_static_host(&Query::query(name.clone(), kind)))
        .flat_map(|lookup| client::addresses(lookup.answers()))
        .collect()
}

async fn from_dns(
    name: &Name,
    settings: &Settings,
    surroundings: &Surroundings,
) -> Result<Vec<IpAddr>, Unresolved> {
    let client = Client::new(settings, surroundings);
    let candidates = settings.candidates(name);
    let mut failures = Vec::new();
    let mut searching = true;
    for candidate in &candidates {
        // glibc leaves the search list on a timeout or refusal, and still tries the bare name.
        if candidate.searched && !searching {
            continue;
        }
        match client.addresses_of(&candidate.name).await {
            Ok(addresses) => return Ok(addresses),
            Err(Unresolved::Dns(outcome)) => {
                if candidate.searched && outcome == DnsOutcome::ConnRefused {
                    return Err(Unresolved::Dns(outcome));
                }
                searching &= !candidate.searched
                    || matches!(
                        outcome,
                        DnsOutcome::Nxdomain | DnsOutcome::Nodata | DnsOutcome::Servfail
                    );
                failures.push((candidate.searched, outcome));
            }
            Err(not_asked) => return Err(not_asked),
        }
    }
    Err(Unresolved::Dns(verdict(&failures)))
}

/// Which of the failures glibc reports: that of the bare name when it was asked first; else that
/// a name exists without addresses, or that a server failed; else the last.
fn verdict(failures: &[(bool, DnsOutcome)]) -> DnsOutcome {
    let any = |wanted| failures.iter().any(|(_, outcome)| *outcome == wanted);
    match (failures.first(), failures.last()) {
        (Some((false, first)), _) => *first,
        _ if any(DnsOutcome::Nodata) => DnsOutcome::Nodata,
        _ if any(DnsOutcome::Servfail) => DnsOutcome::Servfail,
        (_, Some((_, last))) => *last,
        (_, None) => DnsOutcome::Nxdomain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_needs_no_server_with_or_without_brackets() {
        assert_eq!(literal("10.0.0.1"), Some([10, 0, 0, 1].into()));
        assert_eq!(literal("[fd00:ec2::254]"), "fd00:ec2::254".parse().ok());
        assert_eq!(literal("10.0.0"), None);
    }

    #[test]
    fn the_failure_reported_is_the_one_that_glibc_reports() {
        use DnsOutcome::{Nodata, Nxdomain, Servfail, Timeout};
        assert_eq!(verdict(&[(false, Nxdomain), (true, Timeout)]), Nxdomain);
        assert_eq!(verdict(&[(true, Nodata), (false, Nxdomain)]), Nodata);
        assert_eq!(verdict(&[(true, Servfail), (false, Nxdomain)]), Servfail);
        assert_eq!(verdict(&[(true, Nxdomain), (false, Timeout)]), Timeout);
    }

    #[test]
    fn the_host_table_answers_for_both_families_and_ignores_case() {
        let path = std::env::temp_dir().join(format!("eksnet-hosts-{}", std::process::id()));
        std::fs::write(
            &path,
            "127.0.0.1 localhost\n10.9.9.9 Pod.example pod\nfd00::9 pod\n",
        )
        .unwrap();
        let of = |name: &str| from_table(&path, &Name::from_ascii(name).unwrap());
        assert_eq!(of("pod.example"), [IpAddr::from([10, 9, 9, 9])]);
        assert_eq!(
            of("pod"),
            [[10, 9, 9, 9].into(), "fd00::9".parse::<IpAddr>().unwrap()]
        );
        assert!(of("absent").is_empty());
        std::fs::remove_file(&path).unwrap();
    }
}
