//! `sym/nodes-not-ready`: a node's condition Ready is not True.

use eksnet_model::{Cx, Fact, Finding, Place, Role, Severity, Source, Stop, Subject, Symptom};

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/nodes-not-ready",
    observe,
};

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let nodes = cx.nodes().some()?;
    Ok(nodes
        .iter()
        .filter(|node| node.is_ready() == Some(false))
        .map(|node| {
            let name = &node.metadata.name;
            let ready = node.condition("Ready").cloned().unwrap_or_default();
            Finding::new(
                SYMPTOM.id,
                Role::Symptom,
                Severity::Error,
                format!("Node {name} is not Ready"),
            )
            .subject(Subject::node(name))
            .fact(
                Fact::new(
                    Source::Nodes,
                    format!("Node {name}"),
                    "Ready",
                    format!("{} ({}: {})", ready.status, ready.reason, ready.message),
                )
                .expected("True")
                .at(ready.last_transition_time),
            )
            .at(Place::nodes([name.as_str()]))
            .reaches(Place::nodes([name.as_str()]))
        })
        .collect())
}
