//! Whether a causal graph holds together.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::Role;

use crate::graph::{EdgeKind, Graph, GraphError};
use crate::paths::components;

impl Graph {
    pub(crate) fn validate(&self) -> Result<(), GraphError> {
        self.validate_edges()?;
        self.validate_symptoms()?;
        self.validate_cycles()
    }

    fn validate_edges(&self) -> Result<(), GraphError> {
        let mut numbers = BTreeSet::new();
        let mut pairs = BTreeSet::new();
        for edge in &self.edges {
            let number = edge.number;
            for id in [&edge.from, &edge.to] {
                if !self.checks.contains_key(id) && !self.symptoms.contains(id) {
                    return Err(GraphError::UnknownId {
                        edge: number,
                        id: id.clone(),
                    });
                }
            }
            let wrong = |what: &str| {
                Err(GraphError::Shape(format!(
                    "edge {number}, {} to {}: {what}",
                    edge.from, edge.to
                )))
            };
            if edge.from == edge.to {
                return wrong("leads to itself");
            }
            if !numbers.insert(number) {
                return wrong("its number is there twice");
            }
            if !pairs.insert((&edge.from, &edge.to)) {
                return wrong("is there twice");
            }
            if edge.confirms.trim().is_empty() || edge.confirms.ends_with('.') {
                return wrong("`confirms` is a sentence without full stop");
            }
            if edge.refutes.is_empty() && !edge.refuted_by.is_empty() {
                return wrong("has refuting signals and no `refutes`");
            }
        }
        Ok(())
    }

    fn validate_symptoms(&self) -> Result<(), GraphError> {
        if let Some(id) = self.symptoms.iter().find(|id| !id.starts_with("sym/")) {
            return Err(GraphError::Shape(format!("the symptom {id} lacks sym/")));
        }
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = self
            .checks
            .iter()
            .filter(|(_, role)| matches!(role, Role::Cause | Role::Risk))
            .map(|(id, _)| id.as_str())
            .collect();
        while let Some(id) = next.pop() {
            if seen.insert(id) {
                next.extend(
                    self.edges_from(id)
                        .filter(|edge| edge.kind == EdgeKind::Cause)
                        .map(|edge| edge.to.as_str()),
                );
            }
        }
        match self.symptoms.iter().find(|id| !seen.contains(id.as_str())) {
            Some(id) => Err(GraphError::Shape(format!("no cause leads to {id}"))),
            None => Ok(()),
        }
    }

    /// Every edge inside a loop belongs to a named cycle, and every named cycle is one.
    fn validate_cycles(&self) -> Result<(), GraphError> {
        let mut named = BTreeSet::new();
        for cycle in &self.cycles {
            let wrong =
                |what: String| Err(GraphError::Shape(format!("cycle {}: {what}", cycle.name)));
            let steps = cycle
                .path
                .iter()
                .zip(cycle.path.iter().cycle().skip(1))
                .map(|(from, to)| (from.as_str(), to.as_str()));
            for (from, to) in steps {
                if !self.edges_from(from).any(|edge| edge.to == to) {
                    return wrong(format!("there is no edge {from} to {to}"));
                }
                named.insert((from, to));
            }
            let root = cycle.broken_at.as_str();
            if self.checks.get(root) != Some(&Role::Cause) {
                return wrong(format!("it is broken at {root}, which is no cause"));
            }
            let on_it = cycle.path.iter().any(|id| id == root);
            let into_it = self
                .edges_from(root)
                .any(|edge| cycle.path.contains(&edge.to));
            if !on_it && !into_it {
                return wrong(format!("{root} is not on it and does not lead into it"));
            }
        }
        let ids: Vec<&str> = self
            .checks
            .keys()
            .chain(&self.symptoms)
            .map(String::as_str)
            .collect();
        let at: BTreeMap<&str, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let mut arcs = vec![Vec::new(); ids.len()];
        for edge in self
            .edges
            .iter()
            .filter(|edge| edge.kind == EdgeKind::Cause)
        {
            arcs[at[edge.from.as_str()]].push(at[edge.to.as_str()]);
        }
        let (component, _) = components(&arcs);
        let unnamed = self.edges.iter().find(|edge| {
            edge.kind == EdgeKind::Cause
                && component[at[edge.from.as_str()]] == component[at[edge.to.as_str()]]
                && !named.contains(&(edge.from.as_str(), edge.to.as_str()))
        });
        match unnamed {
            Some(edge) => Err(GraphError::Shape(format!(
                "edge {} ({} to {}) is part of a loop without a name",
                edge.number, edge.from, edge.to
            ))),
            None => Ok(()),
        }
    }
}
