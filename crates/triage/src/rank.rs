//! The order of diagnoses, and what each of them says.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::{Confidence, Diagnosis, Finding, Link, Role, Severity, Text};

use crate::claims::Claims;
use crate::correlate::Links;
use crate::graph::Edge;
use crate::holds::Weight;

/// The most unproven or contested steps that one diagnosis spells out; the rest is in its links.
const MOST_OPEN: usize = 4;

/// Diagnoses, best first.
pub(crate) fn diagnoses(
    findings: &[Finding],
    links: &Links<'_>,
    roots: &BTreeSet<usize>,
    claims: &Claims<'_>,
) -> Vec<Diagnosis> {
    let mut explained: BTreeMap<usize, Vec<usize>> =
        roots.iter().map(|root| (*root, Vec::new())).collect();
    for (at, root) in &claims.owner {
        explained.entry(*root).or_default().push(*at);
    }
    for (root, list) in &mut explained {
        let depth = |at: &usize| {
            claims.reach[root]
                .get(at)
                .map_or(usize::MAX, |way| way.depth)
        };
        list.sort_by_key(|at| (depth(at), Reverse(findings[*at].severity), *at));
    }
    let mut order: Vec<usize> = roots.iter().copied().collect();
    order.sort_by_cached_key(|root| standing(findings, links, claims, &explained, *root));
    let ranks: BTreeMap<usize, u32> = order.iter().copied().zip(1..).collect();
    let writer = Writer {
        findings,
        links,
        claims,
        explained: &explained,
        ranks: &ranks,
    };
    order.iter().map(|root| writer.diagnosis(*root)).collect()
}

type Standing = (
    Reverse<Severity>,
    bool,
    bool,
    Reverse<Confidence>,
    Reverse<usize>,
    u8,
    usize,
    usize,
);

/// Smaller stands higher: severity, then risks below what fails, then who explains two or more,
/// confidence, how much is explained, causes before mechanisms, narrower reach, order of findings.
fn standing(
    findings: &[Finding],
    links: &Links<'_>,
    claims: &Claims<'_>,
    explained: &BTreeMap<usize, Vec<usize>>,
    root: usize,
) -> Standing {
    let finding = &findings[root];
    let only_risk = finding.role == Role::Risk && !links.leads[root];
    let severity = if only_risk {
        finding.severity.min(Severity::Warning)
    } else {
        worst(findings, root, &explained[&root])
    };
    // What a root may have caused through another root counts for the deeper of the two.
    let own = explained[&root].len();
    let through: usize = claims.suspects[&root]
        .keys()
        .map(|other| 1 + explained[other].len())
        .sum();
    let covers = own + through;
    (
        Reverse(severity),
        only_risk,
        covers < 2,
        Reverse(confidence(findings, claims, root)),
        Reverse(covers),
        u8::from(finding.role == Role::Mechanism),
        finding.reach.width(),
        root,
    )
}

fn worst(findings: &[Finding], root: usize, explained: &[usize]) -> Severity {
    explained
        .iter()
        .map(|at| findings[*at].severity)
        .fold(findings[root].severity, Severity::max)
}

/// The root's own, unless all that it can explain is guessed and a rival guesses it equally well.
fn confidence(findings: &[Finding], claims: &Claims<'_>, root: usize) -> Confidence {
    let reach = &claims.reach[&root];
    let rivalled = |at: &usize| {
        claims.contested.get(at).is_some_and(|rivals| {
            rivals
                .iter()
                .any(|rival| findings[*rival].check == findings[root].check)
        })
    };
    if !reach.is_empty() && reach.keys().all(rivalled) {
        Confidence::Possible
    } else {
        findings[root].confidence
    }
}

struct Writer<'a, 'g> {
    findings: &'a [Finding],
    links: &'a Links<'g>,
    claims: &'a Claims<'g>,
    explained: &'a BTreeMap<usize, Vec<usize>>,
    ranks: &'a BTreeMap<usize, u32>,
}

impl Writer<'_, '_> {
    fn diagnosis(&self, root: usize) -> Diagnosis {
        let finding = &self.findings[root];
        let explained = &self.explained[&root];
        let mut said = Said::default();
        self.since(root, &mut said);
        self.suspects(root, &mut said);
        self.rivals(root, &mut said);
        self.steps(root, &mut said);
        Diagnosis {
            rank: self.ranks[&root],
            finding: finding.id.clone(),
            check: finding.check.clone(),
            title: finding.title.clone(),
            severity: worst(self.findings, root, explained),
            confidence: confidence(self.findings, self.claims, root),
            subjects: finding.subjects.clone(),
            explains: explained
                .iter()
                .map(|at| self.findings[*at].id.clone())
                .collect(),
            links: self.chain(root),
            because: said.because,
            decide: said.decide,
            remedy: finding.remedy.clone(),
        }
    }

    fn chain(&self, root: usize) -> Vec<Link> {
        let id = |at: usize| self.findings[at].id.clone();
        let ways = &self.claims.reach[&root];
        let mut chain: Vec<Link> = self.explained[&root]
            .iter()
            .filter_map(|at| {
                let way = ways.get(at)?;
                Some(Link {
                    from: id(way.parent),
                    to: id(*at),
                    confirmed: way.step == Weight::Confirmed,
                })
            })
            .collect();
        for at in self.claims.seen_as.get(&root).into_iter().flatten() {
            chain.push(Link {
                from: id(*at),
                to: id(root),
                confirmed: false,
            });
        }
        chain
    }

    /// When it began to hurt.
    fn since(&self, root: usize, said: &mut Said) {
        for held in &self.links.since {
            if held.to == root && held.weight == Weight::Confirmed {
                said.because(format!(
                    "Since: {} ({})",
                    held.edge.confirms, self.findings[held.from].title
                ));
            }
        }
    }

    /// What was observed at each step, and what was not.
    fn steps(&self, root: usize, said: &mut Said) {
        let mut open: BTreeMap<u32, (&Edge, usize)> = BTreeMap::new();
        let mut proven = BTreeSet::new();
        for at in &self.explained[&root] {
            let Some(way) = self.claims.reach[&root].get(at) else {
                continue;
            };
            let edge = self.links.out[way.parent]
                .iter()
                .find(|held| held.to == *at)
                .map(|held| held.edge);
            match (edge, way.step) {
                (Some(edge), Weight::Confirmed) => {
                    proven.insert(edge.number);
                    said.because(edge.confirms.clone());
                }
                (Some(_), Weight::Possible) if self.claims.contested.contains_key(at) => {}
                (Some(edge), Weight::Possible) => {
                    open.entry(edge.number).or_insert((edge, *at));
                }
                (None, _) => {}
            }
        }
        // What is proven for one finding of a check need not be asked for another.
        open.retain(|number, _| !proven.contains(number));
        for (edge, at) in open.into_values().take(MOST_OPEN) {
            let title = &self.findings[at].title;
            said.because(format!("Fits, and is not proven: that {}", lower(title)));
            said.decide(format!(
                "It leads to {} if {}",
                self.findings[at].check,
                lower(&edge.confirms)
            ));
        }
    }

    /// Others that explain the same equally well.
    fn rivals(&self, root: usize, said: &mut Said) {
        let mut told = BTreeSet::new();
        for (at, rivals) in &self.claims.contested {
            let Some(way) = self.claims.reach[&root].get(at) else {
                continue;
            };
            if !rivals
                .iter()
                .any(|rival| self.findings[*rival].check == self.findings[root].check)
            {
                continue;
            }
            for rival in rivals {
                let other = &self.findings[*rival];
                if other.check == self.findings[root].check
                    || told.len() >= MOST_OPEN
                    || !told.insert(&other.check)
                {
                    continue;
                }
                said.because(format!(
                    "#{} {} explains equally well that {}",
                    self.ranks[rival],
                    other.check,
                    lower(&self.findings[*at].title)
                ));
                if let Some(edge) = way.open {
                    said.decide(format!(
                        "It is {} if {}",
                        self.findings[root].check,
                        lower(&edge.confirms)
                    ));
                }
                if let Some(edge) = self.claims.reach[rival].get(at).and_then(|way| way.open) {
                    said.decide(format!(
                        "It is {} if {}",
                        other.check,
                        lower(&edge.confirms)
                    ));
                }
            }
        }
    }

    /// Other roots that may have caused this one.
    fn suspects(&self, root: usize, said: &mut Said) {
        let mut told = BTreeSet::new();
        for (suspect, others) in &self.claims.suspects {
            let Some(edge) = others.get(&root) else {
                continue;
            };
            let other = &self.findings[*suspect];
            if told.len() < MOST_OPEN && told.insert(&other.check) {
                said.because(format!(
                    "May itself come from #{} {}: not proven",
                    self.ranks[suspect], other.check
                ));
                said.decide(format!(
                    "It comes from {} if {}",
                    other.check,
                    lower(&edge.confirms)
                ));
            }
        }
    }
}

#[derive(Default)]
struct Said {
    because: Vec<Text>,
    decide: Vec<Text>,
}

impl Said {
    fn because(&mut self, line: String) {
        let line = Text::from(line);
        if !self.because.contains(&line) {
            self.because.push(line);
        }
    }

    fn decide(&mut self, line: String) {
        let line = Text::from(line);
        if !self.decide.contains(&line) {
            self.decide.push(line);
        }
    }
}

/// A sentence as part of another one: its first letter is small, unless its first word is a name.
pub(crate) fn lower(sentence: &str) -> String {
    let first = sentence.split(' ').next().unwrap_or_default();
    let is_name = first.chars().skip(1).any(|c| !c.is_ascii_lowercase()) || first == "Karpenter";
    let mut characters = sentence.chars();
    match characters.next() {
        Some(head) if !is_name => head.to_lowercase().chain(characters).collect(),
        _ => sentence.to_owned(),
    }
}
