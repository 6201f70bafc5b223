//! How to reach a cluster: kubectl's flags.

use std::path::PathBuf;
use std::time::Duration;

use crate::Environment;

/// How to reach a cluster. The fields are kubectl's flags of the same names, with their meanings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// `--kubeconfig`; else `KUBECONFIG`, else `~/.kube/config`, else the account of the pod that
    /// this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `--cluster`, an entry of the kubeconfig.
    pub cluster: Option<String>,
    /// `--user`, an entry of the kubeconfig.
    pub user: Option<String>,
    /// `-n`.
    pub namespace: Option<String>,
    /// `--as`.
    pub act_as: Option<String>,
    /// `--as-group`.
    pub act_as_groups: Vec<String>,
    /// `--as-uid`.
    pub act_as_uid: Option<String>,
    /// `--request-timeout`: limit of every single request, `None` or zero for none of its own.
    pub request_timeout: Option<Duration>,
    /// Limit of the first request, which proves that the API server answers.
    pub connect_timeout: Duration,
    /// Limit of the credential plugin.
    pub exec_timeout: Duration,
    /// The environment variables.
    pub environment: Environment,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            cluster: None,
            user: None,
            namespace: None,
            act_as: None,
            act_as_groups: Vec::new(),
            act_as_uid: None,
            request_timeout: None,
            connect_timeout: Duration::from_secs(10),
            exec_timeout: Duration::from_secs(15),
            environment: Environment::of_process(),
        }
    }
}
