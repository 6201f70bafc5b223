use eksnet_model::Snapshot;
use serde_json::{Value, json};

use super::*;

/// Standpoints with the outcome that each got from each of `pods` CoreDNS pods, one per node.
fn matrix(
    standpoints: usize,
    pods: usize,
    outcome: impl Fn(usize, usize) -> &'static str,
) -> DnsMatrix {
    let address = |pod: usize| format!("10.0.{pod}.5");
    let coredns: Vec<Value> = (0..pods)
        .map(|pod| {
            json!({"metadata": {"namespace": "kube-system", "name": format!("coredns-6b-{pod:03}x")},
                "spec": {"nodeName": format!("node-{pod}"), "containers": [{"name": "c", "image": "r/coredns:v1"}]},
                "status": {"phase": "Running", "podIP": address(pod)}})
        })
        .collect();
    let probes: Vec<Value> = (0..standpoints)
        .map(|at| {
            let plan: Vec<Value> = (0..pods)
                .map(|pod| {
                    json!({"id": pod + 1, "kind": "dns", "server": format!("{}:53", address(pod)), "transport": "udp",
                        "name": "kubernetes.default.svc.cluster.local.", "query": "A", "tries": 5, "gapMs": 1, "timeoutMs": 1})
                })
                .collect();
            let results: Vec<Value> = (0..pods)
                .map(|pod| {
                    let tries = vec![json!({"outcome": outcome(at, pod), "elapsedMs": 1.0}); 5];
                    json!({"id": pod + 1, "outcome": {"kind": "dns", "tries": tries}})
                })
                .collect();
            json!({"name": format!("p{at}"), "at": {"node": format!("node-{at}"), "class": format!("class-{at}")},
                "complete": true, "plan": plan, "results": results})
        })
        .collect();
    let snapshot: Snapshot = serde_json::from_value(
        json!({"kubernetes": {"pods": coredns}, "probes": {"pods": probes}}),
    )
    .expect("a snapshot");
    DnsMatrix::of(&snapshot, None).expect("a matrix")
}

fn text(matrix: &DnsMatrix, width: usize) -> String {
    let style = Style {
        width,
        ..Style::default()
    };
    dns(matrix, &style)
}

#[test]
fn forty_pods_and_two_dozen_standpoints_fit_one_screen_and_name_the_pod_that_is_silent() {
    let matrix = matrix(24, 40, |_, pod| if pod == 17 { "timeout" } else { "ok" });
    for width in [80, 120] {
        let shown = text(&matrix, width);
        assert!(shown.lines().count() <= 24, "{shown}");
        assert!(
            shown.lines().all(|line| super::width(line) <= width),
            "{shown}"
        );
        assert!(
            shown.contains("coredns-6b-017x 10.0.17.5 on node-17: no answer"),
            "{shown}"
        );
    }
}

#[test]
fn standpoints_that_see_the_same_share_a_row_and_what_fails_comes_first() {
    let matrix = matrix(9, 2, |at, _| if at == 4 { "timeout" } else { "ok" });
    let shown = text(&matrix, 100);
    let rows: Vec<&str> = shown
        .lines()
        .filter(|line| line.contains(" udp "))
        .collect();
    assert_eq!(rows.len(), 2, "{shown}");
    assert!(rows[0].starts_with("class-4"), "{shown}");
    assert!(shown.contains("+7 alike"), "{shown}");
}

#[test]
fn what_fails_is_said_in_words() {
    for (outcome, words) in [
        ("timeout", "✗ 0/5 timeout"),
        ("conn-refused", "✗ 0/5 conn-refused"),
        ("servfail", "✗ 0/5 servfail"),
    ] {
        let shown = text(&matrix(1, 1, |_, _| outcome), 100);
        assert!(shown.contains(words), "{shown}");
        assert!(shown.matches(outcome).count() > 1, "the legend: {shown}");
    }
}

#[test]
fn when_all_is_well_the_table_says_so_and_advises_nothing() {
    let shown = text(&matrix(3, 2, |_, _| "ok"), 100);
    assert!(shown.contains("✓ every cell answers"), "{shown}");
    assert!(!shown.contains("doctor"), "{shown}");
}
