//! NAT gateways.

use serde::{Deserialize, Serialize};

use super::null_is_default;

/// A NAT gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NatGateway {
    /// Id.
    #[serde(deserialize_with = "null_is_default")]
    pub nat_gateway_id: String,
    /// VPC.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_id: String,
    /// Subnet that it stands in.
    #[serde(deserialize_with = "null_is_default")]
    pub subnet_id: String,
    /// `pending`, `failed`, `available`, `deleting` or `deleted`.
    #[serde(deserialize_with = "null_is_default")]
    pub state: String,
    /// `public` or `private`; empty means public.
    #[serde(deserialize_with = "null_is_default")]
    pub connectivity_type: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_message: Option<String>,
    /// Its addresses.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub nat_gateway_addresses: Vec<NatGatewayAddress>,
}

/// An address of a NAT gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NatGatewayAddress {
    /// Address that the internet sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<String>,
}
