//! Instances and their types.

use serde::{Deserialize, Serialize};

use super::{GroupIdentifier, Tag, null_is_default};
use crate::Time;

/// An instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Instance {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub instance_id: String,
    /// Type.
    #[serde(deserialize_with = "null_is_default")]
    pub instance_type: String,
    /// State.
    #[serde(deserialize_with = "null_is_default")]
    pub state: InstanceState,
    /// Host name inside the VPC.
    #[serde(deserialize_with = "null_is_default")]
    pub private_dns_name: String,
    /// Primary address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_ip_address: Option<String>,
    /// Public address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ip_address: Option<String>,
    /// Subnet of the primary interface.
    #[serde(deserialize_with = "null_is_default")]
    pub subnet_id: String,
    /// VPC.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_id: String,
    /// Groups of the primary interface.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub security_groups: Vec<GroupIdentifier>,
    /// Metadata service.
    #[serde(deserialize_with = "null_is_default")]
    pub metadata_options: MetadataOptions,
    /// Profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_instance_profile: Option<IamInstanceProfile>,
    /// Where it runs.
    #[serde(deserialize_with = "null_is_default")]
    pub placement: Placement,
    /// Since when.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub launch_time: Option<Time>,
    /// Tags.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub tags: Vec<Tag>,
}

/// State.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InstanceState {
    /// `running`, ...
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
}

/// Profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IamInstanceProfile {
    /// ARN.
    #[serde(deserialize_with = "null_is_default")]
    pub arn: String,
}

/// Where it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Placement {
    /// Zone.
    #[serde(deserialize_with = "null_is_default")]
    pub availability_zone: String,
}

/// Metadata service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MetadataOptions {
    /// `required` for IMDSv2 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_tokens: Option<String>,
    /// Hops that an answer to PUT may travel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_put_response_hop_limit: Option<u32>,
    /// `enabled` or `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_endpoint: Option<String>,
}

/// Limits of an instance type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InstanceType {
    /// Type.
    #[serde(deserialize_with = "null_is_default")]
    pub instance_type: String,
    /// `nitro`, `xen` or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypervisor: Option<String>,
    /// Whether it is bare metal.
    #[serde(deserialize_with = "null_is_default")]
    pub bare_metal: bool,
    /// vCPUs.
    #[serde(rename = "VCpuInfo", deserialize_with = "null_is_default")]
    pub v_cpu_info: VCpuInfo,
    /// Network.
    #[serde(deserialize_with = "null_is_default")]
    pub network_info: NetworkInfo,
}

/// vCPUs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VCpuInfo {
    /// Count.
    #[serde(rename = "DefaultVCpus", skip_serializing_if = "Option::is_none")]
    pub default_v_cpus: Option<u32>,
}

/// Network of an instance type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkInfo {
    /// Interfaces over all cards: not the figure for max pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_network_interfaces: Option<u32>,
    /// Addresses per interface, its own included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4_addresses_per_interface: Option<u32>,
    /// The card that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_network_card_index: Option<u32>,
    /// Cards.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub network_cards: Vec<NetworkCard>,
}

/// A network card.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkCard {
    /// Index.
    #[serde(deserialize_with = "null_is_default")]
    pub network_card_index: u32,
    /// Interfaces.
    #[serde(deserialize_with = "null_is_default")]
    pub maximum_network_interfaces: u32,
}

impl Instance {
    /// The node group that it says it belongs to: the name of its Auto Scaling group.
    #[must_use]
    pub fn auto_scaling_group(&self) -> Option<&str> {
        super::tag(&self.tags, "aws:autoscaling:groupName")
    }
}

impl InstanceType {
    /// Interfaces of the default network card: the figure that max pods are computed from.
    #[must_use]
    pub fn max_enis(&self) -> Option<u32> {
        let info = &self.network_info;
        let default = info.default_network_card_index.unwrap_or(0);
        info.network_cards
            .iter()
            .find(|card| card.network_card_index == default)
            .map(|card| card.maximum_network_interfaces)
            .or(info
                .maximum_network_interfaces
                .filter(|_| info.network_cards.is_empty()))
    }
}
