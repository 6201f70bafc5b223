//! What a user can say about AWS.

use std::time::Duration;

/// Flags about AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsOptions {
    /// Profile of the shared configuration; `None` leaves it to `AWS_PROFILE`.
    pub profile: Option<String>,
    /// Region; `None` leaves it to the cluster, then to the environment.
    pub region: Option<String>,
    /// Name of the EKS cluster; `None` leaves it to the context and the instances.
    pub cluster_name: Option<String>,
    /// Longest time that each of [`super::AwsSession::connect`] and
    /// [`super::AwsSession::fetch`] takes.
    pub timeout: Duration,
}

impl Default for AwsOptions {
    fn default() -> Self {
        Self {
            profile: None,
            region: None,
            cluster_name: None,
            timeout: Duration::from_secs(60),
        }
    }
}
