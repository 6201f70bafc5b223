//! What AWS's tools print.

use eksnet_model::{Component, Evidence, Why};

use crate::support::read;

#[test]
fn whole_answers_are_complete_and_pages_are_not() {
    let loaded = read(&[
        ("subnets.json", br#"{"Subnets": [{"SubnetId": "subnet-1", "CidrBlock": "10.0.0.0/24", "AvailableIpAddressCount": 3}]}"#),
        ("groups.json", br#"{"SecurityGroups": [{"GroupId": "sg-1", "IpPermissions": []}], "NextToken": "abc"}"#),
        ("i.json", br#"{"Reservations": [{"Instances": [{"InstanceId": "i-1"}]}, {"Instances": [{"InstanceId": "i-2"}]}]}"#),
        ("asg.yaml", b"AutoScalingGroups:\n- AutoScalingGroupName: workers\n  MaxSize: 3\n  Instances:\n  - InstanceId: i-1\n"),
    ]);
    let aws = loaded.snapshot.aws;
    assert_eq!(loaded.unread, []);
    let Evidence::Present(subnets) = &aws.subnets else {
        panic!("{:?}", aws.subnets)
    };
    assert_eq!(subnets[0].available_ip_address_count, Some(3));
    assert_eq!(
        aws.security_groups.gap().map(|gap| &gap.why),
        Some(&Why::Truncated)
    );
    assert_eq!(aws.instances.value().map(Vec::len), Some(2));
    let Evidence::Present(groups) = &aws.auto_scaling_groups else {
        panic!("no groups")
    };
    assert_eq!((groups[0].max_size, groups[0].instances.len()), (3, 1));
}

#[test]
fn parts_that_a_query_left_are_partial() {
    let text = "$ aws eks describe-cluster --name $NAME --query cluster.kubernetesNetworkConfig\n{\n    \"serviceIpv4Cidr\": \"172.27.0.0/16\",\n    \"ipFamily\": \"ipv4\"\n}\n$ aws ec2 describe-security-groups --query 'SecurityGroups[0]'\n{\n  \"GroupId\": \"sg-1\",\n  \"IpPermissions\": [{\"IpProtocol\": \"-1\"}]\n}\n";
    let aws = read(&[("x.aws.txt", text.as_bytes())]).snapshot.aws;
    assert!(!aws.cluster.is_complete());
    let cluster = aws.cluster.value().expect("a part");
    assert_eq!(
        cluster
            .kubernetes_network_config
            .service_ipv4_cidr
            .as_deref(),
        Some("172.27.0.0/16")
    );
    let groups = aws.security_groups.value().expect("a group");
    assert_eq!(groups[0].ip_permissions[0].ip_protocol, "-1");
    assert!(!aws.security_groups.is_complete());
}

#[test]
fn the_description_of_the_cluster_says_which_it_is() {
    let json = br#"{"cluster": {"name": "prod", "arn": "arn:aws:eks:us-west-2:111122223333:cluster/prod", "version": "1.33", "resourcesVpcConfig": {"vpcId": "vpc-1"}}}"#;
    let snapshot = read(&[("c.json", json)]).snapshot;
    assert!(snapshot.aws.cluster.is_complete());
    let facts = snapshot.cluster;
    assert_eq!(facts.name.as_deref(), Some("prod"));
    assert_eq!(facts.region.as_deref(), Some("us-west-2"));
    assert_eq!(facts.account.as_deref(), Some("111122223333"));
    assert_eq!(facts.eks, Some(true));
}

#[test]
fn rules_attributes_tags_and_simulations_find_their_object() {
    let aws = read(&[
        ("rules.json", br#"{"SecurityGroupRules": [
            {"GroupId": "sg-1", "IsEgress": false, "IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "ReferencedGroupInfo": {"GroupId": "sg-2"}},
            {"GroupId": "sg-1", "IsEgress": true, "IpProtocol": "-1", "FromPort": -1, "ToPort": -1, "CidrIpv4": "0.0.0.0/0"}]}"#),
        ("a.json", br#"{"VpcId": "vpc-1", "EnableDnsSupport": {"Value": false}}"#),
        ("t.json", br#"{"Tags": [{"ResourceId": "workers", "ResourceType": "auto-scaling-group", "Key": "k8s.io/cluster-autoscaler/enabled", "Value": "true", "PropagateAtLaunch": true}]}"#),
        ("aws-load-balancer-controller.json", br#"{"EvaluationResults": [{"EvalActionName": "ec2:DescribeSubnets", "EvalDecision": "implicitDeny"}]}"#),
    ])
    .snapshot
    .aws;
    let group = &aws.security_groups.value().expect("a group")[0];
    assert_eq!(
        group.ip_permissions[0].user_id_group_pairs[0].group_id,
        "sg-2"
    );
    assert_eq!(
        group.ip_permissions_egress[0].ip_ranges[0].cidr_ip,
        "0.0.0.0/0"
    );
    assert_eq!(
        aws.vpcs.value().expect("a vpc")[0].enable_dns_support,
        Some(false)
    );
    assert_eq!(
        aws.auto_scaling_groups.value().expect("a group")[0]
            .tags
            .len(),
        1
    );
    let role = &aws.simulated_policies.value().expect("a role")[0];
    assert_eq!(role.component, Component::LoadBalancerController);
    assert_eq!(role.results[0].eval_decision, "implicitDeny");
}
