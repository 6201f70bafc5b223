//! Which edges of the causal graph hold between the findings at hand.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use eksnet_model::{Finding, Place, Reach, SubjectKind, Text};

use crate::graph::{Edge, EdgeKind, End, Graph, Join};

/// How sure it is that one finding causes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// Both are there, in the same place, and nothing decides.
    Possible,
    /// The observation that proves it was made.
    Confirmed,
}

/// An edge that holds between two findings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'g> {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) weight: Weight,
    pub(crate) edge: &'g Edge,
}

/// All edges that hold, merges turned so that the end to show is the one that explains.
pub(crate) fn held<'g>(graph: &'g Graph, findings: &[Finding]) -> Vec<Held<'g>> {
    let sites: Vec<Place> = findings.iter().map(site).collect();
    let mut by_check: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, finding) in findings.iter().enumerate() {
        by_check.entry(&finding.check).or_default().push(at);
    }
    let mut indexes: BTreeMap<&str, Index<'_>> = BTreeMap::new();
    let mut all = Vec::new();
    for (check, causes) in &by_check {
        for edge in graph.edges_from(check) {
            let Some(effects) = by_check.get(edge.to.as_str()) else {
                continue;
            };
            let index = indexes
                .entry(edge.to.as_str())
                .or_insert_with(|| Index::new(effects, &sites));
            let mut found = Vec::new();
            for &from in causes {
                for to in index.candidates(edge, &findings[from], &sites[from]) {
                    if let Some(weight) = weigh(edge, from, to, findings, &sites) {
                        found.push(Held {
                            from,
                            to,
                            weight,
                            edge,
                        });
                    }
                }
            }
            if edge.same_place {
                confirm_by_place(&mut found, findings, &sites);
            }
            match edge.kind {
                EdgeKind::Cause | EdgeKind::Context => all.extend(found),
                // Only proof makes two findings one.
                EdgeKind::Merge(shown) => all.extend(
                    found
                        .into_iter()
                        .filter(|held| held.weight == Weight::Confirmed)
                        .map(|held| match shown {
                            End::From => held,
                            End::To => Held {
                                from: held.to,
                                to: held.from,
                                ..held
                            },
                        }),
                ),
            }
        }
    }
    all
}

/// Where a finding is observed: its place, and the nodes among its subjects where it names none.
fn site(finding: &Finding) -> Place {
    let mut site = finding.at.clone();
    if site.nodes.is_empty() {
        site.nodes.extend(
            finding
                .subjects
                .iter()
                .filter(|subject| subject.kind == SubjectKind::Node)
                .map(|subject| subject.name.clone()),
        );
    }
    site
}

fn weigh(
    edge: &Edge,
    from: usize,
    to: usize,
    findings: &[Finding],
    sites: &[Place],
) -> Option<Weight> {
    let (cause, effect) = (&findings[from], &findings[to]);
    let any = |entries: &[Vec<crate::graph::Term>]| {
        entries
            .iter()
            .any(|terms| terms.iter().all(|term| term.holds(cause, effect)))
    };
    if from == to || any(&edge.refuted_by) {
        return None;
    }
    let here = &sites[to];
    let mut located = match &cause.reach {
        Reach::Cluster => true,
        Reach::Within(reach) => {
            let dimensions = [
                meet(&reach.nodes, &here.nodes),
                meet(&reach.workloads, &here.workloads),
                meet(&reach.hosts, &here.hosts),
            ];
            if dimensions.contains(&Some(Meet::No)) {
                return None;
            }
            edge.anywhere
                || dimensions.contains(&Some(Meet::Yes))
                || dimensions.iter().all(Option::is_none)
        }
    };
    if let Some(join) = edge.join {
        match meet(dimension(join, &sites[from]), dimension(join, here)) {
            Some(Meet::No) => return None,
            Some(Meet::Yes) => {}
            Some(Meet::Unknown) | None => located = false,
        }
    }
    Some(if located && any(&edge.confirmed_by) {
        Weight::Confirmed
    } else {
        Weight::Possible
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Meet {
    Yes,
    No,
    Unknown,
}

/// `None` when the cause is not restricted in this dimension.
fn meet(cause: &BTreeSet<Text>, effect: &BTreeSet<Text>) -> Option<Meet> {
    if cause.is_empty() {
        return None;
    }
    if effect.is_empty() {
        return Some(Meet::Unknown);
    }
    let (few, many) = if cause.len() < effect.len() {
        (cause, effect)
    } else {
        (effect, cause)
    };
    Some(if few.iter().any(|one| many.contains(one)) {
        Meet::Yes
    } else {
        Meet::No
    })
}

fn dimension(join: Join, place: &Place) -> &BTreeSet<Text> {
    match join {
        Join::Node => &place.nodes,
        Join::Host => &place.hosts,
        Join::Workload => &place.workloads,
    }
}

/// Confirms the edges into each effect whose nodes are all among those of its causes, or that names
/// the same objects. Several causes may cover it together, as two dead nodes cover a Service that
/// lost an endpoint on each.
fn confirm_by_place(found: &mut [Held<'_>], findings: &[Finding], sites: &[Place]) {
    let mut causes: BTreeMap<usize, BTreeSet<&Text>> = BTreeMap::new();
    for held in found.iter() {
        causes
            .entry(held.to)
            .or_default()
            .extend(&sites[held.from].nodes);
    }
    for held in found {
        let nodes = &sites[held.to].nodes;
        let covered = !nodes.is_empty() && nodes.iter().all(|node| causes[&held.to].contains(node));
        if covered || share_a_subject(&findings[held.from], &findings[held.to]) {
            held.weight = Weight::Confirmed;
        }
    }
}

fn share_a_subject(a: &Finding, b: &Finding) -> bool {
    let names = |finding: &Finding| -> BTreeSet<(SubjectKind, Text)> {
        finding
            .subjects
            .iter()
            .filter(|subject| subject.kind != SubjectKind::Cluster)
            .map(|subject| {
                let name = subject.id.as_ref().unwrap_or(&subject.name);
                (subject.kind, name.clone())
            })
            .collect()
    };
    !names(a).is_disjoint(&names(b))
}

/// Findings of one check by where they are observed, so that a cause on one node is not compared
/// with effects on all others.
struct Index<'a> {
    all: Vec<usize>,
    nodes: Dimension<'a>,
    workloads: Dimension<'a>,
    hosts: Dimension<'a>,
}

#[derive(Default)]
struct Dimension<'a> {
    at: HashMap<&'a str, Vec<usize>>,
    open: Vec<usize>,
}

impl<'a> Index<'a> {
    fn new(effects: &[usize], sites: &'a [Place]) -> Self {
        let mut index = Self {
            all: effects.to_vec(),
            nodes: Dimension::default(),
            workloads: Dimension::default(),
            hosts: Dimension::default(),
        };
        for &at in effects {
            let site = &sites[at];
            index.nodes.add(&site.nodes, at);
            index.workloads.add(&site.workloads, at);
            index.hosts.add(&site.hosts, at);
        }
        index
    }

    /// Effects that can lie within the cause's reach, by its most selective dimension.
    fn candidates(&self, edge: &Edge, cause: &Finding, site: &Place) -> Vec<usize> {
        let mut ways: Vec<(&Dimension<'_>, &BTreeSet<Text>)> = Vec::new();
        if let Reach::Within(reach) = &cause.reach {
            ways.push((&self.nodes, &reach.nodes));
            ways.push((&self.workloads, &reach.workloads));
            ways.push((&self.hosts, &reach.hosts));
        }
        if let Some(join) = edge.join {
            let index = match join {
                Join::Node => &self.nodes,
                Join::Host => &self.hosts,
                Join::Workload => &self.workloads,
            };
            ways.push((index, dimension(join, site)));
        }
        let best = ways
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .min_by_key(|(index, names)| index.count(names));
        let Some((index, names)) = best else {
            return self.all.clone();
        };
        let mut found = index.open.clone();
        for name in names {
            found.extend(index.at.get(name.as_str()).into_iter().flatten());
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl<'a> Dimension<'a> {
    fn add(&mut self, names: &'a BTreeSet<Text>, at: usize) {
        if names.is_empty() {
            self.open.push(at);
        }
        for name in names {
            self.at.entry(name).or_default().push(at);
        }
    }

    fn count(&self, names: &BTreeSet<Text>) -> usize {
        let hits = names
            .iter()
            .filter_map(|name| self.at.get(name.as_str()).map(Vec::len));
        self.open.len() + hits.sum::<usize>()
    }
}
