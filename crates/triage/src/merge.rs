//! One finding per id, in an order that does not hang on arrival.

use std::collections::BTreeMap;

use eksnet_model::{Finding, Place, Reach, Subject, Text};

/// The findings in an order of their own: check, subjects, title, id. What was reported twice under
/// one id becomes one finding with the proof of both.
pub(crate) fn canonical(findings: Vec<Finding>) -> Vec<Finding> {
    let mut by_id: BTreeMap<Text, Vec<Finding>> = BTreeMap::new();
    for finding in findings {
        by_id.entry(finding.id.clone()).or_default().push(finding);
    }
    let mut findings: Vec<Finding> = by_id.into_values().filter_map(unite).collect();
    findings.sort_by_cached_key(|finding| {
        let mut subjects: Vec<Subject> = finding.subjects.clone();
        subjects.sort();
        (
            finding.check.clone(),
            subjects,
            finding.title.clone(),
            finding.id.clone(),
        )
    });
    findings
}

fn unite(mut same: Vec<Finding>) -> Option<Finding> {
    if same.len() == 1 {
        return same.pop();
    }
    same.sort_by(|a, b| {
        (b.severity, b.confidence, &a.title, &a.facts).cmp(&(
            a.severity,
            a.confidence,
            &b.title,
            &b.facts,
        ))
    });
    let mut same = same.into_iter();
    let mut first = same.next()?;
    for other in same {
        add_facts(&mut first, &other);
        add_place(&mut first.at, other.at);
        match (&mut first.reach, other.reach) {
            (Reach::Within(mine), Reach::Within(theirs)) => add_place(mine, theirs),
            (mine, _) => *mine = Reach::Cluster,
        }
        first.signals.extend(other.signals);
    }
    Some(first)
}

/// Adds the proof of `other` that `finding` does not have yet.
pub(crate) fn add_facts(finding: &mut Finding, other: &Finding) {
    for fact in &other.facts {
        if !finding.facts.contains(fact) {
            finding.facts.push(fact.clone());
        }
    }
}

fn add_place(place: &mut Place, other: Place) {
    // An empty dimension does not restrict: together with another one it stays open.
    for (mine, theirs) in [
        (&mut place.nodes, other.nodes),
        (&mut place.workloads, other.workloads),
        (&mut place.hosts, other.hosts),
    ] {
        if mine.is_empty() || theirs.is_empty() {
            mine.clear();
        } else {
            mine.extend(theirs);
        }
    }
}
