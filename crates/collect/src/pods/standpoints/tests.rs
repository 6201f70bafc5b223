use eksnet_model::Evidence;
use serde_json::{Value, json};

use super::*;

fn node(name: &str, group: &str, zone: &str, ready: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {
            "eks.amazonaws.com/nodegroup": group,
            "topology.kubernetes.io/zone": zone,
            "kubernetes.io/arch": "amd64",
        }},
        "status": {"capacity": {"pods": "2"}, "conditions": [{"type": "Ready", "status": ready}]}})
}

fn pod(name: &str, node: &str, image: &str, ready: &str) -> Value {
    json!({"metadata": {"namespace": "kube-system", "name": name},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": image}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}})
}

fn chosen(nodes: Vec<Value>, pods: Vec<Value>, choice: &NodeChoice) -> Result<Standpoints, Text> {
    let mut snapshot = Snapshot::default();
    snapshot.kubernetes.nodes = Evidence::Present(serde_json::from_value(json!(nodes)).unwrap());
    snapshot.kubernetes.pods = Evidence::Present(serde_json::from_value(json!(pods)).unwrap());
    let topology = Topology::of(&snapshot);
    choose(&snapshot, &topology, choice)
}

fn names(standpoints: &Standpoints) -> Vec<&str> {
    standpoints
        .stands
        .iter()
        .map(|stand| stand.node.as_str())
        .collect()
}

#[test]
fn each_class_has_one_standpoint_and_coredns_its_own() {
    let nodes = vec![
        node("a1", "c5", "z1", "True"),
        node("a2", "c5", "z1", "True"),
        node("a3", "c5", "z1", "True"),
        node("b1", "t2", "z2", "True"),
    ];
    let pods = vec![pod("dns", "a1", "x/coredns:v1", "True")];
    let found = chosen(nodes, pods, &NodeChoice::Sampled).unwrap();
    // a1 for CoreDNS, a2 for its class: the way from another node is the one that breaks.
    assert_eq!(names(&found), ["a1", "a2", "b1"]);
    assert_eq!(found.stands[2].class, "t2/z2");
    assert!(
        found
            .sampled
            .starts_with("3 of 4 nodes, in 2 of 2 node classes"),
        "{}",
        found.sampled
    );
}

#[test]
fn nodes_that_are_full_cordoned_or_not_ready_stand_back() {
    let mut cordoned = node("a1", "c5", "z1", "True");
    cordoned["spec"] = json!({"unschedulable": true});
    let nodes = vec![
        cordoned,
        node("a0", "c5", "z1", "Unknown"),
        node("a2", "c5", "z1", "True"),
        node("a3", "c5", "z1", "True"),
        node("b1", "t2", "z1", "False"),
    ];
    let full = vec![
        pod("p1", "a2", "nginx", "True"),
        pod("p2", "a2", "nginx", "True"),
    ];
    let found = chosen(nodes, full, &NodeChoice::Sampled).unwrap();
    assert_eq!(names(&found), ["a3"]);
    assert!(
        found.sampled.contains("t2/z1 (none of its nodes is Ready)"),
        "{}",
        found.sampled
    );
}

#[test]
fn a_node_that_cannot_run_the_image_is_left_out_with_its_reason() {
    let mut windows = node("w", "win", "z1", "True");
    windows["metadata"]["labels"]["kubernetes.io/os"] = json!("windows");
    let mut arm = node("g", "arm", "z1", "True");
    arm["metadata"]["labels"]["kubernetes.io/arch"] = json!("arm64");
    let mut fargate = node("f", "fp", "z1", "True");
    fargate["metadata"]["labels"]["eks.amazonaws.com/compute-type"] = json!("fargate");
    let found = chosen(vec![windows, arm, fargate], vec![], &NodeChoice::Sampled).unwrap();
    assert!(found.stands.is_empty());
    for why in ["for Linux", "its architecture", "Fargate"] {
        assert!(found.sampled.contains(why), "{}", found.sampled);
    }
}

#[test]
fn nodes_of_failing_pods_are_stood_on() {
    let nodes = vec![
        node("a1", "c5", "z1", "True"),
        node("a2", "c5", "z1", "True"),
    ];
    let mut stuck = pod("stuck", "a2", "nginx", "False");
    stuck["status"]["phase"] = json!("Pending");
    let found = chosen(nodes, vec![stuck], &NodeChoice::Sampled).unwrap();
    assert_eq!(names(&found), ["a1", "a2"]);
    assert_eq!(found.sampled, "");
}

#[test]
fn a_large_cluster_is_covered_by_a_bounded_number_of_pods() {
    let nodes = (0..200).map(|n| node(&format!("n{n:03}"), &format!("g{n}"), "z1", "True"));
    let pods = (0..200).map(|n| {
        pod(
            &format!("dns{n}"),
            &format!("n{n:03}"),
            "x/coredns:1",
            "True",
        )
    });
    let found = chosen(nodes.collect(), pods.collect(), &NodeChoice::Sampled).unwrap();
    assert_eq!(found.stands.len(), MOST);
    let all = (0..200).map(|n| node(&format!("n{n:03}"), "g", "z1", "True"));
    assert_eq!(
        chosen(all.collect(), vec![], &NodeChoice::All)
            .unwrap()
            .stands
            .len(),
        200
    );
}

#[test]
fn named_nodes_must_exist() {
    let nodes = || {
        vec![
            node("a1", "c5", "z1", "False"),
            node("a2", "c5", "z1", "True"),
        ]
    };
    let named = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        chosen(nodes(), vec![], &NodeChoice::Named(names))
    };
    // Also one that is not ready, when it is named.
    assert_eq!(names(&named(&["a1"]).unwrap()), ["a1"]);
    assert_eq!(named(&["a1", "gone"]), Err("gone".into()));
}
