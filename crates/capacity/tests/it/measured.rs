//! What is measured of nodes, and what stays unknown.

use eksnet_capacity::{Limit, Measured, NodeState, measure};
use serde_json::json;

use crate::cluster::{Cluster, ZONE};

fn base() -> Cluster {
    Cluster::new().subnet(&format!("subnet-{ZONE}"), ZONE, "10.0.0.0/18", 16_000)
}

fn node(measured: &Measured) -> &NodeState {
    &measured.nodes[0]
}

#[test]
fn pods_are_told_apart_by_what_they_take() {
    let snapshot = base()
        .env("ENABLE_POD_ENI", "true")
        .node("n1", "m5.large", 29, "2000m", 10)
        .interface("n1", 1, 10, json!({}))
        .interface("n1", 2, 1, json!({"InterfaceType": "trunk"}))
        .pod("a", "n1", json!({}))
        .pod(
            "b",
            "n1",
            json!({"metadata": {"annotations": {"vpc.amazonaws.com/pod-eni": "[]"}}}),
        )
        .pod("done", "n1", json!({"status": {"phase": "Succeeded"}}))
        .pod("waits", "", json!({}))
        .snapshot();
    let measured = measure(&snapshot);
    let one = node(&measured);
    let pods = one.pods.expect("pods");
    assert_eq!((pods.ordinary, pods.host_network, pods.branch), (1, 2, 1));
    assert_eq!((one.enis.used, one.enis.possible), (Some(3), Some(3)));
    assert_eq!(one.addresses.allocated, Some(18), "the trunk gives none");
    assert_eq!(one.addresses.possible, Some(18));
    assert_eq!(
        (one.branch_enis.used, one.branch_enis.possible),
        (Some(1), Some(9))
    );
    assert_eq!(one.can_start, Some(17));
    assert_eq!(one.binds, [Limit::EniSlots], "the trunk took an interface");
    assert_eq!(measured.totals.pods_without_node, Some(1));
}

#[test]
fn a_foreign_interface_lowers_what_a_node_can_take() {
    let snapshot = base()
        .node("n1", "m5.large", 29, "2000m", 10)
        .interface(
            "n1",
            1,
            4,
            json!({"TagSet": [{"Key": "node.k8s.amazonaws.com/no_manage", "Value": "true"}]}),
        )
        .snapshot();
    let measured = measure(&snapshot);
    let one = node(&measured);
    assert_eq!(one.unusable_enis, Some(1));
    assert_eq!(one.addresses.possible, Some(18));
    assert_eq!(one.addresses.allocated, Some(9));
    assert_eq!(
        (one.can_start, &one.binds[..]),
        (Some(18), &[Limit::EniSlots][..])
    );
}

#[test]
fn with_custom_networking_the_primary_interface_carries_no_pods() {
    let snapshot = base()
        .subnet("subnet-pods", ZONE, "100.64.0.0/24", 200)
        .env("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "true")
        .node("n1", "m5.large", 20, "2000m", 1)
        .interface("n1", 1, 10, json!({"SubnetId": "subnet-pods"}))
        .with(
            "/kubernetes/eniconfigs",
            json!([{"metadata": {"name": "default"}, "spec": {"subnet": "subnet-pods"}}]),
        )
        .snapshot();
    let measured = measure(&snapshot);
    let one = node(&measured);
    assert_eq!(one.pod_subnets, ["subnet-pods"]);
    assert_eq!(
        (one.addresses.allocated, one.addresses.possible),
        (Some(9), Some(18))
    );
    assert_eq!(one.can_start, Some(18));
    assert_eq!(one.binds, [Limit::KubeletSlots, Limit::EniSlots]);
}

#[test]
fn what_is_not_known_is_null_and_the_gap_is_named() {
    let denied =
        json!({"gap": {"source": "ec2/subnets", "why": {"denied": "ec2:DescribeSubnets"}}});
    let snapshot = base()
        .node("n1", "m5.large", 29, "2000m", 10)
        .with("/aws/subnets", denied)
        .snapshot();
    let measured = measure(&snapshot);
    let one = node(&measured);
    assert_eq!(one.can_start, None);
    assert_eq!(one.can_start_at_most, Some(27));
    assert_eq!(measured.totals.can_start, None);
    assert_eq!(measured.totals.can_start_at_most, Some(27));
    assert!(
        measured
            .gaps
            .iter()
            .any(|gap| gap.to_string().contains("ec2:DescribeSubnets"))
    );
    assert!(measured.subnets.is_empty());

    let snapshot = base().node("n1", "z9.new", 29, "2000m", 10).snapshot();
    let measured = measure(&snapshot);
    assert_eq!(node(&measured).enis.possible, None);
    assert_eq!(node(&measured).can_start, None);
    assert!(
        measured
            .gaps
            .iter()
            .any(|gap| gap.detail.contains("z9.new"))
    );
}

#[test]
fn a_full_node_needs_no_subnet_to_be_known_as_full() {
    let denied =
        json!({"gap": {"source": "ec2/subnets", "why": {"denied": "ec2:DescribeSubnets"}}});
    let mut cluster = base().node("n1", "t3.medium", 4, "2000m", 6);
    for at in 0..2 {
        cluster = cluster.pod(&format!("p{at}"), "n1", json!({}));
    }
    let measured = measure(&cluster.with("/aws/subnets", denied).snapshot());
    assert_eq!(node(&measured).can_start, Some(0));
    assert_eq!(node(&measured).binds, [Limit::KubeletSlots]);
}

#[test]
fn a_part_of_the_pods_is_not_all_of_them() {
    let some =
        json!({"value": [], "gap": {"source": "k8s/pods", "why": {"onlyNamespaces": ["a"]}}});
    let parsed = base().node("n1", "m5.large", 29, "2000m", 10);
    let snapshot = parsed
        .with(
            "/kubernetes/pods",
            json!({"value": [], "gap": {"source": "k8s/pods", "why": {"only-namespaces": ["a"]}}}),
        )
        .snapshot();
    assert!(some.is_object());
    let measured = measure(&snapshot);
    assert_eq!(node(&measured).slots.used, None);
    assert_eq!(node(&measured).slots.possible, Some(29));
    assert_eq!(measured.totals.can_start, None);
}

#[test]
fn ipv6_pods_are_bound_by_slots_alone() {
    let snapshot = base()
        .env("ENABLE_IPv6", "true")
        .node("n1", "m5.large", 110, "2000m", 1)
        .snapshot();
    let measured = measure(&snapshot);
    assert_eq!(node(&measured).can_start, Some(108));
    assert_eq!(node(&measured).binds, [Limit::KubeletSlots]);
}

#[test]
fn nodes_that_take_no_pods_say_so() {
    let snapshot = base()
        .node_in(
            "n1",
            "m5.large",
            29,
            "2000m",
            10,
            ZONE,
            json!({"spec": {"unschedulable": true}}),
        )
        .snapshot();
    let measured = measure(&snapshot);
    assert_eq!(node(&measured).can_start, Some(0));
    assert_eq!(node(&measured).binds, [Limit::NotSchedulable]);
    assert_eq!(measured.totals.can_start, Some(0));
}

#[test]
fn windows_uses_its_primary_interface_alone() {
    let snapshot = base()
        .node_in(
            "n1",
            "m5.large",
            110,
            "2000m",
            10,
            ZONE,
            json!({"metadata": {"labels": {"kubernetes.io/os": "windows"}}}),
        )
        .snapshot();
    let measured = measure(&snapshot);
    assert_eq!(node(&measured).addresses.possible, Some(9));
    assert_eq!(node(&measured).can_start, Some(9));
}

#[test]
fn metrics_stand_in_for_interfaces_and_keep_the_names_of_the_helper() {
    let denied = json!({"gap": {"source": "ec2/network-interfaces", "why": {"denied": "ec2:DescribeNetworkInterfaces"}}});
    let snapshot = base()
        .node("n1", "c5.xlarge", 58, "4000m", 15)
        .with("/aws/networkInterfaces", denied)
        .with("/kubernetes/cniMetrics", json!([{"node": "n1", "pod": "aws-node-n1", "values": {
            "awscni_eni_allocated": 2, "awscni_eni_max": 4, "awscni_ip_max": 56, "awscni_total_ip_addresses": 28,
            "awscni_assigned_ip_addresses": 3}}]))
        .snapshot();
    let measured = measure(&snapshot);
    let one = node(&measured);
    assert_eq!(
        (
            one.enis.used,
            one.addresses.allocated,
            one.addresses.assigned
        ),
        (Some(2), Some(28), Some(3))
    );
    let figures = serde_json::to_value(measured.cni_metrics).expect("JSON");
    for (name, value) in [
        ("eniMaxAvailable", 4),
        ("eniAllocated", 2),
        ("maxIPAddresses", 56),
        ("totalIPAddresses", 28),
        ("assignIPAddresses", 3),
        ("ipamdErr", 0),
    ] {
        assert_eq!(figures[name], value, "{name}");
    }
}

#[test]
fn groups_carry_their_sizes_and_nothing_is_counted_in_two() {
    let snapshot = base()
        .node("a", "c5.xlarge", 58, "4000m", 15)
        .node("b", "m5.large", 29, "2000m", 10)
        .group("c5.xlarge", 1, 5)
        .snapshot();
    let measured = measure(&snapshot);
    let names: Vec<&str> = measured
        .groups
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["c5.xlarge", "m5.large"]);
    assert_eq!(measured.groups[0].sizes.map(|sizes| sizes.max), Some(5));
    assert_eq!(measured.groups[1].sizes, None);
    assert_eq!(measured.groups[0].can_start, Some(56));
    assert_eq!(measured.groups[1].can_start, Some(27));
    assert_eq!(measured.totals.can_start, Some(83));
}
