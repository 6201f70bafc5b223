//! `P.tcp`: connections to every address of a host.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use eksnet_probe::{Outcome, TcpOutcome, TcpState, TcpTry};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::dns::milliseconds;
use crate::fault::Fault;
use crate::lookup::{Unresolved, resolve};
use crate::surroundings::Surroundings;
use crate::tries::in_order;

/// Resolves `host` and connects `tries` times to each of its addresses, all at once.
pub(crate) async fn probe(
    host: &str,
    port: u16,
    tries: u32,
    limit: Duration,
    surroundings: Arc<Surroundings>,
) -> Outcome {
    let addresses = match resolve(host, limit, &surroundings).await {
        Ok(addresses) => addresses,
        Err(Unresolved::NotAsked(why)) => return Outcome::NotRun { why },
        Err(Unresolved::Dns(outcome)) => {
            return Outcome::Tcp(TcpOutcome {
                addresses: Vec::new(),
                lookup_error: Some(outcome),
                tries: Vec::new(),
            });
        }
    };
    let mut running = JoinSet::new();
    for (place, address) in addresses.iter().copied().enumerate() {
        for number in 0..tries {
            let surroundings = Arc::clone(&surroundings);
            running.spawn(async move {
                let ended = one_try(address, port, limit, &surroundings).await;
                ((place, number), ended)
            });
        }
    }
    match in_order(running).await {
        Ok(tries) => Outcome::Tcp(TcpOutcome {
            addresses,
            lookup_error: None,
            tries,
        }),
        Err(why) => Outcome::NotRun { why },
    }
}

async fn one_try(
    address: IpAddr,
    port: u16,
    limit: Duration,
    surroundings: &Surroundings,
) -> Result<TcpTry, String> {
    let _permit = surroundings.socket().await;
    let start = Instant::now();
    let connected = timeout(limit, TcpStream::connect(SocketAddr::new(address, port))).await;
    let elapsed_ms = milliseconds(start.elapsed());
    let state = match connected {
        Ok(Ok(_)) => TcpState::Open,
        Err(_) => TcpState::Timeout,
        Ok(Err(error)) => Fault::of(&error).tcp().ok_or_else(|| {
            format!("the agent could not open a socket to {address}:{port}: {error}")
        })?,
    };
    Ok(TcpTry {
        address,
        state,
        elapsed_ms,
    })
}
