//! EKS. Keys are in camel case, as EKS writes them.

use serde::{Deserialize, Serialize};

use super::null_is_default;

/// A cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cluster {
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// ARN.
    #[serde(deserialize_with = "null_is_default")]
    pub arn: String,
    /// Kubernetes version.
    #[serde(deserialize_with = "null_is_default")]
    pub version: String,
    /// `ACTIVE`, ...
    #[serde(deserialize_with = "null_is_default")]
    pub status: String,
    /// URL of the API server.
    #[serde(deserialize_with = "null_is_default")]
    pub endpoint: String,
    /// Its CA.
    #[serde(deserialize_with = "null_is_default")]
    pub certificate_authority: CertificateAuthority,
    /// Role of the control plane.
    #[serde(deserialize_with = "null_is_default")]
    pub role_arn: String,
    /// Such as `eks.12`.
    #[serde(deserialize_with = "null_is_default")]
    pub platform_version: String,
    /// Service addresses.
    #[serde(deserialize_with = "null_is_default")]
    pub kubernetes_network_config: KubernetesNetworkConfig,
    /// VPC.
    #[serde(deserialize_with = "null_is_default")]
    pub resources_vpc_config: ResourcesVpcConfig,
    /// Auto Mode.
    #[serde(deserialize_with = "null_is_default")]
    pub compute_config: ComputeConfig,
    /// OIDC issuer.
    #[serde(deserialize_with = "null_is_default")]
    pub identity: Identity,
    /// Who is let in.
    #[serde(deserialize_with = "null_is_default")]
    pub access_config: AccessConfig,
    /// What EKS itself holds to be wrong.
    #[serde(deserialize_with = "null_is_default")]
    pub health: NodegroupHealth,
    /// Support beyond the standard one.
    #[serde(deserialize_with = "null_is_default")]
    pub upgrade_policy: UpgradePolicy,
}

/// Support beyond the standard one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpgradePolicy {
    /// `STANDARD` or `EXTENDED`; empty where it is not known.
    #[serde(deserialize_with = "null_is_default")]
    pub support_type: String,
}

/// Who is let in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessConfig {
    /// `CONFIG_MAP`, `API` or `API_AND_CONFIG_MAP`; `None` where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_mode: Option<String>,
}

/// An access entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessEntry {
    /// ARN of the principal.
    #[serde(deserialize_with = "null_is_default")]
    pub principal_arn: String,
    /// `STANDARD`, `EC2_LINUX`, `EC2_WINDOWS`, `FARGATE_LINUX`, `HYBRID_LINUX` or `EC2`; empty where a
    /// list shows the principal alone.
    #[serde(rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// Groups.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub kubernetes_groups: Vec<String>,
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub username: String,
}

/// A CA.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateAuthority {
    /// PEM in base64.
    #[serde(deserialize_with = "null_is_default")]
    pub data: String,
}

/// Identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Identity {
    /// OIDC.
    #[serde(deserialize_with = "null_is_default")]
    pub oidc: Oidc,
}

/// OIDC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Oidc {
    /// URL of the issuer.
    #[serde(deserialize_with = "null_is_default")]
    pub issuer: String,
}

/// Service addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesNetworkConfig {
    /// IPv4 range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_ipv4_cidr: Option<String>,
    /// IPv6 range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_ipv6_cidr: Option<String>,
    /// `ipv4` or `ipv6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_family: Option<String>,
}

/// The VPC of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourcesVpcConfig {
    /// VPC.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_id: String,
    /// Subnets of the control plane.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub subnet_ids: Vec<String>,
    /// Further groups of the control plane.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub security_group_ids: Vec<String>,
    /// The group that EKS made.
    #[serde(deserialize_with = "null_is_default")]
    pub cluster_security_group_id: String,
    /// Whether the endpoint is public.
    #[serde(deserialize_with = "null_is_default")]
    pub endpoint_public_access: bool,
    /// Whether it is private.
    #[serde(deserialize_with = "null_is_default")]
    pub endpoint_private_access: bool,
    /// Who may use the public endpoint.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub public_access_cidrs: Vec<String>,
}

/// Auto Mode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ComputeConfig {
    /// Whether it is on.
    #[serde(deserialize_with = "null_is_default")]
    pub enabled: bool,
}

/// A managed node group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Nodegroup {
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub nodegroup_name: String,
    /// ARN.
    #[serde(deserialize_with = "null_is_default")]
    pub nodegroup_arn: String,
    /// `ACTIVE`, ...
    #[serde(deserialize_with = "null_is_default")]
    pub status: String,
    /// Kubernetes version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Image, such as `AL2023_x86_64_STANDARD` or `CUSTOM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ami_type: Option<String>,
    /// `ON_DEMAND` or `SPOT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_type: Option<String>,
    /// Types.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub instance_types: Vec<String>,
    /// Subnets.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub subnets: Vec<String>,
    /// Role of the nodes.
    #[serde(deserialize_with = "null_is_default")]
    pub node_role: String,
    /// Sizes.
    #[serde(deserialize_with = "null_is_default")]
    pub scaling_config: ScalingConfig,
    /// What it is made of.
    #[serde(deserialize_with = "null_is_default")]
    pub resources: NodegroupResources,
    /// Issues.
    #[serde(deserialize_with = "null_is_default")]
    pub health: NodegroupHealth,
    /// Labels of its nodes.
    #[serde(
        skip_serializing_if = "std::collections::BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub labels: std::collections::BTreeMap<String, String>,
    /// Taints of its nodes; their effects are spelt as in `NO_SCHEDULE`.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub taints: Vec<NodegroupTaint>,
}

/// Sizes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingConfig {
    /// Least nodes.
    #[serde(deserialize_with = "null_is_default")]
    pub min_size: u32,
    /// Most nodes.
    #[serde(deserialize_with = "null_is_default")]
    pub max_size: u32,
    /// Wanted nodes.
    #[serde(deserialize_with = "null_is_default")]
    pub desired_size: u32,
}

/// What a node group is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodegroupResources {
    /// Auto Scaling groups.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub auto_scaling_groups: Vec<GroupName>,
}

/// Name of an Auto Scaling group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupName {
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
}

/// Health.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodegroupHealth {
    /// Issues.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub issues: Vec<HealthIssue>,
}

/// An issue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthIssue {
    /// Code.
    #[serde(deserialize_with = "null_is_default")]
    pub code: String,
    /// Message.
    #[serde(deserialize_with = "null_is_default")]
    pub message: String,
    /// Resources.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub resource_ids: Vec<String>,
}

/// A Pod Identity association.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodIdentityAssociation {
    /// Namespace.
    #[serde(deserialize_with = "null_is_default")]
    pub namespace: String,
    /// ServiceAccount.
    #[serde(deserialize_with = "null_is_default")]
    pub service_account: String,
    /// Role.
    #[serde(deserialize_with = "null_is_default")]
    pub role_arn: String,
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub association_id: String,
    /// When it was made; a list does not show it.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub created_at: Option<crate::Time>,
}

/// A taint of a node group's nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodegroupTaint {
    /// Key.
    #[serde(deserialize_with = "null_is_default")]
    pub key: String,
    /// Value.
    #[serde(deserialize_with = "null_is_default")]
    pub value: String,
    /// `NO_SCHEDULE`, `NO_EXECUTE` or `PREFER_NO_SCHEDULE`.
    #[serde(deserialize_with = "null_is_default")]
    pub effect: String,
}
