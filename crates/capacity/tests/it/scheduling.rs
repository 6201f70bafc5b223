//! What pods demand of nodes and of each other.

use eksnet_capacity::{Ask, AskError, Limit, WhatIf, what_if};
use eksnet_model::Snapshot;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// Three nodes in two zones.
fn three(spec: Value) -> Snapshot {
    cluster(spec).snapshot()
}

fn cluster(spec: Value) -> Cluster {
    let mut cluster = Cluster::new();
    for zone in ["a", "b"] {
        cluster = cluster.subnet(&format!("subnet-{zone}"), zone, "10.0.0.0/18", 16_000);
    }
    for (name, zone) in [("n1", "a"), ("n2", "a"), ("n3", "b")] {
        cluster = cluster.node_in(name, "m5.large", 29, "2000m", 10, zone, json!({}));
    }
    cluster.deployment(Some("10m"), 0, "", spec)
}

fn replicas(snapshot: &Snapshot, count: u32) -> WhatIf {
    let ask = Ask {
        workload: Some(("default/Deployment/web".parse().expect("a name"), count)),
        ..Ask::default()
    };
    what_if(snapshot, &ask).expect("an answer")
}

fn stops_at(answer: &WhatIf, limit: Limit) -> bool {
    answer
        .stops
        .as_ref()
        .is_some_and(|stop| stop.limits.iter().any(|one| one.limit == limit))
}

fn anti(key: &str) -> Value {
    json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": key}]}}})
}

#[test]
fn pods_that_repel_each_other_get_a_node_each() {
    let answer = replicas(&three(anti("kubernetes.io/hostname")), 5);
    assert_eq!((answer.running, answer.waiting), (3, 2));
    assert!(stops_at(&answer, Limit::Spread), "{:?}", answer.stops);
    let answer = replicas(&three(anti("topology.kubernetes.io/zone")), 5);
    assert_eq!((answer.running, answer.waiting), (2, 3));
}

#[test]
fn one_pod_for_each_node_grows_a_group_by_one_node_each() {
    let snapshot = cluster(anti("kubernetes.io/hostname"))
        .group("m5.large", 3, 5)
        .snapshot();
    let answer = replicas(&snapshot, 6);
    assert_eq!(answer.new_nodes[0].nodes, 2);
    assert_eq!(answer.running_with_new_nodes, 5);
    let stop = answer.stops_with_new_nodes.expect("a stop");
    assert!(stop.limits.iter().any(|one| one.limit == Limit::AsgMaximum));
}

#[test]
fn a_pod_that_runs_keeps_others_away_too() {
    let snapshot = cluster(json!({}))
        .pod("alone", "n3", json!({"metadata": {"labels": {"app": "other"}}, "spec": anti("kubernetes.io/hostname")}))
        .snapshot();
    let answer = replicas(&snapshot, 100);
    assert_eq!(answer.running, 54, "n3 is closed");
}

#[test]
fn spread_over_zones_stops_when_the_smaller_zone_is_full() {
    let spread = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]});
    let answer = replicas(&three(spread.clone()), 100);
    // 27 in zone b, one more in zone a.
    assert_eq!(answer.running, 27 + 28);
    assert!(stops_at(&answer, Limit::Spread) && stops_at(&answer, Limit::KubeletSlots));
    let mut anyway = spread;
    anyway["topologySpreadConstraints"][0]["whenUnsatisfiable"] = json!("ScheduleAnyway");
    assert_eq!(replicas(&three(anyway), 100).running, 81);
}

#[test]
fn a_tainted_zone_holds_spread_pods_back_unless_taints_are_honoured() {
    let taint =
        json!({"spec": {"taints": [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]}});
    let of = |policy: &str, taint: &Value| {
        let spec = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}},
            "nodeTaintsPolicy": policy}]});
        let snapshot = Cluster::new()
            .subnet("subnet-a", "a", "10.0.0.0/18", 16_000)
            .subnet("subnet-b", "b", "10.0.64.0/18", 16_000)
            .node_in("n1", "m5.large", 29, "2000m", 10, "a", json!({}))
            .node_in("n2", "m5.large", 29, "2000m", 10, "b", taint.clone())
            .deployment(None, 0, "", spec)
            .snapshot();
        replicas(&snapshot, 10).running
    };
    assert_eq!(of("Ignore", &taint), 1);
    assert_eq!(of("Honor", &taint), 10);
}

#[test]
fn selectors_affinity_and_taints_choose_nodes() {
    let answer = replicas(
        &three(json!({"nodeSelector": {"topology.kubernetes.io/zone": "b"}})),
        40,
    );
    assert_eq!((answer.running, answer.waiting), (27, 13));
    let stop = answer.stops.clone().expect("a stop");
    let placement = stop.limits.iter().find(|one| one.limit == Limit::Placement);
    assert_eq!(placement.map(|one| one.nodes), Some(2));
    let of_two = json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["n1"]}]}]}}}});
    assert_eq!(replicas(&three(of_two), 100).running, 54);
    let nowhere = replicas(&three(json!({"nodeSelector": {"disk": "ssd"}})), 1);
    assert_eq!(nowhere.waiting, 1);
    assert_eq!(
        nowhere.stops.expect("a stop").limits[0].limit,
        Limit::Placement
    );
}

#[test]
fn pods_that_must_be_near_start_somewhere_and_stay_there() {
    let near = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}]}}});
    assert_eq!(replicas(&three(near), 100).running, 27);
    let other = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "cache"}}, "topologyKey": "kubernetes.io/hostname"}]}}});
    assert_eq!(replicas(&three(other), 1).running, 0, "there is no cache");
}

#[test]
fn host_network_pods_take_slots_and_no_address() {
    let snapshot = three(json!({"hostNetwork": true}));
    let answer = replicas(&snapshot, 100);
    assert_eq!(answer.running, 81);
    assert!(
        answer
            .rooms
            .iter()
            .all(|room| room.limit != Limit::AddressesPerEni)
    );
}

#[test]
fn what_is_not_in_the_evidence_is_refused_by_name() {
    let snapshot = three(json!({}));
    let ask = |workload: &str| Ask {
        workload: Some((workload.parse().expect("a name"), 1)),
        ..Ask::default()
    };
    let error = what_if(&snapshot, &ask("default/Deployment/wbe")).expect_err("no such workload");
    assert_eq!(
        error,
        AskError::NoWorkload("default/Deployment/wbe".to_owned())
    );
    let group = Ask {
        pods: Some(1_000),
        group: Some(("c5".to_owned(), 5)),
        ..Ask::default()
    };
    let error = what_if(&snapshot, &group)
        .expect_err("no such group")
        .to_string();
    assert!(
        error.contains("\"c5\"") && error.contains("m5.large"),
        "{error}"
    );
    let setting = Ask {
        pods: Some(1),
        set: vec![("WARM_IPS".to_owned(), "1".to_owned())],
        ..Ask::default()
    };
    assert!(what_if(&snapshot, &setting).is_err());
    assert!("web".parse::<eksnet_capacity::WorkloadName>().is_err());
}
