//! Who explains what.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use eksnet_model::{Confidence, Finding, Role, Text};

use crate::correlate::Links;
use crate::graph::Edge;
use crate::holds::Weight;

/// How a root comes to a finding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way<'g> {
    /// Steps that are not proven.
    pub(crate) unproven: usize,
    /// Steps from the root.
    pub(crate) depth: usize,
    /// The finding before.
    pub(crate) parent: usize,
    /// Whether the last step is proven.
    pub(crate) step: Weight,
    /// The first step that is not proven.
    pub(crate) open: Option<&'g Edge>,
}

/// Who explains what, and who else could.
#[derive(Default)]
pub(crate) struct Claims<'g> {
    /// Per root, all that it can explain.
    pub(crate) reach: BTreeMap<usize, BTreeMap<usize, Way<'g>>>,
    /// Per explained finding, its root.
    pub(crate) owner: BTreeMap<usize, usize>,
    /// Per finding that roots of several checks could explain equally well, one root per check.
    pub(crate) contested: BTreeMap<usize, Vec<usize>>,
    /// Per root, other roots that it may have caused.
    pub(crate) suspects: BTreeMap<usize, BTreeMap<usize, &'g Edge>>,
    /// Symptoms that lead to a mechanism without cause: they are how it is seen.
    pub(crate) seen_as: BTreeMap<usize, Vec<usize>>,
}

/// All that `root` can explain without passing through another root.
pub(crate) fn reach<'g>(
    findings: &[Finding],
    links: &Links<'g>,
    roots: &BTreeSet<usize>,
    root: usize,
) -> BTreeMap<usize, Way<'g>> {
    walk(findings, links, roots, root).0
}

type Walked<'g> = (BTreeMap<usize, Way<'g>>, BTreeMap<usize, &'g Edge>);

fn walk<'g>(
    findings: &[Finding],
    links: &Links<'g>,
    roots: &BTreeSet<usize>,
    root: usize,
) -> Walked<'g> {
    let mut found: BTreeMap<usize, Way<'g>> = BTreeMap::new();
    let mut suspects = BTreeMap::new();
    if findings[root].role == Role::Risk && !links.leads[root] {
        return (found, suspects);
    }
    let start = Way {
        unproven: 0,
        depth: 0,
        parent: root,
        step: Weight::Confirmed,
        open: None,
    };
    // In rounds: all that is proven from here, then one step that only fits, then all that is proven
    // from there. So each finding is reached by the way with the fewest unproven steps.
    let mut frontier = vec![(root, start)];
    while !frontier.is_empty() {
        let mut order = Vec::new();
        let mut queue = VecDeque::from(std::mem::take(&mut frontier));
        while let Some((at, way)) = queue.pop_front() {
            order.push((at, way));
            for held in &links.out[at] {
                if held.weight == Weight::Possible || held.to == root {
                    continue;
                }
                if roots.contains(&held.to) {
                    if let Some(open) = way.open {
                        suspects.entry(held.to).or_insert(open);
                    }
                } else if let Entry::Vacant(entry) = found.entry(held.to) {
                    let next = Way {
                        depth: way.depth + 1,
                        parent: at,
                        step: Weight::Confirmed,
                        ..way
                    };
                    entry.insert(next);
                    queue.push_back((held.to, next));
                }
            }
        }
        if !links.may_guess(findings, root) {
            break;
        }
        for (at, way) in order {
            for held in &links.out[at] {
                if held.weight == Weight::Confirmed || held.to == root {
                    continue;
                }
                let open = way.open.unwrap_or(held.edge);
                if roots.contains(&held.to) {
                    suspects.entry(held.to).or_insert(open);
                } else if let Entry::Vacant(entry) = found.entry(held.to) {
                    let next = Way {
                        unproven: way.unproven + 1,
                        depth: way.depth + 1,
                        parent: at,
                        step: Weight::Possible,
                        open: Some(open),
                    };
                    entry.insert(next);
                    frontier.push((held.to, next));
                }
            }
        }
    }
    (found, suspects)
}

/// Gives every finding that a root can explain to one root: by how sure the way and the root are,
/// then the narrowest reach, then how much the root covers, then the order of findings.
pub(crate) fn claim<'g>(
    findings: &[Finding],
    links: &Links<'g>,
    roots: &BTreeSet<usize>,
) -> Claims<'g> {
    let mut claims = Claims::default();
    for &root in roots {
        let (found, suspects) = walk(findings, links, roots, root);
        claims.reach.insert(root, found);
        claims.suspects.insert(root, suspects);
    }
    let mut best: BTreeMap<usize, (Strength, usize)> = BTreeMap::new();
    for (&root, found) in &claims.reach {
        let width = findings[root].reach.width();
        for (&at, way) in found {
            let strength = (
                Reverse(way.unproven),
                findings[root].confidence,
                Reverse(width),
                found.len(),
                Reverse(root),
            );
            let holder = best.entry(at).or_insert((strength, root));
            if strength > holder.0 {
                *holder = (strength, root);
            }
        }
    }
    claims.contested = contested(findings, &claims, &best);
    claims.owner = best.into_iter().map(|(at, (_, root))| (at, root)).collect();
    see_symptoms(findings, links, roots, &mut claims);
    claims
}

type Strength = (
    Reverse<usize>,
    Confidence,
    Reverse<usize>,
    usize,
    Reverse<usize>,
);

/// Findings whose best explanations are guesses of several checks, equally sure. Findings of one
/// check are no rivals: two dead nodes are one story.
fn contested(
    findings: &[Finding],
    claims: &Claims<'_>,
    best: &BTreeMap<usize, (Strength, usize)>,
) -> BTreeMap<usize, Vec<usize>> {
    let mut rivals: BTreeMap<usize, BTreeMap<&Text, usize>> = BTreeMap::new();
    for (&root, found) in &claims.reach {
        for (&at, way) in found {
            let (Reverse(unproven), confidence, ..) = best[&at].0;
            if unproven > 0 && way.unproven == unproven && findings[root].confidence == confidence {
                rivals
                    .entry(at)
                    .or_default()
                    .entry(&findings[root].check)
                    .or_insert(root);
            }
        }
    }
    rivals
        .into_iter()
        .filter(|(_, by_check)| by_check.len() > 1)
        .map(|(at, by_check)| (at, by_check.into_values().collect()))
        .collect()
}

/// A symptom without cause that leads to a mechanism without cause is how that mechanism is seen.
fn see_symptoms(
    findings: &[Finding],
    links: &Links<'_>,
    roots: &BTreeSet<usize>,
    claims: &mut Claims<'_>,
) {
    let claimed: BTreeSet<usize> = claims.owner.keys().copied().collect();
    for at in 0..findings.len() {
        if findings[at].role != Role::Symptom || claimed.contains(&at) {
            continue;
        }
        let mut seen = BTreeSet::from([at]);
        let mut queue = VecDeque::from([at]);
        while let Some(one) = queue.pop_front() {
            // Links are sorted proven first, then by finding.
            for held in &links.out[one] {
                let role = findings[held.to].role;
                if role == Role::Mechanism && roots.contains(&held.to) {
                    claims.owner.insert(at, held.to);
                    claims.seen_as.entry(held.to).or_default().push(at);
                    queue.clear();
                    break;
                }
                if role == Role::Symptom && !claimed.contains(&held.to) && seen.insert(held.to) {
                    queue.push_back(held.to);
                }
            }
        }
    }
}
