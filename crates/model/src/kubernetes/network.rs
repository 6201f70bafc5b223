//! Services, EndpointSlices and ENIConfigs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::meta::null_is_default;
use super::{IntOrString, LoadBalanced, Meta, ObjectReference};

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// Metadata.
    pub metadata: Meta,
    /// Wanted state.
    pub spec: ServiceSpec,
    /// Seen state; `None` where it was not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<LoadBalanced>,
}

/// `spec` of a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// Address, `None` for headless Services.
    #[serde(rename = "clusterIP", deserialize_with = "null_is_default")]
    pub cluster_ip: String,
    /// Addresses, of dual-stack Services two.
    #[serde(
        rename = "clusterIPs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub cluster_ips: Vec<String>,
    /// Which pods back it.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub selector: BTreeMap<String, String>,
    /// Ports.
    #[serde(deserialize_with = "null_is_default")]
    pub ports: Vec<ServicePort>,
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    #[serde(rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// Whether pods that are not ready are served too.
    #[serde(
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_is_default"
    )]
    pub publish_not_ready_addresses: bool,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// `TCP` unless set.
    #[serde(deserialize_with = "null_is_default")]
    pub protocol: String,
    /// Number.
    pub port: u16,
    /// Number or name of the pods' port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_port: Option<IntOrString>,
    /// Port on every node, of Services that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_port: Option<u16>,
}

impl Service {
    /// All its addresses; none for headless Services.
    pub fn cluster_ips(&self) -> impl Iterator<Item = &str> {
        let first = Some(self.spec.cluster_ip.as_str()).filter(|ip| !matches!(*ip, "" | "None"));
        let others = self.spec.cluster_ips.iter().map(String::as_str);
        first
            .into_iter()
            .chain(others.filter(move |ip| *ip != "None" && Some(*ip) != first))
    }
}

/// An EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// Metadata; the Service is the label `kubernetes.io/service-name`.
    pub metadata: Meta,
    /// Endpoints.
    #[serde(deserialize_with = "null_is_default")]
    pub endpoints: Vec<Endpoint>,
    /// Ports.
    #[serde(deserialize_with = "null_is_default")]
    pub ports: Vec<EndpointPort>,
}

/// One endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Addresses.
    #[serde(deserialize_with = "null_is_default")]
    pub addresses: Vec<String>,
    /// Conditions.
    #[serde(deserialize_with = "null_is_default")]
    pub conditions: EndpointConditions,
    /// Node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<ObjectReference>,
    /// Zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// Conditions of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointConditions {
    /// Whether it takes traffic; unset means that it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Whether its pod is going away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}

/// A port of an EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointPort {
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// `TCP` unless set.
    #[serde(deserialize_with = "null_is_default")]
    pub protocol: String,
    /// Number; unset means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl Endpoint {
    /// Whether it takes traffic. Unset counts as ready, as the API documents.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.conditions.ready != Some(false)
    }
}

impl EndpointSlice {
    /// The Service that it belongs to.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.metadata
            .labels
            .get("kubernetes.io/service-name")
            .map(String::as_str)
    }
}

/// An ENIConfig of custom networking.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EniConfig {
    /// Metadata; the name is usually that of a zone.
    pub metadata: Meta,
    /// Where the pods' interfaces go.
    pub spec: EniConfigSpec,
}

/// `spec` of an ENIConfig.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EniConfigSpec {
    /// Subnet.
    #[serde(deserialize_with = "null_is_default")]
    pub subnet: String,
    /// Security groups; empty means those of the primary interface.
    #[serde(deserialize_with = "null_is_default")]
    pub security_groups: Vec<String>,
}
