//! The instance metadata service: `P.imds`, and how credentials of the node's role are read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use eksnet_probe::{ImdsOutcome, Outcome, TcpState};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use tokio::time::Instant;

use crate::connect::word;
use crate::dns::milliseconds;
use crate::http::{Unanswered, fetch};
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
    let service = Service::new(&format!("http://{server}"), limit, surroundings);
    let asked = async {
        let token = service.token().await?;
        service.get("/latest/meta-data/instance-id", &token).await
    };
    let asked = asked.await;
    let elapsed_ms = milliseconds(start.elapsed());
    let (state, instance_id) = match asked {
        Ok(id) => ("ok".to_owned(), Some(bounded(&id))),
        Err(Unavailable::State(state)) => (state, None),
        Err(Unavailable::NotAsked(why)) => return Outcome::NotRun { why },
    };
    Outcome::Imds(ImdsOutcome {
        state,
        instance_id,
        elapsed_ms,
    })
}

/// The service at one address.
pub(crate) struct Service {
    base: String,
    limit: Duration,
    surroundings: Arc<Surroundings>,
}

/// Why the service gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// A word of [`ImdsOutcome::state`].
    State(String),
    /// The agent could not ask.
    NotAsked(String),
}

/// A session token. It has no `Debug` and never leaves the agent.
pub(crate) struct Token(Bytes);

impl Service {
    /// The service at `base`, such as `http://169.254.169.254`; each request may take `limit`.
    pub(crate) fn new(base: &str, limit: Duration, surroundings: Arc<Surroundings>) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            limit,
            surroundings,
        }
    }

    /// A token for the next minute.
    pub(crate) async fn token(&self) -> Result<Token, Unavailable> {
        let request = Request::put(format!("{}/latest/api/token", self.base))
            .header("x-aws-ec2-metadata-token-ttl-seconds", 60);
        self.send(request, "token-timeout").await.map(Token)
    }

    /// The text at `path`, which is never empty.
    pub(crate) async fn get(&self, path: &str, token: &Token) -> Result<String, Unavailable> {
        let request = Request::get(format!("{}{path}", self.base))
            .header("x-aws-ec2-metadata-token", token.0.as_ref());
        let body = self.send(request, "timeout").await?;
        match std::str::from_utf8(&body).map(str::trim) {
            Ok(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(malformed()),
        }
    }

    async fn send(
        &self,
        request: hyper::http::request::Builder,
        unanswered: &str,
    ) -> Result<Bytes, Unavailable> {
        // A token of bytes that no header may hold is as good as none.
        let request = request.body(Full::default()).map_err(|_| malformed())?;
        let deadline = Instant::now() + self.limit;
        let answer = fetch(request, deadline, &self.surroundings)
            .await
            .map_err(|failure| match failure {
                Unanswered::Timeout => Unavailable::State(unanswered.to_owned()),
                Unanswered::Connect(TcpState::Timeout) => {
                    Unavailable::State("connect-timeout".to_owned())
                }
                Unanswered::Connect(state) => Unavailable::State(word(&state)),
                Unanswered::NotAsked(why) => Unavailable::NotAsked(why),
                Unanswered::NoHttp(_) => malformed(),
                Unanswered::Dns(_) | Unanswered::Tls { .. } => {
                    Unavailable::State(failure.to_string())
                }
            })?;
        match answer.status().as_u16() {
            200 => Ok(answer.into_body()),
            status => Err(Unavailable::State(format!("status-{status}"))),
        }
    }
}

fn malformed() -> Unavailable {
    Unavailable::State("malformed".to_owned())
}
