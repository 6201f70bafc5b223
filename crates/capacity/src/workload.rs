//! The workload whose pods are placed.

use std::str::FromStr;

use eksnet_model::kubernetes::{Meta, Pod, PodSpec};

use crate::ground::{Ground, list};

/// `NAMESPACE/KIND/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadName {
    /// Namespace.
    pub namespace: String,
    /// Kind, as Kubernetes spells it: `Deployment`.
    pub kind: String,
    /// Name.
    pub name: String,
}

impl FromStr for WorkloadName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let [namespace, kind, name] = parts.as_slice() else {
            return Err(format!("{text:?} is not NAMESPACE/KIND/NAME"));
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(format!("{text:?} is not NAMESPACE/KIND/NAME"));
        }
        let kind = match kind.to_ascii_lowercase().as_str() {
            "deployment" | "deployments" | "deploy" => "Deployment",
            "statefulset" | "statefulsets" | "sts" => "StatefulSet",
            "replicaset" | "replicasets" | "rs" => "ReplicaSet",
            "job" | "jobs" => "Job",
            "pod" | "pods" | "po" => "Pod",
            _ => {
                return Err(format!(
                    "{kind:?} is no kind whose pods can be counted: Deployment, StatefulSet, ReplicaSet, Job or Pod"
                ));
            }
        };
        Ok(Self {
            namespace: (*namespace).to_owned(),
            kind: kind.to_owned(),
            name: (*name).to_owned(),
        })
    }
}

impl std::fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.kind, self.name)
    }
}

/// What is known of a workload.
pub(crate) struct Workload {
    /// Namespace and labels of its pods.
    pub(crate) meta: Meta,
    pub(crate) spec: PodSpec,
    /// Its pods that have a node.
    pub(crate) placed: u32,
    /// Whether it was read off one of its pods, of which node affinity and spread are not kept.
    pub(crate) by_pod: bool,
    /// Whether its pods have branch interfaces.
    pub(crate) branch: bool,
}

/// The workload of that name; `None` where the evidence does not hold it.
pub(crate) fn find(ground: &Ground<'_>, name: &WorkloadName) -> Option<Workload> {
    let path = name.to_string();
    let own: Vec<&Pod> = ground
        .topology
        .pods()
        .filter(|pod| pod.metadata.namespace == name.namespace && !pod.is_terminal())
        .filter(|pod| pod.workload_path() == path)
        .collect();
    let placed = own.iter().filter(|pod| !pod.spec.node_name.is_empty());
    let placed = u32::try_from(placed.count()).unwrap_or(u32::MAX);
    let branch = own.iter().any(|pod| {
        pod.metadata
            .annotations
            .contains_key("vpc.amazonaws.com/pod-eni")
    });
    let deployment = list(&ground.snapshot.kubernetes.deployments)
        .iter()
        .find(|one| {
            name.kind == "Deployment"
                && one.metadata.namespace == name.namespace
                && one.metadata.name == name.name
        });
    if let Some(deployment) = deployment {
        let mut meta = deployment.spec.template.metadata.clone();
        meta.namespace.clone_from(&name.namespace);
        return Some(Workload {
            meta,
            spec: deployment.spec.template.spec.clone(),
            placed,
            by_pod: false,
            branch,
        });
    }
    // One that waits is kept whole.
    let pod = own
        .iter()
        .find(|pod| !pod.spec.containers.is_empty())
        .or(own.first())?;
    let mut meta = pod.metadata.clone();
    meta.labels.remove("pod-template-hash");
    Some(Workload {
        meta,
        spec: pod.spec.clone(),
        placed,
        by_pod: true,
        branch,
    })
}
