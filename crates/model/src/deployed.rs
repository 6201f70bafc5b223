//! A component as it is deployed: its Deployment, where there is one, and its pods.

use std::collections::BTreeMap;

use crate::kubernetes::{Deployment, Pod, PodSpec};
use crate::{Component, Cx, Place, Running, Stop, Subject, SubjectKind};

/// One installation of a component.
#[derive(Clone, Debug)]
pub struct Deployed<'a> {
    /// Which component.
    pub component: Component,
    /// Namespace.
    pub namespace: &'a str,
    /// Name of the Deployment, of another owner, or of the pod itself.
    pub name: String,
    /// The Deployment, where it was seen.
    pub deployment: Option<&'a Deployment>,
    /// Its pods, by name; those that have ended for good included.
    pub pods: Vec<&'a Pod>,
    spec: &'a PodSpec,
}

impl<'a> Deployed<'a> {
    /// Every installation of `component`, by namespace and name. Deployments and pods stand in for
    /// one another: either may be missing.
    #[must_use]
    pub fn find(
        component: Component,
        deployments: Option<&'a Vec<Deployment>>,
        pods: Option<&'a Vec<Pod>>,
    ) -> Vec<Self> {
        let mut found: BTreeMap<(&str, String), Self> = BTreeMap::new();
        for deployment in deployments.into_iter().flatten() {
            let template = &deployment.spec.template;
            if Component::of(&template.spec, &template.metadata.labels) == component {
                let name = deployment.metadata.name.clone();
                let namespace = deployment.metadata.namespace.as_str();
                found.insert(
                    (namespace, name.clone()),
                    Self {
                        component,
                        namespace,
                        name,
                        deployment: Some(deployment),
                        pods: Vec::new(),
                        spec: &template.spec,
                    },
                );
            }
        }
        let mut pods: Vec<&Pod> = pods.into_iter().flatten().collect();
        pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        for pod in pods
            .into_iter()
            .filter(|pod| Component::of_pod(pod) == component)
        {
            let namespace = pod.metadata.namespace.as_str();
            let workload = pod.workload();
            let name = workload
                .split_once('/')
                .map_or(workload.as_str(), |(_, name)| name);
            found
                .entry((namespace, name.to_owned()))
                .or_insert_with(|| Self {
                    component,
                    namespace,
                    name: name.to_owned(),
                    deployment: None,
                    pods: Vec::new(),
                    spec: &pod.spec,
                })
                .pods
                .push(pod);
        }
        found.into_values().collect()
    }

    /// Every installation of these components that the evidence shows; never empty. Reads
    /// Deployments and pods, neither of which decides alone.
    ///
    /// # Errors
    /// [`Stop::NotApplicable`] when all Deployments were seen and none runs one of them;
    /// [`Stop::Unknown`] when there is none among what was seen, and not all was.
    pub fn seen(cx: &'a Cx<'_>, components: &[Component]) -> Result<Vec<Self>, Stop> {
        let deployments = cx.deployments().optional();
        let pods = cx.pods().optional();
        let found: Vec<Self> = components
            .iter()
            .flat_map(|component| Self::find(*component, deployments, pods))
            .collect();
        if !found.is_empty() {
            return Ok(found);
        }
        if let Some(gap) = cx.deployments().gap() {
            return Err(Stop::unknown(gap.clone()));
        }
        let names: Vec<&str> = components
            .iter()
            .map(|component| component.name())
            .collect();
        Err(Stop::not_applicable(format!(
            "no {} is deployed",
            names.join(" or ")
        )))
    }

    /// The component's container. A pod shows what runs, a template what is wanted: the template is
    /// preferred, as it is what a fix changes.
    #[must_use]
    pub fn running(&self) -> Option<Running<'a>> {
        Running::of(self.component, self.spec)
    }

    /// `namespace/name`, as [`Pod::workload`] writes it.
    #[must_use]
    pub fn workload(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// `deployment/NAME` or `pod/NAME`, for commands.
    #[must_use]
    pub fn resource(&self) -> String {
        match self.subject().kind {
            SubjectKind::Pod => format!("pod/{}", self.name),
            _ => format!("deployment/{}", self.name),
        }
    }

    /// The workload as a subject.
    #[must_use]
    pub fn subject(&self) -> Subject {
        let is_pod = self.pods.iter().any(|pod| pod.metadata.name == self.name);
        let kind = if self.deployment.is_none() && is_pod {
            SubjectKind::Pod
        } else {
            SubjectKind::Deployment
        };
        Subject::namespaced(kind, self.namespace, self.name.as_str())
    }

    /// Replicas that are wanted: by the Deployment, else the pods that there are.
    #[must_use]
    pub fn wanted(&self) -> usize {
        match self.deployment {
            Some(deployment) => deployment.spec.replicas.unwrap_or(1) as usize,
            None => self.live_pods().count(),
        }
    }

    /// Pods that have not ended for good.
    pub fn live_pods(&self) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().copied().filter(|pod| !pod.is_terminal())
    }

    /// Replicas that are ready: by the pods where they are known, else by the Deployment's count.
    #[must_use]
    pub fn ready(&self) -> usize {
        match self.deployment {
            Some(deployment) if self.pods.is_empty() => deployment.status.ready_replicas as usize,
            _ => self.live_pods().filter(|pod| pod.is_ready()).count(),
        }
    }

    /// The workload and the nodes of its pods.
    #[must_use]
    pub fn place(&self) -> Place {
        let nodes = self
            .live_pods()
            .map(|pod| pod.spec.node_name.as_str())
            .filter(|node| !node.is_empty());
        Place::nodes(nodes).of(self.workload())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_and_its_pods_are_one_and_a_bare_pod_is_another() {
        let deployments: Vec<Deployment> = serde_json::from_value(serde_json::json!([
            {"metadata": {"namespace": "ops", "name": "scaler"}, "spec": {"template": {"spec": {"containers":
                [{"name": "c", "image": "r/cluster-autoscaler:v1.33.0"}]}}}, "status": {"readyReplicas": 1}},
            {"metadata": {"namespace": "ops", "name": "web"}, "spec": {"template": {"spec": {"containers":
                [{"name": "c", "image": "nginx"}]}}}},
        ]))
        .unwrap();
        let pods: Vec<Pod> = serde_json::from_value(serde_json::json!([
            {"metadata": {"namespace": "ops", "name": "scaler-77-x", "labels": {"pod-template-hash": "77"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "scaler-77", "controller": true}]},
             "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "r/cluster-autoscaler:v1.32.0"}]}},
            {"metadata": {"namespace": "kube-system", "name": "solo"},
             "spec": {"containers": [{"name": "c", "image": "r/cluster-autoscaler:v1.33.0"}]}},
        ]))
        .unwrap();
        let found = Deployed::find(
            Component::ClusterAutoscaler,
            Some(&deployments),
            Some(&pods),
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].subject().to_string(), "Pod kube-system/solo");
        assert_eq!(found[1].subject().to_string(), "Deployment ops/scaler");
        assert_eq!(found[1].pods.len(), 1);
        assert_eq!(found[1].ready(), 0, "the pod has no condition Ready");
        assert_eq!(
            found[1].running().and_then(|r| r.version()),
            Some((1, 33)),
            "the template counts"
        );
        let alone = Deployed::find(Component::ClusterAutoscaler, Some(&deployments), None);
        assert_eq!(alone[0].ready(), 1, "without pods the count of the status");
    }
}
