//! What programs and the cluster itself said: records of logs and Events, by the same signatures.

use std::collections::BTreeSet;

use crate::kubernetes::Event;
use crate::{
    Component, Cx, Fact, Hits, LogScan, Place, Scanner, SignatureSet, Source, Subject, SubjectKind,
    Text, Time, Topology,
};

/// Events older than this, in seconds, are history.
const WINDOW_S: i64 = 3600;
/// A log whose newest line is this much younger than its last hit, in seconds, goes on without it.
const PAST_S: i64 = 600;
/// How the file of an Event's scan begins.
const EVENT: &str = "Event of ";

/// Logs as they were scanned, and each Event of the last hour that `set` matches as a log of the object that
/// it is about: what reads logs reads Events too.
#[must_use]
pub fn logs_and_events(cx: &Cx<'_>, set: &SignatureSet) -> Vec<LogScan> {
    let ids: BTreeSet<&str> = set.iter().map(|signature| signature.id.as_str()).collect();
    let logs = cx.logs().optional().into_iter().flatten();
    let mut found: Vec<LogScan> = logs
        .filter(|scan| {
            let mut hits = scan.hits.iter();
            hits.any(|hits| ids.contains(hits.signature.as_str()))
        })
        .cloned()
        .collect();
    let events = cx.events().optional().into_iter().flatten();
    found.extend(
        events
            .filter(|event| cx.within(event.last_seen(), WINDOW_S))
            .filter_map(|event| of_event(event, set)),
    );
    found
}

/// An Event as a log of one record, `REASON: MESSAGE`; `None` where nothing in it matches.
fn of_event(event: &Event, set: &SignatureSet) -> Option<LogScan> {
    let object = &event.involved_object;
    let is_pod = object.kind == "Pod" && !object.name.is_empty();
    let scan = LogScan {
        namespace: if is_pod {
            object.namespace.as_str()
        } else {
            ""
        }
        .into(),
        pod: if is_pod { object.name.as_str() } else { "" }.into(),
        node: if object.kind == "Node" {
            object.name.as_str()
        } else {
            ""
        }
        .into(),
        file: format!("{EVENT}{} {}", object.kind, object.name)
            .trim_end()
            .into(),
        ..LogScan::default()
    };
    let mut scanner = Scanner::new(set, scan, None);
    let record = format!("{}: {}", event.reason, event.message).replace('\n', " ");
    scanner.line_at(event.last_seen(), &record);
    let mut scan = scanner.finish();
    for hits in &mut scan.hits {
        hits.count = u64::from(event.times().max(1));
    }
    (!scan.hits.is_empty()).then_some(scan)
}

/// Whether a log is an Event, as [`logs_and_events`] makes it.
#[must_use]
pub fn source_of_log(scan: &LogScan) -> Source {
    if scan.file.starts_with(EVENT) && scan.component == Component::Unknown {
        Source::Events
    } else {
        Source::Logs
    }
}

/// Hits of one signature in one log or Event.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// Where.
    pub scan: &'a LogScan,
    /// What.
    pub hits: &'a Hits,
}

impl<'a> Heard<'a> {
    /// What these signatures matched in `scans`, the newest record within the last `seconds`.
    #[must_use]
    pub fn recent(
        cx: &Cx<'_>,
        scans: &'a [LogScan],
        signatures: &[&str],
        seconds: i64,
    ) -> Vec<Self> {
        let all = scans
            .iter()
            .flat_map(|scan| scan.hits.iter().map(move |hits| Self { scan, hits }));
        all.filter(|one| signatures.contains(&one.hits.signature.as_str()))
            .filter(|one| one.hits.count > 0 && cx.within(one.hits.last, seconds))
            .collect()
    }

    /// The same in all logs.
    #[must_use]
    pub fn in_logs(cx: &'a Cx<'_>, signatures: &[&str], seconds: i64) -> Vec<Self> {
        let logs = cx.logs().optional().map_or(&[][..], Vec::as_slice);
        Self::recent(cx, logs, signatures, seconds)
    }

    /// Everything that these signatures matched.
    pub fn by(scans: &'a [LogScan], signatures: &'a [&'a str]) -> impl Iterator<Item = Self> {
        scans.iter().flat_map(move |scan| {
            let hits = scan.hits.iter();
            hits.filter(move |hits| signatures.contains(&hits.signature.as_str()))
                .map(move |hits| Self { scan, hits })
        })
    }

    /// The values of a captured field.
    pub fn values(&self, field: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let values = self.hits.fields.get(field).into_iter().flatten();
        values.map(|(value, _)| value.as_str())
    }

    /// The first value of a captured field.
    #[must_use]
    pub fn value(&self, field: &str) -> Option<&'a str> {
        self.values(field).next()
    }

    /// The values of a captured field, and how often each was seen.
    pub fn counted(&self, field: &str) -> impl Iterator<Item = (&'a Text, u64)> + use<'a> {
        let values = self.hits.fields.get(field).into_iter().flatten();
        values.map(|(value, count)| (value, *count))
    }

    /// The records that were kept.
    pub fn records(&self) -> impl Iterator<Item = &'a Text> + use<'a> {
        self.hits.samples.iter().map(|sample| &sample.text)
    }

    /// Whether any record that was kept holds one of these texts.
    #[must_use]
    pub fn says(&self, texts: &[&str]) -> bool {
        self.records()
            .any(|record| texts.iter().any(|text| record.contains(text)))
    }

    /// Whether the log is an excerpt that was picked for these records: most of its lines are such.
    #[must_use]
    pub fn is_excerpt(&self) -> bool {
        self.hits.count * 2 >= self.scan.lines
    }

    /// The newest record that was kept.
    #[must_use]
    pub fn line(&self) -> &'a str {
        let newest = self.hits.samples.last();
        newest.map_or("", |sample| sample.text.as_str())
    }

    /// Whether the log went on for ten minutes or more without it.
    #[must_use]
    pub fn is_past(&self, now: Option<Time>) -> bool {
        match (self.scan.last_at.or(now), self.hits.last) {
            (Some(end), Some(last)) => end.seconds_since(last) > PAST_S,
            _ => false,
        }
    }

    /// Who says it, for a reader: the workload, else the component, else where it stands.
    #[must_use]
    pub fn speaker(&self, topology: &Topology<'_>) -> String {
        match topology.workload_of_log(self.scan) {
            Some(workload) => workload,
            None if self.scan.component != Component::Unknown => {
                self.scan.component.name().to_owned()
            }
            None => self.scan.place(),
        }
    }

    /// The proof, called `field`.
    #[must_use]
    pub fn fact(&self, field: &str) -> Fact {
        Fact::new(
            source_of_log(self.scan),
            self.scan.place(),
            field,
            format!("{}: {}", self.hits.times(), self.line()),
        )
        .at(self.hits.last)
    }

    /// What a finding that stands on this alone is about: pod, node, or where it stands.
    #[must_use]
    pub fn subject(&self) -> Subject {
        if !self.scan.pod.is_empty() {
            Subject::pod(self.scan.namespace.clone(), self.scan.pod.clone())
        } else if !self.scan.node.is_empty() {
            Subject::node(self.scan.node.clone())
        } else {
            Subject::new(SubjectKind::Other, self.scan.place())
        }
    }

    /// Namespace and name of the workload that said it, the usual ones where they are not known.
    #[must_use]
    pub fn workload(&self, cx: &Cx<'_>, usual: (&str, &str)) -> (String, String) {
        let known = cx.topology().workload_of_log(self.scan);
        let known = known
            .as_deref()
            .and_then(|workload| workload.split_once('/'));
        let (namespace, name) = known.unwrap_or(usual);
        (namespace.to_owned(), name.to_owned())
    }

    /// Where all of them were said.
    #[must_use]
    pub fn place(cx: &Cx<'_>, all: &[Self]) -> Place {
        let mut place = Place::default();
        for one in all {
            let at = one.at(cx.topology());
            place.nodes.extend(at.nodes);
            place.workloads.extend(at.workloads);
        }
        place
    }

    /// Its node and workload, as far as they are known.
    #[must_use]
    pub fn at(&self, topology: &Topology<'_>) -> Place {
        let mut place = Place::nodes(topology.node_of_log(self.scan));
        place
            .workloads
            .extend(topology.workload_of_log(self.scan).map(Text::from));
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Severity, Signature, Snapshot};

    #[test]
    fn an_event_is_read_like_a_log_of_its_pod() {
        let set = SignatureSet::compile(vec![Signature {
            id: "s".to_owned(),
            check: "a/b".to_owned(),
            component: "kubelet".to_owned(),
            regex: "Failed: pulling (?P<what>[a-z]+)".to_owned(),
            meaning: "m".to_owned(),
            severity: Severity::Error,
            sample: "x".to_owned(),
        }])
        .expect("a set");
        let snapshot: Snapshot = serde_json::from_value(serde_json::json!({
            "takenAt": "2026-05-01T10:00:00Z",
            "kubernetes": {"events": [
                {"involvedObject": {"kind": "Pod", "namespace": "x", "name": "p"}, "reason": "Failed", "message": "pulling it", "count": 3, "lastTimestamp": "2026-05-01T09:59:00Z"},
                {"involvedObject": {"kind": "Pod", "namespace": "x", "name": "q"}, "reason": "Failed", "message": "pulling it", "lastTimestamp": "2026-05-01T01:00:00Z"}
            ]}
        }))
        .expect("a snapshot");
        let topology = Topology::of(&snapshot);
        let scans = logs_and_events(&Cx::new(&snapshot, &topology), &set);
        assert_eq!(scans.len(), 1);
        assert_eq!(source_of_log(&scans[0]), Source::Events);
        let said: Vec<Heard<'_>> = Heard::by(&scans, &["s"]).collect();
        assert_eq!(said[0].value("what"), Some("it"));
        assert_eq!(said[0].subject(), Subject::pod("x", "p"));
        assert_eq!(said[0].hits.count, 3);
    }
}
