//! Workloads, config maps, leases and service accounts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::meta::null_is_default;
use super::{LabelSelector, Meta, PodSpec};
use crate::Time;

/// A Deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Deployment {
    /// Metadata.
    pub metadata: Meta,
    /// Wanted state.
    pub spec: DeploymentSpec,
    /// Seen state.
    pub status: DeploymentStatus,
}

/// `spec` of a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentSpec {
    /// Wanted replicas; 1 where it is not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Which pods are its own.
    #[serde(deserialize_with = "null_is_default")]
    pub selector: LabelSelector,
    /// Template.
    pub template: PodTemplate,
}

/// `status` of a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentStatus {
    /// Pods that exist.
    #[serde(deserialize_with = "null_is_default")]
    pub replicas: u32,
    /// Pods that are ready.
    #[serde(deserialize_with = "null_is_default")]
    pub ready_replicas: u32,
    /// Conditions.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub conditions: Vec<WorkloadCondition>,
}

/// A condition of a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadCondition {
    /// Such as `Available`.
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
    /// Since when the status holds.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub last_transition_time: Option<Time>,
}

/// A pod template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodTemplate {
    /// Metadata of the pods.
    #[serde(deserialize_with = "null_is_default")]
    pub metadata: Meta,
    /// Their spec.
    pub spec: PodSpec,
}

/// A DaemonSet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DaemonSet {
    /// Metadata.
    pub metadata: Meta,
    /// Wanted state.
    pub spec: WorkloadSpec,
    /// Seen state.
    pub status: DaemonSetStatus,
}

/// `spec` of a workload without replicas.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSpec {
    /// Which pods are its own.
    #[serde(deserialize_with = "null_is_default")]
    pub selector: LabelSelector,
    /// Template.
    pub template: PodTemplate,
}

/// `status` of a DaemonSet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DaemonSetStatus {
    /// Nodes that should run it.
    pub desired_number_scheduled: u32,
    /// Nodes on which it is ready.
    pub number_ready: u32,
}

/// A ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    /// Metadata.
    pub metadata: Meta,
    /// Data of the maps that checks name (see [`ConfigMap::is_kept`]); nothing of others.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub data: BTreeMap<String, String>,
}

impl ConfigMap {
    /// Whether a map of that namespace and name is one that checks read. Others may hold secrets and
    /// are neither asked for nor kept.
    #[must_use]
    pub fn is_kept(namespace: &str, name: &str) -> bool {
        namespace == "kube-system"
            && matches!(
                name,
                "coredns"
                    | "coredns-custom"
                    | "kube-proxy"
                    | "kube-proxy-config"
                    | "node-local-dns"
                    | "cluster-autoscaler-status"
                    | "amazon-vpc-cni"
                    | "aws-auth"
            )
    }
}

/// A Lease.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lease {
    /// Metadata.
    pub metadata: Meta,
    /// State.
    pub spec: LeaseSpec,
}

/// `spec` of a Lease.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    /// Who holds it.
    #[serde(deserialize_with = "null_is_default")]
    pub holder_identity: String,
    /// For how long, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_duration_seconds: Option<i64>,
    /// When it was last renewed.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub renew_time: Option<Time>,
}

/// A ServiceAccount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccount {
    /// Metadata; the role is the annotation `eks.amazonaws.com/role-arn`.
    pub metadata: Meta,
}
