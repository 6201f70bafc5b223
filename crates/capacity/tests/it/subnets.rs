//! Subnets that run dry, prefixes, blocks, and what more of them changes.

use eksnet_capacity::{Ask, Limit, measure, what_if};
use eksnet_model::Snapshot;
use serde_json::json;

use crate::cluster::{Cluster, ZONE};

fn subnet() -> String {
    format!("subnet-{ZONE}")
}

fn ask(pods: u32) -> Ask {
    Ask {
        pods: Some(pods),
        ..Ask::default()
    }
}

fn set(pods: u32, name: &str, value: &str) -> Ask {
    Ask {
        set: vec![(name.to_owned(), value.to_owned())],
        ..ask(pods)
    }
}

/// Two nodes in a subnet with few free addresses.
fn few(free: u32) -> Cluster {
    Cluster::new()
        .subnet(&subnet(), ZONE, "10.0.0.0/24", free)
        .node("n1", "c5.xlarge", 58, "4000m", 15)
        .node("n2", "c5.xlarge", 58, "4000m", 15)
}

#[test]
fn a_subnet_that_runs_dry_stops_pods_that_have_a_node() {
    let snapshot = few(20).snapshot();
    // 28 on the primary interfaces; a second interface takes 15 of 20 for 14, the last 5 give 4.
    let measured = measure(&snapshot);
    assert_eq!(measured.totals.can_start, Some(28 + 14 + 4));
    assert_eq!(
        measured.totals.stopped_by.first().map(|one| one.limit),
        Some(Limit::SubnetAddresses)
    );
    let answer = what_if(&snapshot, &ask(60)).expect("an answer");
    assert_eq!(answer.running, 46);
    assert_eq!(answer.without_address, 14);
    let stop = answer.stops.expect("a stop");
    assert!(stop.has_node);
    assert_eq!(stop.limits[0].limit, Limit::SubnetAddresses);
}

#[test]
fn two_nodes_do_not_count_the_same_free_addresses_twice() {
    let snapshot = few(15).snapshot();
    let measured = measure(&snapshot);
    let each: Vec<Option<u32>> = measured.nodes.iter().map(|node| node.can_start).collect();
    assert_eq!(each, [Some(28), Some(28)], "each has the 15 for itself");
    assert_eq!(measured.totals.can_start, Some(42), "both have them once");
}

#[test]
fn a_warm_stock_of_single_addresses_leaves_more_for_others() {
    // Three nodes, few addresses: whole spare interfaces are hoarded by whoever comes first.
    let snapshot = few(40).node("n3", "c5.xlarge", 58, "4000m", 15).snapshot();
    let by_interfaces = what_if(&snapshot, &ask(45)).expect("an answer");
    let by_addresses = what_if(&snapshot, &set(45, "WARM_IP_TARGET", "1")).expect("an answer");
    assert_eq!(by_addresses.running, 45);
    let room = |answer: &eksnet_capacity::WhatIf| answer.next.as_ref().map(|next| next.pods);
    assert!(
        room(&by_addresses) >= room(&by_interfaces),
        "{by_addresses:?}"
    );
}

#[test]
fn more_addresses_let_the_rest_start() {
    let snapshot = few(0).snapshot();
    assert_eq!(what_if(&snapshot, &ask(60)).expect("an answer").running, 28);
    let more = Ask {
        add_cidr: vec!["100.64.0.0/16".parse().expect("a block")],
        ..ask(60)
    };
    let answer = what_if(&snapshot, &more).expect("an answer");
    assert_eq!(answer.running, 60);
    let wrong = Ask {
        add_cidr: vec!["10.0.0.0/8".parse().expect("a block")],
        ..ask(1)
    };
    assert!(what_if(&snapshot, &wrong).is_err());
}

/// A subnet with an address in use in each of its blocks.
fn fragmented(reservations: serde_json::Value) -> Snapshot {
    let mut cluster = Cluster::new()
        .env("ENABLE_PREFIX_DELEGATION", "true")
        .subnet("subnet-z", "us-west-2b", "10.2.0.0/20", 3_800)
        .node_in("n1", "m5.large", 110, "2000m", 1, "us-west-2b", json!({}));
    let addresses: Vec<_> = (0..256_u32)
        .map(|block| std::net::Ipv4Addr::from(0x0a02_0000 + block * 16 + 7).to_string())
        .collect();
    let interfaces: Vec<_> = addresses
        .iter()
        .map(|ip| json!({"NetworkInterfaceId": format!("eni-{ip}"), "SubnetId": "subnet-us-west-2b", "PrivateIpAddress": ip,
            "Status": "in-use", "Description": "RDSNetworkInterface"}))
        .chain([json!({"NetworkInterfaceId": "eni-n1-0", "SubnetId": "subnet-us-west-2b", "PrivateIpAddress": "10.2.0.9",
            "Attachment": {"InstanceId": "i-n1", "DeviceIndex": 0}})])
        .collect();
    cluster = cluster
        .with("/aws/networkInterfaces", json!(interfaces))
        .with(
            "/aws/subnets",
            json!([{"SubnetId": "subnet-us-west-2b", "VpcId": "vpc-1", "CidrBlock": "10.2.0.0/20",
            "AvailabilityZone": "us-west-2b", "AvailableIpAddressCount": 3834}]),
        )
        .with(
            "/aws/instances",
            json!([{"InstanceId": "i-n1", "SubnetId": "subnet-us-west-2b", "VpcId": "vpc-1"}]),
        )
        .with("/aws/subnetCidrReservations", reservations);
    cluster.snapshot()
}

#[test]
fn thousands_of_free_addresses_and_no_free_block_stop_prefixes() {
    let measured = measure(&fragmented(json!([])));
    let subnet = &measured.subnets[0];
    assert_eq!(subnet.free, Some(3834));
    assert_eq!(subnet.free_prefix_blocks, Some(0));
    assert_eq!(subnet.unseen_addresses, Some(0));
    assert_eq!(measured.totals.can_start, Some(0));
    assert_eq!(measured.totals.stopped_by[0].limit, Limit::PrefixBlocks);
    assert_eq!(measured.nodes[0].binds, [Limit::PrefixBlocks]);
}

#[test]
fn a_range_that_is_set_aside_for_other_things_holds_no_block() {
    let mut cluster = Cluster::new()
        .env("ENABLE_PREFIX_DELEGATION", "true")
        .subnet(&subnet(), ZONE, "10.0.0.0/24", 250)
        .node("n1", "m5.large", 110, "2000m", 1);
    let range = |kind: &str| {
        json!([{"SubnetCidrReservationId": "scr-1", "SubnetId": subnet(), "Cidr": "10.0.0.128/25",
        "ReservationType": kind}])
    };
    let open = measure(&cluster_with(&range("prefix"))).subnets[0].free_prefix_blocks;
    let shut = measure(&cluster_with(&range("explicit"))).subnets[0].free_prefix_blocks;
    assert_eq!((open, shut), (Some(14), Some(7)));
    fn cluster_with(range: &serde_json::Value) -> Snapshot {
        Cluster::new()
            .env("ENABLE_PREFIX_DELEGATION", "true")
            .subnet(&subnet(), ZONE, "10.0.0.0/24", 250)
            .node("n1", "m5.large", 110, "2000m", 1)
            .with("/aws/subnetCidrReservations", range.clone())
            .snapshot()
    }
    cluster = cluster.env("WARM_PREFIX_TARGET", "1");
    assert_eq!(measure(&cluster.snapshot()).totals.can_start, Some(108));
}

#[test]
fn prefixes_on_replaced_nodes_raise_the_ceiling_and_then_slots_bind() {
    let snapshot = Cluster::new()
        .subnet(&subnet(), ZONE, "10.0.0.0/20", 4_000)
        .node("n1", "m5.large", 29, "2000m", 10)
        .snapshot();
    let answer = what_if(&snapshot, &ask(60)).expect("an answer");
    assert_eq!((answer.running, answer.waiting), (27, 33));
    let answer =
        what_if(&snapshot, &set(60, "ENABLE_PREFIX_DELEGATION", "true")).expect("an answer");
    assert_eq!((answer.running, answer.waiting), (60, 0));
    assert_eq!(answer.next.expect("a distance").pods, 108 - 60);
    assert!(answer.supposes.iter().any(|one| one.contains("replaced")));
}

#[test]
fn addresses_that_no_seen_interface_holds_are_a_gap() {
    let snapshot = few(100).snapshot();
    let measured = measure(&snapshot);
    // 251 usable, 100 free, 30 on the two interfaces.
    assert_eq!(measured.subnets[0].unseen_addresses, Some(121));
    assert!(
        measured
            .gaps
            .iter()
            .any(|gap| gap.detail.contains("121 in subnet-us-west-2a"))
    );
}
