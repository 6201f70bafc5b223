//! Which findings are roots, and what each of them explains.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::{Diagnosis, Finding, Role, Severity, Text};

use crate::claims::{Claims, claim, reach};
use crate::graph::{EdgeKind, Graph};
use crate::holds::{Held, Weight, held};
use crate::merge::{add_facts, canonical};
use crate::paths::components;
use crate::rank::diagnoses;

/// Findings, joined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Correlation {
    /// Every finding once, worst first.
    pub findings: Vec<Finding>,
    /// Root causes, best first. Mechanisms are among them only where no cause was found, risks only
    /// below what already fails.
    pub diagnoses: Vec<Diagnosis>,
    /// By id of a finding, the id of the root that explains it.
    pub explained_by: BTreeMap<Text, Text>,
    /// Symptoms that nothing explains.
    pub unexplained: Vec<Text>,
}

/// Joins findings into diagnoses.
///
/// The result does not hang on the order of the findings. Each of them ends in one place: as the
/// root of a diagnosis, explained by one, or (symptoms only) unexplained.
#[must_use]
pub fn correlate(findings: Vec<Finding>, graph: &Graph) -> Correlation {
    let mut findings = canonical(findings);
    let held = held(graph, &findings);
    merge_proof(&mut findings, &held);
    let links = Links::new(&findings, &held);
    let roots = roots(graph, &findings, &links);
    let claims = claim(&findings, &links, &roots);
    let diagnoses = diagnoses(&findings, &links, &roots, &claims);
    finish(findings, &claims, diagnoses)
}

/// The shown end of a merge carries the proof of both.
fn merge_proof(findings: &mut [Finding], held: &[Held<'_>]) {
    for held in held {
        if matches!(held.edge.kind, EdgeKind::Merge(_)) {
            let other = findings[held.to].clone();
            add_facts(&mut findings[held.from], &other);
        }
    }
}

/// Edges that hold, by the finding that they start from.
pub(crate) struct Links<'g> {
    pub(crate) out: Vec<Vec<Held<'g>>>,
    pub(crate) since: Vec<Held<'g>>,
    /// Whether a finding counts as a cause: its check says so, or it is a risk that is seen to have
    /// come true.
    pub(crate) leads: Vec<bool>,
}

impl<'g> Links<'g> {
    fn new(findings: &[Finding], held: &[Held<'g>]) -> Self {
        let mut out: Vec<Vec<Held<'g>>> = vec![Vec::new(); findings.len()];
        let mut since = Vec::new();
        for held in held {
            match held.edge.kind {
                EdgeKind::Context => since.push(*held),
                EdgeKind::Cause | EdgeKind::Merge(_) => out[held.from].push(*held),
            }
        }
        for links in &mut out {
            links.sort_by_key(|held| (Reverse(held.weight), held.to));
        }
        let leads = findings
            .iter()
            .enumerate()
            .map(|(at, finding)| match finding.role {
                Role::Cause => true,
                Role::Risk => out[at].iter().any(|held| held.weight == Weight::Confirmed),
                Role::Mechanism | Role::Symptom => false,
            })
            .collect();
        Self { out, since, leads }
    }

    /// Whether a finding may explain others by edges that only fit. A fact of hygiene, or a risk that
    /// has not come true, explains only what is proven.
    pub(crate) fn may_guess(&self, findings: &[Finding], at: usize) -> bool {
        findings[at].severity > Severity::Info
            && (findings[at].role != Role::Risk || self.leads[at])
    }
}

/// The roots, in the order of the findings: causes, then mechanisms until each one is covered.
fn roots(graph: &Graph, findings: &[Finding], links: &Links<'_>) -> BTreeSet<usize> {
    let mut roots = BTreeSet::new();
    let mut reached = BTreeSet::new();
    let mut new = causes(graph, findings, links);
    loop {
        roots.extend(new.iter().copied());
        for root in new {
            reached.extend(reach(findings, links, &roots, root).into_keys());
        }
        new = mechanisms(graph, findings, links, &roots, &reached);
        if new.is_empty() {
            break;
        }
    }
    roots
}

/// Causes and risks that no other cause and no mechanism is proven to lead to. Of causes that lead to
/// each other, the one at which the graph breaks the loop, else the worst.
fn causes(graph: &Graph, findings: &[Finding], links: &Links<'_>) -> BTreeSet<usize> {
    let arcs: Vec<Vec<usize>> = links
        .out
        .iter()
        .map(|out| {
            out.iter()
                .filter(|held| held.weight == Weight::Confirmed)
                .map(|held| held.to)
                .collect()
        })
        .collect();
    let independent = |at: usize| matches!(findings[at].role, Role::Cause | Role::Risk);
    let leads = |at: usize| findings[at].role != Role::Symptom;
    heads(graph, findings, &arcs, &independent, &leads)
}

/// Mechanisms that no cause explains and that no other such mechanism leads to.
fn mechanisms(
    graph: &Graph,
    findings: &[Finding],
    links: &Links<'_>,
    causes: &BTreeSet<usize>,
    reached: &BTreeSet<usize>,
) -> BTreeSet<usize> {
    let free = |at: &usize| !causes.contains(at) && !reached.contains(at);
    let arcs: Vec<Vec<usize>> = links
        .out
        .iter()
        .enumerate()
        .map(|(at, out)| {
            if free(&at) {
                out.iter().map(|held| held.to).filter(free).collect()
            } else {
                Vec::new()
            }
        })
        .collect();
    let counts = |at: usize| findings[at].role == Role::Mechanism && free(&at);
    heads(graph, findings, &arcs, &counts, &counts)
}

/// Of the findings that `counts`, those to which nothing that `leads` comes along `arcs`; one per loop.
fn heads(
    graph: &Graph,
    findings: &[Finding],
    arcs: &[Vec<usize>],
    counts: &dyn Fn(usize) -> bool,
    leads: &dyn Fn(usize) -> bool,
) -> BTreeSet<usize> {
    let (component, count) = components(arcs);
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (at, number) in component.iter().enumerate() {
        members[*number].push(at);
    }
    let mut led = vec![false; count];
    let mut heads = BTreeSet::new();
    // Components are numbered in topological order: what leads to one comes before it.
    for number in 0..count {
        let own: Vec<usize> = members[number]
            .iter()
            .copied()
            .filter(|at| counts(*at))
            .collect();
        if !led[number] {
            heads.extend(own.iter().copied().min_by_key(|at| {
                let finding = &findings[*at];
                let breaks = graph
                    .cycles()
                    .iter()
                    .any(|cycle| own.len() > 1 && finding.check == cycle.broken_at.as_str());
                (
                    Reverse(breaks),
                    Reverse(finding.severity),
                    Reverse(finding.confidence),
                    *at,
                )
            }));
        }
        if led[number] || members[number].iter().any(|at| leads(*at)) {
            for at in &members[number] {
                for to in &arcs[*at] {
                    led[component[*to]] |= component[*to] != number;
                }
            }
        }
    }
    heads
}

fn finish(findings: Vec<Finding>, claims: &Claims, diagnoses: Vec<Diagnosis>) -> Correlation {
    let explained_by: BTreeMap<Text, Text> = claims
        .owner
        .iter()
        .map(|(at, root)| (findings[*at].id.clone(), findings[*root].id.clone()))
        .collect();
    let rooted: BTreeSet<&Text> = diagnoses
        .iter()
        .map(|diagnosis| &diagnosis.finding)
        .collect();
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| {
        (
            Reverse(finding.severity),
            Reverse(finding.confidence),
            finding.check.clone(),
        )
    });
    let unexplained = sorted
        .iter()
        .filter(|finding| !explained_by.contains_key(&finding.id) && !rooted.contains(&finding.id))
        .map(|finding| finding.id.clone())
        .collect();
    Correlation {
        findings: sorted.into_iter().cloned().collect(),
        diagnoses,
        explained_by,
        unexplained,
    }
}
