//! `P.sts`: who the pod is for AWS, through the credentials that an AWS client in it would find.

mod client;
mod connector;
mod container;
mod credentials;
mod node_role;

use std::sync::Arc;
use std::time::Duration;

use eksnet_probe::{Outcome, StsOutcome};
use tokio::time::{Instant, timeout_at};

use crate::dns::milliseconds;
use crate::http::Unanswered;
use crate::surroundings::Surroundings;
use crate::text::bounded;

use client::Sts;
use credentials::{Found, find};

/// Why there is no identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A word of [`StsOutcome::error`] or an AWS error code, and what came with it.
    Code {
        error: String,
        message: Option<String>,
    },
    /// The agent could not ask.
    NotAsked(String),
}

impl Failure {
    fn code(error: &str, message: impl Into<Option<String>>) -> Self {
        Self::Code {
            error: error.to_owned(),
            message: message.into(),
        }
    }

    /// An answer that did not come: `dns`, `connect`, `tls` or `timeout`, the whole story in the
    /// message.
    fn unanswered(failure: Unanswered) -> Self {
        let error = match &failure {
            Unanswered::Dns(_) => "dns",
            Unanswered::Connect(_) => "connect",
            Unanswered::Tls { .. } => "tls",
            Unanswered::Timeout => "timeout",
            Unanswered::NoHttp(_) => "malformed",
            Unanswered::NotAsked(why) => return Self::NotAsked(why.clone()),
        };
        Self::code(error, failure.to_string())
    }
}

/// Finds credentials as an AWS SDK does, and asks STS of `region` (or the service at `endpoint`)
/// who they belong to.
pub(crate) async fn probe(
    region: String,
    endpoint: Option<String>,
    limit: Duration,
    surroundings: Arc<Surroundings>,
) -> Outcome {
    let start = Instant::now();
    let deadline = start + limit;
    let sts = Sts::new(region, endpoint, deadline, Arc::clone(&surroundings));
    let mut provider = None;
    let mut secrets = Vec::new();
    let identity = async {
        let Found {
            credentials,
            by_provider,
        } = find(&sts, deadline, &surroundings, &mut provider, &mut secrets).await?;
        provider = Some(by_provider);
        sts.caller_identity(credentials).await
    };
    let identity = timeout_at(deadline, identity)
        .await
        .unwrap_or(Err(Failure::code("timeout", None)));
    let mut outcome = StsOutcome {
        arn: None,
        provider: provider.map(str::to_owned),
        error: None,
        message: None,
        elapsed_ms: milliseconds(start.elapsed()),
    };
    match identity {
        Ok(arn) => outcome.arn = Some(bounded(&arn)),
        Err(Failure::NotAsked(why)) => return Outcome::NotRun { why },
        Err(Failure::Code { error, message }) => {
            outcome.error = Some(bounded(&without(&secrets, &error)));
            outcome.message = message.map(|text| bounded(&without(&secrets, &text)));
        }
    }
    Outcome::Sts(outcome)
}

/// Shortest text that is taken for a secret; those of AWS have forty characters and more, and a
/// shorter one would blot out words.
const MIN_SECRET_BYTES: usize = 8;

/// `text` with every secret blotted out: an endpoint that is not AWS may repeat what it was sent.
fn without(secrets: &[String], text: &str) -> String {
    secrets
        .iter()
        .filter(|secret| secret.len() >= MIN_SECRET_BYTES)
        .fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), "[secret]")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_comes_back_is_blotted_out() {
        let secrets = ["eyJhbGciOi".to_owned(), "t".to_owned()];
        assert_eq!(
            without(&secrets, "bad token eyJhbGciOi!"),
            "bad token [secret]!"
        );
    }
}
