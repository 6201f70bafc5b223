//! `sym/no-scale-out`: pods wait for a node, an autoscaler is there, and no group grows.

use std::collections::BTreeMap;

use eksnet_model::kubernetes::{Event, Pod};
use eksnet_model::{
    Component, Cx, Deployed, Fact, Finding, Role, Severity, Source, Stop, Symptom, Time,
};

use super::pods_pending;

/// Without Events and nodes to show whether a group grows, a wait counts from here on, in seconds:
/// an instance is a node within that time.
const LONG_S: i64 = 600;

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/no-scale-out",
    observe,
};

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let scalers = Deployed::seen(cx, &[Component::ClusterAutoscaler, Component::Karpenter])?;
    let answers = answers(cx);
    let newest_node = newest_node(cx);
    let is_blind = cx.events().optional().is_none() && newest_node.is_none();
    let waiting: Vec<&Pod> = pods_pending::waiting(cx, cx.pods().some()?)
        .into_iter()
        // A pod of a DaemonSet waits for its own node: no autoscaler helps it.
        .filter(|pod| pod.owner_kind() != Some("DaemonSet"))
        .filter(|pod| {
            let since = since(pod);
            let promised = answers
                .get(&key(pod))
                .is_some_and(|event| is_promise(event));
            let grown = matches!((newest_node, since), (Some(node), Some(since)) if node > since);
            let long = !cx.within(since, LONG_S) || since.is_none();
            !promised && !grown && (!is_blind || long)
        })
        .collect();
    let (Some(oldest), Some(scaler)) =
        (waiting.iter().min_by_key(|pod| since(pod)), scalers.first())
    else {
        return Ok(Vec::new());
    };
    Ok(vec![finding(cx, scaler, &waiting, oldest, &answers)])
}

fn finding(
    cx: &Cx<'_>,
    scaler: &Deployed<'_>,
    waiting: &[&Pod],
    oldest: &Pod,
    answers: &BTreeMap<(&str, &str), &Event>,
) -> Finding {
    let count = match waiting.len() {
        1 => "1 pod waits".to_owned(),
        many => format!("{many} pods wait"),
    };
    let how_long = since(oldest)
        .map(|since| format!(", the first {}", pods_pending::lasting(cx, since)))
        .unwrap_or_default();
    let message = oldest
        .unschedulable()
        .map_or("", |one| one.message.as_str());
    let mut finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Error,
        format!(
            "{} ({}) adds no node: {count} for one{how_long}",
            scaler.component.name(),
            scaler.workload()
        ),
    )
    .subject(scaler.subject())
    .fact(
        Fact::new(
            Source::Pods,
            format!("Pod {}", oldest.key()),
            "PodScheduled",
            format!("False ({message})"),
        )
        .expected("a node, or the Event TriggeredScaleUp or Nominated")
        .at(since(oldest)),
    )
    .at(scaler.place())
    .confirm("kubectl get pods -A --field-selector status.phase=Pending")
    .confirm("kubectl get events -A --field-selector reason=NotTriggerScaleUp");
    let mut refusals: BTreeMap<&str, (usize, Option<Time>)> = BTreeMap::new();
    for pod in waiting {
        if let Some(event) = answers.get(&key(pod)) {
            let (count, last) = refusals.entry(event.message.as_str()).or_default();
            *count += 1;
            *last = (*last).max(event.last_seen());
        }
    }
    let mut common: Vec<_> = refusals.iter().collect();
    common.sort_by_key(|(message, (count, _))| (std::cmp::Reverse(*count), **message));
    for (message, (count, last)) in common.iter().take(3) {
        finding = finding.fact(
            Fact::new(
                Source::Events,
                if *count == 1 {
                    "1 pod".to_owned()
                } else {
                    format!("{count} pods")
                },
                "NotTriggerScaleUp",
                **message,
            )
            .at(*last),
        );
    }
    let says = |words: &str| refusals.keys().any(|message| message.contains(words));
    let (resources, elsewise) = wants(waiting);
    for (seen, signal) in [
        (!refusals.is_empty(), "no-trigger-event"),
        (says("max node group size reached"), "names-max"),
        (says("backoff"), "in-backoff"),
        (refusals.is_empty() && cx.events().is_complete(), "silent"),
        (resources, "resources"),
        (!resources && elsewise, "only-affinity-or-volume"),
    ] {
        if seen {
            finding = finding.signal(signal);
        }
    }
    finding
}

/// Whether any pod lacks what a further node would give, and whether any lacks something else.
fn wants(waiting: &[&Pod]) -> (bool, bool) {
    let mut resources = false;
    let mut elsewise = false;
    for pod in waiting {
        let message = pod.unschedulable().map_or("", |one| one.message.as_str());
        for signal in pods_pending::signals(message) {
            match signal {
                "insufficient-resources" | "too-many-pods" | "pod-eni" | "no-nodes" => {
                    resources = true;
                }
                "affinity" | "volume" | "taint" => elsewise = true,
                _ => {}
            }
        }
    }
    (resources, elsewise)
}

fn since(pod: &Pod) -> Option<Time> {
    pod.unschedulable().and_then(|one| one.last_transition_time)
}

fn key(pod: &Pod) -> (&str, &str) {
    (&pod.metadata.namespace, &pod.metadata.name)
}

fn is_promise(event: &Event) -> bool {
    event.reason != "NotTriggerScaleUp"
}

/// The newest answer of an autoscaler to each pod.
fn answers<'c>(cx: &'c Cx<'_>) -> BTreeMap<(&'c str, &'c str), &'c Event> {
    let mut newest: BTreeMap<(&str, &str), &Event> = BTreeMap::new();
    for event in cx.events().optional().into_iter().flatten() {
        if !matches!(
            event.reason.as_str(),
            "NotTriggerScaleUp" | "TriggeredScaleUp" | "Nominated"
        ) {
            continue;
        }
        let object = &event.involved_object;
        let known = newest
            .entry((object.namespace.as_str(), object.name.as_str()))
            .or_insert(event);
        if event.last_seen() > known.last_seen() {
            *known = event;
        }
    }
    newest
}

fn newest_node(cx: &Cx<'_>) -> Option<Time> {
    let nodes = cx.nodes().optional()?;
    nodes
        .iter()
        .filter_map(|node| node.metadata.creation_timestamp)
        .max()
}
