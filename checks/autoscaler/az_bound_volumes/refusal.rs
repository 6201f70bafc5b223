//! Pods that wait because of the zone of a volume, by whoever says so.

use std::collections::BTreeMap;

use eksnet_model::{Cx, Fact, Heard, Place, Source};

use super::place_of;

/// Lines and Events older than this, in seconds, are history.
const WINDOW_S: i64 = 3600;

/// A pod that waits.
#[derive(Default)]
pub(super) struct Refusal {
    /// `namespace/name`, or the name alone.
    pub(super) pod: String,
    /// Whether an autoscaler says that no new node would help.
    pub(super) by_autoscaler: bool,
    /// Whether a zone is named, and not a volume alone.
    pub(super) names_zone: bool,
    pub(super) facts: Vec<Fact>,
    pub(super) place: Place,
}

/// The words of the scheduler for a volume in another zone, old and new.
fn names_zone(message: &str) -> bool {
    const WORDS: [&str; 4] = [
        "volume node affinity conflict",
        "no available volume zone",
        "NoVolumeZoneConflict",
        "volume(s) in a different zone",
    ];
    WORDS.iter().any(|words| message.contains(words))
}

/// An autoscaler's words also cover volumes that do not exist yet: with another reason beside them they tell
/// little.
fn names_volume(message: &str) -> bool {
    names_zone(message)
        || message.contains("didn't find available persistent volumes to bind")
        || message.contains("bound PersistentVolume's node affinity")
}

pub(super) fn all(cx: &Cx<'_>) -> Vec<Refusal> {
    let mut found: BTreeMap<String, Refusal> = BTreeMap::new();
    by_pods(cx, &mut found);
    by_events(cx, &mut found);
    by_logs(cx, &mut found);
    for refusal in found.values_mut() {
        let (namespace, name) = refusal.pod.split_once('/').unwrap_or(("", &refusal.pod));
        let pod = cx.topology().pod(namespace, name);
        refusal.place = place_of(pod.map(|pod| pod.workload()));
    }
    found.into_values().collect()
}

fn by_pods(cx: &Cx<'_>, found: &mut BTreeMap<String, Refusal>) {
    for pod in cx.pods().optional().into_iter().flatten() {
        let Some(refusal) = pod.unschedulable() else {
            continue;
        };
        if !names_zone(&refusal.message) || pod.owner_kind() == Some("DaemonSet") {
            continue;
        }
        let one = found.entry(pod.key()).or_default();
        one.pod = pod.key();
        one.names_zone = true;
        one.facts.push(
            Fact::new(
                Source::Pods,
                format!("Pod {}", pod.key()),
                "PodScheduled",
                format!("False ({}: {})", refusal.reason, refusal.message),
            )
            .expected("True")
            .at(refusal.last_transition_time),
        );
    }
}

fn by_events(cx: &Cx<'_>, found: &mut BTreeMap<String, Refusal>) {
    let events = cx.events().optional();
    // A pod that was placed, or that an autoscaler answered with a node, waits no more for a zone.
    let placed = |namespace: &str, name: &str, at| {
        events.into_iter().flatten().any(|event| {
            matches!(
                event.reason.as_str(),
                "Scheduled" | "TriggeredScaleUp" | "Nominated"
            ) && event.involved_object.namespace == namespace
                && event.involved_object.name == name
                && event.last_seen() >= at
        })
    };
    for event in events.into_iter().flatten() {
        let object = &event.involved_object;
        let by_autoscaler = event.reason == "NotTriggerScaleUp";
        let says = match event.reason.as_str() {
            "NotTriggerScaleUp" => names_volume(&event.message),
            "FailedScheduling" => names_zone(&event.message),
            _ => false,
        };
        if !says
            || !cx.within(event.last_seen(), WINDOW_S)
            || placed(&object.namespace, &object.name, event.last_seen())
        {
            continue;
        }
        let key = if object.namespace.is_empty() {
            object.name.clone()
        } else {
            format!("{}/{}", object.namespace, object.name)
        };
        let gone = cx.pods().is_complete()
            && cx
                .topology()
                .pod(&object.namespace, &object.name)
                .is_none_or(|pod| pod.unschedulable().is_none());
        if gone {
            continue;
        }
        let one = found.entry(key.clone()).or_default();
        one.pod = key;
        one.names_zone |= names_zone(&event.message);
        one.by_autoscaler |= by_autoscaler && names_zone(&event.message);
        one.facts.push(
            Fact::new(
                Source::Events,
                format!("Pod {}", one.pod),
                event.reason.as_str(),
                event.message.as_str(),
            )
            .at(event.last_seen()),
        );
    }
}

fn by_logs(cx: &Cx<'_>, found: &mut BTreeMap<String, Refusal>) {
    for said in Heard::in_logs(cx, &["ca-volume-zone"], WINDOW_S) {
        let pods = ["pod", "put", "mismatch"];
        let names: Vec<&str> = pods.iter().flat_map(|field| said.values(field)).collect();
        for name in names.into_iter().take(5) {
            // Some releases name the pod without its namespace.
            let tail = format!("/{name}");
            let known = found
                .keys()
                .find(|key| key.as_str() == name || key.ends_with(&tail))
                .cloned();
            let key = known.unwrap_or_else(|| name.to_owned());
            let one = found.entry(key.clone()).or_default();
            one.pod = key;
            (one.by_autoscaler, one.names_zone) = (true, true);
            one.facts.push(said.fact("lines"));
        }
    }
}
