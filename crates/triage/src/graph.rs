//! The causal graph: which finding can cause which.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::{Finding, Role};
use serde::Deserialize;

/// The graph that is built in.
const BUILT_IN: &str = include_str!("../causal-graph.toml");

/// Which finding can cause which, and what confirms or refutes it.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) edges: Vec<Edge>,
    pub(crate) checks: BTreeMap<String, Role>,
    pub(crate) symptoms: BTreeSet<String>,
    pub(crate) cycles: Vec<Cycle>,
    by_from: BTreeMap<String, Vec<usize>>,
    by_to: BTreeMap<String, Vec<usize>>,
}

/// One edge: `from` can cause `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Number, stable.
    pub number: u32,
    /// Id of the check or symptom that causes.
    pub from: String,
    /// Id of the check or symptom that is caused.
    pub to: String,
    /// The observation that confirms the edge, as a sentence.
    pub confirms: String,
    /// The observation that refutes it; empty where none does.
    pub refutes: String,
    /// Any of these confirms: all terms of one entry must be there.
    pub confirmed_by: Vec<Vec<Term>>,
    /// Any of these refutes: all terms of one entry must be there.
    pub refuted_by: Vec<Vec<Term>>,
    /// Where both ends have to meet, besides the cause's reach.
    pub join: Option<Join>,
    /// Whether it is confirmed by both ends standing on the same nodes.
    pub same_place: bool,
    /// Whether the effect has no place of its own, as a pending pod is on no node.
    pub anywhere: bool,
    /// What the edge does.
    pub kind: EdgeKind,
}

/// What an edge does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeKind {
    /// `from` causes `to`.
    Cause,
    /// Both are the same fact, seen twice; this end is the one to show.
    Merge(End),
    /// `from` tells since when `to` hurts, and does not cause it.
    Context,
}

/// An end of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The cause.
    From,
    /// The effect.
    To,
}

/// A dimension in which both ends have to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// A node in common.
    Node,
    /// A host name in common.
    Host,
    /// A workload in common.
    Workload,
}

/// A signal on one end of an edge, written `from:signal` or `to:signal`, with `!` before it where it
/// has to be absent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// Whether it has to be absent.
    pub absent: bool,
    /// On which end.
    pub end: End,
    /// Name of the signal.
    pub signal: String,
}

/// A loop of causes, and the cause at which it is broken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cycle {
    /// Name, for people.
    pub name: String,
    /// Its members in order; the last one causes the first.
    pub path: Vec<String>,
    /// The cause that is shown as the root: on the loop, or leading into it.
    pub broken_at: String,
}

/// Why a graph is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The text is not the expected TOML.
    #[error("the causal graph could not be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// An id that is neither a listed check nor a listed symptom.
    #[error("edge {edge} of the causal graph names {id}, which is no check and no symptom")]
    UnknownId {
        /// Number of the edge.
        edge: u32,
        /// The id.
        id: String,
    },
    /// A signal that is not written `from:name` or `to:name`.
    #[error("edge {edge} of the causal graph has the signal {term:?}; write from:NAME or to:NAME")]
    Signal {
        /// Number of the edge.
        edge: u32,
        /// What was written.
        term: String,
    },
    /// Anything else that does not hold.
    #[error("the causal graph does not hold together: {0}")]
    Shape(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    roles: BTreeMap<Role, Vec<String>>,
    symptoms: BTreeSet<String>,
    #[serde(default)]
    cycle: Vec<Cycle>,
    edge: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    number: u32,
    from: String,
    to: String,
    confirms: String,
    #[serde(default)]
    refutes: String,
    #[serde(default)]
    confirmed_by: Vec<String>,
    #[serde(default)]
    refuted_by: Vec<String>,
    #[serde(default)]
    join: Option<Join>,
    #[serde(default)]
    same_place: bool,
    #[serde(default)]
    anywhere: bool,
    #[serde(default)]
    merge: Option<End>,
    #[serde(default)]
    context: bool,
}

impl Graph {
    /// The graph that is built in.
    ///
    /// # Errors
    /// [`GraphError`] when it does not hold together; the tests of this crate rule that out.
    pub fn load() -> Result<Self, GraphError> {
        Self::parse(BUILT_IN)
    }

    /// Reads and validates a graph.
    ///
    /// # Errors
    /// [`GraphError`] when the text is no graph, or the graph does not hold together: an unknown id
    /// or column, an edge twice, a symptom that no cause leads to, a loop without a name.
    pub fn parse(text: &str) -> Result<Self, GraphError> {
        let file: File = toml::from_str(text)?;
        let mut checks = BTreeMap::new();
        for (role, ids) in file.roles {
            for id in ids {
                if let Some(other) = checks.insert(id.clone(), role) {
                    return Err(GraphError::Shape(format!(
                        "{id} is listed twice, as {other:?} and {role:?}"
                    )));
                }
            }
        }
        let edges = file
            .edge
            .into_iter()
            .map(Row::into_edge)
            .collect::<Result<Vec<_>, _>>()?;
        let mut by_from: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut by_to: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, edge) in edges.iter().enumerate() {
            by_from.entry(edge.from.clone()).or_default().push(at);
            by_to.entry(edge.to.clone()).or_default().push(at);
        }
        let graph = Self {
            edges,
            checks,
            symptoms: file.symptoms,
            cycles: file.cycle,
            by_from,
            by_to,
        };
        graph.validate()?;
        Ok(graph)
    }

    /// All edges, by number.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Every check that the graph knows, with its role.
    #[must_use]
    pub fn checks(&self) -> &BTreeMap<String, Role> {
        &self.checks
    }

    /// Every symptom that the graph knows.
    #[must_use]
    pub fn symptoms(&self) -> &BTreeSet<String> {
        &self.symptoms
    }

    /// The named loops.
    #[must_use]
    pub fn cycles(&self) -> &[Cycle] {
        &self.cycles
    }

    /// Per check or symptom, the signals by which the graph decides: each has to be one that its
    /// findings can carry.
    #[must_use]
    pub fn signals(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut signals: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for edge in &self.edges {
            for term in edge.confirmed_by.iter().chain(&edge.refuted_by).flatten() {
                let id = match term.end {
                    End::From => &edge.from,
                    End::To => &edge.to,
                };
                signals.entry(id).or_default().insert(&term.signal);
            }
        }
        signals
    }

    /// Edges that start at a check or symptom.
    pub(crate) fn edges_from(&self, id: &str) -> impl Iterator<Item = &Edge> {
        self.by_from
            .get(id)
            .into_iter()
            .flatten()
            .map(|at| &self.edges[*at])
    }

    /// Edges that end at a check or symptom.
    pub(crate) fn edges_to(&self, id: &str) -> impl Iterator<Item = &Edge> {
        self.by_to
            .get(id)
            .into_iter()
            .flatten()
            .map(|at| &self.edges[*at])
    }

    /// Role of a check; symptoms are symptoms, and what the graph does not know is a cause of its
    /// own.
    pub(crate) fn role(&self, id: &str) -> Role {
        if id.starts_with("sym/") {
            return Role::Symptom;
        }
        self.checks.get(id).copied().unwrap_or(Role::Cause)
    }
}

impl Row {
    fn into_edge(self) -> Result<Edge, GraphError> {
        let number = self.number;
        let terms = |written: Vec<String>| -> Result<Vec<Vec<Term>>, GraphError> {
            written
                .iter()
                .map(|entry| {
                    entry
                        .split('&')
                        .map(|term| Term::parse(number, term.trim()))
                        .collect()
                })
                .collect()
        };
        let kind = match (self.merge, self.context) {
            (None, false) => EdgeKind::Cause,
            (Some(end), false) => EdgeKind::Merge(end),
            (None, true) => EdgeKind::Context,
            (Some(_), true) => {
                return Err(GraphError::Shape(format!(
                    "edge {number} is both a merge and context"
                )));
            }
        };
        Ok(Edge {
            number,
            confirmed_by: terms(self.confirmed_by)?,
            refuted_by: terms(self.refuted_by)?,
            from: self.from,
            to: self.to,
            confirms: self.confirms,
            refutes: self.refutes,
            join: self.join,
            same_place: self.same_place,
            anywhere: self.anywhere,
            kind,
        })
    }
}

impl Term {
    fn parse(edge: u32, written: &str) -> Result<Self, GraphError> {
        let wrong = || GraphError::Signal {
            edge,
            term: written.to_owned(),
        };
        let (absent, named) = match written.strip_prefix('!') {
            Some(named) => (true, named),
            None => (false, written),
        };
        let (end, signal) = match named.split_once(':').ok_or_else(wrong)? {
            ("from", signal) => (End::From, signal),
            ("to", signal) => (End::To, signal),
            _ => return Err(wrong()),
        };
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if signal.is_empty() || !signal.chars().all(kebab) {
            return Err(wrong());
        }
        Ok(Self {
            absent,
            end,
            signal: signal.to_owned(),
        })
    }

    /// Whether the finding on this end carries the signal, or lacks it as asked.
    pub(crate) fn holds(&self, from: &Finding, to: &Finding) -> bool {
        let finding = match self.end {
            End::From => from,
            End::To => to,
        };
        finding.signals.contains(self.signal.as_str()) != self.absent
    }
}
