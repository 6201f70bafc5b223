//! Credentials, region and clients: what every call to AWS needs.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::identity::SharedIdentityCache;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::service_config::ServiceConfigKey;
use tokio::time::{Instant, timeout_at};

use eksnet_model::{Evidence, Gap, Source, Text, Why, aws};

use super::calls::Calls;
use super::ec2::Ec2;
use super::failure::Failure;
use super::paging::within;
use super::{AwsOptions, http};
use crate::ClusterHints;

/// Longest time for a TCP and TLS handshake. A region without a way to it must not eat the deadline.
const CONNECT: Duration = Duration::from_secs(4);

/// Attempts per call, the first included. Large accounts are throttled every day.
const ATTEMPTS: u32 = 5;

const CALLER: &str = "sts:GetCallerIdentity";

/// Credentials that AWS accepted, and the clients that use them.
#[derive(Clone, Debug)]
pub struct AwsSession {
    pub(crate) sdk: SdkConfig,
    pub(crate) options: AwsOptions,
    pub(crate) hints: ClusterHints,
    pub(crate) region: String,
    pub(crate) caller: Evidence<aws::CallerIdentity>,
    pub(crate) eks: aws_sdk_eks::Client,
    pub(crate) autoscaling: aws_sdk_autoscaling::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    /// `Err` when no endpoint of EC2 is known.
    pub(crate) ec2: Result<Ec2, Failure>,
    pub(crate) counted: Calls,
}

impl AwsSession {
    /// Finds credentials and a region, and asks STS who that is.
    ///
    /// Credentials come from the default chain of the SDK: environment, profile (SSO, assumed roles,
    /// processes), web identity, container and instance metadata. The profile is the option's, else
    /// that of the kubeconfig's credential plugin. The region is the option's, else
    /// the hints', else the environment's.
    ///
    /// # Errors
    ///
    /// A gap of [`Source::CallerIdentity`] that says how to go on, when there are no credentials,
    /// when they are expired, or when no region is known.
    pub async fn connect(options: &AwsOptions, hints: &ClusterHints) -> Result<Self, Gap> {
        let deadline = Instant::now() + options.timeout;
        let attempt = (options.timeout / 3).clamp(Duration::from_secs(2), Duration::from_secs(20));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT.min(attempt))
            .operation_attempt_timeout(attempt)
            .build();
        let mut loader = aws_config::defaults(behavior())
            .http_client(http::client())
            .timeout_config(timeouts)
            .identity_cache(credentials_cache(options));
        if let Ok(name) = AppName::new("kubectl-eksnet") {
            loader = loader.app_name(name);
        }
        if let Some(profile) = options.profile.as_ref().or(hints.profile.as_ref()) {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = options.region.as_ref().or(hints.region.as_ref()) {
            loader = loader.region(Region::new(region.clone()));
        }
        let Ok(sdk) = timeout_at(deadline, loader.load()).await else {
            let failure = Failure::timeout("reading the AWS configuration");
            return Err(failure.gap(Source::CallerIdentity));
        };
        let sdk = with_retries(sdk);
        Self::start(sdk, options, hints, deadline).await
    }

    /// The same with a configuration of the caller's own: what it sets is taken as it is, an HTTP
    /// client and a cache of credentials are added where it has none.
    ///
    /// # Errors
    ///
    /// As [`AwsSession::connect`].
    pub async fn with_config(
        sdk: SdkConfig,
        options: &AwsOptions,
        hints: &ClusterHints,
    ) -> Result<Self, Gap> {
        let deadline = Instant::now() + options.timeout;
        let mut complete = sdk.to_builder();
        if sdk.http_client().is_none() {
            complete = complete.http_client(http::client());
        }
        if sdk.identity_cache().is_none() {
            complete = complete.identity_cache(credentials_cache(options));
        }
        if sdk.behavior_version().is_none() {
            complete = complete.behavior_version(behavior());
        }
        if sdk.sleep_impl().is_none() {
            complete = complete.sleep_impl(TokioSleep::new());
        }
        Self::start(complete.build(), options, hints, deadline).await
    }

    async fn start(
        sdk: SdkConfig,
        options: &AwsOptions,
        hints: &ClusterHints,
        deadline: Instant,
    ) -> Result<Self, Gap> {
        let Some(region) = sdk.region().map(|region| region.as_ref().to_owned()) else {
            return Err(no_region());
        };
        let counted = Calls::default();
        let sts = aws_sdk_sts::config::Builder::from(&sdk)
            .interceptor(counted.clone())
            .build();
        let sts = aws_sdk_sts::Client::from_conf(sts);
        let caller = match within(deadline, CALLER, fetch_caller(&sts)).await {
            Ok(caller) => Evidence::Present(caller),
            Err(failure) => {
                let gap = signed_in(&sdk, options, hints, failure.gap(Source::CallerIdentity));
                if gap.why == Why::Unauthenticated {
                    return Err(gap);
                }
                // STS alone may be out of reach, as without its endpoint in a private VPC.
                Evidence::Absent(gap)
            }
        };
        let eks = aws_sdk_eks::config::Builder::from(&sdk)
            .interceptor(counted.clone())
            .build();
        let autoscaling = aws_sdk_autoscaling::config::Builder::from(&sdk)
            .interceptor(counted.clone())
            .build();
        let iam = aws_sdk_iam::config::Builder::from(&sdk)
            .interceptor(counted.clone())
            .build();
        Ok(Self {
            eks: aws_sdk_eks::Client::from_conf(eks),
            autoscaling: aws_sdk_autoscaling::Client::from_conf(autoscaling),
            iam: aws_sdk_iam::Client::from_conf(iam),
            ec2: Ec2::new(&sdk, counted.clone()),
            options: options.clone(),
            hints: hints.clone(),
            region,
            caller,
            counted,
            sdk,
        })
    }

    /// The region of all calls.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Who calls.
    #[must_use]
    pub fn caller(&self) -> &Evidence<aws::CallerIdentity> {
        &self.caller
    }

    /// Requests so far, retries included, per action such as `ec2:DescribeSubnets`.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.counted.so_far()
    }

    /// The gap that a failed call leaves, with the way to go on where credentials are the reason.
    pub(crate) fn gap(&self, source: Source, failure: &Failure) -> Gap {
        signed_in(&self.sdk, &self.options, &self.hints, failure.gap(source))
    }
}

/// The SDK's defaults of one date: an update of it must not change retries and timeouts by itself.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// Credentials are loaded once for all services, and may take as long as everything else: a
/// `credential_process` can ask its user.
fn credentials_cache(options: &AwsOptions) -> SharedIdentityCache {
    IdentityCache::lazy().load_timeout(options.timeout).build()
}

async fn fetch_caller(sts: &aws_sdk_sts::Client) -> Result<aws::CallerIdentity, Failure> {
    let answer = sts.get_caller_identity().send().await;
    let caller = answer.map_err(|error| Failure::of_sdk(CALLER, &error))?;
    Ok(aws::CallerIdentity {
        account: caller.account.unwrap_or_default(),
        arn: caller.arn.unwrap_or_default(),
    })
}

/// Raises the attempts per call, unless the user set them.
fn with_retries(sdk: SdkConfig) -> SdkConfig {
    let current = sdk.retry_config().cloned();
    match current {
        Some(config) if config == RetryConfig::standard() => sdk
            .into_builder()
            .retry_config(config.with_max_attempts(ATTEMPTS))
            .build(),
        _ => sdk,
    }
}

fn no_region() -> Gap {
    Gap::new(
        Source::CallerIdentity,
        Why::Failed,
        "no AWS region is known: the context, the environment, the profile and instance metadata \
         name none",
    )
    .closed_by("--region")
}

/// `gap`, closed by the command that signs in where credentials are what is missing.
fn signed_in(sdk: &SdkConfig, options: &AwsOptions, hints: &ClusterHints, gap: Gap) -> Gap {
    if gap.why != Why::Unauthenticated {
        return gap;
    }
    let sso = ["sso_session", "sso_start_url"]
        .into_iter()
        .any(|setting| setting_of_profile(sdk, setting).is_some());
    let profile = options
        .profile
        .clone()
        .or_else(|| hints.profile.clone())
        .or_else(|| std::env::var("AWS_PROFILE").ok())
        .filter(|name| !name.is_empty());
    gap.closed_by(how_to_sign_in(sso, profile.as_deref()))
}

fn how_to_sign_in(sso: bool, profile: Option<&str>) -> Text {
    match (sso, profile) {
        (true, Some(profile)) => format!("aws sso login --profile {profile}").into(),
        (true, None) => "aws sso login".into(),
        (false, Some(profile)) => {
            format!("new credentials for profile {profile}, or --profile NAME").into()
        }
        (false, None) => "--profile NAME, AWS_PROFILE, or new credentials in AWS_ACCESS_KEY_ID, \
             AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
            .into(),
    }
}

fn setting_of_profile(sdk: &SdkConfig, setting: &str) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("sts")
        // No variable of this name exists: the profile alone has such settings.
        .env("EKSNET_NOT_IN_THE_ENVIRONMENT")
        .profile(setting)
        .build()
        .ok()?;
    sdk.service_config()?.load_config(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_is_said_for_the_kind_of_profile() {
        assert_eq!(
            how_to_sign_in(true, Some("dev")),
            "aws sso login --profile dev"
        );
        assert_eq!(how_to_sign_in(true, None), "aws sso login");
        assert!(how_to_sign_in(false, Some("dev")).contains("profile dev"));
        assert!(how_to_sign_in(false, None).contains("AWS_PROFILE"));
    }
}
