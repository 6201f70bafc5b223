//! What holds for any set of findings.

mod support;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use eksnet_model::{Confidence, Finding, Place, Role, Severity, Subject, Text};
use eksnet_triage::{Graph, correlate};
use proptest::prelude::*;

fn built_in() -> &'static Graph {
    static GRAPH: OnceLock<Graph> = OnceLock::new();
    GRAPH.get_or_init(support::graph)
}

fn ids() -> Vec<(String, Role)> {
    let graph = built_in();
    let symptoms = graph
        .symptoms()
        .iter()
        .map(|id| (id.clone(), Role::Symptom));
    graph
        .checks()
        .iter()
        .map(|(id, role)| (id.clone(), *role))
        .chain(symptoms)
        .collect()
}

prop_compose! {
    fn any_finding()(
        which in 0..ids().len(),
        severity in prop::sample::select(vec![Severity::Info, Severity::Warning, Severity::Error, Severity::Critical]),
        confidence in prop::sample::select(vec![Confidence::Possible, Confidence::Likely, Confidence::Confirmed]),
        node in 0..4_u8,
        reach in 0..3_u8,
        signals in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        number in 0..6_u8,
    ) -> Finding {
        let (id, role) = ids()[which].clone();
        let known: Vec<&str> = built_in()
            .signals()
            .get(id.as_str())
            .into_iter()
            .flatten()
            .copied()
            .collect();
        let mut finding = Finding::new(id.as_str(), role, severity, format!("{id} {number}"))
            .confidence(confidence)
            .subject(Subject::node(format!("n{node}")))
            .subject(Subject::node(format!("s{number}")));
        if node > 0 {
            finding = finding.at(Place::nodes([format!("n{node}")]));
        }
        if reach > 0 {
            finding = finding.reaches(Place::nodes([format!("n{}", node.min(reach))]));
        }
        for signal in signals {
            if !known.is_empty() {
                finding = finding.signal(*signal.get(&known));
            }
        }
        finding
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_findings_changes_nothing(
        (findings, shuffled) in prop::collection::vec(any_finding(), 0..40)
            .prop_flat_map(|findings| (Just(findings.clone()), Just(findings).prop_shuffle()))
    ) {
        prop_assert_eq!(correlate(findings, built_in()), correlate(shuffled, built_in()));
    }

    #[test]
    fn other_ids_change_no_root_and_no_rank(
        findings in prop::collection::vec(any_finding(), 0..30), salt in any::<u32>()
    ) {
        let before = correlate(findings.clone(), built_in());
        let new = |id: &Text| Text::from(format!("{:08x}", fnv(id, salt)));
        let renamed = findings
            .into_iter()
            .map(|finding| Finding { id: new(&finding.id), ..finding })
            .collect();
        let after = correlate(renamed, built_in());
        let expected: Vec<(Text, Vec<Text>)> = before
            .diagnoses
            .iter()
            .map(|one| (new(&one.finding), one.explains.iter().map(new).collect()))
            .collect();
        let found: Vec<(Text, Vec<Text>)> = after
            .diagnoses
            .into_iter()
            .map(|one| (one.finding, one.explains))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn every_finding_ends_in_exactly_one_place(findings in prop::collection::vec(any_finding(), 0..40)) {
        let joined = correlate(findings, built_in());
        let mut places: Vec<&Text> = Vec::new();
        for diagnosis in &joined.diagnoses {
            prop_assert!(!diagnosis.explains.contains(&diagnosis.finding), "a root explains itself");
            places.push(&diagnosis.finding);
            places.extend(&diagnosis.explains);
        }
        places.extend(&joined.unexplained);
        let distinct: BTreeSet<&Text> = places.iter().copied().collect();
        prop_assert_eq!(places.len(), distinct.len(), "a finding stands in two places");
        let all: BTreeSet<&Text> = joined.findings.iter().map(|finding| &finding.id).collect();
        prop_assert_eq!(distinct, all);
        for (id, root) in &joined.explained_by {
            prop_assert!(joined.diagnoses.iter().any(|one| one.finding == *root && one.explains.contains(id)));
        }
    }

    #[test]
    fn symptoms_are_no_roots_and_nothing_proven_stands_above_its_cause(
        findings in prop::collection::vec(any_finding(), 0..40)
    ) {
        let joined = correlate(findings, built_in());
        let role = |id: &Text| joined.findings.iter().find(|one| one.id == *id).map(|one| one.role);
        let roots: BTreeSet<&Text> = joined.diagnoses.iter().map(|one| &one.finding).collect();
        for (at, diagnosis) in joined.diagnoses.iter().enumerate() {
            prop_assert_eq!(diagnosis.rank as usize, at + 1);
            prop_assert_ne!(role(&diagnosis.finding), Some(Role::Symptom));
            for link in diagnosis.links.iter().filter(|link| link.confirmed) {
                prop_assert!(!roots.contains(&link.to), "what is proven to be caused is no root");
            }
        }
        for id in &joined.unexplained {
            prop_assert_eq!(role(id), Some(Role::Symptom));
        }
    }
}

/// FNV-1a with a salt: new ids in a new order.
fn fnv(text: &str, salt: u32) -> u64 {
    text.bytes()
        .chain(salt.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}
