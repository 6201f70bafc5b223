//! Findings: what is wrong, where, how that is known, and what to do.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Source, Text, Time};

/// How bad a finding is. The order is that of urgency: `Critical` is greatest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Hygiene, or a fact.
    Info,
    /// A risk, or degraded.
    Warning,
    /// Broken for some workload, or certain to break at the next scaling or upgrade.
    Error,
    /// An outage now for more than one workload.
    Critical,
}

/// How sure a finding is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// It fits what was seen, and so do other causes.
    Possible,
    /// One piece of evidence says so.
    Likely,
    /// Two independent pieces of evidence, or an explicit error code.
    Confirmed,
}

/// What a check's findings are in a chain of causes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A configuration, or a component's own fault, that someone can change.
    Cause,
    /// How a cause spreads. A root only where no cause was found.
    Mechanism,
    /// What is seen to fail.
    Symptom,
    /// Nothing fails yet.
    Risk,
}

/// Kind of a [`Subject`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // the names are those of Kubernetes and AWS
pub enum SubjectKind {
    Cluster,
    Node,
    NodeGroup,
    Pod,
    Deployment,
    DaemonSet,
    Service,
    ServiceAccount,
    ConfigMap,
    PodDisruptionBudget,
    NetworkPolicy,
    Namespace,
    Host,
    SecurityGroup,
    NetworkAcl,
    Subnet,
    RouteTable,
    Vpc,
    VpcEndpoint,
    NetworkInterface,
    Instance,
    InstanceType,
    AutoScalingGroup,
    Role,
    Other,
}

/// What a finding is about.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Kind, as Kubernetes or AWS calls it.
    pub kind: SubjectKind,
    /// Namespace, of a namespaced object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Text>,
    /// Name.
    pub name: Text,
    /// Id, where it differs from the name: an instance id, a group id, an ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
}

impl Subject {
    /// A subject without namespace.
    pub fn new(kind: SubjectKind, name: impl Into<Text>) -> Self {
        Self {
            kind,
            namespace: None,
            name: name.into(),
            id: None,
        }
    }

    /// A namespaced subject.
    pub fn namespaced(
        kind: SubjectKind,
        namespace: impl Into<Text>,
        name: impl Into<Text>,
    ) -> Self {
        Self {
            namespace: Some(namespace.into()),
            ..Self::new(kind, name)
        }
    }

    /// A node.
    pub fn node(name: impl Into<Text>) -> Self {
        Self::new(SubjectKind::Node, name)
    }

    /// A pod.
    pub fn pod(namespace: impl Into<Text>, name: impl Into<Text>) -> Self {
        Self::namespaced(SubjectKind::Pod, namespace, name)
    }

    /// The same subject, with its id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Text>) -> Self {
        self.id = Some(id.into());
        self
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    /// Where it was seen.
    pub source: Source,
    /// On what, such as `Node ip-10-0-1-23` or `sg-0b5`.
    pub subject: Text,
    /// Which field or measurement.
    pub field: Text,
    /// What was seen.
    pub saw: Text,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Text>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
}

impl Fact {
    /// A fact.
    pub fn new(
        source: Source,
        subject: impl Into<Text>,
        field: impl Into<Text>,
        saw: impl Into<Text>,
    ) -> Self {
        Self {
            source,
            subject: subject.into(),
            field: field.into(),
            saw: saw.into(),
            expected: None,
            observed_at: None,
        }
    }

    /// The same fact, with what would be right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<Text>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// The same fact, with its time.
    #[must_use]
    pub fn at(mut self, time: Option<Time>) -> Self {
        self.observed_at = time;
        self
    }
}

/// What to do about a finding. Commands can be pasted: they carry the cluster's own names and ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Remedy {
    /// Commands that show the fault by hand; none changes anything.
    #[serde(default)]
    pub confirm: Vec<Text>,
    /// Commands, or one sentence where no command exists, that mend it.
    #[serde(default)]
    pub fix: Vec<Text>,
    /// Name of the runbook: the check's id, for `kubectl eksnet explain`.
    pub runbook: Text,
}

/// Where something was observed, in the dimensions in which causes reach.
///
/// An empty dimension is one that does not matter or is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Place {
    /// Names of nodes.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub nodes: BTreeSet<Text>,
    /// Workloads as `namespace/name` of the owner (Deployment, DaemonSet) or of a pod without one.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub workloads: BTreeSet<Text>,
    /// Host names that were asked for or connected to.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub hosts: BTreeSet<Text>,
}

impl Place {
    /// On these nodes.
    pub fn nodes<T: Into<Text>>(nodes: impl IntoIterator<Item = T>) -> Self {
        Self {
            nodes: nodes.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// The same place, on these nodes too.
    #[must_use]
    pub fn on<T: Into<Text>>(mut self, nodes: impl IntoIterator<Item = T>) -> Self {
        self.nodes.extend(nodes.into_iter().map(Into::into));
        self
    }

    /// The same place, of this workload.
    #[must_use]
    pub fn of(mut self, workload: impl Into<Text>) -> Self {
        self.workloads.insert(workload.into());
        self
    }

    /// The same place, towards this host.
    #[must_use]
    pub fn towards(mut self, host: impl Into<Text>) -> Self {
        self.hosts.insert(host.into());
        self
    }
}

/// What a finding can be the cause of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reach {
    /// Anything in the cluster.
    Cluster,
    /// Only what is observed within this place.
    Within(Place),
}

impl Reach {
    /// How wide the reach is, for the choice of the narrowest: 0 for workloads or hosts alone, then
    /// the number of nodes, `usize::MAX` for the cluster.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::Cluster => usize::MAX,
            Self::Within(place) => place.nodes.len(),
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable between runs: a hash over check and subjects.
    pub id: Text,
    /// Id of the check or symptom.
    pub check: Text,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Its part in a chain of causes.
    pub role: Role,
    /// One line; starts with the subject.
    pub title: Text,
    /// One or two sentences: what it means here.
    pub detail: Text,
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// The proof.
    pub facts: Vec<Fact>,
    /// What to do.
    pub remedy: Remedy,
    /// Where it is observed.
    pub at: Place,
    /// What it can cause.
    pub reach: Reach,
    /// Observations that confirm or refute edges of the causal graph, by the names that the graph
    /// uses, such as `tail-dns`.
    pub signals: BTreeSet<Text>,
}

impl Finding {
    /// A finding of `check`, observed and reaching everywhere until told otherwise.
    pub fn new(
        check: impl Into<Text>,
        role: Role,
        severity: Severity,
        title: impl Into<Text>,
    ) -> Self {
        let check = check.into();
        let runbook = check.clone();
        Self {
            id: Text::default(),
            check,
            severity,
            confidence: Confidence::Likely,
            role,
            title: title.into(),
            detail: Text::default(),
            subjects: Vec::new(),
            facts: Vec::new(),
            remedy: Remedy {
                runbook,
                ..Remedy::default()
            },
            at: Place::default(),
            reach: Reach::Cluster,
            signals: BTreeSet::new(),
        }
        .identified()
    }

    /// Sets how sure the finding is (`Likely` until then).
    #[must_use]
    pub fn confidence(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    /// Sets what it means here.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Text>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Adds a subject.
    #[must_use]
    pub fn subject(mut self, subject: Subject) -> Self {
        self.subjects.push(subject);
        self.identified()
    }

    /// Adds subjects.
    #[must_use]
    pub fn subjects(mut self, subjects: impl IntoIterator<Item = Subject>) -> Self {
        self.subjects.extend(subjects);
        self.identified()
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    /// Adds facts.
    #[must_use]
    pub fn facts(mut self, facts: impl IntoIterator<Item = Fact>) -> Self {
        self.facts.extend(facts);
        self
    }

    /// Adds a command that shows the fault.
    #[must_use]
    pub fn confirm(mut self, command: impl Into<Text>) -> Self {
        self.remedy.confirm.push(command.into());
        self
    }

    /// Adds a command that mends it.
    #[must_use]
    pub fn fix(mut self, command: impl Into<Text>) -> Self {
        self.remedy.fix.push(command.into());
        self
    }

    /// Sets where it is observed.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.at = place;
        self
    }

    /// Sets what it can cause to what is observed within `place`.
    #[must_use]
    pub fn reaches(mut self, place: Place) -> Self {
        self.reach = Reach::Within(place);
        self
    }

    /// Adds a signal for the causal graph.
    #[must_use]
    pub fn signal(mut self, signal: impl Into<Text>) -> Self {
        self.signals.insert(signal.into());
        self
    }

    fn identified(mut self) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.check.as_bytes());
        let mut subjects: Vec<String> = self
            .subjects
            .iter()
            .map(|s| {
                format!(
                    "\0{:?}\0{}\0{}",
                    s.kind,
                    s.namespace.as_deref().unwrap_or(""),
                    s.name
                )
            })
            .collect();
        subjects.sort();
        for subject in subjects {
            hash.update(subject.as_bytes());
        }
        let digest = hash.finalize();
        let mut id = String::with_capacity(12);
        for byte in &digest[..6] {
            id.push_str(&format!("{byte:02x}"));
        }
        self.id = id.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(subjects: &[&str]) -> Finding {
        Finding::new("node/not-ready", Role::Cause, Severity::Error, "t")
            .subjects(subjects.iter().map(|name| Subject::node(*name)))
    }

    #[test]
    fn ids_hang_on_check_and_subjects_in_any_order() {
        assert_eq!(finding(&["a", "b"]).id, finding(&["b", "a"]).id);
        assert_ne!(finding(&["a", "b"]).id, finding(&["ab"]).id);
        assert_ne!(finding(&["a"]).id, finding(&["b"]).id);
    }
}
