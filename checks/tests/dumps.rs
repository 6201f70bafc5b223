//! Checks of cluster DNS, kube-proxy and endpoints over dumps of a real cluster, where those are at
//! hand: two folders of `kubectl get KIND -A -o json`.

use std::path::PathBuf;

use eksnet_model::{Confidence, Finding, Judged, OutcomeState, Snapshot, Time, judge};

const CHECKS: [&str; 7] = [
    "dns/cluster-dns-ip-mismatch",
    "dns/coredns-cross-node-blocked",
    "dns/coredns-no-ready-endpoints",
    "dns/vpc-resolver-unreachable",
    "endpoints/name-unresolvable",
    "endpoints/tcp-unreachable",
    "kube-proxy/unhealthy",
];

fn folder(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/clusters")
        .join(name);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: there is no dump {}", path.display());
    None
}

/// The dump as a snapshot, taken at the newest time in it.
fn read(path: &std::path::Path) -> Snapshot {
    let mut kubernetes = serde_json::Map::new();
    let mut newest = None;
    for (file, source) in [
        ("nodes", "nodes"),
        ("pods", "pods"),
        ("deploy", "deployments"),
        ("ds", "daemonsets"),
        ("svc", "services"),
        ("endpointslices", "endpointslices"),
        ("events", "events"),
        ("leases", "leases"),
    ] {
        let text = std::fs::read(path.join(file).with_extension("json")).expect("a dump");
        let mut list: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        newest = newest.max(newest_in(&list));
        kubernetes.insert(source.to_owned(), list["items"].take());
    }
    serde_json::from_value(serde_json::json!({"takenAt": newest, "kubernetes": kubernetes}))
        .expect("a snapshot")
}

fn newest_in(value: &serde_json::Value) -> Option<Time> {
    match value {
        serde_json::Value::String(text) => Time::parse(text),
        serde_json::Value::Array(items) => items.iter().filter_map(newest_in).max(),
        serde_json::Value::Object(map) => map.values().filter_map(newest_in).max(),
        _ => None,
    }
}

fn judged(snapshot: &Snapshot) -> Judged {
    let checks: Vec<_> = eksnet_checks::all()
        .into_iter()
        .filter(|check| CHECKS.contains(&check.meta.id))
        .collect();
    judge(snapshot, &checks, &eksnet_checks::symptoms())
}

fn findings<'j>(judged: &'j Judged, check: &str) -> &'j [Finding] {
    let outcome = judged.outcomes.iter().find(|(id, _)| *id == check);
    outcome.expect("a known check").1.findings()
}

#[test]
fn a_healthy_cluster_gives_no_finding_and_passes_what_its_objects_can_show() {
    let Some(path) = folder("healthy") else {
        return;
    };
    let judged = judged(&read(&path));
    for (id, outcome) in &judged.outcomes {
        println!("{id}: {:?} {:?}", outcome.state(), outcome.gaps());
        assert_ne!(outcome.state(), OutcomeState::Found, "{id}: {outcome:#?}");
        assert_ne!(outcome.state(), OutcomeState::Crashed, "{id}: {outcome:#?}");
    }
    for id in ["dns/coredns-no-ready-endpoints", "kube-proxy/unhealthy"] {
        let (_, outcome) = judged
            .outcomes
            .iter()
            .find(|(known, _)| *known == id)
            .expect("a known check");
        assert_eq!(outcome.state(), OutcomeState::Pass, "{id}: {outcome:#?}");
    }
    assert_eq!(judged.symptoms, [], "no symptom");
}

#[test]
fn a_node_whose_kubelet_stopped_takes_cluster_dns_and_its_kube_proxy_with_it() {
    let Some(path) = folder("node-down") else {
        return;
    };
    let judged = judged(&read(&path));
    let dns = findings(&judged, "dns/coredns-no-ready-endpoints");
    assert_eq!(dns.len(), 1);
    println!("{}\n{:#?}", dns[0].title, dns[0].facts);
    assert_eq!(dns[0].confidence, Confidence::Confirmed);
    assert!(dns[0].signals.contains("endpoints-on-dead-node"));
    assert!(dns[0].at.nodes.contains("lab-n2") && dns[0].at.nodes.len() == 1);
    let proxy = findings(&judged, "kube-proxy/unhealthy");
    assert_eq!(proxy.len(), 1);
    println!("{}", proxy[0].title);
    assert!(proxy[0].signals.contains("node-not-ready"));
    assert!(proxy[0].at.nodes.contains("lab-n2") && proxy[0].at.nodes.len() == 1);
    for (id, outcome) in &judged.outcomes {
        let expected = ["dns/coredns-no-ready-endpoints", "kube-proxy/unhealthy"];
        let found = outcome.state() == OutcomeState::Found;
        assert_eq!(found, expected.contains(&id.as_str()), "{id}: {outcome:#?}");
    }
}
