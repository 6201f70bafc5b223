//! Folders of `kubectl get -o json` output of a real cluster, where they are at hand.

use serde_json::Value;

use crate::program::{eksnet, root, state};

/// The folder of a dump; `None`, said, when the dumps are not beside the project.
fn dump(name: &str) -> Option<String> {
    let path = root().join("../shared/clusters").join(name);
    if path.is_dir() {
        return Some(path.to_string_lossy().into_owned());
    }
    eprintln!("left out: no dumps of a real cluster beside the project");
    None
}

#[test]
fn a_healthy_cluster_is_healthy() {
    let Some(path) = dump("healthy") else { return };
    let run = eksnet(&["doctor", "--from", &path, "-o", "json"]);
    let report = run.report();
    assert_eq!(report["verdict"], "healthy", "{report:#}");
    assert_eq!((run.code, &report["exitCode"]), (0, &Value::from(0)));
    for check in [
        "node/not-ready",
        "dns/coredns-no-ready-endpoints",
        "kube-proxy/unhealthy",
    ] {
        assert_eq!(state(&report, check), "pass", "{check}");
    }
    let worse =
        |finding: &&Value| matches!(finding["severity"].as_str(), Some("error" | "critical"));
    let findings = report["findings"].as_array().expect("findings");
    assert_eq!(findings.iter().filter(worse).count(), 0, "{findings:#?}");
}

#[test]
fn a_dead_node_explains_coredns_and_kube_proxy() {
    let Some(path) = dump("node-down") else {
        return;
    };
    let run = eksnet(&["doctor", "--from", &path, "-o", "json"]);
    let report = run.report();
    assert_eq!(run.code, 1);
    let diagnoses = report["diagnoses"].as_array().expect("diagnoses");
    let worse: Vec<&Value> = diagnoses
        .iter()
        .filter(|diagnosis| matches!(diagnosis["severity"].as_str(), Some("error" | "critical")))
        .collect();
    assert_eq!(worse.len(), 1, "{worse:#?}");
    assert_eq!(worse[0]["check"], "node/not-ready");
    let findings = report["findings"].as_array().expect("findings");
    let explained: Vec<&str> = worse[0]["explains"]
        .as_array()
        .expect("explains")
        .iter()
        .filter_map(|id| findings.iter().find(|finding| finding["id"] == *id)?["check"].as_str())
        .collect();
    for check in ["dns/coredns-no-ready-endpoints", "kube-proxy/unhealthy"] {
        assert!(
            explained.contains(&check),
            "{check} is not among {explained:?}"
        );
    }
}
