//! Without AWS the rest is judged, and what would close the gap is said.

use crate::world::{Report, World};

/// The report judges Kubernetes and probes, and every gap of AWS says how to sign in.
fn judges_what_there_is(report: &Report) {
    assert_eq!(report.exit, 1);
    let first = report.first().0;
    let check = "dns/coredns-cross-node-blocked";
    assert_eq!(first, check, "{:#}", report.json["diagnoses"]);
    assert_eq!(report.state("node/not-ready"), "pass");
    assert_eq!(report.state("net/sg-node-dns"), "unknown");
    let gaps = report.list("gaps");
    let groups: Vec<_> = gaps
        .iter()
        .filter(|gap| gap["source"] == "ec2/security-groups")
        .collect();
    assert!(!groups.is_empty(), "{gaps:#?}");
    for gap in groups {
        assert_eq!(gap["why"], "unauthenticated");
        let closes = gap["closes"].to_string();
        assert!(closes.contains("AWS_PROFILE"), "{gap:#}");
    }
}

#[test]
fn without_credentials_kubernetes_and_probes_are_judged() {
    let world = World::without_account();
    judges_what_there_is(&world.doctor());
}

#[test]
fn with_expired_credentials_kubernetes_and_probes_are_judged() {
    let world = World::without_account();
    world.eks.expire_credentials();
    let environment = world.eks.env();
    let world = world.with_environment(environment);
    judges_what_there_is(&world.doctor());
}
