//! What the API server itself calls in the cluster: admission webhooks and aggregated APIs.

use serde::{Deserialize, Serialize};

use super::Meta;
use super::meta::null_is_default;

/// A ValidatingWebhookConfiguration or a MutatingWebhookConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookConfiguration {
    /// Metadata.
    pub metadata: Meta,
    /// The webhooks.
    #[serde(deserialize_with = "null_is_default")]
    pub webhooks: Vec<Webhook>,
}

/// One webhook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Webhook {
    /// Name, such as `vingress.elbv2.k8s.aws`.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// Whom to call.
    #[serde(deserialize_with = "null_is_default")]
    pub client_config: WebhookClientConfig,
    /// `Fail` or `Ignore`; unset means `Fail` in `admissionregistration.k8s.io/v1`.
    #[serde(deserialize_with = "null_is_default")]
    pub failure_policy: String,
    /// What it is called for.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub rules: Vec<WebhookRule>,
}

/// What a webhook is called for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookRule {
    /// Resources, such as `pods`.
    #[serde(deserialize_with = "null_is_default")]
    pub resources: Vec<String>,
}

/// Whom a webhook's call goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookClientConfig {
    /// A Service of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReference>,
    /// A URL outside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A Service that the API server calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceReference {
    /// Namespace.
    #[serde(deserialize_with = "null_is_default")]
    pub namespace: String,
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// Port; 443 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// An APIService: an API group that a Service of the cluster answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiService {
    /// Metadata; the name is `VERSION.GROUP`.
    pub metadata: Meta,
    /// Wanted state.
    pub spec: ApiServiceSpec,
    /// Seen state.
    pub status: ApiServiceStatus,
}

/// `spec` of an APIService.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiServiceSpec {
    /// The Service; none for API groups of the API server itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReference>,
}

/// `status` of an APIService.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiServiceStatus {
    /// Conditions; `Available` is the one.
    #[serde(deserialize_with = "null_is_default")]
    pub conditions: Vec<super::PodCondition>,
}

impl ApiService {
    /// The condition `Available`, where it is false.
    #[must_use]
    pub fn unavailable(&self) -> Option<&super::PodCondition> {
        let mut all = self.status.conditions.iter();
        all.find(|one| one.kind == "Available" && one.status == "False")
    }
}

/// A SecurityGroupPolicy: pods that get a branch interface with security groups of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityGroupPolicy {
    /// Metadata.
    pub metadata: Meta,
    /// Wanted state.
    pub spec: SecurityGroupPolicySpec,
}

/// `spec` of a SecurityGroupPolicy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityGroupPolicySpec {
    /// Pods by their labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<super::LabelSelector>,
    /// Pods by the labels of their ServiceAccount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_selector: Option<super::LabelSelector>,
    /// The groups.
    pub security_groups: GroupIds,
}

/// Ids of security groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupIds {
    /// Ids.
    #[serde(deserialize_with = "null_is_default")]
    pub group_ids: Vec<String>,
}
