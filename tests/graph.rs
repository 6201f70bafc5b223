//! Checks and the causal graph meet only in names: each name that the graph uses is one that its
//! check declares.

use std::collections::BTreeSet;

use eksnet_triage::Graph;

#[test]
fn every_signal_of_the_graph_is_declared_by_its_check() {
    let graph = Graph::load().expect("the causal graph");
    let mut unknown = Vec::new();
    for (check, signals) in graph.signals() {
        let Some(check) = eksnet_checks::find(check) else {
            continue; // A check of the catalogue that is not written yet, or a symptom.
        };
        let declared: BTreeSet<&str> = check.meta.signals.iter().copied().collect();
        for signal in signals {
            if !declared.contains(&*signal) {
                unknown.push(format!("{}: {signal}", check.meta.id));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_check_stands_in_the_graph() {
    let graph = Graph::load().expect("the causal graph");
    let known: BTreeSet<&str> = graph.checks().keys().map(String::as_str).collect();
    for check in eksnet_checks::all() {
        assert!(known.contains(check.meta.id), "{}", check.meta.id);
    }
}
