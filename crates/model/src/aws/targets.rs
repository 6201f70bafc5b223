//! Targets of load balancers, as `elbv2 describe-target-health` shows them.

use serde::{Deserialize, Serialize};

use super::null_is_default;

/// The health of one target. The answer does not name its target group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TargetHealthDescription {
    /// The target.
    #[serde(deserialize_with = "null_is_default")]
    pub target: Target,
    /// Port of its health check.
    #[serde(deserialize_with = "null_is_default")]
    pub health_check_port: String,
    /// Its health.
    #[serde(deserialize_with = "null_is_default")]
    pub target_health: TargetHealth,
}

/// A target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Target {
    /// Id of an instance, or an address.
    #[serde(deserialize_with = "null_is_default")]
    pub id: String,
    /// Port.
    #[serde(deserialize_with = "null_is_default")]
    pub port: u32,
}

/// The health of a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TargetHealth {
    /// `healthy`, `unhealthy`, `initial`, `draining`, `unused` or `unavailable`.
    #[serde(deserialize_with = "null_is_default")]
    pub state: String,
    /// A code, such as `Target.Timeout`.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub reason: String,
    /// A sentence.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub description: String,
}

impl TargetHealthDescription {
    /// `ID:PORT`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}:{}", self.target.id, self.target.port)
    }
}
