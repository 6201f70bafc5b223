//! Puts a report together.

use std::collections::BTreeMap;

use eksnet_model::{
    Created, FindingEntry, Judged, OriginKind, Outcome, OutcomeEntry, REPORT_SCHEMA, Report,
    ReportCluster, Snapshot, Text, Tool, Topology, UnreadFile,
};

use crate::correlate::correlate;
use crate::decide::name_open_causes;
use crate::gaps;
use crate::graph::Graph;
use crate::verdict::{FailOn, exit_code, lacks, verdict};

/// What a report is made of.
#[derive(Debug)]
pub struct Input<'a> {
    /// The evidence.
    pub snapshot: &'a Snapshot,
    /// What checks and symptoms came to.
    pub judged: Judged,
    /// The causal graph.
    pub graph: &'a Graph,
    /// Files that were not understood.
    pub unread: Vec<UnreadFile>,
    /// Milliseconds per phase.
    pub timings: BTreeMap<Text, u64>,
    /// Objects that the run created.
    pub created: Created,
    /// Version of the program.
    pub version: Text,
    /// From which severity on findings make the exit code 1.
    pub fail_on: FailOn,
    /// Whether probes belong to the core: false for saved evidence, with `--no-probe`, and where no
    /// selected check needs them.
    pub probes_expected: bool,
    /// Whether only some checks were run: the core is then what is selected of it.
    pub selected: bool,
}

/// Joins what the checks found, and says what it comes to.
#[must_use]
pub fn report(input: Input<'_>) -> Report {
    let Judged { outcomes, symptoms } = input.judged;
    let findings = outcomes
        .iter()
        .flat_map(|(_, outcome)| outcome.findings().iter().cloned())
        .chain(symptoms)
        .collect();
    let mut correlation = correlate(findings, input.graph);
    let origin = &input.snapshot.origin;
    name_open_causes(
        &mut correlation,
        input.graph,
        &outcomes,
        &origin.name,
        origin.kind,
    );
    let lacks = lacks(
        &outcomes,
        input.snapshot,
        input.probes_expected,
        input.selected,
    );
    let verdict = verdict(&correlation, lacks.is_empty());
    let exit_code = exit_code(
        &outcomes,
        &correlation,
        verdict,
        lacks.is_empty(),
        input.fail_on,
    );
    let mut entries: Vec<OutcomeEntry> = outcomes
        .iter()
        .map(|(check, outcome)| entry(check, outcome, origin.kind))
        .collect();
    entries.sort_by(|a, b| a.check.cmp(&b.check));
    Report {
        schema: REPORT_SCHEMA.into(),
        tool: Tool {
            version: input.version,
        },
        taken_at: input.snapshot.taken_at,
        source: origin.clone(),
        cluster: cluster(input.snapshot),
        verdict,
        lacks,
        diagnoses: correlation.diagnoses,
        findings: correlation
            .findings
            .into_iter()
            .map(FindingEntry::from)
            .collect(),
        unexplained: correlation.unexplained,
        outcomes: entries,
        gaps: gaps::all(input.snapshot, &outcomes),
        unread: input.unread,
        timings: input.timings,
        created: input.created,
        exit_code,
    }
}

fn cluster(snapshot: &Snapshot) -> ReportCluster {
    let nodes = snapshot.kubernetes.nodes.value();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    ReportCluster {
        facts: snapshot.cluster.clone(),
        nodes: nodes.map(|nodes| count(nodes.len())),
        node_groups: nodes.map(|_| count(Topology::of(snapshot).groups().len())),
    }
}

fn entry(check: &Text, outcome: &Outcome, kind: OriginKind) -> OutcomeEntry {
    let keys = |sources: &[eksnet_model::Source]| {
        sources
            .iter()
            .map(|source| source.key())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (reason, evidence) = match outcome {
        Outcome::Pass { evidence, .. } => (
            format!("nothing wrong; read whole: {}", keys(evidence)).into(),
            evidence.clone(),
        ),
        Outcome::Found { findings, .. } => {
            let worst = findings.iter().map(|finding| finding.severity).max();
            let worst = worst.map_or("none", crate::render::severity);
            let count = findings.len();
            let plural = if count == 1 { "" } else { "s" };
            (
                format!("{count} finding{plural}, the worst is {worst}").into(),
                Vec::new(),
            )
        }
        Outcome::NotApplicable(why) => (why.clone(), Vec::new()),
        Outcome::Unknown(gaps) => (gaps::in_words(gaps, kind).into(), Vec::new()),
        Outcome::Crashed(message) => (
            format!("the check itself failed: {message}").into(),
            Vec::new(),
        ),
    };
    OutcomeEntry {
        check: check.clone(),
        state: outcome.state(),
        reason,
        gaps: outcome.gaps().to_vec(),
        evidence,
    }
}
