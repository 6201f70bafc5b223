//! EC2 through the SDK's own runtime, without its SDK crate: see
//! `docs/adr/0002-ec2-without-its-sdk.md`.

use std::fmt;
use std::sync::Arc;

use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::service_clock_skew::{ServiceClockSkewClassifier, ServiceClockSkewInterceptor};
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_sdk_autoscaling::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::auth::{
    AuthSchemeOptionResolverParams, SharedAuthScheme, SharedAuthSchemeOptionResolver,
};
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use aws_types::sdk_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use tokio::sync::Semaphore;

use eksnet_model::Why;

use super::super::calls::Calls;
use super::super::failure::Failure;
use super::element::{Element, Malformed, read, read_error};
use super::query::Query;

/// Calls at the same time. EC2 refills its request quota slowly, and shares it by account.
const AT_ONCE: usize = 8;

/// An error that EC2 answered with.
#[derive(Debug)]
struct Refusal(ErrorMetadata);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refusal {}

impl ProvideErrorMetadata for Refusal {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

/// A client of EC2's Query API. Clones share credentials, connections and the retry quota.
#[derive(Clone, Debug)]
pub(crate) struct Ec2 {
    sdk: SdkConfig,
    endpoint: String,
    region: String,
    counted: Calls,
    /// Calls that may run at the same time, of all clones.
    slots: Arc<Semaphore>,
}

impl Ec2 {
    /// A client for the region of `sdk`.
    ///
    /// # Errors
    ///
    /// When no endpoint is known for the region, such as a dual-stack one in a partition without
    /// them.
    pub(crate) fn new(sdk: &SdkConfig, counted: Calls) -> Result<Self, Failure> {
        let region = sdk
            .region()
            .map(|region| region.as_ref().to_owned())
            .unwrap_or_default();
        let endpoint = match endpoint_of_user(sdk) {
            Some(url) => url,
            None => endpoint_of_partition(sdk, &region)?,
        };
        Ok(Self {
            sdk: sdk.clone(),
            endpoint,
            region,
            counted,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Sends `query` and reads the answer.
    pub(crate) async fn call<T>(
        &self,
        query: Query,
        reader: impl FnOnce(Element<'_>) -> Result<T, Malformed>,
    ) -> Result<T, Failure> {
        let action = query.action();
        let name = format!("ec2:{action}");
        let _slot = self.slots.acquire().await;
        let operation = self.operation(action);
        let answer = Box::pin(operation.invoke(query)).await;
        let body = answer.map_err(|error| Failure::of_sdk(&name, &error))?;
        read(action, &body, reader)
            .map_err(|malformed| Failure::new(name, Why::Malformed, malformed.to_string()))
    }

    fn operation(&self, action: &'static str) -> Operation<Query, String, Refusal> {
        let retries = self.sdk.retry_config().cloned();
        let retries = retries.unwrap_or_else(RetryConfig::standard);
        let timeouts = self.sdk.timeout_config().cloned();
        let mut builder = Operation::builder()
            .service_name("EC2")
            .operation_name(action)
            .endpoint_url(&self.endpoint)
            .standard_retry(&retries)
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(TransientErrorClassifier::<Refusal>::new())
            .retry_classifier(AwsErrorCodeClassifier::<Refusal>::new())
            .retry_classifier(ServiceClockSkewClassifier::<Refusal>::new())
            .interceptor(ServiceClockSkewInterceptor::new())
            .interceptor(UserAgentInterceptor::new())
            .interceptor(self.counted.clone())
            .with_connection_poisoning()
            .runtime_plugin(self.signing());
        if let Some(timeouts) = timeouts {
            builder = builder.timeout_config(timeouts);
        }
        if let Some(version) = self.sdk.behavior_version() {
            builder = builder.behavior_version(version);
        }
        if let Some(client) = self.sdk.http_client() {
            builder = builder.http_client(client);
        }
        if let Some(sleep) = self.sdk.sleep_impl() {
            builder = builder.sleep_impl(sleep);
        }
        if let Some(time) = self.sdk.time_source() {
            builder = builder.time_source(time);
        }
        builder
            .serializer(|query: Query| {
                let mut request = HttpRequest::new(SdkBody::from(query.body()));
                request.set_method("POST")?;
                request.set_uri("/")?;
                request
                    .headers_mut()
                    .insert("content-type", "application/x-www-form-urlencoded");
                Ok(request)
            })
            .deserializer(body_of)
            .build()
    }

    /// Signature version 4 with the credentials of the session.
    fn signing(&self) -> StaticRuntimePlugin {
        let mut config = Layer::new("ec2");
        config.store_put(AuthSchemeOptionResolverParams::new(()));
        config.store_put(SigV4OperationSigningConfig {
            region: Some(SigningRegion::from(aws_types::region::Region::new(
                self.region.clone(),
            ))),
            name: Some(SigningName::from_static("ec2")),
            ..SigV4OperationSigningConfig::default()
        });
        config.store_put(ApiMetadata::new("ec2", env!("CARGO_PKG_VERSION")));
        if let Some(app) = self.sdk.app_name() {
            config.store_put(app.clone());
        }
        let mut components = RuntimeComponentsBuilder::new("ec2")
            .with_auth_scheme(SharedAuthScheme::new(SigV4AuthScheme::new()))
            .with_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(
                StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]),
            )));
        if let Some(cache) = self.sdk.identity_cache() {
            components.set_identity_cache(Some(cache));
        }
        if let Some(credentials) = self.sdk.credentials_provider() {
            // A provider keeps its place in the cache, so all services share one set.
            components.set_identity_resolver(SCHEME_ID, SharedIdentityResolver::new(credentials));
        }
        StaticRuntimePlugin::new()
            .with_config(config.freeze())
            .with_runtime_components(components)
    }
}

fn body_of(response: &HttpResponse) -> Result<String, OrchestratorError<Refusal>> {
    let bytes = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        return std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|error| OrchestratorError::response(error.into()));
    }
    let (code, message) = read_error(&String::from_utf8_lossy(bytes));
    let mut meta = ErrorMetadata::builder();
    if let Some(code) = code {
        meta = meta.code(code);
    }
    let message = message.unwrap_or_else(|| format!("HTTP status {}", response.status().as_u16()));
    Err(OrchestratorError::operation(Refusal(
        meta.message(message).build(),
    )))
}

/// `AWS_ENDPOINT_URL_EC2`, `endpoint_url` of the profile's services, `AWS_ENDPOINT_URL`.
fn endpoint_of_user(sdk: &SdkConfig) -> Option<String> {
    let of_service = ServiceConfigKey::builder()
        .service_id("EC2")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()
        .and_then(|key| sdk.service_config()?.load_config(key));
    let of_all = || sdk.endpoint_url().map(str::to_owned);
    // An endpoint that the program set beats what a user configured for the service.
    if sdk.get_origin("endpoint_url").is_client_config() {
        return of_all().or(of_service);
    }
    of_service.or_else(of_all)
}

/// The public endpoint. EC2's rules are those of Auto Scaling with another name in front (regional,
/// FIPS as `-fips` but in GovCloud, dual-stack), so its resolver decides, and the partitions stay the
/// SDK's to know.
fn endpoint_of_partition(sdk: &SdkConfig, region: &str) -> Result<String, Failure> {
    let failed = |said: String| {
        Failure::new(
            "finding the endpoint of EC2",
            Why::Failed,
            format!("region {region}: {said}"),
        )
    };
    let parameters = Params::builder()
        .region(region)
        .use_fips(sdk.use_fips().unwrap_or_default())
        .use_dual_stack(sdk.use_dual_stack().unwrap_or_default())
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let resolver = DefaultResolver::new();
    let endpoint = futures_util::FutureExt::now_or_never(resolver.resolve_endpoint(&parameters))
        .unwrap_or_else(|| Err("no answer at once".into()))
        .map_err(|error| failed(error.to_string()))?;
    endpoint
        .url()
        .strip_prefix("https://autoscaling")
        .map(|rest| format!("https://ec2{rest}"))
        .ok_or_else(|| failed(format!("an endpoint of another shape, {}", endpoint.url())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(region: &'static str, fips: bool, dual_stack: bool) -> Result<String, Failure> {
        let sdk = SdkConfig::builder()
            .region(aws_types::region::Region::new(region))
            .use_fips(fips)
            .use_dual_stack(dual_stack)
            .build();
        Ec2::new(&sdk, Calls::default()).map(|ec2| ec2.endpoint)
    }

    /// Source: EC2's endpoint rules and its list of endpoints and quotas, read November 2026.
    #[test]
    fn endpoints_follow_the_partition_fips_and_dual_stack() {
        let at = |region, fips, dual| endpoint(region, fips, dual).unwrap();
        assert_eq!(
            at("us-west-2", false, false),
            "https://ec2.us-west-2.amazonaws.com"
        );
        assert_eq!(
            at("us-west-2", true, false),
            "https://ec2-fips.us-west-2.amazonaws.com"
        );
        assert_eq!(
            at("us-west-2", false, true),
            "https://ec2.us-west-2.api.aws"
        );
        assert_eq!(
            at("us-west-2", true, true),
            "https://ec2-fips.us-west-2.api.aws"
        );
        assert_eq!(
            at("us-gov-west-1", true, false),
            "https://ec2.us-gov-west-1.amazonaws.com"
        );
        assert_eq!(
            at("cn-north-1", false, false),
            "https://ec2.cn-north-1.amazonaws.com.cn"
        );
        assert_eq!(
            at("us-iso-east-1", false, false),
            "https://ec2.us-iso-east-1.c2s.ic.gov"
        );
        assert!(endpoint("not a region", false, false).is_err());
    }

    #[test]
    fn an_endpoint_that_was_set_is_taken_as_it_is() {
        let sdk = SdkConfig::builder()
            .region(aws_types::region::Region::new("us-west-2"))
            .endpoint_url("http://127.0.0.1:5000")
            .build();
        let ec2 = Ec2::new(&sdk, Calls::default()).unwrap();
        assert_eq!(ec2.endpoint, "http://127.0.0.1:5000");
    }
}
