//! The HTTP client of every call to AWS: one TLS stack, on ring.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs};

use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};

use super::roots::trust;

/// Connectors by connect and read timeout: each holds a pool of connections, so calls with the same
/// timeouts must meet in the same one.
type Connectors = Mutex<HashMap<(Option<Duration>, Option<Duration>), SharedHttpConnector>>;

/// A client that goes through the proxy of the environment, if there is one, and trusts the CA bundle
/// of the environment besides the platform's roots.
pub(crate) fn client() -> SharedHttpClient {
    let proxy = proxy(|name| env::var(name).ok());
    let bundle = env::var_os("AWS_CA_BUNDLE").and_then(|path| fs::read_to_string(path).ok());
    let trust = trust(bundle.as_deref());
    let connectors = Connectors::default();
    http_client_fn(move |settings, components| {
        let key = (settings.connect_timeout(), settings.read_timeout());
        let mut connectors = connectors.lock().unwrap_or_else(PoisonError::into_inner);
        connectors
            .entry(key)
            .or_insert_with(|| connector(settings, components.sleep_impl(), &proxy, &trust))
            .clone()
    })
}

fn connector(
    settings: &HttpConnectorSettings,
    sleep: Option<SharedAsyncSleep>,
    proxy: &ProxyConfig,
    trust: &TlsContext,
) -> SharedHttpConnector {
    let mut builder = Connector::builder().connector_settings(settings.clone());
    builder.set_sleep_impl(sleep);
    builder.set_proxy_config(Some(proxy.clone()));
    SharedHttpConnector::new(
        builder
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(trust.clone())
            .build(),
    )
}

/// The proxy for HTTPS, by the variables that curl and the AWS CLI read. Plain HTTP never goes
/// through it: instance and container metadata are link-local, and no proxy reaches them. A proxy
/// that is no URL counts as none, so the calls fail with what the network says.
fn proxy(variable: impl Fn(&str) -> Option<String>) -> ProxyConfig {
    let set = |names: [&str; 2]| {
        names
            .into_iter()
            .filter_map(&variable)
            .find(|value| !value.trim().is_empty())
    };
    let Some(url) = set(["HTTPS_PROXY", "https_proxy"]).or_else(|| set(["ALL_PROXY", "all_proxy"]))
    else {
        return ProxyConfig::disabled();
    };
    let url = url.trim();
    let url = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    let Ok(proxy) = ProxyConfig::https(url.as_str()) else {
        return ProxyConfig::disabled();
    };
    match set(["NO_PROXY", "no_proxy"]) {
        Some(rules) => proxy.no_proxy(rules),
        None => proxy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> ProxyConfig {
        proxy(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_proxy_is_used_only_when_one_is_named() {
        assert!(with(&[]).is_disabled());
        assert!(with(&[("HTTPS_PROXY", " ")]).is_disabled());
        assert!(with(&[("HTTP_PROXY", "http://proxy:3128")]).is_disabled());
        assert!(!with(&[("HTTPS_PROXY", "http://proxy:3128")]).is_disabled());
        assert!(!with(&[("https_proxy", "proxy:3128")]).is_disabled());
        assert!(!with(&[("all_proxy", "http://u:p@proxy:3128")]).is_disabled());
    }

    #[test]
    fn a_proxy_that_is_no_url_counts_as_none() {
        assert!(with(&[("HTTPS_PROXY", "socks5://proxy:1080")]).is_disabled());
    }
}
