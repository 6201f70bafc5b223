//! A session against a server, and a small AWS of fixtures.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_types::retry::RetryConfig;
use eksnet_collect::ClusterHints;
use eksnet_collect::aws::{AwsEvidence, AwsOptions, AwsSession};
use eksnet_model::{Evidence, Gap, Source};
use eksnet_testkit::FakeAws;
use serde_json::{Value, json};

/// The CA of the cluster, and another.
pub(crate) const CA: &str =
    "-----BEGIN CERTIFICATE-----\nMIIBa2Vrc25ldA==\n-----END CERTIFICATE-----\n";
pub(crate) const OTHER_CA: &str =
    "-----BEGIN CERTIFICATE-----\nMIIBb3RoZXI=\n-----END CERTIFICATE-----\n";
pub(crate) const HOST: &str = "0a1b.gr7.us-west-2.eks.amazonaws.com";

/// Options with a deadline that no test reaches unless it wants to.
pub(crate) fn options() -> AwsOptions {
    AwsOptions {
        timeout: Duration::from_secs(120),
        ..AwsOptions::default()
    }
}

/// What the context of the cluster tells.
pub(crate) fn hints() -> ClusterHints {
    ClusterHints {
        context_name: "prod".to_owned(),
        cluster_name: Some("prod".to_owned()),
        api_host: HOST.to_owned(),
        ca_pem: Some(CA.to_owned()),
        instance_ids: vec!["i-0a".to_owned()],
        ..ClusterHints::default()
    }
}

/// A configuration for the server at `url`: retries come at once.
pub(crate) fn sdk(url: &str) -> SdkConfig {
    let credentials = Credentials::new("AKIATESTKIT", "testkit", None, None, "test");
    SdkConfig::builder()
        .region(Region::new("us-west-2"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(3)
                .with_initial_backoff(Duration::from_millis(1)),
        )
        .build()
}

/// A session with the server at `url`.
pub(crate) async fn session(url: &str, hints: &ClusterHints) -> AwsSession {
    AwsSession::with_config(sdk(url), &options(), hints)
        .await
        .unwrap()
}

/// Every source.
pub(crate) fn everything() -> BTreeSet<Source> {
    Source::ALL.iter().copied().collect()
}

/// Everything that `aws` says about the cluster of [`hints`].
pub(crate) async fn fetch(aws: &FakeAws) -> AwsEvidence {
    session(&aws.url(), &hints())
        .await
        .fetch(&everything())
        .await
}

/// The gap of a source.
pub(crate) fn gap<T>(evidence: &Evidence<T>) -> &Gap {
    evidence.gap().unwrap()
}

/// `DescribeCluster`'s answer.
pub(crate) fn described(fields: Value) -> Value {
    use base64::Engine as _;
    let ca = base64::engine::general_purpose::STANDARD.encode(CA);
    let mut cluster = json!({
        "name": "prod",
        "arn": "arn:aws:eks:us-west-2:123456789012:cluster/prod",
        "version": "1.33",
        "status": "ACTIVE",
        "endpoint": format!("https://{}", HOST.to_uppercase()),
        "certificateAuthority": {"data": ca},
        "platformVersion": "eks.12",
        "roleArn": "arn:aws:iam::123456789012:role/cluster",
        "resourcesVpcConfig": {
            "vpcId": "vpc-1", "subnetIds": ["subnet-a"], "securityGroupIds": [],
            "clusterSecurityGroupId": "sg-1",
            "endpointPublicAccess": true, "endpointPrivateAccess": false,
            "publicAccessCidrs": ["0.0.0.0/0"],
        },
        "kubernetesNetworkConfig": {"serviceIpv4Cidr": "172.20.0.0/16", "ipFamily": "ipv4"},
        "computeConfig": {"enabled": true},
        "identity": {"oidc": {"issuer": "https://oidc.eks.us-west-2.amazonaws.com/id/0A"}},
    });
    for (key, value) in fields.as_object().into_iter().flatten() {
        cluster[key] = value.clone();
    }
    json!({"cluster": cluster})
}

/// An AWS in which every source has something to say.
pub(crate) fn small_aws() -> FakeAws {
    let aws = FakeAws::start();
    eks(&aws);
    ec2(&aws);
    aws.answer(
        "autoscaling",
        "DescribeAutoScalingGroups",
        json!({"AutoScalingGroups": [
            {"AutoScalingGroupName": "nodes", "AutoScalingGroupARN": "arn:nodes",
             "MinSize": 1, "MaxSize": 5, "DesiredCapacity": 2, "VPCZoneIdentifier": "subnet-a,subnet-b",
             "AvailabilityZones": ["us-west-2a"],
             "Instances": [{"InstanceId": "i-0a", "LifecycleState": "InService", "HealthStatus": "Healthy",
                "AvailabilityZone": "us-west-2a", "InstanceType": "c5.large"}],
             "SuspendedProcesses": [{"ProcessName": "Launch", "SuspensionReason": "User"}],
             "Tags": [{"Key": "k8s.io/cluster-autoscaler/enabled", "Value": "true", "PropagateAtLaunch": true}]},
            {"AutoScalingGroupName": "elsewhere", "AutoScalingGroupARN": "arn:elsewhere",
             "MinSize": 0, "MaxSize": 1, "DesiredCapacity": 0, "VPCZoneIdentifier": "subnet-z",
             "AvailabilityZones": ["us-west-2a"]},
        ]}),
    );
    aws.answer(
        "autoscaling",
        "DescribeScalingActivities",
        json!({"Activities": [
            {"ActivityId": "act-1", "AutoScalingGroupName": "nodes", "Cause": "At 2026-05-01T10:00:00Z ..",
             "StartTime": "2026-05-01T10:00:01Z", "StatusCode": "Failed",
             "StatusMessage": "We currently do not have sufficient c5.large capacity"},
        ]}),
    );
    aws
}

fn eks(aws: &FakeAws) {
    aws.answer("eks", "DescribeCluster", described(json!({})));
    aws.answer("eks", "ListNodegroups", json!({"nodegroups": ["c5", "t3"]}));
    aws.on("eks", "DescribeNodegroup", |call| {
        let name = call.param("nodegroupName").unwrap_or("?");
        json!({"nodegroup": {
            "nodegroupName": name,
            "nodegroupArn": format!("arn:aws:eks:us-west-2:123456789012:nodegroup/prod/{name}/0a"),
            "status": "DEGRADED", "version": "1.33", "amiType": "AL2023_x86_64_STANDARD",
            "capacityType": "SPOT", "instanceTypes": ["c5.large"], "subnets": ["subnet-a"],
            "nodeRole": "arn:aws:iam::123456789012:role/nodes",
            "scalingConfig": {"minSize": 1, "maxSize": 5, "desiredSize": 2},
            "resources": {"autoScalingGroups": [{"name": format!("eks-{name}")}]},
            "health": {"issues": [{"code": "Ec2SubnetNotFound", "message": "gone", "resourceIds": ["subnet-x"]}]},
        }})
        .into()
    });
    aws.answer("eks", "ListAddons", json!({"addons": ["vpc-cni"]}));
    aws.answer(
        "eks",
        "DescribeAddon",
        json!({"addon": {"addonName": "vpc-cni", "addonVersion": "v1.20.4-eksbuild.2", "status": "DEGRADED",
            "health": {"issues": [{"code": "InsufficientNumberOfReplicas", "message": "unhealthy"}]},
            "serviceAccountRoleArn": "arn:aws:iam::123456789012:role/cni"}}),
    );
    let principal = "arn:aws:iam::123456789012:role/nodes";
    aws.answer(
        "eks",
        "ListAccessEntries",
        json!({"accessEntries": [principal]}),
    );
    aws.answer(
        "eks",
        "DescribeAccessEntry",
        json!({"accessEntry": {"principalArn": principal, "type": "EC2_LINUX",
            "kubernetesGroups": ["system:nodes"], "username": "system:node:{{EC2PrivateDNSName}}"}}),
    );
    aws.answer(
        "eks",
        "ListPodIdentityAssociations",
        json!({"associations": [
            {"namespace": "shop", "serviceAccount": "cart", "associationId": "a-2"},
            {"namespace": "kube-system", "serviceAccount": "cluster-autoscaler", "associationId": "a-1"},
        ]}),
    );
    aws.on("eks", "DescribePodIdentityAssociation", |call| {
        let id = call.param("associationId").unwrap_or("?");
        json!({"association": {
            "namespace": if id == "a-1" { "kube-system" } else { "shop" },
            "serviceAccount": if id == "a-1" { "cluster-autoscaler" } else { "cart" },
            "roleArn": format!("arn:aws:iam::123456789012:role/{id}"), "associationId": id,
        }})
        .into()
    });
}

fn ec2(aws: &FakeAws) {
    aws.answer(
        "ec2",
        "DescribeInstances",
        json!({"reservationSet": [{"instancesSet": [
            {"instanceId": "i-0a", "instanceType": "c5.large", "vpcId": "vpc-1", "subnetId": "subnet-a",
             "instanceState": {"code": 16, "name": "running"},
             "tagSet": [{"key": "kubernetes.io/cluster/prod", "value": "owned"}]},
            {"instanceId": "i-0b", "instanceType": "m5.large", "vpcId": "vpc-1", "subnetId": "subnet-a"},
        ]}]}),
    );
    aws.on("ec2", "DescribeInstanceTypes", |call| {
        let types: Vec<Value> = call
            .filter("instance-type")
            .iter()
            .map(|name| json!({"instanceType": name}))
            .collect();
        json!({"instanceTypeSet": types}).into()
    });
    aws.answer(
        "ec2",
        "DescribeSubnets",
        json!({"subnetSet": [
            {"subnetId": "subnet-a", "vpcId": "vpc-1", "availableIpAddressCount": 14},
            {"subnetId": "subnet-b", "vpcId": "vpc-1", "availableIpAddressCount": 251},
        ]}),
    );
    aws.answer(
        "ec2",
        "DescribeNetworkInterfaces",
        json!({"networkInterfaceSet": [{"networkInterfaceId": "eni-1", "subnetId": "subnet-a"}]}),
    );
    aws.answer(
        "ec2",
        "DescribeSecurityGroups",
        json!({"securityGroupInfo": [{"groupId": "sg-1", "ipPermissions": [
            {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443,
             "prefixListIds": [{"prefixListId": "pl-rule"}]}]}]}),
    );
    aws.answer(
        "ec2",
        "DescribeNatGateways",
        json!({"natGatewaySet": [{"natGatewayId": "nat-1", "vpcId": "vpc-1", "subnetId": "subnet-b", "state": "failed",
            "failureCode": "Gateway.NotAttached", "failureMessage": "no internet gateway"}]}),
    );
    aws.answer(
        "ec2",
        "DescribeNetworkAcls",
        json!({"networkAclSet": [{"networkAclId": "acl-1", "default": true}]}),
    );
    aws.answer(
        "ec2",
        "DescribeRouteTables",
        json!({"routeTableSet": [{"routeTableId": "rtb-1", "routeSet": [
            {"destinationPrefixListId": "pl-route", "gatewayId": "vpce-1", "state": "active"}]}]}),
    );
    aws.answer(
        "ec2",
        "DescribeVpcs",
        json!({"vpcSet": [{"vpcId": "vpc-1", "cidrBlock": "10.0.0.0/16", "dhcpOptionsId": "dopt-1"}]}),
    );
    aws.on("ec2", "DescribeVpcAttribute", |call| {
        let attribute = call.param("Attribute").unwrap_or("?");
        let value = attribute == "enableDnsSupport";
        json!({"vpcId": "vpc-1", attribute: {"value": value}}).into()
    });
    aws.answer(
        "ec2",
        "DescribeVpcEndpoints",
        json!({"vpcEndpointSet": [{"vpcEndpointId": "vpce-1", "vpcEndpointType": "Gateway"}]}),
    );
    aws.on("ec2", "DescribeDhcpOptions", |call| {
        let options: Vec<Value> = call
            .filter("dhcp-options-id")
            .iter()
            .map(|id| json!({"dhcpOptionsId": id}))
            .collect();
        json!({"dhcpOptionsSet": options}).into()
    });
    aws.answer(
        "ec2",
        "GetSubnetCidrReservations",
        json!({"subnetIpv4CidrReservationSet": []}),
    );
    aws.answer(
        "ec2",
        "GetManagedPrefixListEntries",
        json!({"entrySet": [{"cidr": "192.0.2.0/24"}]}),
    );
}
