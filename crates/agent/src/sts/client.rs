//! The two operations of STS that the probe needs, through its SDK crate.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{
    BehaviorVersion, Builder, IdentityCache, Region, StalledStreamProtectionConfig,
};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::{Client, Config};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tokio::time::Instant;

use super::Failure;
use super::connector::Connector;
use crate::http::Unanswered;
use crate::surroundings::Surroundings;

/// STS, asked once per operation: no retries (and with them no correction of the clock), no cache.
pub(super) struct Sts {
    config: Builder,
}

impl Sts {
    pub(super) fn new(
        region: String,
        endpoint: Option<String>,
        deadline: Instant,
        surroundings: Arc<Surroundings>,
    ) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .http_client(Connector::new(deadline, surroundings))
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .identity_cache(IdentityCache::no_cache());
        Self {
            config: match endpoint {
                Some(endpoint) => config.endpoint_url(endpoint),
                None => config,
            },
        }
    }

    /// ARN of whoever `credentials` belong to.
    pub(super) async fn caller_identity(
        &self,
        credentials: Credentials,
    ) -> Result<String, Failure> {
        let config = self.config.clone().credentials_provider(credentials);
        let answer = Client::from_conf(config.build())
            .get_caller_identity()
            .send()
            .await
            .map_err(failure)?;
        let arn = answer.arn().map(str::to_owned);
        arn.ok_or_else(|| Failure::code("malformed", "the answer of STS has no ARN".to_owned()))
    }

    /// Credentials of a role for the token of a service account.
    pub(super) async fn assume_role(
        &self,
        role: &str,
        session: &str,
        token: &str,
    ) -> Result<Credentials, Failure> {
        let answer = Client::from_conf(self.config.clone().build())
            .assume_role_with_web_identity()
            .role_arn(role)
            .role_session_name(session)
            .web_identity_token(token)
            .send()
            .await
            .map_err(failure)?;
        let given = answer.credentials().ok_or_else(|| {
            Failure::code(
                "malformed",
                "the answer of STS has no credentials".to_owned(),
            )
        })?;
        Ok(Credentials::new(
            given.access_key_id(),
            given.secret_access_key(),
            Some(given.session_token().to_owned()),
            None,
            "web-identity",
        ))
    }
}

fn failure<E>(error: SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error {
        SdkError::ServiceError(refused) => {
            let message = refused.err().message().map(str::to_owned);
            let status = refused.raw().status();
            match refused.err().code() {
                Some(code) => Failure::code(code, message),
                None if status.is_success() => Failure::code("malformed", message),
                // Not from AWS: a proxy, or a load balancer before it.
                None => Failure::code(&format!("status-{}", status.as_u16()), message),
            }
        }
        SdkError::TimeoutError(_) => Failure::code("timeout", None),
        other => match unanswered(&other) {
            Some(unanswered) => Failure::unanswered(unanswered),
            None => Failure::code("malformed", root(&other)),
        },
    }
}

/// The failure that our connector gave to the SDK, out of what the SDK wrapped around it.
fn unanswered(error: &(dyn std::error::Error + 'static)) -> Option<Unanswered> {
    let mut link = Some(error);
    while let Some(error) = link {
        if let Some(unanswered) = error.downcast_ref::<Unanswered>() {
            return Some(unanswered.clone());
        }
        link = error.source();
    }
    None
}

fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
