//! A connection to a host by name, as a client makes one.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use eksnet_probe::{DnsOutcome, TcpState};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::fault::Fault;
use crate::lookup::{Unresolved, resolve};
use crate::surroundings::Surroundings;

/// Head start of an address before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unconnected {
    /// The name has no address.
    Dns(DnsOutcome),
    /// No address could be connected to.
    Tcp(TcpState),
    /// The agent could not try.
    NotTried(String),
}

impl std::fmt::Display for Unconnected {
    /// `dns nxdomain`, `connect timeout`: words of the protocol.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(outcome) => write!(f, "dns {}", word(outcome)),
            Self::Tcp(state) => write!(f, "connect {}", word(state)),
            Self::NotTried(why) => f.write_str(why),
        }
    }
}

/// A value of the protocol as the protocol spells it.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Connects to the first address of `host` that answers, the later ones started a little after
/// the earlier, all by `deadline`.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    deadline: Instant,
    surroundings: &Arc<Surroundings>,
) -> Result<TcpStream, Unconnected> {
    let limit = deadline.saturating_duration_since(Instant::now());
    let addresses =
        resolve(host, limit, surroundings)
            .await
            .map_err(|unresolved| match unresolved {
                Unresolved::Dns(outcome) => Unconnected::Dns(outcome),
                Unresolved::NotAsked(why) => Unconnected::NotTried(why),
            })?;
    let start = Instant::now();
    let mut racing = JoinSet::new();
    for (address, place) in addresses.into_iter().zip(0..) {
        let surroundings = Arc::clone(surroundings);
        racing.spawn(async move {
            sleep_until(start + HEAD_START * place).await;
            let _permit = surroundings.socket().await;
            attempt(address, port, deadline).await
        });
    }
    let mut failures = Vec::new();
    while let Some(joined) = racing.join_next().await {
        match joined {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(failure)) => failures.push(failure),
            Err(error) => failures.push(Unconnected::NotTried(error.to_string())),
        }
    }
    failures.sort_by_key(weight);
    Err(failures
        .pop()
        .unwrap_or(Unconnected::Tcp(TcpState::NoRoute)))
}

async fn attempt(address: IpAddr, port: u16, deadline: Instant) -> Result<TcpStream, Unconnected> {
    let to = SocketAddr::new(address, port);
    match timeout_at(deadline, TcpStream::connect(to)).await {
        Ok(Ok(stream)) => Ok(stream),
        Err(_) => Err(Unconnected::Tcp(TcpState::Timeout)),
        Ok(Err(error)) => Err(Fault::of(&error).tcp().map_or_else(
            || Unconnected::NotTried(format!("the agent could not open a socket: {error}")),
            Unconnected::Tcp,
        )),
    }
}

/// Of the failures of several addresses the one that says most: silence is what blocking looks
/// like, a refusal came from someone.
fn weight(failure: &Unconnected) -> u8 {
    match failure {
        Unconnected::NotTried(_) | Unconnected::Dns(_) => 0,
        Unconnected::Tcp(TcpState::NoRoute | TcpState::Open) => 1,
        Unconnected::Tcp(TcpState::Refused) => 2,
        Unconnected::Tcp(TcpState::Timeout) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_as_words_of_the_protocol() {
        let dns = Unconnected::Dns(DnsOutcome::ConnRefused);
        assert_eq!(dns.to_string(), "dns conn-refused");
        let tcp = Unconnected::Tcp(TcpState::NoRoute);
        assert_eq!(tcp.to_string(), "connect no-route");
    }
}
