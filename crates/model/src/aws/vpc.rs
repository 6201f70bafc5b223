//! VPCs, subnets, routes, endpoints and DHCP options.

use serde::{Deserialize, Serialize};

use super::{Tag, null_is_default};

/// Id and name of a security group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GroupIdentifier {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub group_id: String,
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub group_name: String,
}

/// A VPC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Vpc {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_id: String,
    /// Primary block.
    #[serde(deserialize_with = "null_is_default")]
    pub cidr_block: String,
    /// All IPv4 blocks.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub cidr_block_association_set: Vec<CidrBlockAssociation>,
    /// DHCP options.
    #[serde(deserialize_with = "null_is_default")]
    pub dhcp_options_id: String,
    /// Whether it is the account's default.
    #[serde(deserialize_with = "null_is_default")]
    pub is_default: bool,
    /// Whether the VPC resolver answers; `describe-vpc-attribute` tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_dns_support: Option<bool>,
    /// Whether instances get names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_dns_hostnames: Option<bool>,
    /// Tags.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub tags: Vec<Tag>,
}

/// A block of a VPC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CidrBlockAssociation {
    /// Block.
    #[serde(deserialize_with = "null_is_default")]
    pub cidr_block: String,
    /// State.
    #[serde(deserialize_with = "null_is_default")]
    pub cidr_block_state: CidrBlockState,
}

/// State of a block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CidrBlockState {
    /// `associated`, ...
    #[serde(deserialize_with = "null_is_default")]
    pub state: String,
}

/// A subnet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Subnet {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub subnet_id: String,
    /// VPC.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_id: String,
    /// Block.
    #[serde(deserialize_with = "null_is_default")]
    pub cidr_block: String,
    /// Zone.
    #[serde(deserialize_with = "null_is_default")]
    pub availability_zone: String,
    /// Its id, the same in every account, such as `use1-az3`.
    #[serde(deserialize_with = "null_is_default")]
    pub availability_zone_id: String,
    /// Free addresses; the five that AWS keeps are not among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_ip_address_count: Option<u32>,
    /// Whether instances get public addresses.
    #[serde(deserialize_with = "null_is_default")]
    pub map_public_ip_on_launch: bool,
    /// Tags.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub tags: Vec<Tag>,
}

/// A range of a subnet that is set aside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SubnetCidrReservation {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub subnet_cidr_reservation_id: String,
    /// Subnet.
    #[serde(deserialize_with = "null_is_default")]
    pub subnet_id: String,
    /// The range.
    #[serde(deserialize_with = "null_is_default")]
    pub cidr: String,
    /// `prefix`: only prefixes are given out of it. `explicit`: nothing is, unless asked for by address.
    #[serde(deserialize_with = "null_is_default")]
    pub reservation_type: String,
}

/// A route table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RouteTable {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub route_table_id: String,
    /// VPC.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_id: String,
    /// Routes.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub routes: Vec<Route>,
    /// Subnets.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub associations: Vec<RouteTableAssociation>,
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Route {
    /// IPv4 destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_cidr_block: Option<String>,
    /// IPv6 destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_ipv6_cidr_block: Option<String>,
    /// Prefix list as destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_prefix_list_id: Option<String>,
    /// `local`, an internet gateway, a gateway endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_id: Option<String>,
    /// NAT gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_gateway_id: Option<String>,
    /// Transit gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transit_gateway_id: Option<String>,
    /// Peering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_peering_connection_id: Option<String>,
    /// Interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_interface_id: Option<String>,
    /// NAT instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// IPv6 way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_only_internet_gateway_id: Option<String>,
    /// `active` or `blackhole`.
    #[serde(deserialize_with = "null_is_default")]
    pub state: String,
}

/// A subnet of a route table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RouteTableAssociation {
    /// Whether it serves subnets without a table of their own.
    #[serde(deserialize_with = "null_is_default")]
    pub main: bool,
    /// Subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<String>,
}

/// A VPC endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VpcEndpoint {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_endpoint_id: String,
    /// `Interface` or `Gateway`.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_endpoint_type: String,
    /// VPC.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_id: String,
    /// Such as `com.amazonaws.us-west-2.sts`.
    #[serde(deserialize_with = "null_is_default")]
    pub service_name: String,
    /// `available`, ...
    #[serde(deserialize_with = "null_is_default")]
    pub state: String,
    /// Whether the public name leads to it, where that was said: a pasted part may leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_dns_enabled: Option<bool>,
    /// Subnets.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub subnet_ids: Vec<String>,
    /// Route tables of a gateway endpoint.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub route_table_ids: Vec<String>,
    /// Security groups.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub groups: Vec<GroupIdentifier>,
    /// Interfaces.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub network_interface_ids: Vec<String>,
    /// Names.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub dns_entries: Vec<DnsEntry>,
    /// Policy, JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_document: Option<String>,
}

/// A name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DnsEntry {
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_name: Option<String>,
}

/// DHCP options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DhcpOptions {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub dhcp_options_id: String,
    /// Options.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub dhcp_configurations: Vec<DhcpConfiguration>,
}

/// An option.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DhcpConfiguration {
    /// Such as `domain-name-servers`.
    #[serde(deserialize_with = "null_is_default")]
    pub key: String,
    /// Values.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub values: Vec<DhcpValue>,
}

/// A value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DhcpValue {
    /// The value.
    #[serde(deserialize_with = "null_is_default")]
    pub value: String,
}
