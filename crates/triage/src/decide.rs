//! Which causes are left where only a mechanism was found, and what would decide between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use eksnet_model::{Finding, Gap, OriginKind, Outcome, Role, Text};

use crate::correlate::Correlation;
use crate::gaps;
use crate::graph::{EdgeKind, End, Graph, Term};

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
        let left: Vec<(&str, &Outcome)> = known
            .iter()
            .filter_map(|id| Some((*id, *states.get(id)?)))
            .filter(|(_, outcome)| matches!(outcome, Outcome::Unknown(_) | Outcome::Crashed(_)))
            .collect();
        if left.is_empty() {
            let judged = known.iter().filter(|id| states.contains_key(*id)).count();
            if judged > 0 {
                let line = format!(
                    "Its cause is not known: {} looked at, none holds",
                    if judged == 1 {
                        "the one that was".to_owned()
                    } else {
                        format!("of {judged} that were")
                    }
                );
                diagnosis.because.insert(0, line.into());
            }
            continue;
        }
        let names: Vec<&str> = left.iter().map(|(check, _)| *check).collect();
        let line = format!(
            "Its cause is not known yet; left {} {}",
            if names.len() == 1 { "is" } else { "are" },
            list(&names)
        );
        diagnosis.because.insert(0, line.into());
        let mut to_do = to_decide(&left, path, kind);
        to_do.append(&mut diagnosis.decide);
        diagnosis.decide = to_do;
    }
}

/// What would let most of the causes that are left be judged: a sentence, and its command where there
/// is one.
fn to_decide(left: &[(&str, &Outcome)], path: &str, kind: OriginKind) -> Vec<Text> {
    let checks: Vec<(Text, &[Gap])> = left
        .iter()
        .map(|(check, outcome)| (Text::from(*check), outcome.gaps()))
        .collect();
    let groups = gaps::group(
        checks.iter().map(|(check, gaps)| (check, *gaps)),
        path,
        kind,
    );
    // Several permissions are granted in one go: what counts is the way, not what is missing.
    let mut ways: Vec<(Option<Text>, Vec<Text>, Vec<Text>)> = Vec::new();
    for group in groups {
        match ways.iter_mut().find(|(closes, ..)| *closes == group.closes) {
            Some((_, checks, lacks)) if group.closes.is_some() => {
                checks.extend(group.checks);
                lacks.push(group.lacks);
            }
            _ => ways.push((group.closes, group.checks, vec![group.lacks])),
        }
    }
    ways.sort_by_key(|(closes, checks, _)| (closes.is_none(), Reverse(checks.len())));
    let Some((closes, checks, lacks)) = ways.into_iter().next() else {
        return Vec::new();
    };
    // In the order in which the graph suggests them.
    let names: Vec<&str> = left
        .iter()
        .map(|(check, _)| *check)
        .filter(|check| checks.iter().any(|one| one == check))
        .collect();
    let needs: Option<Vec<&str>> = lacks
        .iter()
        .map(|lacks| lacks.strip_prefix("need "))
        .collect();
    let verb = if names.len() == 1 { "needs" } else { "need" };
    let sentence = match needs {
        Some(needs) => format!("To judge {}, which {verb} {}", list(&names), list(&needs)),
        None => format!("To judge {}", list(&names)),
    };
    match closes {
        Some(closes) => vec![format!("{sentence}:").into(), closes],
        None => vec![sentence.into()],
    }
}

/// Causes from which the graph leads to a finding, over mechanisms and symptoms that did not pass,
/// along edges that its signals do not refute: those to which its signals point first, then the
/// nearest.
fn causes_of<'g>(
    graph: &'g Graph,
    root: &Finding,
    states: &BTreeMap<&str, &Outcome>,
) -> Vec<&'g str> {
    let mut causes: BTreeMap<&str, (bool, usize)> = BTreeMap::new();
    let mut seen: BTreeMap<&str, bool> = BTreeMap::new();
    let mut next: VecDeque<(&str, bool, usize)> = VecDeque::from([(root.check.as_str(), false, 0)]);
    while let Some((id, pointed, depth)) = next.pop_front() {
        for edge in graph.edges_to(id) {
            if edge.kind != EdgeKind::Cause || (depth == 0 && met(&edge.refuted_by, root)) {
                continue;
            }
            let pointed = pointed || (depth == 0 && met(&edge.confirmed_by, root));
            let from = edge.from.as_str();
            let standing = (!pointed, depth);
            match graph.role(from) {
                Role::Cause => {
                    let known = causes.entry(from).or_insert(standing);
                    *known = standing.min(*known);
                }
                Role::Mechanism | Role::Symptom if from != root.check.as_str() => {
                    let excluded = states.get(from).is_some_and(|outcome| {
                        matches!(outcome, Outcome::Pass { .. } | Outcome::NotApplicable(_))
                    });
                    let news = seen.get(from).is_none_or(|before| pointed && !before);
                    if !excluded && news {
                        seen.insert(from, pointed);
                        next.push_back((from, pointed, depth + 1));
                    }
                }
                Role::Mechanism | Role::Symptom | Role::Risk => {}
            }
        }
    }
    let mut causes: Vec<(&str, (bool, usize))> = causes.into_iter().collect();
    causes.sort_by_key(|(id, standing)| (*standing, *id));
    causes.into_iter().map(|(id, _)| id).collect()
}

/// Whether an entry is met by the signals of the effect alone.
fn met(entries: &[Vec<Term>], effect: &Finding) -> bool {
    entries.iter().any(|terms| {
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
