//! One DNS message out, one back, over a socket that nothing else uses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use eksnet_probe::{DnsOutcome, Transport};
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::fault::Fault;

/// Longest UDP answer that is read, in bytes. Queries carry no EDNS, so a server sends at most 512.
const MAX_DATAGRAM: usize = 4096;

/// Why no answer to the question came back.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Time ran out, and nothing had come.
    Timeout,
    /// What came was no answer to the question.
    Malformed,
    /// The socket said so.
    Socket(io::Error),
}

impl Failure {
    /// As the end of a query.
    ///
    /// # Errors
    /// A sentence, when the agent itself could not ask.
    pub(crate) fn outcome(&self, server: SocketAddr) -> Result<DnsOutcome, String> {
        match self {
            Self::Timeout => Ok(DnsOutcome::Timeout),
            Self::Malformed => Ok(DnsOutcome::Malformed),
            Self::Socket(error) => Fault::of(error)
                .dns()
                .ok_or_else(|| format!("the agent could not open a socket to {server}: {error}")),
        }
    }
}

/// Sends `query` to `server` and returns what `accept` makes of the answer, within `limit`.
///
/// `accept` returns `None` for a message that does not answer the query. Over UDP such a message
/// is passed over, since a late or forged datagram must not end the wait for the real one; over
/// TCP it ends the exchange.
pub(crate) async fn exchange<T>(
    server: SocketAddr,
    transport: Transport,
    query: &[u8],
    accept: impl Fn(&[u8]) -> Option<T>,
    limit: Duration,
) -> Result<T, Failure> {
    match transport {
        Transport::Udp => over_udp(server, query, accept, limit).await,
        Transport::Tcp => timeout(limit, over_tcp(server, query, accept))
            .await
            .unwrap_or(Err(Failure::Timeout)),
    }
}

async fn over_udp<T>(
    server: SocketAddr,
    query: &[u8],
    accept: impl Fn(&[u8]) -> Option<T>,
    limit: Duration,
) -> Result<T, Failure> {
    let mut strange = false;
    let wait = async {
        let local: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((local, 0)).await?;
        // Connected, so that ICMP errors reach this socket and datagrams of others do not.
        socket.connect(server).await?;
        socket.send(query).await?;
        loop {
            // An ICMP error makes a socket neither readable nor writable: without `ERROR` it
            // would go unnoticed until the limit.
            let accepted = socket
                .async_io(Interest::READABLE | Interest::ERROR, || {
                    let mut datagram = [0; MAX_DATAGRAM];
                    let (length, _) = recv(&socket, &mut datagram, RecvFlags::empty())?;
                    Ok(accept(&datagram[..length]))
                })
                .await?;
            match accepted {
                Some(accepted) => return Ok(accepted),
                None => strange = true,
            }
        }
    };
    match timeout(limit, wait).await {
        Ok(ended) => ended.map_err(Failure::Socket),
        Err(_) if strange => Err(Failure::Malformed),
        Err(_) => Err(Failure::Timeout),
    }
}

async fn over_tcp<T>(
    server: SocketAddr,
    query: &[u8],
    accept: impl Fn(&[u8]) -> Option<T>,
) -> Result<T, Failure> {
    let mut stream = TcpStream::connect(server).await.map_err(Failure::Socket)?;
    let length = u16::try_from(query.len()).map_err(|_| Failure::Malformed)?;
    // In one write: some servers do not wait for a second segment.
    let framed = [&length.to_be_bytes(), query].concat();
    stream.write_all(&framed).await.map_err(Failure::Socket)?;
    let mut answer = Vec::new();
    let length = stream.read_u16().await.map_err(Failure::Socket)?;
    (&mut stream)
        .take(u64::from(length))
        .read_to_end(&mut answer)
        .await
        .map_err(Failure::Socket)?;
    if answer.len() < usize::from(length) {
        return Err(Failure::Malformed);
    }
    accept(&answer).ok_or(Failure::Malformed)
}
