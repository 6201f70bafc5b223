//! Who wrote a log: pod, workload and node.

use std::collections::BTreeSet;

use crate::kubernetes::Pod;
use crate::{Component, LogScan, Text, Topology};

impl<'a> Topology<'a> {
    /// The pod that wrote a log: the one that the scan names, else the only one of its component.
    #[must_use]
    pub fn pod_of_log(&self, scan: &LogScan) -> Option<&'a Pod> {
        if !scan.pod.is_empty() {
            return self.pod(&scan.namespace, &scan.pod);
        }
        if scan.component == Component::Unknown {
            return None;
        }
        let mut pods = self.pods_of(scan.component);
        pods.next().filter(|_| pods.next().is_none())
    }

    /// `namespace/name` of the workload that wrote a log: by its pod, else the only workload of its
    /// component.
    #[must_use]
    pub fn workload_of_log(&self, scan: &LogScan) -> Option<String> {
        if let Some(pod) = self.pod_of_log(scan) {
            return Some(pod.workload());
        }
        if !scan.pod.is_empty() {
            return Some(format!("{}/{}", scan.namespace, owner_in_name(&scan.pod)));
        }
        if scan.component == Component::Unknown {
            return None;
        }
        let mut workloads: BTreeSet<String> =
            self.pods_of(scan.component).map(Pod::workload).collect();
        workloads.pop_first().filter(|_| workloads.is_empty())
    }

    /// The node that a log was written on.
    #[must_use]
    pub fn node_of_log(&self, scan: &LogScan) -> Option<Text> {
        if !scan.node.is_empty() {
            return Some(scan.node.clone());
        }
        self.pod_of_log(scan)
            .map(|pod| pod.spec.node_name.as_str())
            .filter(|node| !node.is_empty())
            .map(Text::from)
    }
}

/// The Deployment or DaemonSet in a pod's name, without what Kubernetes appended: a pod template hash
/// and five random characters, all from an alphabet without vowels (`k8s.io/apimachinery/pkg/util/rand`).
fn owner_in_name(pod: &str) -> &str {
    let random = |part: &str, longest: usize| {
        (1..=longest).contains(&part.len())
            && part
                .bytes()
                .all(|c| b"bcdfghjklmnpqrstvwxz2456789".contains(&c))
    };
    match pod.rsplit_once('-') {
        Some((rest, last)) if last.len() == 5 && random(last, 5) => match rest.rsplit_once('-') {
            Some((name, hash)) if hash.len() >= 6 && random(hash, 10) => name,
            _ => rest,
        },
        _ => pod,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Snapshot;

    #[test]
    fn the_workload_of_a_log_is_known_even_without_its_pod() {
        assert_eq!(
            owner_in_name("cluster-autoscaler-7b6d9c5f4x-x2kq9"),
            "cluster-autoscaler"
        );
        assert_eq!(owner_in_name("aws-node-x2kq9"), "aws-node");
        assert_eq!(owner_in_name("karpenter"), "karpenter");
    }

    #[test]
    fn a_log_without_pod_belongs_to_the_only_workload_of_its_component() {
        let pod = |name: &str| {
            serde_json::json!({"metadata": {"namespace": "kube-system", "name": name, "labels": {"pod-template-hash": "77"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "autoscaler-77", "controller": true}]},
                "spec": {"nodeName": name, "containers": [{"name": "c", "image": "r/cluster-autoscaler:v1.33.0"}]}})
        };
        let snapshot: Snapshot = serde_json::from_value(
            serde_json::json!({"kubernetes": {"pods": [pod("n1"), pod("n2")]}}),
        )
        .expect("a snapshot");
        let topology = Topology::of(&snapshot);
        let scan = LogScan {
            component: Component::ClusterAutoscaler,
            ..LogScan::default()
        };
        assert_eq!(
            topology.workload_of_log(&scan).as_deref(),
            Some("kube-system/autoscaler")
        );
        assert_eq!(
            topology.node_of_log(&scan),
            None,
            "two pods: not known which"
        );
    }
}
