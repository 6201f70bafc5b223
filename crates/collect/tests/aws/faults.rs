//! What goes wrong, and which gap it leaves.

use std::time::Duration;

use eksnet_collect::aws::{AwsEvidence, AwsSession};
use eksnet_model::{Gap, Snapshot, Source, Why};
use eksnet_testkit::{Action, Answer, FakeAws, FaultRule, Match};
use serde_json::json;

use crate::world::{everything, fetch, gap, hints, options, sdk, small_aws};

/// Gaps of a reading, without what nobody asked for and without the simulation, which is asked apart.
fn gaps(found: &AwsEvidence) -> Vec<Gap> {
    let snapshot = Snapshot {
        aws: found.aws.clone(),
        ..Default::default()
    };
    let mut gaps = snapshot.gaps();
    gaps.retain(|gap| gap.why != Why::NotRequested);
    gaps
}

#[tokio::test]
async fn every_denied_action_is_a_gap_of_its_source_that_names_what_closes_it() {
    let cases: [(&str, &str, Source); 23] = [
        ("eks", "ListNodegroups", Source::Nodegroups),
        ("eks", "DescribeNodegroup", Source::Nodegroups),
        (
            "eks",
            "ListPodIdentityAssociations",
            Source::PodIdentityAssociations,
        ),
        (
            "eks",
            "DescribePodIdentityAssociation",
            Source::PodIdentityAssociations,
        ),
        ("eks", "ListAddons", Source::Addons),
        ("eks", "DescribeAddon", Source::Addons),
        ("eks", "ListAccessEntries", Source::AccessEntries),
        ("eks", "DescribeAccessEntry", Source::AccessEntries),
        ("ec2", "DescribeNatGateways", Source::NatGateways),
        (
            "autoscaling",
            "DescribeScalingActivities",
            Source::ScalingActivities,
        ),
        ("ec2", "DescribeInstances", Source::Instances),
        ("ec2", "DescribeInstanceTypes", Source::InstanceTypes),
        ("ec2", "DescribeSubnets", Source::Subnets),
        (
            "ec2",
            "GetSubnetCidrReservations",
            Source::SubnetCidrReservations,
        ),
        (
            "ec2",
            "DescribeNetworkInterfaces",
            Source::NetworkInterfaces,
        ),
        ("ec2", "DescribeSecurityGroups", Source::SecurityGroups),
        ("ec2", "DescribeNetworkAcls", Source::NetworkAcls),
        ("ec2", "DescribeRouteTables", Source::RouteTables),
        ("ec2", "DescribeVpcs", Source::Vpcs),
        ("ec2", "DescribeVpcEndpoints", Source::VpcEndpoints),
        ("ec2", "DescribeDhcpOptions", Source::DhcpOptions),
        ("ec2", "GetManagedPrefixListEntries", Source::PrefixLists),
        (
            "autoscaling",
            "DescribeAutoScalingGroups",
            Source::AutoScalingGroups,
        ),
    ];
    for (service, action, source) in cases {
        let aws = small_aws();
        aws.deny(service, action);
        let found = fetch(&aws).await;
        let gaps = gaps(&found);
        let permission = format!("{service}:{action}");
        let own = gaps.iter().find(|gap| gap.source == source);
        let own = own.unwrap_or_else(|| panic!("{permission} leaves no gap"));
        assert_eq!(own.why, Why::Denied(permission.as_str().into()), "{action}");
        assert_eq!(own.closes.as_deref(), Some(permission.as_str()), "{action}");
        assert!(
            gaps.iter().all(|gap| gap.why == own.why),
            "{action} spoils others: {gaps:?}"
        );
    }
}

#[tokio::test]
async fn attributes_of_a_vpc_that_may_not_be_read_are_unknown_and_the_vpc_is_kept() {
    let aws = small_aws();
    aws.deny("ec2", "DescribeVpcAttribute");
    let found = fetch(&aws).await;
    let vpc = &found.aws.vpcs.value().unwrap()[0];
    assert_eq!(vpc.enable_dns_support, None);
    assert_eq!(
        gap(&found.aws.vpcs).why,
        Why::Denied("ec2:DescribeVpcAttribute".into())
    );
    assert!(found.aws.dhcp_options.is_complete());
}

#[tokio::test]
async fn without_subnets_groups_that_lack_tags_could_be_missed_and_that_is_said() {
    let aws = small_aws();
    aws.deny("ec2", "DescribeSubnets");
    let found = fetch(&aws).await;
    let groups = found.aws.auto_scaling_groups.value().unwrap();
    assert_eq!(groups[0].auto_scaling_group_name, "nodes");
    assert!(!found.aws.auto_scaling_groups.is_complete());
}

#[tokio::test]
async fn throttling_that_passes_costs_retries_alone_and_one_that_stays_is_a_gap() {
    let aws = small_aws();
    aws.throttle("ec2", "DescribeSubnets", 2);
    let found = fetch(&aws).await;
    assert!(found.aws.subnets.is_complete());
    assert_eq!(found.calls["ec2:DescribeSubnets"], 3);

    let aws = small_aws();
    aws.throttle("ec2", "DescribeSubnets", 100);
    aws.throttle("eks", "ListNodegroups", 100);
    aws.throttle("autoscaling", "DescribeAutoScalingGroups", 100);
    let found = fetch(&aws).await;
    assert_eq!(gap(&found.aws.subnets).why, Why::Throttled);
    assert_eq!(gap(&found.aws.nodegroups).why, Why::Throttled);
    assert_eq!(gap(&found.aws.auto_scaling_groups).why, Why::Throttled);
    assert_eq!(found.calls["ec2:DescribeSubnets"], 3);
}

#[tokio::test]
async fn a_server_error_is_retried() {
    let aws = small_aws();
    let once = FaultRule::on(Match::verb("DescribeRouteTables", "ec2")).first(1);
    aws.fault(once.then(Action::status(503)));
    let found = fetch(&aws).await;
    assert!(found.aws.route_tables.is_complete());
    assert_eq!(found.calls["ec2:DescribeRouteTables"], 2);
}

#[tokio::test]
async fn expired_credentials_say_how_to_go_on_at_the_start_and_in_the_middle() {
    let aws = small_aws();
    let session = AwsSession::with_config(sdk(&aws.url()), &options(), &hints())
        .await
        .unwrap();
    aws.expire_credentials();
    let found = session.fetch(&everything()).await;
    let expired = gap(&found.aws.cluster);
    assert_eq!(expired.why, Why::Unauthenticated);
    assert!(expired.closes.is_some(), "{expired}");

    let mut options = options();
    options.profile = Some("dev".to_owned());
    let refused = AwsSession::with_config(sdk(&aws.url()), &options, &hints()).await;
    let gap = refused.unwrap_err();
    assert_eq!(gap.source, Source::CallerIdentity);
    assert_eq!(gap.why, Why::Unauthenticated);
    assert!(
        gap.closes.as_deref().unwrap_or("").contains("dev"),
        "{gap:?}"
    );
}

#[tokio::test]
async fn sts_out_of_reach_is_a_gap_and_all_else_is_read() {
    let aws = small_aws();
    aws.fault(FaultRule::on(Match::verb("*", "sts")).then(Action::Reset));
    let found = fetch(&aws).await;
    assert_eq!(gap(&found.aws.caller_identity).why, Why::Unreachable);
    assert!(found.aws.subnets.is_complete());
    assert_eq!(found.facts.account.as_deref(), Some("123456789012"));
}

#[tokio::test]
async fn a_token_that_repeats_ends_the_list_as_cut_off() {
    let aws = small_aws();
    aws.answer(
        "ec2",
        "DescribeNetworkInterfaces",
        json!({"networkInterfaceSet": [{"networkInterfaceId": "eni-1"}], "nextToken": "again"}),
    );
    let found = fetch(&aws).await;
    let interfaces = &found.aws.network_interfaces;
    assert_eq!(interfaces.value().unwrap().len(), 2);
    assert_eq!(gap(interfaces).why, Why::Truncated);
}

#[tokio::test]
async fn a_second_page_that_is_refused_leaves_the_first() {
    let aws = small_aws();
    aws.on("ec2", "DescribeSubnets", |call| {
        match call.param("NextToken") {
            None => json!({"subnetSet": [{"subnetId": "subnet-a"}], "nextToken": "2"}).into(),
            Some(_) => Answer::denied(call, "arn:aws:iam::123456789012:user/x"),
        }
    });
    let found = fetch(&aws).await;
    assert_eq!(found.aws.subnets.value().unwrap().len(), 1);
    let why = &gap(&found.aws.subnets).why;
    assert_eq!(*why, Why::Denied("ec2:DescribeSubnets".into()));
}

#[tokio::test]
async fn answers_that_are_spoiled_are_told_apart() {
    let cases = [
        (Action::Malformed, Why::Malformed),
        (Action::proxy_page(), Why::Malformed),
        (Action::CutAfter(40), Why::Truncated),
        (Action::Reset, Why::Unreachable),
    ];
    for (action, why) in cases {
        let aws = small_aws();
        let rule = FaultRule::on(Match::verb("DescribeSubnets", "ec2"));
        aws.fault(rule.then(action.clone()));
        let found = fetch(&aws).await;
        assert_eq!(gap(&found.aws.subnets).why, why, "{action:?}");
        assert!(found.aws.route_tables.is_complete());
    }
}

#[tokio::test]
async fn an_error_of_a_proxy_in_between_tells_its_status() {
    let aws = small_aws();
    let rule = FaultRule::on(Match::verb("DescribeSubnets", "ec2"));
    aws.fault(rule.then(Action::Body {
        code: 407,
        content_type: "text/html".to_owned(),
        body: "<html>Proxy".to_owned(),
    }));
    let found = fetch(&aws).await;
    let gap = gap(&found.aws.subnets);
    assert_eq!(gap.why, Why::Failed);
    assert!(gap.detail.contains("407"), "{gap}");
}

#[tokio::test]
async fn a_source_that_hangs_ends_at_the_deadline_and_the_others_are_read() {
    let aws = small_aws();
    for action in [
        "DescribeSubnets",
        "ListNodegroups",
        "DescribeAutoScalingGroups",
    ] {
        aws.fault(FaultRule::on(Match::verb(action, "*")).then(Action::Hang));
    }
    let mut options = options();
    options.timeout = Duration::from_secs(4);
    let session = AwsSession::with_config(sdk(&aws.url()), &options, &hints())
        .await
        .unwrap();
    let found = session.fetch(&everything()).await;
    for gap in [gap(&found.aws.subnets), gap(&found.aws.nodegroups)] {
        assert_eq!(gap.why, Why::Timeout);
        assert_eq!(gap.closes.as_deref(), Some("--timeout"));
    }
    assert!(found.aws.security_groups.is_complete());
    assert!(found.aws.vpcs.is_complete());
    assert_eq!(found.aws.instances.value().unwrap().len(), 2);
}

#[tokio::test]
async fn a_cluster_that_hangs_leaves_time_for_the_instances() {
    let aws = small_aws();
    aws.fault(FaultRule::on(Match::verb("*", "eks")).then(Action::Hang));
    let mut options = options();
    options.timeout = Duration::from_secs(4);
    let session = AwsSession::with_config(sdk(&aws.url()), &options, &hints())
        .await
        .unwrap();
    let found = session.fetch(&everything()).await;
    assert_eq!(gap(&found.aws.cluster).why, Why::Timeout);
    assert!(found.aws.subnets.is_complete());
}

#[tokio::test]
async fn names_from_aws_cannot_reach_a_terminal_in_a_gap() {
    let aws = FakeAws::start();
    let hostile = Answer::error(400, "Weird\u{9b}31m", "said\u{202e} \u{85}x");
    aws.answer("eks", "*", hostile.clone());
    aws.answer("ec2", "*", hostile);
    let found = fetch(&aws).await;
    let gap = gap(&found.aws.cluster);
    assert!(!gap.detail.chars().any(char::is_control), "{gap:?}");
}
