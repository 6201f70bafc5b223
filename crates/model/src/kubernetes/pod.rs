//! Pods.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::meta::null_is_default;
use super::{Affinity, Meta, PodRequests, TopologySpreadConstraint};
use crate::{Time, kept_env_value, scrubbed_argument};

/// A pod, in the parts that checks read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// Metadata.
    pub metadata: Meta,
    /// Wanted state.
    pub spec: PodSpec,
    /// Seen state.
    pub status: PodStatus,
}

/// `spec` of a pod or of a pod template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Node on which it runs or shall run; empty while it is not scheduled.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub node_name: String,
    /// Whether it uses the node's network.
    #[serde(
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_is_default"
    )]
    pub host_network: bool,
    /// ServiceAccount.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub service_account_name: String,
    /// `ClusterFirst` unless set.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub dns_policy: String,
    /// Containers.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub containers: Vec<Container>,
    /// Init containers.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub init_containers: Vec<Container>,
    /// Node selector.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub tolerations: Vec<Toleration>,
    /// Priority class.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub priority_class_name: String,
    /// What it demands of nodes and neighbours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Box<Affinity>>,
    /// How its kind is spread.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Requests of the pod as a whole, which come before those of its containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Box<Resources>>,
    /// What the scheduler counts of it, of a pod whose containers were dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<PodRequests>,
    /// What its runtime class adds.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub overhead: BTreeMap<String, String>,
    /// As whom its containers run.
    #[serde(
        skip_serializing_if = "SecurityContext::is_default",
        deserialize_with = "null_is_default"
    )]
    pub security_context: SecurityContext,
}

/// As whom a pod or a container runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityContext {
    /// User id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    /// Whether the user must not be root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_non_root: Option<bool>,
    /// Group of its volumes' files; of pods alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_group: Option<i64>,
}

impl SecurityContext {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A toleration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// Key; empty with `Exists` tolerates everything.
    #[serde(deserialize_with = "null_is_default")]
    pub key: String,
    /// `Exists` or `Equal`.
    #[serde(deserialize_with = "null_is_default")]
    pub operator: String,
    /// Value of `Equal`.
    #[serde(deserialize_with = "null_is_default")]
    pub value: String,
    /// Effect; empty means all.
    #[serde(deserialize_with = "null_is_default")]
    pub effect: String,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Image.
    #[serde(deserialize_with = "null_is_default")]
    pub image: String,
    /// Command, credentials removed.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "arguments")]
    pub command: Vec<String>,
    /// Arguments, credentials removed.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "arguments")]
    pub args: Vec<String>,
    /// Environment; values only of the variables that checks read.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub env: Vec<EnvVar>,
    /// Ports.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub ports: Vec<ContainerPort>,
    /// Requests and limits.
    #[serde(deserialize_with = "null_is_default")]
    pub resources: Resources,
    /// `Always` on an init container makes it a sidecar.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub restart_policy: String,
    /// As whom it runs, where that differs from its pod.
    #[serde(
        skip_serializing_if = "SecurityContext::is_default",
        deserialize_with = "null_is_default"
    )]
    pub security_context: SecurityContext,
}

/// An environment variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Value, of the variables that checks read and that are written out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl<'de> Deserialize<'de> for EnvVar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Written {
            name: String,
            #[serde(default)]
            value: Option<String>,
        }
        let Written { name, value } = Written::deserialize(deserializer)?;
        let value = value.and_then(|value| kept_env_value(&name, &value));
        Ok(Self { name, value })
    }
}

/// A port of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// Number.
    pub container_port: u16,
    /// `TCP` unless set.
    #[serde(deserialize_with = "null_is_default")]
    pub protocol: String,
}

/// Requests and limits, as quantities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// What the scheduler counts.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub requests: BTreeMap<String, String>,
    /// What the kernel enforces.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub limits: BTreeMap<String, String>,
}

/// `status` of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    #[serde(deserialize_with = "null_is_default")]
    pub phase: String,
    /// One word.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub reason: String,
    /// A sentence.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub message: String,
    /// Address.
    #[serde(
        rename = "podIP",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub pod_ip: String,
    /// Addresses, of dual-stack pods two.
    #[serde(
        rename = "podIPs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub pod_ips: Vec<PodIp>,
    /// Address of its node.
    #[serde(
        rename = "hostIP",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub host_ip: String,
    /// Since when kubelet knows it.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub start_time: Option<Time>,
    /// Conditions.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub conditions: Vec<PodCondition>,
    /// Containers.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub container_statuses: Vec<ContainerStatus>,
    /// Init containers.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// One address of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodIp {
    /// The address.
    pub ip: String,
}

/// A condition of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCondition {
    /// Such as `PodScheduled` or `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub reason: String,
    /// A sentence.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub message: String,
    /// Since when the status holds.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub last_transition_time: Option<Time>,
}

/// State of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// How often it was restarted since the pod began.
    pub restart_count: u32,
    /// Now.
    #[serde(deserialize_with = "null_is_default")]
    pub state: ContainerState,
    /// Before the last restart.
    #[serde(deserialize_with = "null_is_default")]
    pub last_state: ContainerState,
}

/// One of three states.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerState {
    /// Not started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<StateWaiting>,
    /// Running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<StateRunning>,
    /// Ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<StateTerminated>,
}

/// Why a container does not run yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StateWaiting {
    /// Such as `CrashLoopBackOff`.
    #[serde(deserialize_with = "null_is_default")]
    pub reason: String,
    /// A sentence.
    #[serde(deserialize_with = "null_is_default")]
    pub message: String,
}

/// Since when a container runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StateRunning {
    /// Since when.
    #[serde(deserialize_with = "crate::time::lenient")]
    pub started_at: Option<Time>,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StateTerminated {
    /// Exit code.
    pub exit_code: i32,
    /// Such as `OOMKilled` or `Error`.
    #[serde(deserialize_with = "null_is_default")]
    pub reason: String,
    /// The termination message.
    #[serde(deserialize_with = "null_is_default")]
    pub message: String,
    /// When.
    #[serde(deserialize_with = "crate::time::lenient")]
    pub finished_at: Option<Time>,
}

impl Pod {
    /// The condition of that type.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&PodCondition> {
        self.status
            .conditions
            .iter()
            .find(|condition| condition.kind == kind)
    }

    /// The scheduler's refusal, while the pod waits for a node; `None` for pods that are held back on
    /// purpose, and for those that have ended.
    #[must_use]
    pub fn unschedulable(&self) -> Option<&PodCondition> {
        self.condition("PodScheduled").filter(|condition| {
            !self.is_terminal()
                && condition.status == "False"
                && condition.reason == "Unschedulable"
        })
    }

    /// The controller that owns it, by kind: `ReplicaSet`, `DaemonSet`, ...
    #[must_use]
    pub fn owner_kind(&self) -> Option<&str> {
        self.metadata
            .owner_references
            .iter()
            .find(|owner| owner.controller)
            .map(|owner| owner.kind.as_str())
    }

    /// Whether the pod is Ready: an endpoint of Services.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.condition("Ready")
            .is_some_and(|condition| condition.status == "True")
    }

    /// Whether it has ended for good: such pods hold no address and no slot.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// `namespace/name`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.metadata.namespace, self.metadata.name)
    }

    /// `namespace/name` of the workload: the Deployment behind a ReplicaSet, another owner, or the
    /// pod itself.
    ///
    /// A ReplicaSet's name is its Deployment's, a dash and the pod template hash.
    #[must_use]
    pub fn workload(&self) -> String {
        let owner = self
            .metadata
            .owner_references
            .iter()
            .find(|owner| owner.controller);
        let name = match owner {
            Some(owner) if owner.kind == "ReplicaSet" => {
                let hash = self
                    .metadata
                    .labels
                    .get("pod-template-hash")
                    .map(String::as_str);
                hash.and_then(|hash| owner.name.strip_suffix(hash))
                    .and_then(|name| name.strip_suffix('-'))
                    .or_else(|| owner.name.rsplit_once('-').map(|(name, _)| name))
                    .unwrap_or(&owner.name)
            }
            Some(owner) => &owner.name,
            None => &self.metadata.name,
        };
        format!("{}/{name}", self.metadata.namespace)
    }

    /// `namespace/Kind/name` of the workload, as in `kube-system/Deployment/coredns`.
    #[must_use]
    pub fn workload_path(&self) -> String {
        let owner = self
            .metadata
            .owner_references
            .iter()
            .find(|owner| owner.controller);
        let kind = match owner.map(|owner| owner.kind.as_str()) {
            Some("ReplicaSet") => "Deployment",
            Some(kind) => kind,
            None => "Pod",
        };
        let workload = self.workload();
        let name = workload
            .split_once('/')
            .map_or(workload.as_str(), |(_, name)| name);
        format!("{}/{kind}/{name}", self.metadata.namespace)
    }

    /// All its addresses.
    pub fn ips(&self) -> impl Iterator<Item = &str> {
        let first = Some(self.status.pod_ip.as_str()).filter(|ip| !ip.is_empty());
        let others = self.status.pod_ips.iter().map(|ip| ip.ip.as_str());
        first
            .into_iter()
            .chain(others.filter(move |ip| Some(*ip) != first))
    }

    /// Whether it uses its node's network: by its spec, or because its address is the node's.
    #[must_use]
    pub fn on_host_network(&self) -> bool {
        self.spec.host_network
            || (!self.status.pod_ip.is_empty() && self.status.pod_ip == self.status.host_ip)
    }

    /// Whether it resolves names as its node does, not through cluster DNS: by `dnsPolicy: Default`, or
    /// because `ClusterFirst` means that for a pod on the node's network.
    #[must_use]
    pub fn asks_node_resolver(&self) -> bool {
        match self.spec.dns_policy.as_str() {
            "Default" => true,
            "" | "ClusterFirst" => self.on_host_network(),
            _ => false,
        }
    }

    /// Why its first failing container does not run, with the message.
    #[must_use]
    pub fn trouble(&self) -> Option<(&str, &str)> {
        let statuses = self
            .status
            .init_container_statuses
            .iter()
            .chain(&self.status.container_statuses);
        statuses
            .filter_map(|status| status.state.waiting.as_ref())
            .find(|waiting| !matches!(waiting.reason.as_str(), "" | "PodInitializing"))
            .map(|waiting| (waiting.reason.as_str(), waiting.message.as_str()))
    }
}

fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let all: Vec<String> = null_is_default(deserializer)?;
    let mut scrubbed = Vec::with_capacity(all.len());
    for argument in all {
        scrubbed.push(scrubbed_argument(&argument));
    }
    Ok(scrubbed)
}
