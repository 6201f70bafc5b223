//! Plans without a cluster, against the public table of limits and worked examples.

use eksnet_capacity::{NodesPlan, Plan, PlanError, PlanRequest, Types, plan};
use eksnet_model::CniSettings;
use serde_json::Value;

fn request(types: &[&str], nodes: Option<u32>, subnets: &[&str]) -> PlanRequest {
    PlanRequest {
        types: Types::Named(types.iter().map(|name| (*name).to_owned()).collect()),
        nodes,
        subnets: subnets
            .iter()
            .map(|cidr| cidr.parse().expect("a block"))
            .collect(),
        surge: None,
        settings: CniSettings::default(),
    }
}

fn nodes_of(plan: &Plan) -> &NodesPlan {
    plan.types[0].nodes.as_ref().expect("a plan for nodes")
}

/// Figures by other code than the program's: the formulas of the CNI over the public table.
#[test]
fn every_known_type_is_listed_with_the_figures_that_aws_publishes() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/data/instance-eni-limits.csv"
    );
    let Ok(table) = std::fs::read_to_string(path) else {
        eprintln!("left out: no table of limits beside the project");
        return;
    };
    let listed = plan(&PlanRequest {
        types: Types::All,
        ..request(&[], None, &[])
    })
    .expect("a plan");
    let listed: Value = serde_json::to_value(&listed.types).expect("JSON");
    let listed = listed.as_array().expect("an array");
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let cell: Vec<&str> = line.split(',').collect();
        let row = listed
            .iter()
            .find(|row| row["instanceType"] == cell[0])
            .unwrap_or_else(|| panic!("{} is missing", cell[0]));
        let number = |text: &str| text.parse::<u64>().ok();
        let (vcpus, enis, ipv4) = (
            number(cell[1]),
            number(cell[2]).unwrap(),
            number(cell[4]).unwrap(),
        );
        let pods = enis * (ipv4 - 1) + 2;
        let capped = |pods: u64| match vcpus {
            Some(v) => Value::from(pods.min(if v > 30 { 250 } else { 110 })),
            None if pods <= 110 => Value::from(pods),
            None => Value::Null,
        };
        let prefixes = match (cell[6], cell[7]) {
            ("nitro", _) | (_, "true") => Value::Bool(true),
            ("xen", _) => Value::Bool(false),
            _ => Value::Null,
        };
        let with_prefixes = enis * (ipv4 - 1) * 16 + 2;
        let has = prefixes == true;
        for (key, expected) in [
            ("vcpus", vcpus.map_or(Value::Null, Value::from)),
            ("maxEnis", enis.into()),
            ("ipv4PerEni", ipv4.into()),
            ("maxPods", pods.into()),
            ("recommendedMaxPods", capped(pods)),
            (
                "maxPodsCustomNetworking",
                ((enis - 1) * (ipv4 - 1) + 2).into(),
            ),
            ("prefixDelegation", prefixes.clone()),
            (
                "maxPodsPrefixDelegation",
                if has {
                    with_prefixes.into()
                } else {
                    Value::Null
                },
            ),
            (
                "recommendedMaxPodsPrefixDelegation",
                if has {
                    capped(with_prefixes)
                } else {
                    Value::Null
                },
            ),
            (
                "trunking",
                cell[8].parse::<bool>().map_or(Value::Null, Value::from),
            ),
            (
                "branchEnis",
                number(cell[9]).map_or(Value::Null, Value::from),
            ),
            (
                "addressesBesideTrunk",
                if cell[8] == "true" {
                    ((enis - 1) * (ipv4 - 1)).into()
                } else {
                    Value::Null
                },
            ),
            ("windowsAddresses", (ipv4 - 1).into()),
            ("source", "table".into()),
        ] {
            assert_eq!(row[key], expected, "{} {key}", cell[0]);
        }
        rows += 1;
    }
    assert_eq!(rows, 1392);
    assert_eq!(listed.len(), rows);
}

#[test]
fn the_experiment_of_two_nodes_comes_out() {
    let planned = plan(&request(&["c5.xlarge"], Some(2), &[])).expect("a plan");
    let nodes = nodes_of(&planned);
    assert_eq!(nodes.enis_per_node * 2, 8);
    assert_eq!(nodes.full, 120, "eight interfaces of fifteen addresses");
    assert_eq!(nodes.addresses_per_node * 2, 112, "usable by pods");
    assert_eq!(nodes.max_pods_per_node * 2, 116, "kubelet slots");
    assert_eq!(nodes.pods, 112);
    assert_eq!(nodes.fresh, 60, "two interfaces each as soon as a pod runs");
}

#[test]
fn a_small_subnet_does_not_hold_full_nodes_and_says_how_many_it_holds() {
    let planned = plan(&request(&["m5.large"], Some(8), &["10.0.0.0/24"])).expect("a plan");
    let nodes = nodes_of(&planned);
    let subnets = nodes.subnets.as_ref().expect("subnets");
    assert_eq!(subnets.usable, 251);
    assert_eq!((nodes.fresh, nodes.full), (160, 240));
    // 240 and the control plane's four are 244 of 251; two nodes more and five addresses are not.
    assert!(subnets.hold_fresh && subnets.hold_full && !subnets.hold_update);
    assert_eq!(subnets.subnets[0].full, 244);
    assert_eq!(nodes.surge_nodes, 2);
    assert_eq!(subnets.subnets[0].during_update, 309);
    assert_eq!(subnets.full_nodes_that_fit, 8);
}

#[test]
fn one_subnet_that_is_full_stops_a_group_that_is_spread_over_two() {
    let planned = plan(&request(
        &["m5.large"],
        Some(10),
        &["10.0.0.0/22", "10.0.4.0/25"],
    ))
    .expect("a plan");
    let subnets = nodes_of(&planned).subnets.clone().expect("subnets");
    let holds: Vec<bool> = subnets.subnets.iter().map(|one| one.holds_full).collect();
    assert_eq!(holds, [true, false]);
    assert!(!subnets.hold_full);
    assert_eq!(
        subnets.full_nodes_that_fit, 8,
        "four of 30 in 123 - 2 addresses, twice"
    );
}

#[test]
fn prefixes_need_blocks_and_not_addresses_alone() {
    let mut request = request(&["m5.large"], Some(2), &["10.0.0.0/24"]);
    request.settings.prefix_delegation = true;
    let planned = plan(&request).expect("a plan");
    let nodes = nodes_of(&planned);
    assert_eq!(nodes.max_pods_per_node, 110);
    assert_eq!(
        nodes.full_per_node, 113,
        "seven prefixes and the interface's own address"
    );
    let subnet = &nodes.subnets.as_ref().expect("subnets").subnets[0];
    assert_eq!(
        subnet.prefix_blocks,
        Some(14),
        "AWS's own addresses break two"
    );
    assert!(subnet.holds_full, "14 prefixes in 14 blocks");
    request.nodes = Some(3);
    let planned = plan(&request).expect("a plan");
    assert!(
        !nodes_of(&planned)
            .subnets
            .as_ref()
            .expect("subnets")
            .hold_full
    );
}

#[test]
fn settings_change_what_nodes_take() {
    let cost = |change: &dyn Fn(&mut CniSettings)| {
        let mut request = request(&["m5.large"], Some(1), &[]);
        change(&mut request.settings);
        let planned = plan(&request).expect("a plan");
        let nodes = nodes_of(&planned);
        (
            nodes.max_pods_per_node,
            nodes.fresh_per_node,
            nodes.full_per_node,
            nodes.node_subnets,
        )
    };
    assert_eq!(cost(&|_| ()), (29, 20, 30, 0));
    assert_eq!(
        cost(&|s| s.warm_ips = Some(2)),
        (29, 4, 30, 0),
        "three and the interface's own"
    );
    assert_eq!(cost(&|s| s.custom_networking = true), (20, 20, 20, 1));
    assert_eq!(cost(&|s| s.max_enis = Some(2)), (20, 20, 20, 0));
    assert_eq!(
        cost(&|s| s.pod_eni = true),
        (29, 20, 20, 0),
        "the trunk takes one of three"
    );
    assert_eq!(
        cost(&|s| s.ipv6 = true),
        (29, 1, 1, 0),
        "the node's own address"
    );
}

#[test]
fn what_is_no_type_or_no_subnet_is_refused_by_name() {
    let error = plan(&request(&["c5.xlrage"], None, &[])).expect_err("no such type");
    assert!(matches!(error, PlanError::UnknownType { .. }));
    assert!(
        error.to_string().contains("c5.xlrage")
            && error.to_string().contains("did you mean c5.xlarge"),
        "{error}"
    );
    for (subnets, words) in [
        (&["10.0.0.0/8"][..], "/16 to /28"),
        (&["10.0.0.1/24"], "own address"),
        (&["10.0.0.0/24", "10.0.0.128/25"], "overlap"),
    ] {
        let error = plan(&request(&["c5.large"], Some(1), subnets)).expect_err("no subnet");
        assert!(error.to_string().contains(words), "{error}");
    }
}
