//! What logs say, by who said it: the lines of several logs and signatures together.

use std::collections::{BTreeMap, BTreeSet};

use crate::kubernetes::Pod;
use crate::{Component, Cx, Fact, Hits, LogScan, Place, Source, Subject, SubjectKind, Text};

/// Lines of one workload, or of one log of nobody known, that some signatures matched.
#[derive(Clone, Debug)]
pub struct Speaker<'a> {
    /// The workload as `namespace/name`, else the component, else the log's place.
    pub who: String,
    /// `namespace/name` of the workload.
    pub workload: Option<String>,
    /// Where it was said.
    pub place: Place,
    /// The logs and what was matched in them.
    pub seen: Vec<(&'a LogScan, &'a Hits)>,
}

impl<'a> Speaker<'a> {
    /// What `signatures` matched in the last `seconds` of the evidence, by who said it.
    #[must_use]
    pub fn in_logs(cx: &'a Cx<'_>, signatures: &[&str], seconds: i64) -> Vec<Self> {
        let mut found: BTreeMap<String, Self> = BTreeMap::new();
        for scan in cx.logs().optional().into_iter().flatten() {
            for hits in &scan.hits {
                if !signatures.contains(&hits.signature.as_str()) || !cx.within(hits.last, seconds)
                {
                    continue;
                }
                let workload = cx.topology().workload_of_log(scan);
                let who = match (&workload, scan.component) {
                    (Some(workload), _) => workload.clone(),
                    (None, Component::Unknown) => scan.place(),
                    (None, component) => component.name().to_owned(),
                };
                let said = found.entry(who.clone()).or_insert_with(|| Self {
                    who,
                    workload: workload.clone(),
                    place: Place::default(),
                    seen: Vec::new(),
                });
                said.place.nodes.extend(cx.topology().node_of_log(scan));
                said.place.workloads.extend(workload.map(Text::from));
                said.seen.push((scan, hits));
            }
        }
        found.into_values().collect()
    }

    /// Whether a signature is among what was matched.
    #[must_use]
    pub fn has(&self, signature: &str) -> bool {
        self.seen
            .iter()
            .any(|(_, hits)| hits.signature == signature)
    }

    /// Values of a captured field, over all logs.
    #[must_use]
    pub fn values(&self, field: &str) -> BTreeSet<&'a str> {
        self.seen
            .iter()
            .flat_map(|(_, hits)| hits.fields.get(field))
            .flatten()
            .map(|(value, _)| value.as_str())
            .collect()
    }

    /// One fact per log and signature, with how often and a line.
    #[must_use]
    pub fn facts(&self, field: &str) -> Vec<Fact> {
        self.seen
            .iter()
            .map(|(scan, hits)| {
                let line = hits.samples.last().map(|sample| sample.text.to_string());
                let times = if hits.count == 1 { "time" } else { "times" };
                Fact::new(
                    Source::Logs,
                    scan.place(),
                    field,
                    format!("{} {times}: {}", hits.count, line.unwrap_or_default()),
                )
                .at(hits.last)
            })
            .collect()
    }

    /// Whose log it is.
    #[must_use]
    pub fn component(&self) -> Component {
        self.seen
            .iter()
            .map(|(scan, _)| scan.component)
            .find(|component| *component != Component::Unknown)
            .unwrap_or_default()
    }

    /// The pod that wrote it, where it is in the evidence.
    #[must_use]
    pub fn pod(&self, cx: &Cx<'a>) -> Option<&'a Pod> {
        self.seen
            .iter()
            .find_map(|(scan, _)| cx.topology().pod_of_log(scan))
    }

    /// Who said it, as a subject.
    #[must_use]
    pub fn subject(&self) -> Subject {
        let kind = match self.component() {
            Component::AwsNode
            | Component::Ipamd
            | Component::CniPlugin
            | Component::NetworkPolicyAgent
            | Component::KubeProxy
            | Component::NodeLocalDns
            | Component::PodIdentityAgent => SubjectKind::DaemonSet,
            Component::Unknown => SubjectKind::Other,
            _ => SubjectKind::Deployment,
        };
        match self.workload.as_deref().and_then(|who| who.split_once('/')) {
            Some((namespace, name)) => Subject::namespaced(kind, namespace, name),
            None => Subject::new(SubjectKind::Other, self.who.as_str()),
        }
    }

    /// Who said it, for a sentence: a log whose program nobody names is told by its file.
    #[must_use]
    pub fn caller(&self) -> String {
        if self.workload.is_none() && self.component() == Component::Unknown {
            format!("the program that wrote {}", self.who)
        } else {
            self.who.clone()
        }
    }

    /// Namespace and name for commands; placeholders where they are not known.
    #[must_use]
    pub fn target(&self) -> (&str, &str) {
        match self.workload.as_deref().and_then(|who| who.split_once('/')) {
            Some(target) => target,
            None if self.component() == Component::Unknown => ("NAMESPACE", "WORKLOAD"),
            None => ("kube-system", self.component().name()),
        }
    }
}
