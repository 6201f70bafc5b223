//! Nodes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Meta;
use super::meta::null_is_default;
use crate::Time;

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    /// Metadata.
    pub metadata: Meta,
    /// Wanted state.
    pub spec: NodeSpec,
    /// Seen state.
    pub status: NodeStatus,
}

/// `spec` of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    /// Such as `aws:///us-west-2a/i-0abc`.
    #[serde(rename = "providerID", skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// Whether it is cordoned.
    #[serde(
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_is_default"
    )]
    pub unschedulable: bool,
    /// Taints.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub taints: Vec<Taint>,
}

/// A taint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
    /// Since when.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub time_added: Option<Time>,
}

/// `status` of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// Addresses.
    #[serde(deserialize_with = "null_is_default")]
    pub addresses: Vec<NodeAddress>,
    /// Capacity by resource, as quantities.
    #[serde(deserialize_with = "null_is_default")]
    pub capacity: BTreeMap<String, String>,
    /// What pods can use of it.
    #[serde(deserialize_with = "null_is_default")]
    pub allocatable: BTreeMap<String, String>,
    /// Conditions.
    #[serde(deserialize_with = "null_is_default")]
    pub conditions: Vec<NodeCondition>,
    /// System.
    pub node_info: NodeInfo,
}

/// An address of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// The address.
    pub address: String,
}

/// A condition of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCondition {
    /// Such as `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    #[serde(deserialize_with = "null_is_default")]
    pub reason: String,
    /// A sentence.
    #[serde(deserialize_with = "null_is_default")]
    pub message: String,
    /// When the kubelet last said so.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub last_heartbeat_time: Option<Time>,
    /// Since when the status holds.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub last_transition_time: Option<Time>,
}

/// The system of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeInfo {
    /// Such as `v1.33.1-eks-1234`.
    pub kubelet_version: String,
    /// Such as `Amazon Linux 2023`.
    pub os_image: String,
    /// Such as `5.10.226-214.880.amzn2.x86_64`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kernel_version: String,
    /// `linux` or `windows`.
    pub operating_system: String,
    /// `amd64` or `arm64`.
    pub architecture: String,
}

impl Node {
    /// The condition of that type.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&NodeCondition> {
        self.status
            .conditions
            .iter()
            .find(|condition| condition.kind == kind)
    }

    /// Whether the node is Ready; `None` when it has no such condition.
    #[must_use]
    pub fn is_ready(&self) -> Option<bool> {
        self.condition("Ready")
            .map(|condition| condition.status == "True")
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.get(key).map(String::as_str)
    }

    /// The internal address.
    #[must_use]
    pub fn internal_ip(&self) -> Option<&str> {
        self.address("InternalIP")
    }

    /// The address of that type.
    #[must_use]
    pub fn address(&self, kind: &str) -> Option<&str> {
        self.status
            .addresses
            .iter()
            .find(|address| address.kind == kind)
            .map(|address| address.address.as_str())
    }

    /// The EC2 instance id at the end of the provider id.
    #[must_use]
    pub fn instance_id(&self) -> Option<&str> {
        let last = self.spec.provider_id.as_deref()?.rsplit('/').next()?;
        last.starts_with("i-").then_some(last)
    }

    /// Availability zone, by the current or the old label.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.label("topology.kubernetes.io/zone")
            .or_else(|| self.label("failure-domain.beta.kubernetes.io/zone"))
    }

    /// Region, by the current or the old label.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.label("topology.kubernetes.io/region")
            .or_else(|| self.label("failure-domain.beta.kubernetes.io/region"))
    }

    /// Instance type, by the current or the old label.
    #[must_use]
    pub fn instance_type(&self) -> Option<&str> {
        self.label("node.kubernetes.io/instance-type")
            .or_else(|| self.label("beta.kubernetes.io/instance-type"))
    }

    /// Whether it is a Fargate, hybrid or Auto Mode node: their CNI cannot be seen as a pod.
    #[must_use]
    pub fn compute_type(&self) -> Option<&str> {
        self.label("eks.amazonaws.com/compute-type")
    }

    /// Whether the VPC CNI runs on it as a pod: Linux, and neither Fargate, hybrid nor Auto Mode.
    #[must_use]
    pub fn has_cni_pod(&self) -> bool {
        self.is_linux() && !matches!(self.compute_type(), Some("fargate" | "hybrid" | "auto"))
    }

    /// Whether it runs Linux (also when nothing says so).
    #[must_use]
    pub fn is_linux(&self) -> bool {
        let os = self
            .label("kubernetes.io/os")
            .or_else(|| self.label("beta.kubernetes.io/os"));
        os.unwrap_or(match self.status.node_info.operating_system.as_str() {
            "windows" => "windows",
            _ => "linux",
        }) == "linux"
    }

    /// kubelet's limit of pods.
    #[must_use]
    pub fn max_pods(&self) -> Option<u32> {
        self.status
            .capacity
            .get("pods")
            .or_else(|| self.status.allocatable.get("pods"))?
            .parse()
            .ok()
    }
}
