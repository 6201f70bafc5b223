//! What the scheduler counts of a pod.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::quantity::{bytes, milli_cpu};
use super::{PodSpec, Resources};

/// What the scheduler counts of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodRequests {
    /// Thousandths of a core.
    pub cpu_m: u64,
    /// Bytes.
    pub memory: u64,
    /// Branch interfaces, `vpc.amazonaws.com/pod-eni`.
    pub branch: u32,
}

const BRANCH: &str = "vpc.amazonaws.com/pod-eni";

impl PodSpec {
    /// What the scheduler counts: the sum over containers or what the init containers need, whichever
    /// is more, sidecars and overhead included; what the pod asks for as a whole comes before all.
    /// `None` where the containers are not known.
    ///
    /// Rule: <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>
    /// (read 2026-05).
    #[must_use]
    pub fn requests(&self) -> Option<PodRequests> {
        if self.requested.is_some() {
            return self.requested;
        }
        if self.containers.is_empty() && self.resources.is_none() {
            return None;
        }
        let cpu = |of: &BTreeMap<String, String>| of.get("cpu").and_then(|text| milli_cpu(text));
        let memory = |of: &BTreeMap<String, String>| of.get("memory").and_then(|text| bytes(text));
        let branch = |of: &BTreeMap<String, String>| of.get(BRANCH).and_then(|text| bytes(text));
        Some(PodRequests {
            cpu_m: self.total(cpu),
            memory: self.total(memory),
            branch: u32::try_from(self.total(branch)).unwrap_or(u32::MAX),
        })
    }

    fn total(&self, of: impl Fn(&BTreeMap<String, String>) -> Option<u64>) -> u64 {
        // A limit without a request counts as the request.
        let asked = |resources: &Resources| {
            of(&resources.requests)
                .or_else(|| of(&resources.limits))
                .unwrap_or(0)
        };
        let overhead = of(&self.overhead).unwrap_or(0);
        if let Some(whole) = self.resources.as_ref().and_then(|r| of(&r.requests)) {
            return whole.saturating_add(overhead);
        }
        let mut running: u64 = self.containers.iter().map(|c| asked(&c.resources)).sum();
        let mut sidecars = 0_u64;
        let mut starting = 0_u64;
        for container in &self.init_containers {
            let own = asked(&container.resources);
            if container.restart_policy == "Always" {
                sidecars = sidecars.saturating_add(own);
                starting = starting.max(sidecars);
            } else {
                starting = starting.max(sidecars.saturating_add(own));
            }
        }
        running = running.saturating_add(sidecars);
        running.max(starting).saturating_add(overhead)
    }

    /// Forgets the containers and keeps what the scheduler counts of them.
    pub fn drop_containers(&mut self) {
        self.requested = self.requests();
        self.resources = None;
        self.overhead = BTreeMap::new();
        self.containers = Vec::new();
        self.init_containers = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(spec: serde_json::Value) -> PodSpec {
        serde_json::from_value(spec).unwrap()
    }

    fn container(cpu: &str, extra: serde_json::Value) -> serde_json::Value {
        let mut container =
            serde_json::json!({"name": "c", "resources": {"requests": {"cpu": cpu}}});
        for (key, value) in extra.as_object().unwrap() {
            container[key] = value.clone();
        }
        container
    }

    #[test]
    fn the_larger_of_running_and_starting_counts() {
        let none = serde_json::json!({});
        let plain = spec(
            serde_json::json!({"containers": [container("100m", none.clone()), container("50m", none.clone())]}),
        );
        assert_eq!(plain.requests().unwrap().cpu_m, 150);
        let init = spec(
            serde_json::json!({"containers": [container("100m", none.clone())], "initContainers": [
            container("20m", serde_json::json!({"restartPolicy": "Always"})), container("200m", none)]}),
        );
        assert_eq!(
            init.requests().unwrap().cpu_m,
            220,
            "the sidecar runs beside the init container"
        );
    }

    #[test]
    fn containers_that_are_not_known_ask_for_nothing_known() {
        assert_eq!(spec(serde_json::json!({})).requests(), None);
        let empty = spec(serde_json::json!({"containers": [{"name": "c"}]}));
        assert_eq!(empty.requests(), Some(PodRequests::default()));
    }

    #[test]
    fn a_limit_alone_is_the_request_and_overhead_is_added() {
        let one = spec(
            serde_json::json!({"overhead": {"memory": "10Mi"}, "containers": [{"name": "c",
            "resources": {"limits": {"cpu": "1", "memory": "20Mi", "vpc.amazonaws.com/pod-eni": "1"}}}]}),
        );
        let asked = one.requests().unwrap();
        assert_eq!(
            (asked.cpu_m, asked.memory, asked.branch),
            (1000, 30 << 20, 1)
        );
        let mut narrow = one.clone();
        narrow.drop_containers();
        assert!(narrow.containers.is_empty());
        assert_eq!(narrow.requests(), Some(asked), "and again after it");
    }
}
