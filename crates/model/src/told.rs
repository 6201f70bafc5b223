//! What logs and Events say by the signatures of a check: the same expressions for both.

use std::collections::BTreeMap;

use crate::kubernetes::{Event, ObjectReference, Pod};
use crate::{
    Component, Cx, Fact, Finding, Hits, LogScan, Meta, Place, Scanner, Severity, SignatureSet,
    Source, Subject, SubjectKind, Text, Time,
};

/// A signature that was met in one log or one Event.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// Who says it.
    pub source: Source,
    /// What was met.
    pub hits: Hits,
    /// The log.
    pub scan: Option<&'a LogScan>,
    /// What the Event is about.
    pub object: Option<&'a ObjectReference>,
    /// The pod that the Event is about or that wrote the log, where it was read.
    pub pod: Option<&'a Pod>,
    /// The node that the log was written on or that the Event is about.
    pub node: Option<Text>,
    /// How a reader finds it: the log's place, or the Event's object.
    pub place: Text,
    field: Text,
}

impl Told<'_> {
    /// Id of the signature.
    #[must_use]
    pub fn signature(&self) -> &str {
        &self.hits.signature
    }

    /// When it was said last.
    #[must_use]
    pub fn at(&self) -> Option<Time> {
        self.hits.last
    }

    /// The values of a captured field.
    pub fn values<'t>(&'t self, field: &str) -> impl Iterator<Item = &'t str> {
        let values = self.hits.fields.get(field).into_iter().flatten();
        values.map(|(value, _)| value.as_str())
    }

    /// The first value of a captured field.
    #[must_use]
    pub fn value(&self, field: &str) -> Option<&str> {
        self.values(field).next()
    }

    /// The first record that was kept.
    #[must_use]
    pub fn line(&self) -> &str {
        self.hits
            .samples
            .last()
            .map_or("", |sample| sample.text.as_str())
    }

    /// The proof.
    #[must_use]
    pub fn fact(&self) -> Fact {
        let line = self.line();
        // The reason stands beside the message already.
        let line = match self.source {
            Source::Events => line
                .strip_prefix(self.field.as_str())
                .map_or(line, |rest| rest.trim_start_matches(": ")),
            _ => line,
        };
        Fact::new(
            self.source,
            self.place.clone(),
            self.field.clone(),
            format!("{}x '{line}'", self.hits.count),
        )
        .at(self.hits.last)
    }

    /// What a finding that stands on this alone is about: its node, else its pod, else where it stands.
    #[must_use]
    pub fn subject(&self) -> Subject {
        if let Some(node) = &self.node {
            return Subject::node(node.clone());
        }
        match self.object.filter(|object| !object.name.is_empty()) {
            Some(object) if object.kind == "Pod" => Subject::pod(&object.namespace, &object.name),
            _ => Subject::new(SubjectKind::Other, self.place.clone()),
        }
    }

    /// `Node X`, or `A node` where nothing tells which.
    #[must_use]
    pub fn node_words(&self) -> String {
        self.node
            .as_ref()
            .map_or_else(|| "A node".to_owned(), |node| format!("Node {node}"))
    }

    /// A finding that stands on this: subject, proof, place and reach are its own.
    #[must_use]
    pub fn finding(&self, meta: &Meta, severity: Severity, title: impl Into<Text>) -> Finding {
        let finding = meta
            .finding(severity, title)
            .subject(self.subject())
            .fact(self.fact())
            .at(self.at_place());
        if self.node.is_some() {
            finding.reaches(self.at_place())
        } else {
            finding
        }
    }

    /// Its node, as a place.
    #[must_use]
    pub fn at_place(&self) -> Place {
        Place::nodes(self.node.clone())
    }
}

/// What logs and Events of the last `seconds` say by the signatures of `check`, which `set` holds. Events of
/// pods that are gone are history.
#[must_use]
pub fn told<'a>(cx: &Cx<'a>, check: &str, set: &SignatureSet, seconds: i64) -> Vec<Told<'a>> {
    let mut found = Vec::new();
    let _ = (cx.logs().optional(), cx.events().optional());
    let pods_known = cx.pods().is_complete();
    let snapshot = cx.snapshot();
    for scan in snapshot.kubernetes.logs.value().into_iter().flatten() {
        for hits in &scan.hits {
            if hits.check == check && cx.within(hits.last, seconds) {
                let name = match scan.component {
                    Component::Unknown => "log".to_owned(),
                    component => format!("{} log", component.name()),
                };
                found.push(Told {
                    source: Source::Logs,
                    hits: hits.clone(),
                    scan: Some(scan),
                    object: None,
                    pod: cx.topology().pod_of_log(scan),
                    node: cx.topology().node_of_log(scan),
                    place: scan.place().into(),
                    field: name.into(),
                });
            }
        }
    }
    for event in snapshot.kubernetes.events.value().into_iter().flatten() {
        if !cx.within(event.last_seen(), seconds) {
            continue;
        }
        let object = &event.involved_object;
        let pod = cx.topology().pod(&object.namespace, &object.name);
        if object.kind == "Pod" && pod.is_none() && pods_known {
            continue;
        }
        for hits in in_event(set, event) {
            found.push(Told {
                source: Source::Events,
                hits,
                scan: None,
                object: Some(object),
                pod,
                node: node_of(object, pod),
                place: place_of(object),
                field: event.reason.as_str().into(),
            });
        }
    }
    found
}

/// The same by node, else by where it stands.
#[must_use]
pub fn told_by_place(told: Vec<Told<'_>>) -> BTreeMap<Text, Vec<Told<'_>>> {
    let mut places: BTreeMap<Text, Vec<Told<'_>>> = BTreeMap::new();
    for one in told {
        let key = one.node.clone().unwrap_or_else(|| one.place.clone());
        places.entry(key).or_default().push(one);
    }
    places
}

/// An Event as a record `REASON: MESSAGE`.
fn in_event(set: &SignatureSet, event: &Event) -> Vec<Hits> {
    let mut scanner = Scanner::new(set, LogScan::default(), None);
    let record = format!("{}: {}", event.reason, event.message).replace('\n', " ");
    scanner.line_at(event.last_seen(), &record);
    let mut hits = scanner.finish().hits;
    for one in &mut hits {
        one.count = u64::from(event.times().max(1));
    }
    hits
}

fn node_of(object: &ObjectReference, pod: Option<&Pod>) -> Option<Text> {
    if object.kind == "Node" {
        return Some(object.name.as_str().into());
    }
    pod.map(|pod| pod.spec.node_name.as_str())
        .filter(|node| !node.is_empty())
        .map(Text::from)
}

fn place_of(object: &ObjectReference) -> Text {
    match (object.name.is_empty(), object.namespace.is_empty()) {
        (true, _) => "Event".into(),
        (false, true) => format!("{} {}", object.kind, object.name).trim().into(),
        (false, false) => format!("{} {}/{}", object.kind, object.namespace, object.name)
            .trim()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Signature, Snapshot, Topology};

    fn set() -> SignatureSet {
        SignatureSet::compile(vec![Signature {
            id: "s".to_owned(),
            check: "a/b".to_owned(),
            component: "ipamd".to_owned(),
            regex: "Broken: eni-(?P<eni>[0-9]+)".to_owned(),
            meaning: "m".to_owned(),
            severity: Severity::Error,
            sample: "x".to_owned(),
        }])
        .expect("a set")
    }

    fn told_of(pods: &serde_json::Value) -> Vec<(Source, Option<String>, String)> {
        let snapshot: Snapshot = serde_json::from_value(serde_json::json!({
            "takenAt": "2026-05-01T10:00:00Z",
            "kubernetes": {
                "pods": pods,
                "logs": [{"component": "ipamd", "node": "n1", "hits": [
                    {"signature": "s", "check": "a/b", "count": 2, "last": "2026-05-01T09:59:00Z"},
                    {"signature": "s", "check": "a/b", "count": 2, "last": "2026-05-01T01:00:00Z"}]}],
                "events": [
                    {"involvedObject": {"kind": "Pod", "namespace": "x", "name": "p"}, "reason": "Broken", "message": "eni-7", "count": 3},
                    {"involvedObject": {"kind": "Node", "name": "n3"}, "reason": "Broken", "message": "eni-8"}
                ]
            }
        }))
        .expect("a snapshot");
        let topology = Topology::of(&snapshot);
        let cx = Cx::new(&snapshot, &topology);
        told(&cx, "a/b", &set(), 3600)
            .iter()
            .map(|one| {
                let eni = one.value("eni").unwrap_or_default().to_owned();
                (one.source, one.node.as_ref().map(ToString::to_string), eni)
            })
            .collect()
    }

    #[test]
    fn logs_and_events_are_told_alike() {
        let pods = serde_json::json!([{"metadata": {"namespace": "x", "name": "p"}, "spec": {"nodeName": "n2"}}]);
        assert_eq!(
            told_of(&pods),
            [
                (Source::Logs, Some("n1".to_owned()), String::new()),
                (Source::Events, Some("n2".to_owned()), "7".to_owned()),
                (Source::Events, Some("n3".to_owned()), "8".to_owned()),
            ]
        );
    }

    #[test]
    fn events_of_pods_that_are_gone_are_history() {
        let of_nodes = told_of(&serde_json::json!([]));
        assert_eq!(of_nodes.len(), 2);
    }
}
