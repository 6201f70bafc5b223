//! The report contract, `eksnet.report/v1`. Within a version, fields are only added.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ClusterFacts, Confidence, Fact, Finding, Gap, Origin, OutcomeState, Place, Reach, Remedy, Role,
    Severity, Source, Subject, Text, Time,
};

/// Schema of reports that this version writes.
pub const REPORT_SCHEMA: &str = "eksnet.report/v1";

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`REPORT_SCHEMA`].
    pub schema: Text,
    /// The program.
    pub tool: Tool,
    /// Time of the snapshot; null when the evidence carries none.
    pub taken_at: Option<Time>,
    /// Where the evidence comes from.
    pub source: Origin,
    /// The cluster; null where unknown.
    pub cluster: ReportCluster,
    /// The whole in one word.
    pub verdict: Verdict,
    /// Which part of the core could not be judged, and why: what stands between the evidence and
    /// "healthy".
    #[serde(default)]
    pub lacks: Vec<Text>,
    /// Root causes, best first.
    pub diagnoses: Vec<Diagnosis>,
    /// Everything that is wrong, symptoms included; worst first.
    pub findings: Vec<FindingEntry>,
    /// Ids of findings that nothing explains and that explain nothing, symptoms first.
    pub unexplained: Vec<Text>,
    /// What each check came to, by id.
    pub outcomes: Vec<OutcomeEntry>,
    /// What could not be seen.
    pub gaps: Vec<Gap>,
    /// Files that were not understood.
    pub unread: Vec<UnreadFile>,
    /// Milliseconds per phase.
    pub timings: BTreeMap<Text, u64>,
    /// Objects that the run created.
    pub created: Created,
    /// The exit code.
    pub exit_code: i32,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Version.
    pub version: Text,
}

/// The cluster, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportCluster {
    /// Name, region, account, version, partition.
    #[serde(flatten)]
    pub facts: ClusterFacts,
    /// Number of nodes.
    pub nodes: Option<u32>,
    /// Number of node groups.
    pub node_groups: Option<u32>,
}

/// The whole in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The core passes and nothing is wrong.
    Healthy,
    /// Something is wrong, but nothing is an outage.
    Degraded,
    /// Something critical is wrong, or an error explains symptoms.
    Broken,
    /// Too little evidence to tell.
    Inconclusive,
}

/// A root cause and what it explains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// 1 is first.
    pub rank: u32,
    /// Id of the root finding.
    pub finding: Text,
    /// Check of the root finding.
    pub check: Text,
    /// Its title.
    pub title: Text,
    /// Worst severity among root and explained.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// Ids of the findings that it explains, nearest first.
    pub explains: Vec<Text>,
    /// The steps by which it leads to what it explains, nearest first.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Why it explains them, or what speaks against it.
    pub because: Vec<Text>,
    /// The observation, permission or flag that would decide, where the evidence does not.
    #[serde(default)]
    pub decide: Vec<Text>,
    /// What to do.
    pub remedy: Remedy,
}

/// One step in a chain of causes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Id of the finding that causes.
    pub from: Text,
    /// Id of the finding that is caused.
    pub to: Text,
    /// Whether that was observed; else it only fits.
    pub confirmed: bool,
}

/// A finding in the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingEntry {
    /// Stable between runs.
    pub id: Text,
    /// Check or symptom.
    pub check: Text,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// `cause`, `symptom` or `risk`. What spreads a cause (a mechanism) counts as a symptom here.
    pub role: Role,
    /// One line.
    pub title: Text,
    /// What it means here.
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
    /// Observations that confirm or refute edges of the causal graph.
    pub signals: Vec<Text>,
}

impl From<Finding> for FindingEntry {
    fn from(finding: Finding) -> Self {
        Self {
            id: finding.id,
            check: finding.check,
            severity: finding.severity,
            confidence: finding.confidence,
            role: match finding.role {
                Role::Mechanism => Role::Symptom,
                other => other,
            },
            title: finding.title,
            detail: finding.detail,
            subjects: finding.subjects,
            facts: finding.facts,
            remedy: finding.remedy,
            at: finding.at,
            reach: finding.reach,
            signals: finding.signals.into_iter().collect(),
        }
    }
}

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeEntry {
    /// Check.
    pub check: Text,
    /// State.
    pub state: OutcomeState,
    /// Why, in words.
    pub reason: Text,
    /// What could not be seen.
    pub gaps: Vec<Gap>,
    /// Sources that a pass stands on.
    pub evidence: Vec<Source>,
}

/// A file that was not understood.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct UnreadFile {
    /// Path, relative to what was given.
    pub path: Text,
    /// Why.
    pub why: Text,
}

/// Objects that the run created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Created {
    /// Pods created.
    pub pods: u32,
    /// Pods whose deletion was confirmed.
    pub deleted: u32,
    /// Pods that may be left.
    pub left: u32,
}
