//! Which causes are left where only a mechanism was found, and what would decide between them.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::{Finding, OriginKind, Outcome, Role, Text};

use crate::correlate::Correlation;
use crate::gaps;
use crate::graph::{Edge, EdgeKind, End, Graph};

/// The most causes that one line names.
const MOST_NAMED: usize = 6;

/// Adds to each diagnosis whose root is a mechanism which causes are left, and what would decide.
pub(crate) fn name_open_causes(
    correlation: &mut Correlation,
    graph: &Graph,
    outcomes: &[(Text, Outcome)],
    path: &str,
    kind: OriginKind,
) {
    let states: BTreeMap<&str, &Outcome> = outcomes
        .iter()
        .map(|(check, outcome)| (check.as_str(), outcome))
        .collect();
    let findings: BTreeMap<Text, Finding> = correlation
        .findings
        .iter()
        .map(|finding| (finding.id.clone(), finding.clone()))
        .collect();
    for diagnosis in &mut correlation.diagnoses {
        let Some(root) = findings.get(&diagnosis.finding) else {
            continue;
        };
        if root.role != Role::Mechanism {
            continue;
        }
        let known = causes_of(graph, root, &states);
        let left: Vec<(&Text, &Outcome)> = outcomes
            .iter()
            .filter(|(check, outcome)| {
                known.contains(check.as_str())
                    && matches!(outcome, Outcome::Unknown(_) | Outcome::Crashed(_))
            })
            .map(|(check, outcome)| (check, outcome))
            .collect();
        let judged = known.iter().filter(|id| states.contains_key(*id)).count();
        if left.is_empty() {
            if judged > 0 {
                diagnosis.because.push(
                    format!("No cause of it is known here: {judged} were looked at, none holds")
                        .into(),
                );
            }
            continue;
        }
        let names: Vec<&str> = left.iter().map(|(check, _)| check.as_str()).collect();
        diagnosis
            .because
            .push(format!("Its cause is not known yet; left are {}", list(&names)).into());
        let groups = gaps::group(
            left.iter().map(|(check, outcome)| (*check, outcome.gaps())),
            path,
            kind,
        );
        if let Some(group) = groups.first() {
            let names: Vec<&str> = group.checks.iter().map(|check| check.as_str()).collect();
            let names = list(&names);
            let line = match &group.closes {
                Some(closes) => format!("{closes} (judges {names})"),
                None => format!("{names} {}", group.lacks),
            };
            diagnosis.decide.insert(0, line.into());
        }
    }
}

/// Causes from which the graph leads to a finding, over mechanisms and symptoms that did not pass,
/// along edges that its signals do not refute.
fn causes_of<'g>(
    graph: &'g Graph,
    root: &Finding,
    states: &BTreeMap<&str, &Outcome>,
) -> BTreeSet<&'g str> {
    let mut causes = BTreeSet::new();
    let mut seen = BTreeSet::from([root.check.as_str()]);
    let mut next: Vec<&str> = vec![root.check.as_str()];
    while let Some(id) = next.pop() {
        for edge in graph.edges_to(id) {
            if edge.kind != EdgeKind::Cause || (root.check == id && refuted(edge, root)) {
                continue;
            }
            let from = edge.from.as_str();
            match graph.role(from) {
                Role::Cause => {
                    causes.insert(from);
                }
                Role::Mechanism | Role::Symptom => {
                    let excluded = states.get(from).is_some_and(|outcome| {
                        matches!(outcome, Outcome::Pass { .. } | Outcome::NotApplicable(_))
                    });
                    if !excluded && seen.insert(from) {
                        next.push(from);
                    }
                }
                Role::Risk => {}
            }
        }
    }
    causes
}

fn refuted(edge: &Edge, effect: &Finding) -> bool {
    edge.refuted_by.iter().any(|terms| {
        terms
            .iter()
            .all(|term| term.end == End::To && term.holds(effect, effect))
    })
}

fn list(names: &[&str]) -> String {
    let shown = names.len().min(MOST_NAMED);
    let mut text = names[..shown].join(", ");
    if names.len() > shown {
        text.push_str(&format!(" and {} more", names.len() - shown));
    }
    text
}
