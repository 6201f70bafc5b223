//! The causal graph that is built in, and graphs that are refused.

use std::collections::BTreeSet;

use eksnet_model::Role;
use eksnet_triage::{EdgeKind, Graph, GraphError};

#[test]
fn the_built_in_graph_holds_together_and_is_whole() {
    let graph = Graph::load().expect("the built-in graph");
    assert_eq!(graph.checks().len(), 114);
    assert_eq!(graph.symptoms().len(), 19);
    let numbers: BTreeSet<u32> = graph.edges().iter().map(|edge| edge.number).collect();
    assert!((1..=153).all(|number| numbers.contains(&number)));
    let merges: Vec<u32> = graph
        .edges()
        .iter()
        .filter(|edge| matches!(edge.kind, EdgeKind::Merge(_)))
        .map(|edge| edge.number)
        .collect();
    assert_eq!(merges, [121, 122, 157, 300, 704]);
    let context = graph
        .edges()
        .iter()
        .filter(|edge| edge.kind == EdgeKind::Context);
    assert_eq!(context.map(|edge| edge.number).collect::<Vec<_>>(), [140]);
    assert_eq!(graph.checks()["node/not-ready"], Role::Cause);
}

const SMALL: &str = r#"
symptoms = ["sym/a"]
[roles]
cause = ["x/root", "x/other"]
mechanism = ["x/middle"]
[[edge]]
number = 1
from = "x/root"
to = "x/middle"
confirms = "It was seen"
[[edge]]
number = 2
from = "x/middle"
to = "sym/a"
confirms = "It was seen"
"#;

fn refused(change: &str) -> String {
    match Graph::parse(&format!("{SMALL}{change}")) {
        Ok(_) => panic!("accepted: {change}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_small_graph_is_accepted() {
    Graph::parse(SMALL).expect("a graph that holds together");
}

#[test]
fn unknown_ids_and_keys_are_refused() {
    let edge = "[[edge]]\nnumber = 3\nfrom = \"x/root\"\nto = \"x/nobody\"\nconfirms = \"Seen\"\n";
    assert!(matches!(
        Graph::parse(&format!("{SMALL}{edge}")),
        Err(GraphError::UnknownId { edge: 3, .. })
    ));
    let edge = edge
        .replace("x/nobody", "sym/a")
        .replace("confirms", "proves");
    assert!(refused(&edge).contains("proves"));
}

#[test]
fn an_edge_twice_is_refused() {
    let edge = "[[edge]]\nnumber = 3\nfrom = \"x/root\"\nto = \"x/middle\"\nconfirms = \"Seen\"\n";
    assert!(refused(edge).contains("is there twice"));
}

#[test]
fn a_signal_without_an_end_is_refused() {
    let edge = "[[edge]]\nnumber = 3\nfrom = \"x/root\"\nto = \"sym/a\"\nconfirms = \"Seen\"\nconfirmed_by = [\"seen\"]\n";
    assert!(refused(edge).contains("from:NAME or to:NAME"));
}

#[test]
fn a_symptom_without_a_cause_is_refused() {
    let text = SMALL.replace("[\"sym/a\"]", "[\"sym/a\", \"sym/b\"]");
    let error = Graph::parse(&text).expect_err("a symptom that nothing causes");
    assert!(error.to_string().contains("no cause leads to sym/b"));
}

#[test]
fn a_loop_has_to_be_named_and_broken_at_a_cause() {
    let edge = "[[edge]]\nnumber = 3\nfrom = \"sym/a\"\nto = \"x/middle\"\nconfirms = \"Seen\"\n";
    assert!(refused(edge).contains("loop without a name"));
    let cycle =
        "[[cycle]]\nname = \"l\"\npath = [\"x/middle\", \"sym/a\"]\nbroken_at = \"x/root\"\n";
    Graph::parse(&format!("{SMALL}{edge}{cycle}")).expect("a named loop");
    let at_mechanism = cycle.replace("\"x/root\"", "\"x/middle\"");
    assert!(refused(&format!("{edge}{at_mechanism}")).contains("which is no cause"));
    let elsewhere = cycle.replace("\"x/root\"", "\"x/other\"");
    assert!(refused(&format!("{edge}{elsewhere}")).contains("does not lead into it"));
}

#[test]
fn signals_are_listed_by_the_end_that_carries_them() {
    let edge = "[[edge]]\nnumber = 3\nfrom = \"x/root\"\nto = \"sym/a\"\nconfirms = \"Seen\"\nrefutes = \"Not\"\nconfirmed_by = [\"from:one & !to:two\"]\nrefuted_by = [\"to:three\"]\n";
    let graph = Graph::parse(&format!("{SMALL}{edge}")).expect("a graph");
    let signals = graph.signals();
    assert_eq!(signals["x/root"], BTreeSet::from(["one"]));
    assert_eq!(signals["sym/a"], BTreeSet::from(["two", "three"]));
}
