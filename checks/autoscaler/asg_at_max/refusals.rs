//! What Events of Pending pods and the autoscaler's log say of a maximum.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::{Event, Pod};
use eksnet_model::{Cx, Fact, Hits, Source};

/// Log lines and Events without a pod older than this, in seconds, are history.
const WINDOW_S: i64 = 600;
const GROUP_MAX: &[&str] = &["max node group size reached"];

/// Why pods got no node, as far as a maximum is the reason.
#[derive(Debug, Default)]
pub(super) struct Refusals<'a> {
    /// Pods that cannot be scheduled.
    pub(super) pending: usize,
    /// An Event that names a group's maximum, with the number of pods that have one.
    pub(super) max: Option<Fact>,
    /// Pods whose Event names a group's maximum.
    refused: usize,
    /// The maximum of nodes that the log names.
    pub(super) logged_limit: Option<u32>,
    /// Evidence that names the maximum of nodes.
    pub(super) total: Option<Fact>,
    /// Evidence that names the limit of cores or memory.
    pub(super) resources: Option<Fact>,
    /// Groups that the log calls full.
    groups: BTreeMap<&'a str, (&'a Hits, String)>,
}

impl<'c> Refusals<'c> {
    pub(super) fn of(cx: &'c Cx<'_>) -> Self {
        let pods = cx.pods().optional();
        let pending: Vec<&Pod> = pods
            .into_iter()
            .flatten()
            .filter(|pod| pod.unschedulable().is_some())
            .collect();
        let newest = newest_refusals(cx, pods.is_some().then_some(pending.as_slice()));
        let named = |words: &[&str]| -> Vec<&Event> {
            newest
                .values()
                .filter(|event| words.iter().any(|word| event.message.contains(word)))
                .copied()
                .collect()
        };
        let naming = |words: &[&str]| -> Option<Fact> {
            let named = named(words);
            let event = named.iter().max_by_key(|event| event.last_seen())?;
            let object = &event.involved_object;
            let more = match named.len() {
                1 => String::new(),
                2 => " (and 1 more pod)".to_owned(),
                many => format!(" (and {} more pods)", many - 1),
            };
            Some(
                Fact::new(
                    Source::Events,
                    format!("Pod {}/{}{more}", object.namespace, object.name),
                    event.reason.as_str(),
                    event.message.as_str(),
                )
                .at(event.last_seen()),
            )
        };
        let mut found = Self {
            pending: pending.len(),
            max: naming(GROUP_MAX),
            refused: named(GROUP_MAX).len(),
            logged_limit: None,
            total: naming(&["max total nodes in cluster reached"]),
            resources: naming(&["max cluster cpu", "max cluster memory", "max cluster limit"]),
            groups: BTreeMap::new(),
        };
        found.read_logs(cx);
        found
    }

    fn read_logs(&mut self, cx: &'c Cx<'_>) {
        for scan in cx.logs().optional().into_iter().flatten() {
            let recent = |signature| {
                scan.hits(signature)
                    .filter(|hits| cx.within(hits.last, WINDOW_S))
            };
            if let Some(hits) = recent("ca-group-max") {
                for group in hits.fields.get("group").into_iter().flatten() {
                    self.groups.insert(group.0.as_str(), (hits, scan.place()));
                }
            }
            if let Some(hits) = recent("ca-max-total") {
                let limit = hits.fields.get("limit");
                self.logged_limit = limit
                    .and_then(|values| values.keys().next_back())
                    .and_then(|limit| limit.parse().ok());
                let text = hits.samples.last().map(|sample| sample.text.clone());
                let fact = Fact::new(
                    Source::Logs,
                    scan.place(),
                    "log",
                    text.unwrap_or_else(|| "max total nodes in cluster reached".into()),
                );
                self.total.get_or_insert(fact.at(hits.last));
            }
        }
    }

    /// Pods that wait for a node: those whose Event names the maximum, else all that are unscheduled.
    pub(super) fn waiting(&self) -> usize {
        if self.refused > 0 {
            self.refused
        } else {
            self.pending
        }
    }

    pub(super) fn names_group(&self, name: &str) -> bool {
        self.groups.contains_key(name)
    }

    pub(super) fn log_fact(&self, name: &str) -> Option<Fact> {
        let (hits, place) = self.groups.get(name)?;
        Some(
            Fact::new(
                Source::Logs,
                place.as_str(),
                "log",
                format!("skips group {name}: max size reached"),
            )
            .at(hits.last),
        )
    }
}

/// The newest refusal of each pod: of those that wait, or, where pods were not seen, the recent ones.
fn newest_refusals<'c>(
    cx: &'c Cx<'_>,
    pending: Option<&[&Pod]>,
) -> BTreeMap<(&'c str, &'c str), &'c Event> {
    let waiting: Option<BTreeSet<(&str, &str)>> = pending.map(|pods| {
        pods.iter()
            .map(|pod| (pod.metadata.namespace.as_str(), pod.metadata.name.as_str()))
            .collect()
    });
    let mut newest: BTreeMap<(&str, &str), &Event> = BTreeMap::new();
    for event in cx.events().optional().into_iter().flatten() {
        let object = &event.involved_object;
        let waits = match &waiting {
            Some(pods) => pods.contains(&(object.namespace.as_str(), object.name.as_str())),
            None => cx.within(event.last_seen(), WINDOW_S),
        };
        // A later TriggeredScaleUp takes the refusal back.
        let is_answer = matches!(
            event.reason.as_str(),
            "NotTriggerScaleUp" | "TriggeredScaleUp"
        );
        if !waits || !is_answer {
            continue;
        }
        let known = newest
            .entry((object.namespace.as_str(), object.name.as_str()))
            .or_insert(event);
        if event.last_seen() > known.last_seen() {
            *known = event;
        }
    }
    newest.retain(|_, event| event.reason == "NotTriggerScaleUp");
    newest
}
