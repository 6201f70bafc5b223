//! The experiments of the user's notes: figures and limits as they met them.

use eksnet_capacity::{Ask, Limit, StoppedBy, WhatIf, measure, what_if};
use eksnet_model::Snapshot;
use eksnet_model::kubernetes::PodRequests;
use serde_json::json;

use crate::cluster::{Cluster, ZONE};

fn nodes(count: u32) -> Cluster {
    let mut cluster = Cluster::new().subnet(&format!("subnet-{ZONE}"), ZONE, "10.0.0.0/18", 16_000);
    for at in 1..=count {
        cluster = cluster.node(&format!("n{at}"), "c5.xlarge", 58, "4000m", 15);
    }
    cluster
}

fn pods(snapshot: &Snapshot, pods: u32, cpu_m: u64) -> WhatIf {
    let ask = Ask {
        pods: Some(pods),
        requests: PodRequests {
            cpu_m,
            ..PodRequests::default()
        },
        ..Ask::default()
    };
    what_if(snapshot, &ask).expect("an answer")
}

fn limits(all: &[StoppedBy]) -> Vec<(Limit, u32)> {
    all.iter().map(|one| (one.limit, one.nodes)).collect()
}

#[test]
fn two_nodes_have_8_interfaces_120_addresses_112_for_pods_and_116_slots() {
    let snapshot = nodes(2).snapshot();
    let totals = measure(&snapshot).totals;
    assert_eq!(totals.enis.possible, Some(8));
    assert_eq!(totals.addresses.possible, Some(112));
    // Eight interfaces take an address each for themselves.
    assert_eq!(
        totals.enis.possible.unwrap_or(0) + totals.addresses.possible.unwrap_or(0),
        120
    );
    assert_eq!(totals.slots.possible, Some(116));
    assert_eq!(totals.slots.used, Some(4), "aws-node and kube-proxy, twice");
    assert_eq!(totals.can_start, Some(112));
    assert_eq!(
        limits(&totals.stopped_by),
        [(Limit::KubeletSlots, 2), (Limit::AddressesPerEni, 2)],
        "both bind together"
    );
}

#[test]
fn a_hundred_pods_without_requests_fit_on_two_nodes_and_the_next_limit_is_12_pods_away() {
    let answer = pods(&nodes(2).snapshot(), 100, 0);
    assert_eq!(
        (answer.running, answer.without_address, answer.waiting),
        (100, 0, 0)
    );
    assert_eq!(answer.stops, None);
    let next = answer.next.expect("a distance");
    assert_eq!(next.pods, 12);
    assert_eq!(
        limits(&next.limits),
        [(Limit::KubeletSlots, 2), (Limit::AddressesPerEni, 2)]
    );
}

#[test]
fn what_kube_system_takes_is_missing_from_the_112() {
    // CoreDNS: two pods with addresses of their own.
    let snapshot = nodes(2)
        .pod(
            "coredns-1",
            "n1",
            json!({"metadata": {"namespace": "kube-system"}}),
        )
        .pod(
            "coredns-2",
            "n2",
            json!({"metadata": {"namespace": "kube-system"}}),
        )
        .snapshot();
    assert_eq!(measure(&snapshot).totals.can_start, Some(110));
    let answer = pods(&snapshot, 120, 0);
    assert_eq!((answer.running, answer.waiting), (110, 10));
    let stop = answer.stops.expect("a stop");
    assert_eq!((stop.pod, stop.has_node), (111, false));
    assert_eq!(
        limits(&stop.limits),
        [(Limit::KubeletSlots, 2), (Limit::AddressesPerEni, 2)]
    );
}

#[test]
fn one_node_with_100m_each_stops_at_cpu_with_61_other_pods_unschedulable() {
    // 4000m without aws-node's 10m and kube-proxy's 100m are 38 pods. The autoscaler's line counts the
    // pods besides the one that it stands for.
    let snapshot = nodes(1)
        .deployment(Some("100m"), 10, "n1", json!({}))
        .snapshot();
    let ask = Ask {
        workload: Some(("default/Deployment/web".parse().expect("a name"), 100)),
        ..Ask::default()
    };
    let answer = what_if(&snapshot, &ask).expect("an answer");
    assert_eq!(answer.asked, Some(90), "ten have a node already");
    assert_eq!(10 + answer.running, 38);
    assert_eq!(answer.waiting, 1 + 61);
    let stop = answer.stops.expect("a stop");
    assert_eq!(limits(&stop.limits), [(Limit::Cpu, 1)]);
    let left = |limit| {
        answer
            .rooms
            .iter()
            .find(|room| room.limit == limit)
            .map(|room| room.room)
    };
    assert_eq!(left(Limit::Cpu), Some(0));
    assert_eq!(left(Limit::KubeletSlots), Some(18), "58 - 40");
    assert_eq!(left(Limit::AddressesPerEni), Some(18), "56 - 38");
}

#[test]
fn one_node_without_requests_stops_at_slots_and_addresses_together() {
    let snapshot = nodes(1).deployment(None, 10, "n1", json!({})).snapshot();
    let ask = Ask {
        workload: Some(("default/deploy/web".parse().expect("a name"), 100)),
        ..Ask::default()
    };
    let answer = what_if(&snapshot, &ask).expect("an answer");
    assert_eq!(10 + answer.running, 56);
    assert_eq!(
        limits(&answer.stops.expect("a stop").limits),
        [(Limit::KubeletSlots, 1), (Limit::AddressesPerEni, 1)]
    );
}

#[test]
fn a_group_that_may_grow_takes_the_rest_and_one_that_may_not_is_what_stops() {
    let grown = |max| {
        let snapshot = nodes(1)
            .deployment(Some("100m"), 10, "n1", json!({}))
            .group("c5.xlarge", 1, max)
            .snapshot();
        let ask = Ask {
            workload: Some(("default/Deployment/web".parse().expect("a name"), 100)),
            ..Ask::default()
        };
        what_if(&snapshot, &ask).expect("an answer")
    };
    let answer = grown(10);
    // 62 wait, 38 fit on a node: two more, as the autoscaler's "Upcoming 2 nodes" says.
    assert_eq!(answer.new_nodes.len(), 1);
    assert_eq!(
        (answer.new_nodes[0].nodes, answer.new_nodes[0].possible),
        (2, 9)
    );
    assert_eq!(answer.running_with_new_nodes, 90);
    assert_eq!(answer.stops_with_new_nodes, None);
    assert_eq!(answer.next.expect("a distance").pods, 3 * 38 - 100);
    let answer = grown(2);
    assert_eq!(answer.new_nodes[0].nodes, 1);
    assert_eq!(answer.running_with_new_nodes, 28 + 38);
    let stop = answer.stops_with_new_nodes.expect("a stop");
    assert!(
        stop.limits.iter().any(|one| one.limit == Limit::AsgMaximum),
        "{stop:?}"
    );
}

#[test]
fn a_kubelet_that_admits_more_than_the_interfaces_hold_leaves_pods_without_an_address() {
    let snapshot = Cluster::new()
        .subnet(&format!("subnet-{ZONE}"), ZONE, "10.0.0.0/18", 16_000)
        .node("n1", "c5.xlarge", 110, "4000m", 15)
        .snapshot();
    let answer = pods(&snapshot, 100, 0);
    assert_eq!(
        (answer.running, answer.without_address, answer.waiting),
        (56, 44, 0)
    );
    let stop = answer.stops.expect("a stop");
    assert_eq!((stop.pod, stop.has_node), (57, true));
    assert_eq!(limits(&stop.limits), [(Limit::AddressesPerEni, 1)]);
}

#[test]
fn a_pod_that_takes_the_last_of_the_cpu_still_fits() {
    let snapshot = Cluster::new()
        .subnet(&format!("subnet-{ZONE}"), ZONE, "10.0.0.0/18", 16_000)
        .node("n1", "c5.xlarge", 58, "4010m", 15)
        .snapshot();
    let answer = pods(&snapshot, 100, 100);
    assert_eq!(
        (answer.running, answer.waiting),
        (39, 61),
        "4010m without 110m are 39 times 100m"
    );
}
