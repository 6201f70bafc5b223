//! A cluster that refuses: partial results, named gaps, the right exit code.

use eksnet_testkit::{Access, Action, Exec, FaultRule, Match, Rule};

use crate::world::{cluster, ours, report, run};

#[test]
fn with_403_on_everything_but_nodes_the_nodes_are_judged_and_the_rest_is_named() {
    let only_nodes = Access::only([Rule::new(&["get", "list"], &[""], &["nodes"])]);
    let api = cluster().access(only_nodes).start();
    let kubeconfig = api.kubeconfig().write();
    let (exit, stdout, stderr) = run(&kubeconfig, &["doctor", "--no-aws", "-o", "json"]);
    let report = report(&stdout, &stderr);
    let state = |id: &str| {
        let outcomes = report["outcomes"].as_array().expect("outcomes");
        outcomes
            .iter()
            .find(|outcome| outcome["check"] == id)
            .expect("the check")["state"]
            .clone()
    };
    assert_eq!(state("node/not-ready"), "pass");
    assert_eq!(state("dns/coredns-no-ready-endpoints"), "unknown");
    assert_eq!(
        (exit, report["verdict"].as_str()),
        (3, Some("inconclusive")),
        "{:#}",
        report["diagnoses"]
    );
    let gaps = report["gaps"].to_string();
    assert!(
        gaps.contains("list pods") && gaps.contains("denied"),
        "{gaps}"
    );
    assert!(ours(&api).is_empty());
}

#[test]
fn credentials_that_are_not_accepted_are_no_verdict() {
    let api = cluster().start();
    let kubeconfig = api.kubeconfig().token("wrong").write();
    let (exit, stdout, stderr) = run(&kubeconfig, &["doctor"]);
    assert_eq!((exit, stdout.as_str()), (3, ""), "{stderr}");
    assert!(
        stderr.contains("401") && stderr.trim().lines().count() == 1,
        "{stderr}"
    );
}

#[test]
fn a_credential_plugin_that_fails_or_hangs_is_no_verdict() {
    let fails = Exec::Fails {
        message: "the SSO session has expired".to_owned(),
        code: 255,
    };
    for exec in [fails, Exec::Expired] {
        let api = cluster().start();
        let kubeconfig = api.kubeconfig().exec(exec).write();
        let (exit, stdout, stderr) = run(&kubeconfig, &["doctor"]);
        assert_eq!((exit, stdout.as_str()), (3, ""), "{stderr}");
        assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
        assert!(stderr.contains("expired"), "{stderr}");
    }
}

#[test]
fn an_api_server_that_hangs_ends_within_the_deadline() {
    let api = cluster()
        .fault(FaultRule::on(Match::any()).then(Action::Hang))
        .start();
    let kubeconfig = api.kubeconfig().write();
    let (exit, stdout, stderr) = run(
        &kubeconfig,
        &["doctor", "--request-timeout", "1s", "--timeout", "3s"],
    );
    assert_eq!((exit, stdout.as_str()), (3, ""), "{stderr}");
    assert!(
        stderr.contains("127.0.0.1") && stderr.trim().lines().count() == 1,
        "{stderr}"
    );
}

#[test]
fn a_stream_that_is_cut_is_a_gap_and_the_rest_goes_on() {
    let cut = FaultRule::on(Match::verb("list", "pods")).then(Action::CutAfter(4000));
    let api = cluster().fault(cut).start();
    let kubeconfig = api.kubeconfig().write();
    let (exit, stdout, stderr) = run(
        &kubeconfig,
        &["doctor", "--no-aws", "--no-probe", "-o", "json"],
    );
    let report = report(&stdout, &stderr);
    let gaps = report["gaps"].to_string();
    assert!(gaps.contains("k8s/pods"), "{gaps}");
    let outcomes = report["outcomes"].as_array().expect("outcomes");
    let node = outcomes
        .iter()
        .find(|outcome| outcome["check"] == "node/not-ready")
        .expect("the check");
    assert_eq!(node["state"], "pass");
    assert!(exit == 1 || exit == 3, "{exit}");
}
