//! Security groups, network ACLs and prefix lists.

use serde::{Deserialize, Serialize};

use super::{Tag, null_is_default};

/// A security group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SecurityGroup {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub group_id: String,
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub group_name: String,
    /// VPC.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_id: String,
    /// What may come in.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub ip_permissions: Vec<IpPermission>,
    /// What may go out.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub ip_permissions_egress: Vec<IpPermission>,
    /// Tags.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub tags: Vec<Tag>,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IpPermission {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a number, or `-1` for all.
    #[serde(deserialize_with = "null_is_default")]
    pub ip_protocol: String,
    /// First port; unset or -1 means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_port: Option<i32>,
    /// Last port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_port: Option<i32>,
    /// IPv4 blocks.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub ip_ranges: Vec<CidrIp>,
    /// IPv6 blocks.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub ipv6_ranges: Vec<CidrIpv6>,
    /// Prefix lists.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub prefix_list_ids: Vec<PrefixListId>,
    /// Groups.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub user_id_group_pairs: Vec<GroupPair>,
}

/// An IPv4 block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CidrIp {
    /// The block.
    #[serde(deserialize_with = "null_is_default")]
    pub cidr_ip: String,
}

/// An IPv6 block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CidrIpv6 {
    /// The block.
    #[serde(deserialize_with = "null_is_default")]
    pub cidr_ipv6: String,
}

/// A prefix list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PrefixListId {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub prefix_list_id: String,
}

/// A group as peer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GroupPair {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub group_id: String,
    /// Account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// VPC, of a peered one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<String>,
    /// `active`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peering_status: Option<String>,
}

/// A network ACL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkAcl {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub network_acl_id: String,
    /// VPC.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_id: String,
    /// Whether it is the VPC's default.
    #[serde(deserialize_with = "null_is_default")]
    pub is_default: bool,
    /// Subnets.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub associations: Vec<NaclAssociation>,
    /// Rules.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub entries: Vec<NaclEntry>,
}

/// A subnet of an ACL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NaclAssociation {
    /// Subnet.
    #[serde(deserialize_with = "null_is_default")]
    pub subnet_id: String,
}

/// A rule of an ACL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NaclEntry {
    /// Order; 32767 is the closing deny.
    #[serde(deserialize_with = "null_is_default")]
    pub rule_number: u32,
    /// A number, `-1` for all.
    #[serde(deserialize_with = "null_is_default")]
    pub protocol: String,
    /// `allow` or `deny`.
    #[serde(deserialize_with = "null_is_default")]
    pub rule_action: String,
    /// Direction.
    #[serde(deserialize_with = "null_is_default")]
    pub egress: bool,
    /// IPv4 block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr_block: Option<String>,
    /// IPv6 block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_cidr_block: Option<String>,
    /// Ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_range: Option<PortRange>,
}

/// Ports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortRange {
    /// First.
    #[serde(deserialize_with = "null_is_default")]
    pub from: i32,
    /// Last.
    #[serde(deserialize_with = "null_is_default")]
    pub to: i32,
}

/// A prefix list with its entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PrefixList {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub prefix_list_id: String,
    /// Entries.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub entries: Vec<PrefixListEntry>,
}

/// An entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PrefixListEntry {
    /// Block.
    #[serde(deserialize_with = "null_is_default")]
    pub cidr: String,
}
