//! Asks the servers of `resolv.conf` for the addresses of one fully qualified name.

use std::net::IpAddr;
use std::sync::Arc;

use eksnet_probe::DnsOutcome;
use hickory_proto::op::{DnsRequestOptions, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::xfer::{DnsHandle as _, FirstAnswer as _};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};

use super::Unresolved;
use super::settings::Settings;
use super::sockets::{self, FreshSockets};
use crate::surroundings::Surroundings;

/// One pool per server: within a pool hickory rotates, and glibc does not.
pub(super) struct Client<'a> {
    servers: Vec<NameServerPool<FreshSockets>>,
    settings: &'a Settings,
    surroundings: &'a Surroundings,
}

impl<'a> Client<'a> {
    pub(super) fn new(settings: &'a Settings, surroundings: &'a Surroundings) -> Self {
        let mut options = ResolverOpts::default();
        options.timeout = settings.timeout;
        options.attempts = 1;
        options.edns0 = false;
        options.num_concurrent_reqs = 1;
        options.try_tcp_on_error = false;
        let pool = |address: &IpAddr| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            if settings.tcp_only {
                connections.remove(0);
            }
            let server = NameServerConfig::new(*address, true, connections);
            let context = PoolContext::new(options.clone(), TlsConfig::new().ok()?);
            let sockets = FreshSockets::default();
            Some(NameServerPool::from_config(
                [server],
                Arc::new(context),
                sockets,
            ))
        };
        Self {
            servers: settings.servers.iter().filter_map(pool).collect(),
            settings,
            surroundings,
        }
    }

    /// IPv4 addresses, then IPv6. One family is enough; where both fail, the failure that says
    /// more is returned.
    pub(super) async fn addresses_of(&self, name: &Name) -> Result<Vec<IpAddr>, Unresolved> {
        if self.settings.ipv4_only {
            return self.ask(name, RecordType::A).await;
        }
        let (four, six) = tokio::join!(
            self.ask(name, RecordType::A),
            self.ask(name, RecordType::AAAA)
        );
        match (four, six) {
            (Ok(four), Ok(six)) => Ok([four, six].concat()),
            (Ok(only), Err(_)) | (Err(_), Ok(only)) => Ok(only),
            (Err(Unresolved::Dns(four)), Err(Unresolved::Dns(six))) => {
                Err(Unresolved::Dns(worse_of_families(four, six)))
            }
            (Err(four), Err(_)) => Err(four),
        }
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Vec<IpAddr>, Unresolved> {
        let mut worst: Option<DnsOutcome> = None;
        for _ in 0..self.settings.attempts {
            for server in &self.servers {
                match self.ask_server(server, name, kind).await {
                    Err(Unresolved::Dns(outcome)) if is_final(outcome) => {
                        return Err(Unresolved::Dns(outcome));
                    }
                    Err(Unresolved::Dns(outcome)) => {
                        let kept = worst.filter(|known| weight(*known) >= weight(outcome));
                        worst = Some(kept.unwrap_or(outcome));
                    }
                    ended => return ended,
                }
            }
        }
        Err(worst.map_or_else(
            || Unresolved::NotAsked("the resolver could not be set up".to_owned()),
            Unresolved::Dns,
        ))
    }

    async fn ask_server(
        &self,
        server: &NameServerPool<FreshSockets>,
        name: &Name,
        kind: RecordType,
    ) -> Result<Vec<IpAddr>, Unresolved> {
        let _permit = self.surroundings.socket().await;
        self.surroundings.dns_turn().await;
        let mut options = DnsRequestOptions::default();
        options.use_edns = false;
        let query = Query::query(name.clone(), kind);
        match server.lookup(query, options).first_answer().await {
            Ok(response) => {
                let found = addresses(&response.answers);
                if found.is_empty() {
                    Err(Unresolved::Dns(DnsOutcome::Nodata))
                } else {
                    Ok(found)
                }
            }
            Err(error) => Err(unresolved(&error)),
        }
    }
}

/// The addresses among `records`, of whatever name: a server returns the whole chain of aliases.
pub(super) fn addresses(records: &[Record]) -> Vec<IpAddr> {
    records
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(address.0.into()),
            RData::AAAA(address) => Some(address.0.into()),
            _ => None,
        })
        .collect()
}

/// Whether glibc asks no further server after this answer.
fn is_final(outcome: DnsOutcome) -> bool {
    matches!(outcome, DnsOutcome::Nxdomain | DnsOutcome::Nodata)
}

/// Of the failures of several servers the one that counts: an answer before silence, silence
/// before a server that is not there (`gotsomewhere` in `res_send`).
fn weight(outcome: DnsOutcome) -> u8 {
    match outcome {
        DnsOutcome::Servfail | DnsOutcome::Refused | DnsOutcome::OtherRcode => 3,
        DnsOutcome::Timeout | DnsOutcome::Malformed | DnsOutcome::Truncated => 2,
        DnsOutcome::ConnRefused => 1,
        _ => 0,
    }
}

/// A name that exists for one family exists; otherwise the failure that kept us from knowing.
fn worse_of_families(four: DnsOutcome, six: DnsOutcome) -> DnsOutcome {
    match (is_final(four), is_final(six)) {
        (true, true) if six == DnsOutcome::Nodata => six,
        (true, false) => six,
        _ => four,
    }
}

fn unresolved(error: &NetError) -> Unresolved {
    let code = |code: ResponseCode| match code {
        ResponseCode::NoError => DnsOutcome::Nodata,
        ResponseCode::NXDomain => DnsOutcome::Nxdomain,
        ResponseCode::ServFail => DnsOutcome::Servfail,
        ResponseCode::Refused => DnsOutcome::Refused,
        _ => DnsOutcome::OtherRcode,
    };
    Unresolved::Dns(match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => code(none.response_code),
        NetError::Dns(DnsError::ResponseCode(refused)) => code(*refused),
        NetError::Timeout => DnsOutcome::Timeout,
        NetError::Truncated => DnsOutcome::Truncated,
        NetError::Message(sockets::REFUSED) => DnsOutcome::ConnRefused,
        NetError::Message(sockets::NO_ROUTE) => DnsOutcome::NoRoute,
        NetError::Msg(why) => return Unresolved::NotAsked(why.clone()),
        _ => DnsOutcome::Malformed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_one_server_outweighs_the_silence_of_another() {
        assert!(weight(DnsOutcome::Refused) > weight(DnsOutcome::Timeout));
        assert!(weight(DnsOutcome::Timeout) > weight(DnsOutcome::ConnRefused));
    }

    #[test]
    fn a_name_without_addresses_of_either_family_is_nodata_if_it_exists_for_one() {
        use DnsOutcome::{Nodata, Nxdomain, Timeout};
        assert_eq!(worse_of_families(Nxdomain, Nodata), Nodata);
        assert_eq!(worse_of_families(Nodata, Nxdomain), Nodata);
        assert_eq!(worse_of_families(Nxdomain, Nxdomain), Nxdomain);
        assert_eq!(worse_of_families(Nodata, Timeout), Timeout);
        assert_eq!(worse_of_families(Timeout, Nodata), Timeout);
    }
}
