//! A live run from end to end, without AWS: lists, probes, judges, cleans up.

use eksnet_testkit::Match;

use crate::world::{cluster, ours, report, run};

#[test]
fn a_live_run_sees_what_the_demo_saw_and_leaves_nothing() {
    let api = cluster().start();
    let kubeconfig = api.kubeconfig().write();
    let (exit, stdout, stderr) = run(&kubeconfig, &["doctor", "--no-aws", "-o", "json"]);
    let report = report(&stdout, &stderr);
    assert_eq!(exit, 1, "{stderr}");
    assert_eq!(
        report["diagnoses"][0]["check"], "dns/coredns-cross-node-blocked",
        "{:#}",
        report["diagnoses"]
    );
    let decide = report["diagnoses"][0]["decide"].to_string();
    assert!(
        decide.contains("--no-aws"),
        "what would decide is said: {decide}"
    );
    let created = &report["created"];
    assert_eq!(created["pods"], api.pods_created());
    assert_eq!(created["pods"], created["deleted"]);
    assert_eq!(created["left"], 0);
    assert!(ours(&api).is_empty());
}

#[test]
fn without_probes_nothing_is_created_and_nothing_is_called_healthy_for_it() {
    let api = cluster().start();
    let kubeconfig = api.kubeconfig().write();
    let (_, stdout, stderr) = run(
        &kubeconfig,
        &["doctor", "--no-aws", "--no-probe", "-o", "json"],
    );
    let report = report(&stdout, &stderr);
    assert_eq!(api.pods_created(), 0);
    let writes = api
        .audit()
        .requests()
        .into_iter()
        .filter(|request| request.method != "GET")
        .count();
    assert_eq!(writes, 0, "read-only is read-only");
    let outcomes = report["outcomes"].as_array().expect("outcomes");
    let probed = outcomes
        .iter()
        .find(|outcome| outcome["check"] == "dns/coredns-cross-node-blocked");
    assert_eq!(probed.expect("the check")["state"], "unknown");
}

#[test]
fn a_plan_creates_nothing_and_names_what_would_be() {
    let api = cluster().start();
    let kubeconfig = api.kubeconfig().write();
    let (exit, stdout, stderr) = run(&kubeconfig, &["doctor", "--no-aws", "--plan"]);
    assert_eq!(exit, 0, "{stderr}");
    assert_eq!(api.pods_created(), 0);
    assert!(
        stdout.contains("GET /api/v1/nodes") && stdout.contains("ip-172-31-0-21"),
        "{stdout}"
    );
}

#[test]
fn a_bundle_of_a_live_run_gives_the_same_report_later() {
    let api = cluster().start();
    let kubeconfig = api.kubeconfig().write();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder
        .path()
        .join("case.json")
        .to_string_lossy()
        .into_owned();
    let (exit, _, stderr) = run(&kubeconfig, &["collect", "--no-aws", "-f", &file]);
    assert_eq!(exit, 0, "{stderr}");
    let (_, stdout, stderr) = run(&kubeconfig, &["doctor", "--from", &file, "-o", "json"]);
    let later = report(&stdout, &stderr);
    assert_eq!(later["source"]["kind"], "bundle");
    assert_eq!(
        later["diagnoses"][0]["check"],
        "dns/coredns-cross-node-blocked"
    );
}

#[test]
fn the_credential_plugin_runs_once_in_a_run() {
    let api = cluster().start();
    let kubeconfig = api.kubeconfig().exec(eksnet_testkit::Exec::Works).write();
    let (_, _, stderr) = run(&kubeconfig, &["doctor", "--no-aws", "--no-probe"]);
    assert_eq!(kubeconfig.exec_runs(), 1, "{stderr}");
    assert!(api.audit().count(&Match::verb("list", "nodes")) >= 1);
}
