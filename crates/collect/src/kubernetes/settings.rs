//! From a kubeconfig, or the account of a pod, to the settings of a client.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use kube::config::{AuthInfo, Cluster, Config, ExecConfig, ExecInteractiveMode};
use serde_json::{Value, json};

use super::error::ConnectError;
use super::exec::ExecPlugin;
use super::hints::{ClusterHints, Plugin};
use super::kubeconfig::{self, Chosen};
use super::options::ConnectOptions;
use super::proxy::proxy_for;

/// Settings for the chosen entries of a kubeconfig, credentials included.
pub(crate) async fn from_kubeconfig(
    chosen: Chosen,
    options: &ConnectOptions,
) -> Result<(Config, ClusterHints), ConnectError> {
    let settings = |why: String| {
        let context = &chosen.context_name;
        ConnectError::Settings(
            format!("the kubeconfig's context {context:?} cannot be used: {why}").into(),
        )
    };
    let cluster = &chosen.cluster;
    let server = cluster
        .server
        .as_deref()
        .filter(|server| !server.is_empty())
        .ok_or_else(|| settings(format!("cluster {:?} has no server", chosen.cluster_name)))?;
    let url: Uri = with_scheme(server)
        .parse()
        .map_err(|error| settings(format!("its server is no URL: {error}")))?;
    let ca = certificate_authority(cluster).map_err(settings)?;
    let mut hints = ClusterHints {
        context_name: chosen.context_name.clone(),
        ca_pem: ca
            .as_ref()
            .map(|pem| String::from_utf8_lossy(pem).into_owned()),
        ..ClusterHints::default()
    };
    for name in [
        &chosen.context_name,
        &chosen.cluster_name,
        &chosen.user_name,
    ] {
        hints.learn_name(name);
    }
    let mut config = Config::new(url);
    config.root_cert = ca
        .as_deref()
        .map(certificates)
        .transpose()
        .map_err(settings)?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.tls_server_name = cluster
        .tls_server_name
        .clone()
        .filter(|name| !name.is_empty());
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.proxy_url = proxy_for(
        &config.cluster_url,
        cluster.proxy_url.as_deref(),
        &options.environment,
    )
    .map_err(|why| ConnectError::Settings(why.into()))?;
    if let Some(namespace) = chosen
        .context
        .namespace
        .as_deref()
        .filter(|name| !name.is_empty())
    {
        namespace.clone_into(&mut config.default_namespace);
    }
    let mut user = chosen.user.clone();
    if let Some(exec) = user.exec.take() {
        let plugin = plugin(&exec, cluster, ca.as_deref());
        hints.learn_plugin(Plugin {
            args: &plugin.args,
            env: &plugin.env,
        });
        // As in client-go, credentials that are written out win.
        if user.token.is_none() && user.token_file.is_none() && user.username.is_none() {
            let credential = plugin
                .run(options.exec_timeout, jiff::Timestamp::now())
                .await?;
            user.token = credential.token.map(Into::into);
            if let Some((certificate, key)) = credential.certificate {
                user.client_certificate_data = Some(STANDARD.encode(certificate));
                user.client_key_data = Some(STANDARD.encode(key).into());
            }
        }
    }
    if let Some(provider) = &user.auth_provider
        && provider.name != "oidc"
    {
        return Err(settings(format!(
            "user {:?} has the auth-provider {:?}, which kubectl has dropped too: use an exec plugin",
            chosen.user_name, provider.name
        )));
    }
    impersonate(&mut user, options);
    config.auth_info = user;
    Ok((config, hints))
}

/// Settings for the account of the pod that this runs in.
pub(crate) fn in_cluster(options: &ConnectOptions) -> Result<(Config, ClusterHints), ConnectError> {
    let mut config = Config::incluster()
        .map_err(|_| ConnectError::NoKubeconfig(kubeconfig::looked_for(options)))?;
    config.proxy_url = proxy_for(&config.cluster_url, None, &options.environment)
        .map_err(|why| ConnectError::Settings(why.into()))?;
    impersonate(&mut config.auth_info, options);
    let ca = config
        .root_cert_file
        .as_ref()
        .and_then(|path| std::fs::read_to_string(path).ok());
    let hints = ClusterHints {
        context_name: "in-cluster".to_owned(),
        ca_pem: ca,
        ..ClusterHints::default()
    };
    Ok((config, hints))
}

fn impersonate(user: &mut AuthInfo, options: &ConnectOptions) {
    if options.act_as.is_some() {
        // Flags replace what the kubeconfig says, as a whole.
        user.impersonate.clone_from(&options.act_as);
        user.impersonate_groups = None;
        user.impersonate_uid = None;
        user.impersonate_user_extra = None;
    }
    if !options.act_as_groups.is_empty() {
        user.impersonate_groups = Some(options.act_as_groups.clone());
    }
    if options.act_as_uid.is_some() {
        user.impersonate_uid.clone_from(&options.act_as_uid);
    }
}

fn plugin(exec: &ExecConfig, cluster: &Cluster, ca: Option<&[u8]>) -> ExecPlugin {
    let env = exec
        .env
        .iter()
        .flatten()
        .filter_map(|entry| Some((entry.get("name")?.clone(), entry.get("value")?.clone())));
    ExecPlugin {
        api_version: exec.api_version.clone().unwrap_or_default(),
        command: exec.command.clone().unwrap_or_default(),
        args: exec.args.clone().unwrap_or_default(),
        env: env.collect(),
        install_hint: exec.install_hint.clone(),
        needs_terminal: exec.interactive_mode == Some(ExecInteractiveMode::Always),
        cluster: exec.provide_cluster_info.then(|| {
            const EXTENSION: &str = "client.authentication.k8s.io/exec";
            let extension = cluster
                .extensions
                .iter()
                .flatten()
                .find(|extension| extension.name == EXTENSION);
            let mut told = json!({"server": cluster.server});
            let mut tell = |key: &str, value: Value| {
                if !value.is_null() {
                    told[key] = value;
                }
            };
            tell("tls-server-name", json!(cluster.tls_server_name));
            tell(
                "insecure-skip-tls-verify",
                json!(cluster.insecure_skip_tls_verify),
            );
            tell(
                "certificate-authority-data",
                json!(ca.map(|pem| STANDARD.encode(pem))),
            );
            tell("proxy-url", json!(cluster.proxy_url));
            tell(
                "config",
                json!(extension.map(|extension| &extension.extension)),
            );
            told
        }),
    }
}

/// kubectl takes a server without a scheme as HTTPS with a port, HTTP otherwise; an EKS kubeconfig
/// always has one.
fn with_scheme(server: &str) -> String {
    if server.contains("://") {
        server.to_owned()
    } else {
        format!("https://{server}")
    }
}

/// The certificates that the kubeconfig trusts, PEM; inline data wins over a file.
fn certificate_authority(cluster: &Cluster) -> Result<Option<Vec<u8>>, String> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(data) = given(&cluster.certificate_authority_data) {
        return STANDARD
            .decode(data.trim())
            .map(Some)
            .map_err(|error| format!("its certificate-authority-data is no base64: {error}"));
    }
    match given(&cluster.certificate_authority) {
        Some(path) => std::fs::read(&path)
            .map(Some)
            .map_err(|error| format!("its certificate-authority {path} cannot be read: {error}")),
        None => Ok(None),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let found: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(pem)
        .map(|one| one.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("its certificate-authority is no PEM: {error}"))?;
    if found.is_empty() {
        return Err("its certificate-authority holds no certificate".to_owned());
    }
    Ok(found)
}
