//! What pods demand of each other: spread, affinity, anti-affinity.

use std::collections::HashMap;

use eksnet_model::kubernetes::{LabelSelector, Meta, Pod, PodAffinityTerm, PodSpec};

use crate::ground::Ground;
use crate::simulate::pod::{selects, tolerates};

const HOSTNAME: &str = "kubernetes.io/hostname";

/// Nodes by the value of a label. A new node has a host name of its own.
#[derive(Clone, Debug)]
struct Domains {
    of_host: bool,
    /// The domain of each place; `None` without the label.
    of: Vec<Option<usize>>,
    /// Matching pods in each domain.
    pods: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Spread {
    domains: Domains,
    max_skew: u32,
    /// With fewer domains than this, the least count is 0.
    min_domains: u32,
    /// Domains that count for the least.
    counted: Vec<bool>,
    counts_itself: bool,
}

#[derive(Clone, Debug)]
struct Term {
    domains: Domains,
    matches_itself: bool,
}

/// What pods demand of each other, with those that run already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    spread: Vec<Spread>,
    near: Vec<Term>,
    away: Vec<Term>,
    /// Places that pods which run keep closed.
    closed: Vec<bool>,
    /// Pods of the same workload on each place.
    own: Vec<u32>,
}

impl Rules {
    /// None.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Those of a template, in a namespace; `places` are the nodes of the places.
    pub(crate) fn of(ground: &Ground<'_>, meta: &Meta, spec: &PodSpec, places: &[usize]) -> Self {
        let pods: Vec<(&Pod, usize)> = pods_on_places(ground, places);
        let domains = |key: &str| Domains::of(ground, places, key);
        let affinity = spec.affinity.as_deref();
        let terms = |of: Option<&[PodAffinityTerm]>| -> Vec<Term> {
            of.unwrap_or_default()
                .iter()
                .map(|term| {
                    let mut domains = domains(&term.topology_key);
                    for (pod, at) in &pods {
                        if reaches(term, &meta.namespace, &pod.metadata) {
                            domains.add(*at);
                        }
                    }
                    Term {
                        domains,
                        matches_itself: reaches(term, &meta.namespace, meta),
                    }
                })
                .collect()
        };
        let near = terms(
            affinity
                .and_then(|one| one.pod_affinity.as_ref())
                .map(|one| one.required.as_slice()),
        );
        let away = terms(
            affinity
                .and_then(|one| one.pod_anti_affinity.as_ref())
                .map(|one| one.required.as_slice()),
        );
        let spread = spec
            .topology_spread_constraints
            .iter()
            .filter(|one| one.when_unsatisfiable != "ScheduleAnyway")
            .map(|one| {
                let mut domains = domains(&one.topology_key);
                let matches = |other: &Meta| {
                    other.namespace == meta.namespace
                        && one
                            .label_selector
                            .as_ref()
                            .is_some_and(|selector| selector.matches(&other.labels))
                };
                for (pod, at) in &pods {
                    if matches(&pod.metadata) && pod.metadata.deletion_timestamp.is_none() {
                        domains.add(*at);
                    }
                }
                let mut counted = vec![false; domains.pods.len()];
                for (at, place) in places.iter().enumerate() {
                    let node = ground.nodes[*place].node;
                    let by_affinity = one.node_affinity_policy.as_deref() == Some("Ignore")
                        || selects(spec, node);
                    let by_taints =
                        one.node_taints_policy.as_deref() != Some("Honor") || tolerates(spec, node);
                    if let Some(domain) = domains.of[at] {
                        counted[domain] |= by_affinity && by_taints;
                    }
                }
                Spread {
                    counts_itself: matches(meta),
                    max_skew: one.max_skew.max(1),
                    min_domains: one.min_domains.unwrap_or(1),
                    counted,
                    domains,
                }
            })
            .collect();
        let mut own = vec![0; places.len()];
        for (pod, at) in &pods {
            if pod.metadata.namespace == meta.namespace
                && !meta.labels.is_empty()
                && meta
                    .labels
                    .iter()
                    .all(|(key, value)| pod.metadata.labels.get(key) == Some(value))
            {
                own[*at] += 1;
            }
        }
        Self {
            closed: closed(ground, meta, places, &pods),
            spread,
            near,
            away,
            own,
        }
    }

    /// Pods of the same workload on a place.
    pub(crate) fn own(&self, at: usize) -> u32 {
        self.own.get(at).copied().unwrap_or(0)
    }

    /// Whether other pods let one more run on a place.
    pub(crate) fn allow(&self, at: usize) -> bool {
        let nobody_near = |term: &Term| term.domains.pods.iter().all(|pods| *pods == 0);
        !self.closed.get(at).copied().unwrap_or(false)
            && self
                .away
                .iter()
                .all(|term| term.domains.count(at) == Some(0) || term.domains.domain(at).is_none())
            && self.near.iter().all(|term| match term.domains.count(at) {
                None => false,
                Some(0) => term.matches_itself && nobody_near(term),
                Some(_) => true,
            })
            && self.spread.iter().all(|spread| spread.allows(at))
    }

    /// Counts a pod that was placed.
    pub(crate) fn placed(&mut self, at: usize) {
        if let Some(own) = self.own.get_mut(at) {
            *own += 1;
        }
        for spread in self.spread.iter_mut().filter(|spread| spread.counts_itself) {
            spread.domains.add(at);
        }
        for term in self.near.iter_mut().chain(&mut self.away) {
            if term.matches_itself {
                term.domains.add(at);
            }
        }
    }

    /// Makes room for a new node like the one at `like`.
    pub(crate) fn grow(&mut self, like: usize) {
        if !self.own.is_empty() {
            self.own.push(0);
        }
        if !self.closed.is_empty() {
            self.closed.push(false);
        }
        for spread in &mut self.spread {
            let counted = spread
                .domains
                .domain(like)
                .is_some_and(|domain| spread.counted[domain]);
            if spread.domains.grow(like) {
                spread.counted.push(counted);
            }
        }
        for term in self.near.iter_mut().chain(&mut self.away) {
            term.domains.grow(like);
        }
    }
}

impl Spread {
    fn allows(&self, at: usize) -> bool {
        let Some(count) = self.domains.count(at) else {
            return false;
        };
        let counted = || {
            self.domains
                .pods
                .iter()
                .zip(&self.counted)
                .filter(|(_, counted)| **counted)
                .map(|(pods, _)| *pods)
        };
        let least = if counted().count() < self.min_domains as usize {
            0
        } else {
            counted().min().unwrap_or(0)
        };
        count + u32::from(self.counts_itself) <= least.saturating_add(self.max_skew)
    }
}

impl Domains {
    fn of(ground: &Ground<'_>, places: &[usize], key: &str) -> Self {
        let mut known: HashMap<&str, usize> = HashMap::new();
        let of_host = key == HOSTNAME;
        let of = places
            .iter()
            .map(|place| {
                let node = ground.nodes[*place].node;
                let value = match node.label(key) {
                    None if of_host => Some(node.metadata.name.as_str()),
                    value => value,
                }?;
                let next = known.len();
                Some(*known.entry(value).or_insert(next))
            })
            .collect();
        Self {
            of_host,
            of,
            pods: vec![0; known.len()],
        }
    }

    fn domain(&self, at: usize) -> Option<usize> {
        self.of.get(at).copied().flatten()
    }

    fn count(&self, at: usize) -> Option<u32> {
        self.domain(at).map(|domain| self.pods[domain])
    }

    fn add(&mut self, at: usize) {
        if let Some(domain) = self.domain(at) {
            self.pods[domain] += 1;
        }
    }

    /// Whether the new node makes a domain of its own.
    fn grow(&mut self, like: usize) -> bool {
        let domain = self.domain(like);
        if self.of_host && domain.is_some() {
            self.of.push(Some(self.pods.len()));
            self.pods.push(0);
            true
        } else {
            self.of.push(domain);
            false
        }
    }
}

/// Pods that hold a place, with it.
fn pods_on_places<'a>(ground: &Ground<'a>, places: &[usize]) -> Vec<(&'a Pod, usize)> {
    let by_name: HashMap<&str, usize> = places
        .iter()
        .enumerate()
        .map(|(at, place)| (ground.nodes[*place].node.metadata.name.as_str(), at))
        .collect();
    ground
        .topology
        .pods()
        .filter(|pod| !pod.is_terminal())
        .filter_map(|pod| Some((pod, *by_name.get(pod.spec.node_name.as_str())?)))
        .collect()
}

/// Places that pods which run keep closed to this one.
fn closed(ground: &Ground<'_>, meta: &Meta, places: &[usize], pods: &[(&Pod, usize)]) -> Vec<bool> {
    let mut closed = vec![false; places.len()];
    let mut by_key: HashMap<&str, Domains> = HashMap::new();
    for (pod, at) in pods {
        let terms = pod
            .spec
            .affinity
            .as_deref()
            .and_then(|affinity| affinity.pod_anti_affinity.as_ref())
            .map_or(&[][..], |anti| anti.required.as_slice());
        for term in terms {
            if reaches(term, &pod.metadata.namespace, meta) {
                by_key
                    .entry(&term.topology_key)
                    .or_insert_with(|| Domains::of(ground, places, &term.topology_key))
                    .add(*at);
            }
        }
    }
    for domains in by_key.values() {
        for (at, closed) in closed.iter_mut().enumerate() {
            *closed |= domains.count(at).is_some_and(|pods| pods > 0);
        }
    }
    closed
}

/// Whether a term of a pod in `namespace` is about another pod. Namespaces chosen by label are not
/// known: only an empty selector, which means all of them, is read.
fn reaches(term: &PodAffinityTerm, namespace: &str, other: &Meta) -> bool {
    let all = term
        .namespace_selector
        .as_ref()
        .is_some_and(|selector| *selector == LabelSelector::default());
    let near = if term.namespaces.is_empty() && term.namespace_selector.is_none() {
        other.namespace == namespace
    } else {
        all || term.namespaces.contains(&other.namespace)
    };
    near && term
        .label_selector
        .as_ref()
        .is_some_and(|selector| selector.matches(&other.labels))
}
