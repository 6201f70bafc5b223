//! Which cluster it is, and everything about it when all goes well.

use std::collections::BTreeSet;

use eksnet_collect::ClusterHints;
use eksnet_collect::aws::{AwsSession, Identity};
use eksnet_model::{Evidence, Source, Why};
use eksnet_testkit::aws_pages;
use serde_json::{Value, json};

use crate::world::{
    CA, HOST, OTHER_CA, described, everything, fetch, gap, hints, options, sdk, session, small_aws,
};

#[tokio::test]
async fn every_source_is_complete_and_the_cluster_is_verified() {
    let aws = small_aws();
    let found = fetch(&aws).await;
    assert_eq!(aws.unexpected(), [""; 0]);
    assert_eq!(found.identity, Identity::Verified);
    let facts = &found.facts;
    let text = |text: &Option<eksnet_model::Text>| text.as_deref().unwrap_or("?").to_owned();
    assert_eq!(
        [
            &facts.name,
            &facts.region,
            &facts.account,
            &facts.version,
            &facts.partition
        ]
        .map(text),
        ["prod", "us-west-2", "123456789012", "1.33", "aws"]
    );
    assert_eq!(facts.eks, Some(true));

    let said = &found.aws;
    assert!(said.caller_identity.is_complete());
    assert!(said.cluster.value().unwrap().compute_config.enabled);
    let groups = said.nodegroups.value().unwrap();
    assert_eq!(groups[0].nodegroup_name, "c5");
    assert_eq!(groups[1].resources.auto_scaling_groups[0].name, "eks-t3");
    assert_eq!(groups[0].health.issues[0].code, "Ec2SubnetNotFound");
    assert_eq!(groups[0].scaling_config.max_size, 5);
    let associations = said.pod_identity_associations.value().unwrap();
    assert_eq!(associations[0].namespace, "kube-system");
    assert_eq!(
        associations[1].role_arn,
        "arn:aws:iam::123456789012:role/a-2"
    );
    let addon = &said.addons.value().unwrap()[0];
    assert_eq!(
        (addon.addon_name.as_str(), addon.status.as_str()),
        ("vpc-cni", "DEGRADED")
    );
    assert_eq!(addon.health.issues[0].code, "InsufficientNumberOfReplicas");
    assert_eq!(said.access_entries.value().unwrap()[0].kind, "EC2_LINUX");
    let gateway = &said.nat_gateways.value().unwrap()[0];
    assert_eq!(gateway.failure_code.as_deref(), Some("Gateway.NotAttached"));
    let activity = &said.scaling_activities.value().unwrap()[0];
    assert_eq!(activity.status_code, "Failed");
    assert!(activity.start_time.is_some());
    assert_eq!(said.instances.value().unwrap().len(), 2);
    let types = said.instance_types.value().unwrap();
    let types: Vec<&str> = types.iter().map(|t| t.instance_type.as_str()).collect();
    assert_eq!(types, ["c5.large", "m5.large"]);
    let free = said.subnets.value().unwrap()[0].available_ip_address_count;
    assert_eq!(free, Some(14));
    assert_eq!(said.network_interfaces.value().unwrap().len(), 1);
    assert_eq!(said.security_groups.value().unwrap().len(), 1);
    assert!(said.network_acls.value().unwrap()[0].is_default);
    assert_eq!(said.route_tables.value().unwrap().len(), 1);
    let vpc = &said.vpcs.value().unwrap()[0];
    assert_eq!(vpc.enable_dns_support, Some(true));
    assert_eq!(vpc.enable_dns_hostnames, Some(false));
    assert_eq!(said.vpc_endpoints.value().unwrap().len(), 1);
    let options = said.dhcp_options.value().unwrap();
    assert_eq!(options[0].dhcp_options_id, "dopt-1");
    let lists = said.prefix_lists.value().unwrap();
    let lists: Vec<&str> = lists
        .iter()
        .map(|list| list.prefix_list_id.as_str())
        .collect();
    assert_eq!(lists, ["pl-route", "pl-rule"]);
    let groups = said.auto_scaling_groups.value().unwrap();
    assert_eq!(
        groups.len(),
        1,
        "a group of another VPC is none of the cluster's"
    );
    assert_eq!(groups[0].auto_scaling_group_name, "nodes");
    assert_eq!(groups[0].in_service(), 1);
    assert_eq!(groups[0].suspended_processes[0].process_name, "Launch");
    assert_eq!(groups[0].tags[0].propagate_at_launch, Some(true));

    let gaps: Vec<Source> = {
        let snapshot = eksnet_model::Snapshot {
            aws: said.clone(),
            ..Default::default()
        };
        let gaps = snapshot.gaps();
        gaps.into_iter()
            .filter(|gap| gap.why != Why::NotRequested)
            .map(|gap| gap.source)
            .collect()
    };
    assert_eq!(gaps, []);
}

#[tokio::test]
async fn calls_are_signed_counted_filtered_and_asked_for_in_large_pages() {
    let aws = small_aws();
    let found = fetch(&aws).await;
    let calls = aws.calls();
    for call in &calls {
        assert_eq!(call.access_key, "AKIATESTKIT", "{}", call.action);
        assert_eq!(call.region, "us-west-2", "{}", call.action);
    }
    let sent: u64 = found.calls.values().sum();
    assert_eq!(sent, u64::try_from(calls.len()).unwrap());
    assert_eq!(found.calls["ec2:DescribeVpcAttribute"], 2);
    assert_eq!(found.calls["eks:DescribeNodegroup"], 2);
    assert_eq!(found.calls["sts:GetCallerIdentity"], 1);
    for (action, page) in [
        ("DescribeInstances", "1000"),
        ("DescribeSubnets", "1000"),
        ("DescribeNetworkInterfaces", "1000"),
        ("DescribeSecurityGroups", "1000"),
        ("DescribeNetworkAcls", "1000"),
        ("DescribeRouteTables", "100"),
        ("DescribeVpcEndpoints", "1000"),
    ] {
        let call = calls.iter().find(|call| call.action == action).unwrap();
        assert_eq!(call.filter("vpc-id"), ["vpc-1"], "{action}");
        assert_eq!(call.param("MaxResults"), Some(page), "{action}");
    }
    let agent = calls[0].request.header("user-agent").unwrap_or("");
    assert!(agent.contains("aws-sdk-rust"), "{agent}");
}

#[tokio::test]
async fn only_wanted_sources_and_what_they_hang_on_are_asked_for() {
    let aws = small_aws();
    let session = session(&aws.url(), &hints()).await;
    let found = session.fetch(&BTreeSet::from([Source::PrefixLists])).await;
    assert!(found.aws.prefix_lists.is_complete());
    assert_eq!(gap(&found.aws.subnets).why, Why::NotRequested);
    let asked: BTreeSet<String> = aws.calls().into_iter().map(|call| call.action).collect();
    let expected = [
        "DescribeCluster",
        "DescribeRouteTables",
        "DescribeSecurityGroups",
        "GetCallerIdentity",
        "GetManagedPrefixListEntries",
    ];
    assert_eq!(asked, expected.map(str::to_owned).into());
}

#[tokio::test]
async fn all_pages_of_every_list_are_read() {
    let aws = small_aws();
    let subnets: Vec<Value> = (0..7)
        .map(|n| json!({"subnetId": format!("subnet-{n}")}))
        .collect();
    aws.on("ec2", "DescribeSubnets", aws_pages("subnetSet", subnets, 3));
    let names: Vec<Value> = (0..5).map(|n| json!(format!("group-{n}"))).collect();
    aws.on("eks", "ListNodegroups", aws_pages("nodegroups", names, 2));
    let groups: Vec<Value> = (0..250)
        .map(|n| {
            json!({"AutoScalingGroupName": format!("g{n}"), "VPCZoneIdentifier": "subnet-3",
                "MinSize": 0, "MaxSize": 0, "DesiredCapacity": 0, "AvailabilityZones": ["us-west-2a"]})
        })
        .collect();
    let pages = aws_pages("AutoScalingGroups", groups, 1000);
    aws.on("autoscaling", "DescribeAutoScalingGroups", pages);
    let found = fetch(&aws).await;
    assert_eq!(found.aws.subnets.value().unwrap().len(), 7);
    assert_eq!(found.aws.nodegroups.value().unwrap().len(), 5);
    assert_eq!(found.aws.auto_scaling_groups.value().unwrap().len(), 250);
    assert!(found.aws.auto_scaling_groups.is_complete());
    assert_eq!(found.calls["ec2:DescribeSubnets"], 3);
    assert_eq!(found.calls["autoscaling:DescribeAutoScalingGroups"], 3);
}

#[tokio::test]
async fn another_ca_is_a_mismatch_and_nothing_of_that_cluster_is_read() {
    let aws = small_aws();
    let hints = ClusterHints {
        ca_pem: Some(OTHER_CA.to_owned()),
        ..hints()
    };
    let found = session(&aws.url(), &hints).await.fetch(&everything()).await;
    assert!(matches!(found.identity, Identity::Mismatch { .. }));
    assert_eq!(found.aws.cluster.value(), None);
    let closes = &gap(&found.aws.subnets).closes;
    assert_eq!(closes.as_deref(), Some("--cluster-name"));
    let asked: Vec<String> = aws.calls().into_iter().map(|call| call.action).collect();
    assert_eq!(asked, ["GetCallerIdentity", "DescribeCluster"]);
}

#[tokio::test]
async fn a_tunnel_is_a_note_that_the_facts_carry() {
    let aws = small_aws();
    let hints = ClusterHints {
        api_host: "127.0.0.1".to_owned(),
        ..hints()
    };
    let found = session(&aws.url(), &hints).await.fetch(&everything()).await;
    let Identity::Note(note) = found.identity else {
        panic!("no note: {:?}", found.identity);
    };
    assert_eq!(found.facts.notes, [note]);
    assert!(found.aws.subnets.is_complete());
}

#[tokio::test]
async fn a_cluster_that_may_not_be_described_leaves_the_vpc_to_its_instances() {
    let aws = small_aws();
    aws.deny("eks", "DescribeCluster");
    let found = fetch(&aws).await;
    let denied = Why::Denied("eks:DescribeCluster".into());
    let Identity::Unknown(why) = found.identity else {
        panic!("not unknown");
    };
    assert_eq!(why.why, denied);
    assert_eq!(why.closes.as_deref(), Some("eks:DescribeCluster"));
    assert_eq!(gap(&found.aws.cluster).why, denied);
    assert_eq!(found.facts.name.as_deref(), Some("prod"));
    assert!(found.aws.subnets.is_complete());
    let first = aws
        .calls()
        .into_iter()
        .find(|call| call.action == "DescribeInstances");
    assert_eq!(first.unwrap().filter("instance-id"), ["i-0a"]);
}

#[tokio::test]
async fn before_any_node_is_known_the_tag_of_the_cluster_finds_its_instances() {
    let aws = small_aws();
    aws.deny("eks", "DescribeCluster");
    let hints = ClusterHints {
        instance_ids: Vec::new(),
        ..hints()
    };
    let found = session(&aws.url(), &hints).await.fetch(&everything()).await;
    assert!(found.aws.subnets.is_complete());
    let calls = aws.calls();
    let first = calls.iter().find(|call| call.action == "DescribeInstances");
    let tags = first.unwrap().filter("tag-key");
    assert_eq!(tags, ["kubernetes.io/cluster/prod"]);
}

#[tokio::test]
async fn without_cluster_and_instances_the_vpc_is_a_gap_with_the_first_reason() {
    let aws = small_aws();
    aws.deny("eks", "DescribeCluster");
    aws.answer("ec2", "DescribeInstances", json!({"reservationSet": []}));
    let found = fetch(&aws).await;
    for gap in [gap(&found.aws.subnets), gap(&found.aws.instances)] {
        assert_eq!(gap.why, Why::Denied("eks:DescribeCluster".into()));
        assert!(gap.detail.contains("VPC"), "{gap}");
    }
}

#[tokio::test]
async fn a_cluster_that_nothing_names_is_found_by_the_tags_of_its_instances() {
    let aws = small_aws();
    let hints = ClusterHints {
        cluster_name: None,
        ..hints()
    };
    let found = session(&aws.url(), &hints).await.fetch(&everything()).await;
    assert_eq!(found.facts.name.as_deref(), Some("prod"));
    assert_eq!(found.identity, Identity::Verified);
    assert!(!found.calls.contains_key("eks:ListClusters"));
}

#[tokio::test]
async fn or_it_is_found_by_its_endpoint_among_the_clusters_of_the_region() {
    let aws = small_aws();
    aws.answer("eks", "ListClusters", json!({"clusters": ["test", "prod"]}));
    aws.on("eks", "DescribeCluster", |call| match call.param("name") {
        Some("prod") => described(json!({})).into(),
        other => described(json!({"name": other, "endpoint": "https://other.example"})).into(),
    });
    let hints = ClusterHints {
        api_host: HOST.to_owned(),
        ca_pem: Some(CA.to_owned()),
        ..ClusterHints::default()
    };
    let found = session(&aws.url(), &hints).await.fetch(&everything()).await;
    assert_eq!(found.facts.name.as_deref(), Some("prod"));
    let unknown = ClusterHints {
        api_host: "elsewhere.example".to_owned(),
        ..hints
    };
    let found = session(&aws.url(), &unknown)
        .await
        .fetch(&everything())
        .await;
    assert_eq!(found.facts.name, None);
    let Evidence::Absent(gap) = &found.aws.nodegroups else {
        panic!("node groups of a cluster without a name");
    };
    assert_eq!(gap.closes.as_deref(), Some("--cluster-name"));
}

#[tokio::test]
async fn the_flag_beats_the_context_and_a_cluster_that_is_not_there_says_where_it_was_sought() {
    let aws = small_aws();
    let missing = eksnet_testkit::Answer::error(404, "ResourceNotFoundException", "No cluster");
    aws.answer("eks", "DescribeCluster", missing);
    let mut options = options();
    options.cluster_name = Some("typo".to_owned());
    let hints = ClusterHints {
        account: Some("999999999999".to_owned()),
        ..hints()
    };
    let session = AwsSession::with_config(sdk(&aws.url()), &options, &hints)
        .await
        .unwrap();
    let found = session.fetch(&everything()).await;
    let gap = gap(&found.aws.cluster);
    for part in ["typo", "us-west-2", "123456789012", "999999999999"] {
        assert!(gap.detail.contains(part), "{gap}");
    }
    let call = aws
        .calls()
        .into_iter()
        .find(|call| call.action == "DescribeCluster");
    assert_eq!(call.unwrap().param("name"), Some("typo"));
}

#[tokio::test]
async fn futures_are_small_enough_to_stand_side_by_side_on_a_stack() {
    let aws = small_aws();
    let (options, hints) = (options(), hints());
    let connect = AwsSession::with_config(sdk(&aws.url()), &options, &hints);
    let size = size_of_val(&connect);
    assert!(size < 16 * 1024, "connect takes {size} bytes");
    let (session, wanted) = (connect.await.unwrap(), everything());
    let fetch = sendable(session.fetch(&wanted));
    assert!(fetch < 16 * 1024, "fetch takes {fetch} bytes");
    let simulate = sendable(session.simulate(&[]));
    assert!(simulate < 16 * 1024, "simulate takes {simulate} bytes");
}

/// Size of a future that may be spawned.
fn sendable<F: Send>(future: F) -> usize {
    size_of_val(&future)
}
