use eksnet_model::{Severity, Signature};
use serde_json::{Value, json};

use super::*;

fn set() -> SignatureSet {
    let signature = Signature {
        id: "timeout".to_owned(),
        check: "a/b".to_owned(),
        component: "coredns".to_owned(),
        regex: "i/o timeout".to_owned(),
        meaning: "m".to_owned(),
        severity: Severity::Error,
        sample: "i/o timeout".to_owned(),
    };
    SignatureSet::compile(vec![signature]).unwrap()
}

#[test]
fn lines_are_found_wherever_the_pieces_end() {
    let text = "2026-01-01T00:00:00Z read udp: i/o timeout\r\n2026-01-01T00:00:01Z \u{fc}ber\n2026-01-01T00:00:02Z i/o timeout";
    for size in 1..text.len() {
        let set = set();
        let scan = LogScan {
            component: Component::CoreDns,
            ..LogScan::default()
        };
        let mut lines = Lines::new(Scanner::new(&set, scan, None));
        text.as_bytes()
            .chunks(size)
            .for_each(|piece| lines.push(piece));
        let scan = lines.finish();
        assert_eq!(scan.lines, 3, "{size}");
        assert_eq!(
            scan.hits("timeout").map(|hits| hits.count),
            Some(2),
            "{size}"
        );
    }
}

#[test]
fn a_line_without_an_end_is_held_in_bounded_memory() {
    let set = set();
    let mut lines = Lines::new(Scanner::new(&set, LogScan::default(), None));
    for _ in 0..1000 {
        lines.push(&[b'x'; 4096]);
    }
    assert!(lines.line.len() <= MAX_LINE);
    assert_eq!(lines.finish().lines, 1);
}

fn of(component: &str, n: usize, ready: &str) -> Value {
    json!({"metadata": {"namespace": "kube-system", "name": format!("{component}-{n:03}")},
        "spec": {"nodeName": format!("n{n}"), "containers": [{"name": "main", "image": format!("x/{component}:v1")}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}})
}

fn chosen(pods: Vec<Value>) -> Choice {
    let mut snapshot = Snapshot {
        taken_at: Time::parse("2026-01-01T01:00:00Z"),
        ..Snapshot::default()
    };
    snapshot.kubernetes.pods = Evidence::Present(serde_json::from_value(json!(pods)).unwrap());
    choose(&snapshot)
}

#[test]
fn daemon_sets_are_sampled_with_those_in_trouble_first() {
    let pods = (0..100).map(|n| of("amazon-k8s-cni", n, if n >= 97 { "False" } else { "True" }));
    let found = chosen(pods.collect());
    assert_eq!((found.logs.len(), found.left_out), (13, 87));
    let first: Vec<&str> = found.logs[..3]
        .iter()
        .map(|log| log.node.as_str())
        .collect();
    assert_eq!(first, ["n97", "n98", "n99"]);
    let all = chosen((0..10).map(|n| of("amazon-k8s-cni", n, "True")).collect());
    assert_eq!((all.logs.len(), all.left_out), (10, 0));
}

#[test]
fn every_replica_of_coredns_is_read_up_to_a_limit() {
    let found = chosen((0..45).map(|n| of("coredns", n, "True")).collect());
    assert_eq!((found.logs.len(), found.left_out), (MOST_DNS, 5));
}

#[test]
fn the_log_before_a_recent_restart_is_read_too() {
    let restarted_at = |at: &str| {
        let mut pod = of("coredns", 1, "True");
        pod["status"]["containerStatuses"] = json!([{"name": "main", "restartCount": 2,
            "lastState": {"terminated": {"exitCode": 1, "finishedAt": at}}}]);
        chosen(vec![pod])
            .logs
            .iter()
            .map(|log| log.previous)
            .collect::<Vec<_>>()
    };
    assert_eq!(restarted_at("2026-01-01T00:30:00Z"), [true, false]);
    assert_eq!(restarted_at("2025-12-31T00:30:00Z"), [false]);
}

#[test]
fn the_policy_agent_beside_aws_node_has_a_log_of_its_own() {
    let mut pod = of("amazon-k8s-cni", 1, "True");
    pod["spec"]["containers"] = json!([
        {"name": "aws-node", "image": "x/amazon-k8s-cni:v1"},
        {"name": "aws-eks-nodeagent", "image": "x/amazon/aws-network-policy-agent:v1"}]);
    let found: Vec<(Component, String)> = chosen(vec![pod])
        .logs
        .into_iter()
        .map(|log| (log.component, log.container))
        .collect();
    assert_eq!(
        found,
        [
            (Component::AwsNode, "aws-node".to_owned()),
            (
                Component::NetworkPolicyAgent,
                "aws-eks-nodeagent".to_owned()
            ),
        ]
    );
}
