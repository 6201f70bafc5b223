//! The way to the API server.

use std::sync::Arc;
use std::time::Duration;

use eksnet_model::Text;
use http::Uri;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::api::Api;
use super::error::ConnectError;
use super::fault::Fault;
use super::hints::ClusterHints;
use super::kubeconfig;
use super::options::ConnectOptions;
use super::settings::{from_kubeconfig, in_cluster};

/// An API server that has answered.
#[derive(Clone)]
pub struct Connection {
    pub(crate) api: Api,
    hints: Arc<ClusterHints>,
    namespace: String,
    version: Option<ServerVersion>,
}

/// What `/version` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerVersion {
    /// Such as `1`.
    pub major: String,
    /// Such as `33` or `33+`.
    pub minor: String,
    /// Such as `v1.33.5-eks-113cf36`.
    pub git_version: String,
}

impl Connection {
    /// The same connection with that many requests at one time.
    pub(crate) fn limited(&self, concurrency: usize) -> Self {
        Self {
            api: self.api.with_permits(concurrency),
            ..self.clone()
        }
    }

    /// What the kubeconfig tells of the cluster.
    #[must_use]
    pub fn hints(&self) -> &ClusterHints {
        &self.hints
    }

    /// Namespace: `-n`, else the context's, else `default`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Version of the API server; `None` when it does not tell.
    #[must_use]
    pub fn version(&self) -> Option<&ServerVersion> {
        self.version.as_ref()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("context", &self.hints.context_name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Finds the cluster, gets credentials and asks the API server for its version, which proves that
/// it answers. The credential plugin runs once.
///
/// # Errors
/// A [`ConnectError`]; nothing was read or changed in the cluster.
pub async fn connect(options: &ConnectOptions) -> Result<Connection, ConnectError> {
    // One provider, whatever else in the process brings another.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chosen = kubeconfig::choose(options)?;
    let (mut config, mut hints) = match chosen {
        Some(chosen) => from_kubeconfig(chosen, options).await?,
        None => in_cluster(options)?,
    };
    if let Some(namespace) = &options.namespace {
        config.default_namespace.clone_from(namespace);
    }
    hints.api_host = config
        .cluster_url
        .host()
        .unwrap_or("")
        .trim_matches(['[', ']'])
        .to_owned();
    hints.api_port = config.cluster_url.port_u16().unwrap_or(
        if config.cluster_url.scheme_str() == Some("http") {
            80
        } else {
            443
        },
    );
    hints.learn_host();
    config.connect_timeout = Some(options.connect_timeout);
    // Retries and limits are the requests' own: see `api`.
    config.default_retry = false;
    config.write_timeout = None;
    let target = Target {
        url: format!(
            "{}/version",
            without_user(&config.cluster_url).trim_end_matches('/')
        ),
        via: config.proxy_url.as_ref().map_or_else(String::new, |proxy| {
            format!(
                " through proxy {}",
                without_user(proxy).trim_end_matches('/')
            )
        }),
    };
    let namespace = config.default_namespace.clone();
    let client = kube::Client::try_from(config).map_err(|error| {
        ConnectError::Settings(
            format!(
                "the kubeconfig of context {:?} cannot be used: {error}",
                hints.context_name
            )
            .into(),
        )
    })?;
    let api = Api::new(client, options.request_timeout);
    let version = first_answer(&api, &target, options.connect_timeout).await?;
    Ok(Connection {
        api,
        hints: Arc::new(hints),
        namespace,
        version,
    })
}

/// What the first request is put to, for messages.
struct Target {
    url: String,
    /// ` through proxy URL`, or nothing.
    via: String,
}

async fn first_answer(
    api: &Api,
    target: &Target,
    limit: Duration,
) -> Result<Option<ServerVersion>, ConnectError> {
    let url = Text::from(&target.url);
    let via = Text::from(&target.via);
    match api.get::<Value>("/version", Instant::now() + limit).await {
        Ok(said) => {
            let version: ServerVersion = serde_json::from_value(said).unwrap_or_default();
            if version.git_version.is_empty() {
                return Err(ConnectError::NotKubernetes {
                    url,
                    via,
                    said: "JSON without a gitVersion".into(),
                });
            }
            Ok(Some(version))
        }
        Err(Fault::Timeout(after)) => Err(ConnectError::Timeout { url, via, after }),
        Err(Fault::Tls(why)) => Err(ConnectError::Tls {
            url,
            via,
            why: why.into(),
        }),
        Err(Fault::Unreachable(why) | Fault::Cut(why)) => Err(ConnectError::Unreachable {
            url,
            via,
            hint: hint(&why).into(),
            why: why.into(),
        }),
        Err(Fault::Malformed(said)) => Err(ConnectError::NotKubernetes {
            url,
            via,
            said: said.into(),
        }),
        Err(Fault::Refused(refusal)) => match refusal.status.as_u16() {
            401 => Err(ConnectError::Unauthorized {
                url,
                said: refusal.message.into(),
            }),
            // The way is open and the credentials are accepted: each source tells for itself what
            // it lacks.
            403 if !refusal.reason.is_empty() => Ok(None),
            _ => Err(ConnectError::NotKubernetes {
                url,
                via,
                said: Fault::Refused(refusal).says().into(),
            }),
        },
    }
}

/// How to go on, by what the operating system said.
fn hint(why: &str) -> &'static str {
    let lower = why.to_ascii_lowercase();
    if lower.contains("lookup")
        || lower.contains("name or service not known")
        || lower.contains("resolve")
    {
        "the name does not resolve here: the cluster may be deleted, or its endpoint private and this machine outside of its VPC's DNS"
    } else if lower.contains("refused") {
        "nothing listens there: check the kubeconfig's server, or the tunnel that should be open"
    } else {
        "check the way to the endpoint: VPN, proxy, firewall, the cluster's public access list"
    }
}

/// A URL without user and password.
fn without_user(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}{}", url.path())
}
