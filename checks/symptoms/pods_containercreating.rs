//! `sym/pods-containercreating`: pods that have a node and get no network there.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::{Event, Pod};
use eksnet_model::{
    Cx, Fact, Finding, Place, Role, SandboxFailure, Severity, Source, Stop, Subject, Symptom, Text,
};

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/pods-containercreating",
    observe,
};

/// A pod that is this young, in seconds, may still be starting.
const STARTING_S: i64 = 120;
/// Events older than this, in seconds, are history.
const RECENT_S: i64 = 600;
/// Most pods that are shown of one node.
const MAX_SHOWN: usize = 5;

/// Pods that wait on one node.
#[derive(Default)]
struct Waiting<'a> {
    pods: BTreeMap<(&'a str, &'a str), Option<&'a Event>>,
    failures: BTreeSet<SandboxFailure>,
    workloads: BTreeSet<String>,
}

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let pods = cx.pods().optional().map_or(&[][..], Vec::as_slice);
    let events = cx.events().optional().map_or(&[][..], Vec::as_slice);
    let mut of_pod: BTreeMap<(&str, &str), Vec<&Event>> = BTreeMap::new();
    for event in events
        .iter()
        .filter(|event| cx.within(event.last_seen(), RECENT_S))
    {
        let object = &event.involved_object;
        of_pod
            .entry((&object.namespace, &object.name))
            .or_default()
            .push(event);
    }
    let mut nodes: BTreeMap<&str, Waiting<'_>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| waits(cx, pod)) {
        let key = (pod.metadata.namespace.as_str(), pod.metadata.name.as_str());
        let own = of_pod.get(&key).map_or(&[][..], Vec::as_slice);
        let sandbox = newest(own, |event| SandboxFailure::of(event).is_some());
        let volume = newest(own, |event| {
            matches!(event.reason.as_str(), "FailedMount" | "FailedAttachVolume")
        });
        // Volumes come after the network: who waits for one has an address.
        if sandbox.is_none() && volume.is_some() {
            continue;
        }
        let waiting = nodes.entry(&pod.spec.node_name).or_default();
        waiting.pods.insert(key, sandbox);
        waiting
            .failures
            .extend(sandbox.and_then(SandboxFailure::of));
        waiting.workloads.insert(pod.workload());
    }
    // Events of pods that nobody listed.
    for ((namespace, name), own) in &of_pod {
        if name.is_empty() || cx.topology().pod(namespace, name).is_some() {
            continue;
        }
        let Some(event) = newest(own, |event| SandboxFailure::of(event).is_some()) else {
            continue;
        };
        if cx.pods().is_complete() {
            // It is gone.
            continue;
        }
        let waiting = nodes.entry("").or_default();
        waiting.pods.insert((namespace, name), Some(event));
        waiting.failures.extend(SandboxFailure::of(event));
        waiting.workloads.insert(format!("{namespace}/{name}"));
    }
    Ok(nodes
        .iter()
        .map(|(node, waiting)| finding(node, waiting))
        .collect())
}

/// Whether a pod has had a node for a while and no container of it was started.
fn waits(cx: &Cx<'_>, pod: &Pod) -> bool {
    if pod.status.phase != "Pending"
        || pod.spec.node_name.is_empty()
        || pod.metadata.deletion_timestamp.is_some()
        || pod.ips().next().is_some()
        || pod.spec.host_network
    {
        return false;
    }
    let scheduled = pod
        .condition("PodScheduled")
        .and_then(|one| one.last_transition_time);
    let since = scheduled
        .or(pod.status.start_time)
        .or(pod.metadata.creation_timestamp);
    let statuses = pod
        .status
        .init_container_statuses
        .iter()
        .chain(&pod.status.container_statuses);
    let creating = statuses
        .filter_map(|status| status.state.waiting.as_ref())
        .all(|waiting| {
            matches!(
                waiting.reason.as_str(),
                "" | "ContainerCreating" | "PodInitializing"
            )
        });
    let old = match (cx.now(), since) {
        (Some(now), Some(since)) => now.seconds_since(since) > STARTING_S,
        _ => true,
    };
    creating && old
}

fn newest<'e>(events: &[&'e Event], wanted: impl Fn(&Event) -> bool) -> Option<&'e Event> {
    events
        .iter()
        .copied()
        .filter(|event| wanted(event))
        .max_by_key(|event| event.last_seen())
}

fn finding(node: &str, waiting: &Waiting<'_>) -> Finding {
    let many = match waiting.pods.len() {
        1 => "1 pod".to_owned(),
        n => format!("{n} pods"),
    };
    let wait = if waiting.pods.len() == 1 {
        "waits"
    } else {
        "wait"
    };
    let on = if node.is_empty() {
        String::new()
    } else {
        format!(" on node {node}")
    };
    let why = match waiting.failures.first() {
        Some(failure) => format!(": {}", failure.clause()),
        None => String::new(),
    };
    let mut place = Place::default();
    if !node.is_empty() {
        place = place.on([node]);
    }
    for workload in &waiting.workloads {
        place = place.of(workload.as_str());
    }
    let mut finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Error,
        format!("{many}{on} {wait} in ContainerCreating{why}"),
    )
    .at(place.clone())
    .reaches(place);
    if !node.is_empty() {
        finding = finding.subject(Subject::node(node));
    }
    for ((namespace, name), event) in waiting.pods.iter().take(MAX_SHOWN) {
        finding = finding
            .subject(Subject::pod(*namespace, *name))
            .fact(fact(namespace, name, *event));
    }
    for failure in &waiting.failures {
        finding = finding.signal(failure.signal());
    }
    if waiting.failures.is_empty() {
        finding = finding.signal("no-event");
    }
    finding.confirm(match waiting.pods.keys().next() {
        Some((namespace, name)) => format!("kubectl -n {namespace} describe pod {name}"),
        None => "kubectl get events -A --field-selector reason=FailedCreatePodSandBox".to_owned(),
    })
}

fn fact(namespace: &str, name: &str, event: Option<&Event>) -> Fact {
    let pod = Text::from(format!("Pod {namespace}/{name}"));
    match event {
        Some(event) => Fact::new(
            Source::Events,
            pod,
            event.reason.clone(),
            format!("{} ({}x)", event.message, event.times()),
        )
        .at(event.last_seen()),
        None => Fact::new(
            Source::Pods,
            pod,
            "status",
            "scheduled, and no container was started",
        ),
    }
}
