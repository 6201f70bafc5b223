//! `sym/pods-pending`: pods of a workload that the scheduler cannot place.

use std::collections::BTreeMap;

use eksnet_model::kubernetes::Pod;
use eksnet_model::{
    Cx, Fact, Finding, Place, Role, Severity, Source, Stop, Subject, SubjectKind, Symptom, Time,
};

/// A pod that waits for less than this, in seconds, is on its way.
const WAIT_S: i64 = 120;

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/pods-pending",
    observe,
};

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut workloads: BTreeMap<String, Vec<&Pod>> = BTreeMap::new();
    for pod in waiting(cx, cx.pods().some()?) {
        workloads.entry(pod.workload()).or_default().push(pod);
    }
    Ok(workloads
        .iter()
        .filter_map(|(workload, pods)| finding(cx, workload, pods))
        .collect())
}

/// The pods that wait for a node for longer than two minutes.
pub(super) fn waiting<'a>(cx: &Cx<'_>, pods: &'a [Pod]) -> Vec<&'a Pod> {
    pods.iter()
        .filter(|pod| {
            pod.unschedulable().is_some_and(|refusal| {
                match (cx.now(), refusal.last_transition_time) {
                    (Some(now), Some(since)) => now.seconds_since(since) >= WAIT_S,
                    _ => true,
                }
            })
        })
        .collect()
}

fn finding(cx: &Cx<'_>, workload: &str, pods: &[&Pod]) -> Option<Finding> {
    let oldest = pods
        .iter()
        .min_by_key(|pod| pod.unschedulable().and_then(|one| one.last_transition_time))?;
    let refusal = oldest.unschedulable()?;
    let since = refusal.last_transition_time;
    let how_long = since
        .map(|since| format!(" {}", lasting(cx, since)))
        .unwrap_or_default();
    let why = reason(&refusal.message);
    let subject = subject(workload, oldest);
    let why = if why.is_empty() {
        String::new()
    } else {
        format!(": {why}")
    };
    let title = match (oldest.owner_kind(), pods.len()) {
        (None, _) => format!("Pod {workload} waits for a node{how_long}{why}"),
        (Some(kind), 1) => {
            format!(
                "{} {workload} has 1 pod without a node{how_long}{why}",
                named(kind)
            )
        }
        (Some(kind), many) => format!(
            "{} {workload} has {many} pods without a node, the first{how_long}{why}",
            named(kind)
        ),
    };
    let mut finding = Finding::new(SYMPTOM.id, Role::Symptom, Severity::Error, title)
        .subject(subject)
        .fact(
            Fact::new(
                Source::Pods,
                format!("Pod {}", oldest.key()),
                "PodScheduled",
                format!("False ({}: {})", refusal.reason, refusal.message),
            )
            .expected("True")
            .at(since),
        )
        .at(Place::default().of(workload))
        .reaches(Place::default().of(workload))
        .confirm(format!(
            "kubectl -n {} describe pod {}",
            oldest.metadata.namespace, oldest.metadata.name
        ));
    for pod in pods {
        let message = pod.unschedulable().map_or("", |one| one.message.as_str());
        for signal in signals(message) {
            finding = finding.signal(signal);
        }
    }
    Some(finding)
}

/// A ReplicaSet's workload is its Deployment.
fn named(kind: &str) -> &str {
    if kind == "ReplicaSet" {
        "Deployment"
    } else {
        kind
    }
}

fn subject(workload: &str, pod: &Pod) -> Subject {
    let kind = match pod.owner_kind() {
        Some("ReplicaSet") => SubjectKind::Deployment,
        Some("DaemonSet") => SubjectKind::DaemonSet,
        Some(_) => SubjectKind::Other,
        None => SubjectKind::Pod,
    };
    let (namespace, name) = workload.split_once('/').unwrap_or(("", workload));
    Subject::namespaced(kind, namespace, name)
}

/// `for 14 min`; `since TIME` without a now.
pub(super) fn lasting(cx: &Cx<'_>, since: Time) -> String {
    let ago = since.ago(cx.now());
    match ago.strip_suffix(" ago") {
        Some(length) => format!("for {length}"),
        None => format!("since {since}"),
    }
}

/// The scheduler's message without what it says of preemption, and without its full stop.
fn reason(message: &str) -> &str {
    let end = message.find(" preemption:").unwrap_or(message.len());
    message[..end].trim().trim_end_matches('.')
}

/// What the scheduler says is lacking.
pub(super) fn signals(message: &str) -> Vec<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let mut found = Vec::new();
    let not_ready = has(&[
        "{node.kubernetes.io/not-ready",
        "{node.kubernetes.io/unreachable",
    ]);
    let without_eni = message.replace("Insufficient vpc.amazonaws.com/pod-eni", "");
    for (seen, signal) in [
        (
            without_eni.contains("Insufficient "),
            "insufficient-resources",
        ),
        (has(&["Insufficient vpc.amazonaws.com/pod-eni"]), "pod-eni"),
        (has(&["Too many pods"]), "too-many-pods"),
        (not_ready, "taint-not-ready"),
        (
            !not_ready && has(&["untolerated taint", "had taint"]),
            "taint",
        ),
        (
            has(&[
                "affinity/selector",
                "pod affinity",
                "anti-affinity",
                "topology spread",
            ]),
            "affinity",
        ),
        (has(&["volume", "persistentvolumeclaim"]), "volume"),
        (has(&["0/0 nodes", "no nodes available"]), "no-nodes"),
        (message.is_empty(), "no-message"),
    ] {
        if seen {
            found.push(signal);
        }
    }
    found
}
