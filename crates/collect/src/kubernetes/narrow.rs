//! Drops what no check reads, so that memory stays flat on large clusters.

use eksnet_model::Component;
use eksnet_model::kubernetes::{Affinity, Pod};

/// A pod as it is kept: whole where it runs a component, is in trouble or calls AWS; of all others
/// what places it in the network: names, labels, owner, node, addresses and readiness; and what
/// the scheduler counts of it.
#[allow(clippy::unnecessary_wraps)] // the form that lists want: others drop items
pub(crate) fn pod(mut pod: Pod) -> Option<Pod> {
    if is_detailed(&pod) {
        return Some(pod);
    }
    pod.spec.drop_containers();
    pod.spec.topology_spread_constraints = Vec::new();
    keep_repulsion(&mut pod);
    pod.spec.tolerations = Vec::new();
    pod.spec.node_selector.clear();
    pod.status.container_statuses = Vec::new();
    pod.status.init_container_statuses = Vec::new();
    pod.status
        .conditions
        .retain(|condition| condition.kind == "Ready");
    pod.status.conditions.shrink_to_fit();
    pod.metadata.owner_references.shrink_to_fit();
    Some(pod)
}

/// Of what a pod demands of its neighbours, the part that still holds once it runs: whom it keeps away.
fn keep_repulsion(pod: &mut Pod) {
    let repels = |affinity: &Affinity| {
        affinity
            .pod_anti_affinity
            .as_ref()
            .is_some_and(|anti| !anti.required.is_empty())
    };
    if !pod.spec.affinity.as_deref().is_some_and(repels) {
        pod.spec.affinity = None;
    }
    if let Some(affinity) = &mut pod.spec.affinity {
        affinity.node_affinity = None;
        affinity.pod_affinity = None;
    }
}

fn is_detailed(pod: &Pod) -> bool {
    let in_trouble = match pod.status.phase.as_str() {
        "Running" => !pod.is_ready(),
        "Succeeded" => false,
        _ => true,
    };
    let calls_aws = |pod: &Pod| {
        pod.spec
            .containers
            .iter()
            .flat_map(|container| &container.env)
            .any(|env| {
                matches!(
                    env.name.as_str(),
                    "AWS_ROLE_ARN" | "AWS_CONTAINER_CREDENTIALS_FULL_URI"
                )
            })
    };
    in_trouble
        || pod.metadata.deletion_timestamp.is_some()
        || Component::of_pod(pod) != Component::Unknown
        || calls_aws(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Pod {
        pod(serde_json::from_str(json).unwrap()).unwrap()
    }

    const READY: &str = r#""conditions":[{"type":"PodScheduled","status":"True"},{"type":"Ready","status":"True"}]"#;

    #[test]
    fn a_healthy_pod_keeps_its_place_and_loses_its_containers() {
        let kept = read(&format!(
            r#"{{"metadata":{{"name":"a","labels":{{"app":"x"}}}},"spec":{{"nodeName":"n","containers":[{{"name":"c","image":"nginx"}}]}},
               "status":{{"phase":"Running","podIP":"10.0.0.1",{READY},"containerStatuses":[{{"name":"c"}}]}}}}"#
        ));
        assert!(kept.spec.containers.is_empty() && kept.status.container_statuses.is_empty());
        assert!(kept.is_ready() && kept.metadata.labels.contains_key("app"));
        assert_eq!(
            (kept.spec.node_name.as_str(), kept.status.pod_ip.as_str()),
            ("n", "10.0.0.1")
        );
    }

    #[test]
    fn pods_in_trouble_and_pods_of_components_are_kept_whole() {
        let pending = read(
            r#"{"spec":{"containers":[{"name":"c","image":"nginx"}]},"status":{"phase":"Pending"}}"#,
        );
        assert_eq!(pending.spec.containers.len(), 1);
        let coredns = read(&format!(
            r#"{{"spec":{{"containers":[{{"name":"c","image":"x/coredns:v1"}}]}},"status":{{"phase":"Running",{READY}}}}}"#
        ));
        assert_eq!(coredns.spec.containers.len(), 1);
        let caller = read(&format!(
            r#"{{"spec":{{"containers":[{{"name":"c","env":[{{"name":"AWS_ROLE_ARN","value":"r"}}]}}]}},"status":{{"phase":"Running",{READY}}}}}"#
        ));
        assert_eq!(caller.spec.containers.len(), 1);
        let done = read(r#"{"spec":{"containers":[{"name":"c"}]},"status":{"phase":"Succeeded"}}"#);
        assert!(done.spec.containers.is_empty());
    }
}
