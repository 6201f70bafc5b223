//! Taking any one deciding fact away changes the answer or lowers its confidence.

use serde_json::{Value, json};

use crate::story::{demo, first, judge};

const CAUSE: &str = "net/sg-node-dns";

fn without(change: impl FnOnce(&mut Value)) -> Value {
    let mut bundle = demo();
    change(&mut bundle["snapshot"]);
    judge(&bundle)
}

fn denied(source: &str, permission: &str) -> Value {
    json!({"gap": {"source": source, "why": {"denied": permission}}})
}

fn answers(tries: usize) -> Value {
    let one = json!({"outcome": "ok", "elapsedMs": 0.7, "answers": [{"address": "10.100.0.1"}]});
    json!({"kind": "dns", "tries": vec![one; tries]})
}

/// Answers of the first probe pod, the one on the autoscaler's node, to what was asked of CoreDNS's
/// pods.
fn coredns_answers(snapshot: &mut Value) {
    let pod = &mut snapshot["probes"]["pods"][0];
    let asked: Vec<u64> = pod["plan"]
        .as_array()
        .expect("a plan")
        .iter()
        .filter(|spec| {
            spec["server"]
                .as_str()
                .is_some_and(|server| ["172.31.16.77:53", "172.31.32.64:53"].contains(&server))
        })
        .filter_map(|spec| spec["id"].as_u64())
        .collect();
    assert!(!asked.is_empty());
    for result in pod["results"].as_array_mut().expect("results") {
        if result["id"].as_u64().is_some_and(|id| asked.contains(&id)) {
            result["outcome"] = answers(5);
        }
    }
}

#[test]
fn with_a_rule_that_admits_dns_the_group_is_not_blamed() {
    let report = without(|snapshot| {
        let rules = snapshot["aws"]["securityGroups"][1]["IpPermissions"]
            .as_array_mut()
            .expect("rules");
        let client = snapshot_group("t2");
        for protocol in ["udp", "tcp"] {
            rules.push(json!({"IpProtocol": protocol, "FromPort": 53, "ToPort": 53, "UserIdGroupPairs": [{"GroupId": client}]}));
        }
    });
    assert_ne!(first(&report).0, CAUSE);
}

fn snapshot_group(group: &str) -> String {
    let demo = demo();
    let groups = demo["snapshot"]["aws"]["securityGroups"]
        .as_array()
        .expect("groups")
        .clone();
    let named = groups.iter().find(|one| {
        one["GroupName"]
            .as_str()
            .is_some_and(|name| name.contains(group))
    });
    named.expect("a group")["GroupId"]
        .as_str()
        .expect("an id")
        .to_owned()
}

#[test]
fn without_the_rules_the_group_is_not_blamed_and_the_report_says_what_would_decide() {
    let report = without(|snapshot| {
        snapshot["aws"]["securityGroups"] =
            denied("ec2/security-groups", "ec2:DescribeSecurityGroups");
    });
    assert_ne!(first(&report).0, CAUSE, "{:#}", report["diagnoses"][0]);
    let said = report["diagnoses"][0]["decide"].to_string();
    assert!(said.contains("ec2:DescribeSecurityGroups"), "{said}");
}

#[test]
fn without_probes_the_group_is_no_longer_confirmed() {
    let report = without(|snapshot| {
        snapshot["probes"] = json!({"gap": {"source": "probe/network", "why": "not-requested"}});
    });
    assert_ne!(first(&report), (CAUSE, "confirmed"));
}

#[test]
fn when_packets_pass_the_group_is_no_longer_confirmed() {
    let report = without(coredns_answers);
    assert_ne!(
        first(&report),
        (CAUSE, "confirmed"),
        "{:#}",
        report["diagnoses"][0]
    );
}

#[test]
fn without_knowing_whose_address_it_is_the_group_is_no_longer_confirmed() {
    let report = without(|snapshot| {
        snapshot["aws"]["networkInterfaces"] =
            denied("ec2/network-interfaces", "ec2:DescribeNetworkInterfaces");
    });
    assert_ne!(
        first(&report),
        (CAUSE, "confirmed"),
        "{:#}",
        report["diagnoses"][0]
    );
}

#[test]
fn without_knowing_the_nodes_groups_the_group_is_not_blamed() {
    // Either source tells which groups a node has; without both, nothing does.
    let report = without(|snapshot| {
        let aws = &mut snapshot["aws"];
        aws["instances"] = denied("ec2/instances", "ec2:DescribeInstances");
        aws["networkInterfaces"] =
            denied("ec2/network-interfaces", "ec2:DescribeNetworkInterfaces");
    });
    assert_ne!(first(&report).0, CAUSE, "{:#}", report["diagnoses"][0]);
}

#[test]
fn without_the_autoscalers_log_its_failure_is_not_claimed() {
    let report = without(|snapshot| {
        snapshot["kubernetes"]["logs"] = denied("k8s/logs", "get pods/log");
    });
    assert_eq!(first(&report).0, CAUSE);
    let findings = report["findings"].to_string();
    assert!(
        !findings.contains("\"autoscaler/asg-cache-failed\""),
        "{findings}"
    );
}
