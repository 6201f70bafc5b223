//! `P.imds`: a session token, and with it the instance id, from the instance metadata service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use eksnet_probe::{ImdsOutcome, Outcome, TcpState};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, Response};
use tokio::time::{Instant, timeout_at};

use crate::connect::{Unconnected, connect, word};
use crate::dns::milliseconds;
use crate::http::exchange;
use crate::surroundings::Surroundings;
use crate::text::bounded;

/// Asks as every AWS SDK does
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>,
/// read 2026-11). With a hop limit of 1 the connection opens and the answer to the token request
/// never arrives, which is `token-timeout`; a blocked address is `connect-timeout`.
pub(crate) async fn probe(
    server: SocketAddr,
    limit: Duration,
    surroundings: Arc<Surroundings>,
) -> Outcome {
    let start = Instant::now();
    let asked = instance_id(server, limit, &surroundings).await;
    let elapsed_ms = milliseconds(start.elapsed());
    let (state, instance_id) = match asked {
        Ok(id) => ("ok".to_owned(), Some(id)),
        Err(Unavailable::State(state)) => (state, None),
        Err(Unavailable::NotAsked(why)) => return Outcome::NotRun { why },
    };
    Outcome::Imds(ImdsOutcome {
        state,
        instance_id,
        elapsed_ms,
    })
}

enum Unavailable {
    State(String),
    NotAsked(String),
}

impl Unavailable {
    fn state(state: &str) -> Self {
        Self::State(state.to_owned())
    }
}

async fn instance_id(
    server: SocketAddr,
    limit: Duration,
    surroundings: &Arc<Surroundings>,
) -> Result<String, Unavailable> {
    let put = Request::put("/latest/api/token").header("x-aws-ec2-metadata-token-ttl-seconds", 60);
    let token = send(put, server, limit, "token-timeout", surroundings).await?;
    let get = Request::get("/latest/meta-data/instance-id")
        .header("x-aws-ec2-metadata-token", token.body().as_ref());
    let id = send(get, server, limit, "timeout", surroundings).await?;
    match std::str::from_utf8(id.body()).map(str::trim) {
        Ok(id) if !id.is_empty() => Ok(bounded(id)),
        _ => Err(Unavailable::state("malformed")),
    }
}

async fn send(
    request: hyper::http::request::Builder,
    server: SocketAddr,
    limit: Duration,
    unanswered: &str,
    surroundings: &Arc<Surroundings>,
) -> Result<Response<Bytes>, Unavailable> {
    // A token of bytes that no header may hold is as good as none.
    let request = request
        .header(HOST, server.ip().to_string())
        .body(Full::default())
        .map_err(|_| Unavailable::state("malformed"))?;
    let deadline = Instant::now() + limit;
    let host = server.ip().to_string();
    let stream = connect(&host, server.port(), deadline, surroundings)
        .await
        .map_err(|failure| match failure {
            Unconnected::Tcp(TcpState::Timeout) => Unavailable::state("connect-timeout"),
            Unconnected::Tcp(state) => Unavailable::State(word(&state)),
            Unconnected::Dns(outcome) => Unavailable::State(word(&outcome)),
            Unconnected::NotTried(why) => Unavailable::NotAsked(why),
        })?;
    let answer = timeout_at(deadline, exchange(stream, request))
        .await
        .map_err(|_| Unavailable::state(unanswered))?
        .map_err(|_| Unavailable::state("malformed"))?;
    match answer.status().as_u16() {
        200 => Ok(answer),
        status => Err(Unavailable::State(format!("status-{status}"))),
    }
}
