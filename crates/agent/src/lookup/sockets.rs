//! Connections for hickory-resolver that send one packet from one fresh, connected socket.

use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use eksnet_probe::{DnsOutcome, Transport};
use futures_util::stream::{Stream, once};
use hickory_proto::op::{DnsRequest, DnsResponse, Message};
use hickory_resolver::config::{ConnectionConfig, ProtocolConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::{ConnectionProvider, PoolContext};

use crate::dns::{Failure, exchange};

/// What a pool returns when the server refused the connection or the datagram.
pub(super) const REFUSED: &str = "connection refused";

/// What a pool returns when there is no route to the server.
pub(super) const NO_ROUTE: &str = "no route";

/// Opens a socket per query.
#[derive(Clone, Default)]
pub(super) struct FreshSockets {
    runtime: TokioRuntimeProvider,
}

/// A server and how to reach it.
#[derive(Clone)]
pub(super) struct Connection {
    server: SocketAddr,
    transport: Transport,
    limit: Duration,
}

impl ConnectionProvider for FreshSockets {
    type Conn = Connection;
    type FutureConn = Ready<Result<Connection, NetError>>;
    type RuntimeProvider = TokioRuntimeProvider;

    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        context: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        Ok(ready(Ok(Connection {
            server: SocketAddr::new(ip, config.port),
            transport: match config.protocol {
                ProtocolConfig::Udp => Transport::Udp,
                _ => Transport::Tcp,
            },
            limit: context.options.timeout,
        })))
    }

    fn runtime_provider(&self) -> &Self::RuntimeProvider {
        &self.runtime
    }
}

impl DnsHandle for Connection {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let connection = self.clone();
        Box::pin(once(async move {
            let (message, _) = request.into_parts();
            let query = message.to_vec()?;
            exchange(
                connection.server,
                connection.transport,
                &query,
                |answer| answer_to(&message, answer),
                connection.limit,
            )
            .await
            .map_err(|failure| carried(&failure, connection.server))
        }))
    }
}

/// A failure in a form that a pool of hickory-resolver 0.26 returns as it is. It replaces
/// [`NetError::Io`] by "no connections", and with that the difference between a server that
/// refuses and one that no route leads to.
fn carried(failure: &Failure, server: SocketAddr) -> NetError {
    match failure.outcome(server) {
        Ok(DnsOutcome::Timeout) => NetError::Timeout,
        Ok(DnsOutcome::ConnRefused) => NetError::Message(REFUSED),
        Ok(DnsOutcome::NoRoute) => NetError::Message(NO_ROUTE),
        Ok(_) => NetError::Message("the answer is to another question"),
        Err(why) => NetError::Msg(why),
    }
}

fn answer_to(query: &Message, answer: &[u8]) -> Option<DnsResponse> {
    let response = DnsResponse::from_buffer(answer.to_vec()).ok()?;
    let same_question = response.queries.is_empty() || response.queries == query.queries;
    (response.metadata.id == query.metadata.id && same_question).then_some(response)
}
