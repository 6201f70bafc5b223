//! AWS objects in the parts that checks read, with the keys of the AWS CLI's JSON: a fixture is a
//! paste of `aws ... describe-...`.

mod addon;
mod autoscaling;
mod eks;
mod instance;
mod interface;
mod nat;
mod security;
mod targets;
mod vpc;

use serde::{Deserialize, Deserializer, Serialize};

pub use addon::Addon;
pub use autoscaling::{AutoScalingGroup, GroupInstance, ScalingActivity, SuspendedProcess};
pub use eks::{
    AccessConfig, AccessEntry, CertificateAuthority, Cluster, ComputeConfig, GroupName,
    HealthIssue, Identity, KubernetesNetworkConfig, Nodegroup, NodegroupHealth, NodegroupResources,
    NodegroupTaint, Oidc, PodIdentityAssociation, ResourcesVpcConfig, ScalingConfig, UpgradePolicy,
};
pub use instance::{
    IamInstanceProfile, Instance, InstanceState, InstanceType, MetadataOptions, NetworkCard,
    NetworkInfo, Placement, VCpuInfo,
};
pub use interface::{Attachment, Ipv4Prefix, Ipv6Address, NetworkInterface, PrivateIpAddress};
pub use nat::{NatGateway, NatGatewayAddress};
pub use security::{
    CidrIp, CidrIpv6, GroupPair, IpPermission, NaclAssociation, NaclEntry, NetworkAcl, PortRange,
    PrefixList, PrefixListEntry, PrefixListId, SecurityGroup,
};
pub use targets::{Target, TargetHealth, TargetHealthDescription};
pub use vpc::{
    CidrBlockAssociation, CidrBlockState, DhcpConfiguration, DhcpOptions, DhcpValue, DnsEntry,
    GroupIdentifier, Route, RouteTable, RouteTableAssociation, Subnet, SubnetCidrReservation, Vpc,
    VpcEndpoint,
};

/// A tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Tag {
    /// Key.
    pub key: String,
    /// Value.
    #[serde(deserialize_with = "null_is_default")]
    pub value: String,
    /// Whether an Auto Scaling group hands it to its instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagate_at_launch: Option<bool>,
}

/// The value of a tag.
#[must_use]
pub fn tag<'a>(tags: &'a [Tag], key: &str) -> Option<&'a str> {
    tags.iter()
        .find(|tag| tag.key == key)
        .map(|tag| tag.value.as_str())
}

/// `sts get-caller-identity`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CallerIdentity {
    /// Account.
    pub account: String,
    /// ARN of the caller.
    pub arn: String,
}

pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
