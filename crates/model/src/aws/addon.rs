//! Add-ons of EKS. Keys are in camel case, as EKS writes them.

use serde::{Deserialize, Serialize};

use super::{NodegroupHealth, null_is_default};

/// An add-on, as `aws eks describe-addon` shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Addon {
    /// Such as `vpc-cni`.
    #[serde(deserialize_with = "null_is_default")]
    pub addon_name: String,
    /// Such as `v1.18.1-eksbuild.3`; empty where a list shows the name alone.
    #[serde(deserialize_with = "null_is_default")]
    pub addon_version: String,
    /// `ACTIVE`, `CREATING`, `DEGRADED`, `CREATE_FAILED`, `UPDATE_FAILED`, ..; empty where it is not known.
    #[serde(deserialize_with = "null_is_default")]
    pub status: String,
    /// What EKS holds to be wrong with it.
    #[serde(deserialize_with = "null_is_default")]
    pub health: NodegroupHealth,
    /// Values that someone gave it: JSON or YAML, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration_values: Option<String>,
    /// Role of its service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_role_arn: Option<String>,
    /// ARNs of the Pod Identity associations that came with it.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub pod_identity_associations: Vec<String>,
}
