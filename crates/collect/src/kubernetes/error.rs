//! Why a cluster could not be reached.

use std::path::PathBuf;
use std::time::Duration;

use eksnet_model::Text;

/// Why there is no connection. Each message is one line: what was tried, on what, what came back,
/// how to go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor the account of a pod.
    #[error(
        "no kubeconfig: {0}, and this is no pod of a cluster: run `aws eks update-kubeconfig --name CLUSTER`, or pass --kubeconfig"
    )]
    NoKubeconfig(Text),
    /// A kubeconfig that cannot be read.
    #[error("kubeconfig {} cannot be read: {why}", shown(.path))]
    Kubeconfig {
        /// Which file.
        path: PathBuf,
        /// Why, without any of its content.
        why: Text,
    },
    /// A kubeconfig that names no context.
    #[error("the kubeconfig has no current context: pass --context, one of: {0}")]
    NoContext(Text),
    /// A context, cluster or user that the kubeconfig does not have.
    #[error("the kubeconfig has no {kind} {name:?}; it has: {known}")]
    Unknown {
        /// `context`, `cluster` or `user`.
        kind: &'static str,
        /// What was asked for.
        name: Text,
        /// The names that there are.
        known: Text,
    },
    /// Settings of the kubeconfig or of the environment that cannot be used.
    #[error("{0}")]
    Settings(Text),
    /// The credential plugin could not be run or ended with an error.
    #[error("credential plugin `{command}` failed: {why}; run it by hand to see more")]
    Exec {
        /// The command line.
        command: Text,
        /// What came back.
        why: Text,
    },
    /// The credential plugin did not end in time, and was killed.
    #[error(
        "credential plugin `{command}` did not end within {} s and was killed{}; sign in first (`aws sso login`), or run it by hand to see what it waits for",
        .after.as_secs(), said(.stderr)
    )]
    ExecTimeout {
        /// The command line.
        command: Text,
        /// The limit.
        after: Duration,
        /// What it wrote to standard error, its end.
        stderr: Text,
    },
    /// The credential that the plugin gave is expired.
    #[error(
        "credential plugin `{command}` gave a credential that expired at {at}: sign in again, or check this machine's clock"
    )]
    Expired {
        /// The command line.
        command: Text,
        /// When.
        at: Text,
    },
    /// The API server does not accept the credentials.
    #[error(
        "GET {url} was refused with 401 ({said}): the credentials are expired, or belong to another cluster or account; compare `aws sts get-caller-identity` with the cluster's account"
    )]
    Unauthorized {
        /// What was asked for.
        url: Text,
        /// What came back.
        said: Text,
    },
    /// No connection to the API server.
    #[error("GET {url} did not connect{via}: {why}; {hint}")]
    Unreachable {
        /// What was asked for.
        url: Text,
        /// Through which proxy, if any.
        via: Text,
        /// What came back.
        why: Text,
        /// How to go on.
        hint: Text,
    },
    /// The API server did not answer in time.
    #[error(
        "GET {url} was not answered within {} s{via}: a private endpoint needs its VPC or a VPN, and the way there must not be filtered; --request-timeout sets the limit",
        .after.as_secs_f64()
    )]
    Timeout {
        /// What was asked for.
        url: Text,
        /// Through which proxy, if any.
        via: Text,
        /// The limit.
        after: Duration,
    },
    /// The API server's certificate is not accepted.
    #[error(
        "GET {url} failed in the TLS handshake{via}: {why}; the kubeconfig's certificate-authority or tls-server-name does not fit this server, or something on the way ends TLS"
    )]
    Tls {
        /// What was asked for.
        url: Text,
        /// Through which proxy, if any.
        via: Text,
        /// What came back.
        why: Text,
    },
    /// Something answers that is no Kubernetes API server.
    #[error(
        "GET {url} was answered{via} by something that is no Kubernetes API server: {said}; check the kubeconfig's server and any proxy on the way"
    )]
    NotKubernetes {
        /// What was asked for.
        url: Text,
        /// Through which proxy, if any.
        via: Text,
        /// What came back.
        said: Text,
    },
}

impl ConnectError {
    /// Whether what was asked for is wrong (exit 2), rather than the way to the cluster or the
    /// credentials (exit 3).
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoKubeconfig(_)
                | Self::Kubeconfig { .. }
                | Self::NoContext(_)
                | Self::Unknown { .. }
                | Self::Settings(_)
        )
    }
}

fn shown(path: &std::path::Path) -> Text {
    path.to_string_lossy().into_owned().into()
}

fn said(stderr: &Text) -> String {
    if stderr.is_empty() {
        String::new()
    } else {
        format!(" (it said: {stderr})")
    }
}
