//! Network interfaces.

use serde::{Deserialize, Serialize};

use super::{GroupIdentifier, Tag, null_is_default};

/// A network interface (ENI).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkInterface {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub network_interface_id: String,
    /// Subnet.
    #[serde(deserialize_with = "null_is_default")]
    pub subnet_id: String,
    /// VPC.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_id: String,
    /// Zone.
    #[serde(deserialize_with = "null_is_default")]
    pub availability_zone: String,
    /// `in-use` or `available`.
    #[serde(deserialize_with = "null_is_default")]
    pub status: String,
    /// `interface`, `trunk`, `branch`, `vpc_endpoint`, ...
    #[serde(deserialize_with = "null_is_default")]
    pub interface_type: String,
    /// Free text.
    #[serde(deserialize_with = "null_is_default")]
    pub description: String,
    /// Service that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester_id: Option<String>,
    /// Its own address.
    #[serde(deserialize_with = "null_is_default")]
    pub private_ip_address: String,
    /// All its addresses.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub private_ip_addresses: Vec<PrivateIpAddress>,
    /// Delegated prefixes.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub ipv4_prefixes: Vec<Ipv4Prefix>,
    /// IPv6 addresses.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub ipv6_addresses: Vec<Ipv6Address>,
    /// Security groups.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub groups: Vec<GroupIdentifier>,
    /// To which instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
    /// Tags.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub tag_set: Vec<Tag>,
}

/// An address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PrivateIpAddress {
    /// The address.
    #[serde(deserialize_with = "null_is_default")]
    pub private_ip_address: String,
    /// Whether it is the interface's own.
    #[serde(deserialize_with = "null_is_default")]
    pub primary: bool,
}

/// A prefix.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ipv4Prefix {
    /// Such as `10.0.1.16/28`.
    #[serde(deserialize_with = "null_is_default")]
    pub ipv4_prefix: String,
}

/// An IPv6 address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ipv6Address {
    /// The address.
    #[serde(deserialize_with = "null_is_default")]
    pub ipv6_address: String,
}

/// To which instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Attachment {
    /// Instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Account, or service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_owner_id: Option<String>,
    /// Index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_index: Option<u32>,
    /// Card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_card_index: Option<u32>,
    /// `attached`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}
