//! The fixture server and moto, as a plain client and as botocore see them.

mod client;

use std::process::Command;

use client::Answer as Got;
use eksnet_testkit::{
    Action, Answer, FakeApi, FakeAws, FaultRule, Match, Moto, aws_pages, require,
};
use http_body_util::Full;
use serde_json::{Value, json};

fn addr(aws: &FakeAws) -> std::net::SocketAddr {
    aws.url()
        .trim_start_matches("http://")
        .parse()
        .expect("an address")
}

fn signed(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIA/20261122/us-west-2/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

/// A call of a query service.
async fn form(aws: &FakeAws, service: &str, form: &str) -> Got {
    let request = hyper::Request::post("/")
        .header("host", "aws")
        .header("authorization", signed(service))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(form.to_owned()))
        .expect("a request");
    let response = client::open(addr(aws), None, request)
        .await
        .expect("an answer");
    client::whole(response).await.expect("a body")
}

/// A call of EKS.
async fn eks(aws: &FakeAws, path: &str) -> Got {
    let request = hyper::Request::get(path)
        .header("host", "aws")
        .header("authorization", signed("eks"))
        .body(Full::default())
        .expect("a request");
    let response = client::open(addr(aws), None, request)
        .await
        .expect("an answer");
    client::whole(response).await.expect("a body")
}

#[tokio::test]
async fn fields_come_in_the_envelope_of_their_protocol() {
    let aws = FakeAws::start();
    aws.answer(
        "ec2",
        "DescribeSubnets",
        json!({"subnetSet": [{"subnetId": "subnet-1"}]}),
    );
    aws.answer(
        "eks",
        "DescribeCluster",
        json!({"cluster": {"name": "prod"}}),
    );
    let subnets = form(&aws, "ec2", "Action=DescribeSubnets&Version=2016-11-15").await;
    assert_eq!(subnets.status, 200);
    assert_eq!(
        subnets.text(),
        "<DescribeSubnetsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>00000000-0000-4000-8000-000000000000</requestId><subnetSet><item><subnetId>subnet-1</subnetId></item></subnetSet></DescribeSubnetsResponse>"
    );
    let caller = form(&aws, "sts", "Action=GetCallerIdentity&Version=2011-06-15").await;
    assert!(
        caller
            .text()
            .contains("<GetCallerIdentityResult><Account>123456789012</Account>"),
        "{}",
        caller.text()
    );
    assert_eq!(
        eks(&aws, "/clusters/prod").await.json()["cluster"]["name"],
        "prod"
    );
}

#[tokio::test]
async fn calls_are_taken_apart() {
    let aws = FakeAws::start();
    form(
        &aws,
        "ec2",
        "Action=DescribeSubnets&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Filter.1.Value.2=vpc-2&SubnetId.1=s",
    )
    .await;
    let call = &aws.calls()[0];
    assert_eq!(
        (
            call.service.as_str(),
            call.action.as_str(),
            call.region.as_str()
        ),
        ("ec2", "DescribeSubnets", "us-west-2")
    );
    assert_eq!(call.filter("vpc-id"), ["vpc-1", "vpc-2"]);
    assert_eq!(call.list("SubnetId"), ["s"]);
    assert_eq!(aws.unexpected(), ["ec2:DescribeSubnets"]);
}

#[tokio::test]
async fn refusals_have_the_shape_of_their_protocol() {
    let aws = FakeAws::start();
    aws.deny("ec2", "*");
    aws.deny("iam", "*");
    aws.deny("eks", "*");
    let ec2 = form(&aws, "ec2", "Action=DescribeSubnets").await;
    assert_eq!(ec2.status, 403);
    assert!(ec2.text().contains("<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/testkit is not authorized to perform: ec2:DescribeSubnets"), "{}", ec2.text());
    let iam = form(&aws, "iam", "Action=GetRole").await;
    assert!(
        iam.text()
            .starts_with("<ErrorResponse><Error><Code>AccessDenied</Code>"),
        "{}",
        iam.text()
    );
    let eks = eks(&aws, "/clusters/prod").await;
    assert_eq!(
        (eks.status, eks.header("x-amzn-errortype")),
        (403, Some("AccessDeniedException"))
    );
    assert!(
        eks.json()["message"]
            .as_str()
            .is_some_and(|m| m.contains("eks:DescribeCluster"))
    );
}

#[tokio::test]
async fn throttling_ends_and_faults_hit_by_action() {
    let aws = FakeAws::start();
    aws.answer("ec2", "DescribeVpcs", json!({"vpcSet": []}));
    aws.throttle("ec2", "DescribeVpcs", 1);
    let first = form(&aws, "ec2", "Action=DescribeVpcs").await;
    assert!(first.text().contains("RequestLimitExceeded"));
    assert_eq!(form(&aws, "ec2", "Action=DescribeVpcs").await.status, 200);
    aws.fault(
        FaultRule::on(Match::verb("DescribeVpcs", "ec2")).then(Action::error(
            400,
            "ExpiredToken",
            "over",
        )),
    );
    let failed = form(&aws, "ec2", "Action=DescribeVpcs").await;
    assert_eq!(failed.status, 400);
    assert!(
        failed
            .text()
            .contains("<Code>ExpiredToken</Code><Message>over</Message>")
    );
    assert_eq!(aws.audit().count(&Match::verb("DescribeVpcs", "ec2")), 3);
}

#[tokio::test]
async fn a_cluster_is_described_with_the_identity_of_its_api_server() {
    let (api, aws) = (FakeApi::start(), FakeAws::start());
    aws.eks_cluster(
        "prod",
        &api,
        &json!({"version": "1.34", "resourcesVpcConfig": {"vpcId": "vpc-1"}}),
    );
    let cluster = eks(&aws, "/clusters/prod").await.json()["cluster"].clone();
    assert_eq!(cluster["endpoint"], api.url());
    let kubeconfig = std::fs::read(api.kubeconfig().write().path()).expect("a file");
    let kubeconfig: Value = serde_json::from_slice(&kubeconfig).expect("JSON");
    assert_eq!(
        cluster["certificateAuthority"]["data"],
        kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
    );
    assert_eq!(
        (&cluster["version"], &cluster["resourcesVpcConfig"]["vpcId"]),
        (&json!("1.34"), &json!("vpc-1"))
    );
    assert_eq!(cluster["resourcesVpcConfig"]["endpointPublicAccess"], true);
    assert_eq!(eks(&aws, "/clusters/other").await.status, 404);
}

#[test]
fn a_folder_of_responses_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("eks.ListAddons.json"),
        r#"{"addons":["vpc-cni"]}"#,
    )
    .expect("written");
    let aws = FakeAws::start();
    aws.load(folder.path()).expect("fixtures");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let got = runtime.block_on(eks(&aws, "/clusters/prod/addons"));
    assert_eq!(got.json()["addons"][0], "vpc-cni");
}

/// Runs Python with botocore against an endpoint; standard output is JSON.
fn boto(env: &[(String, String)], program: &str) -> Result<Value, String> {
    let output = Command::new("python3")
        .args(["-c", program])
        .envs(env.iter().cloned())
        .output()
        .map_err(|error| format!("python3 did not run: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("ModuleNotFoundError") {
        return Err(errors.into_owned());
    }
    assert!(output.status.success(), "{errors}");
    Ok(serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn botocore_reads_results_pages_and_errors() {
    let aws = FakeAws::start();
    let subnets = (0..5)
        .map(|n| json!({"subnetId": format!("subnet-{n}"), "availableIpAddressCount": n}))
        .collect();
    aws.on("ec2", "DescribeSubnets", aws_pages("subnetSet", subnets, 2));
    let groups = (0..3)
        .map(|n| json!({"AutoScalingGroupName": format!("asg-{n}")}))
        .collect();
    aws.on(
        "autoscaling",
        "DescribeAutoScalingGroups",
        aws_pages("AutoScalingGroups", groups, 2),
    );
    let policies = (0..3)
        .map(|n| json!({"PolicyName": format!("p-{n}"), "PolicyArn": "arn"}))
        .collect();
    aws.on(
        "iam",
        "ListAttachedRolePolicies",
        aws_pages("AttachedPolicies", policies, 1),
    );
    let addons = ["coredns", "kube-proxy", "vpc-cni"]
        .iter()
        .map(|name| json!(name))
        .collect();
    aws.on("eks", "ListAddons", aws_pages("addons", addons, 2));
    aws.answer(
        "eks",
        "DescribeCluster",
        Answer::error(
            404,
            "ResourceNotFoundException",
            "No cluster found for name: prod.",
        ),
    );
    aws.deny("ec2", "DescribeVpcs");
    aws.answer(
        "servicequotas",
        "GetServiceQuota",
        json!({"Quota": {"Value": 5.0}}),
    );
    let program = r#"
import json, boto3
from botocore.exceptions import ClientError
ec2, eks = boto3.client("ec2"), boto3.client("eks")
def pages(client, call, key, **kw):
    return [item for page in client.get_paginator(call).paginate(**kw) for item in page[key]]
def code(call):
    try: call()
    except ClientError as e: return e.response["Error"]["Code"]
print(json.dumps({
    "caller": boto3.client("sts").get_caller_identity()["Arn"],
    "subnets": [s["AvailableIpAddressCount"] for s in pages(ec2, "describe_subnets", "Subnets")],
    "groups": len(pages(boto3.client("autoscaling"), "describe_auto_scaling_groups", "AutoScalingGroups")),
    "policies": len(pages(boto3.client("iam"), "list_attached_role_policies", "AttachedPolicies", RoleName="r")),
    "addons": pages(eks, "list_addons", "addons", clusterName="prod"),
    "missing": code(lambda: eks.describe_cluster(name="prod")),
    "denied": code(lambda: ec2.describe_vpcs()),
    "quota": boto3.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode="L-1")["Quota"]["Value"],
}))
"#;
    let Some(got) = require("boto3", boto(&aws.env(), program)) else {
        return;
    };
    assert_eq!(
        got,
        json!({
            "caller": "arn:aws:iam::123456789012:user/testkit",
            "subnets": [0, 1, 2, 3, 4],
            "groups": 3,
            "policies": 3,
            "addons": ["coredns", "kube-proxy", "vpc-cni"],
            "missing": "ResourceNotFoundException",
            "denied": "UnauthorizedOperation",
            "quota": 5.0,
        })
    );
    assert_eq!(aws.audit().count(&Match::verb("DescribeSubnets", "ec2")), 3);
    assert_eq!(aws.unexpected(), Vec::<String>::new());
}

#[test]
fn moto_computes_what_fixtures_cannot() {
    let Some(moto) = require("moto", Moto::start()) else {
        return;
    };
    let program = r#"
import json, boto3
ec2 = boto3.client("ec2")
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/28")
found = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
print(json.dumps([s["AvailableIpAddressCount"] for s in found]))
"#;
    let Some(free) = require("boto3", boto(&moto.env(), program)) else {
        return;
    };
    assert_eq!(free, json!([11]));
    let addr = moto.url().trim_start_matches("http://").to_owned();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _moto = moto;
        panic!("a test that fails");
    }));
    assert!(panicked.is_err());
    assert!(
        std::net::TcpStream::connect(addr).is_err(),
        "moto outlived its test"
    );
}
