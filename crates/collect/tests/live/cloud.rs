//! AWS beside Kubernetes in one run. Endpoints and credentials come from the environment, and a
//! process cannot change its own safely, so these tests run this test program again.

use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eksnet_collect::{Cleanup, Request, Silent, collect, connect};
use eksnet_model::{Source, Why};
use eksnet_testkit::{FakeApi, FakeAws};
use serde_json::{Value, json};

use crate::lab::{answering, cluster, options_with, seconds};

/// The part that runs in the child: collects as its environment says, and prints what came of it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in a child of the other tests of this file"]
async fn collects_as_its_environment_says() {
    let kubeconfig = std::env::var("EKSNET_TEST_KUBECONFIG").expect("a kubeconfig");
    let connection = connect(&options_with(kubeconfig.into()))
        .await
        .expect("a connection");
    let request = Request {
        sources: [
            Source::Cluster,
            Source::Vpcs,
            Source::CallerIdentity,
            Source::SimulatedPolicies,
            Source::Probes,
        ]
        .into(),
        timeout: seconds(40),
        ..Request::default()
    };
    let cleanup = Cleanup::new(&connection);
    let said = match collect(&connection, &request, &cleanup, &Silent).await {
        Ok(collected) => serde_json::to_value(collected.snapshot).expect("a snapshot"),
        Err(error) => json!({"error": error.to_string()}),
    };
    println!("\nSAID {said}");
}

fn run(api: &FakeApi, env: &[(String, String)]) -> Value {
    let kubeconfig = api.kubeconfig().write();
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.args(["--exact", "cloud::collects_as_its_environment_says"]);
    child.args(["--ignored", "--nocapture"]);
    for (name, _) in std::env::vars() {
        let upper = name.to_uppercase();
        if upper.starts_with("AWS_") || upper.ends_with("_PROXY") || upper == "HOME" {
            child.env_remove(name);
        }
    }
    child.env("EKSNET_TEST_KUBECONFIG", kubeconfig.path());
    let Output { stdout, stderr, .. } = child.envs(env.iter().cloned()).output().expect("a child");
    let stdout = String::from_utf8_lossy(&stdout);
    match stdout.lines().find_map(|line| line.strip_prefix("SAID ")) {
        Some(said) => serde_json::from_str(said).expect("JSON"),
        None => panic!(
            "the child said nothing: {stdout}{}",
            String::from_utf8_lossy(&stderr)
        ),
    }
}

/// An AWS whose cluster has this certificate authority and endpoint.
fn aws(ca: &str, endpoint: &str) -> FakeAws {
    let aws = FakeAws::start();
    aws.answer(
        "eks",
        "DescribeCluster",
        json!({"cluster": {
            "name": "prod",
            "arn": "arn:aws:eks:us-west-2:123456789012:cluster/prod",
            "version": "1.33",
            "endpoint": endpoint,
            "certificateAuthority": {"data": STANDARD.encode(ca)},
            "resourcesVpcConfig": {"vpcId": "vpc-1", "subnetIds": [], "securityGroupIds": []},
        }}),
    );
    aws.answer(
        "ec2",
        "DescribeVpcs",
        json!({"vpcSet": [{"vpcId": "vpc-1", "cidrBlock": "172.31.0.0/16"}]}),
    );
    aws
}

fn why(evidence: &Value) -> Value {
    evidence["gap"]["why"].clone()
}

#[test]
fn aws_and_kubernetes_end_in_one_snapshot_and_aim_the_probes() {
    let api = cluster().script(answering()).start();
    let aws = aws(api.ca_pem().expect("a CA"), &api.url());
    let said = run(&api, &aws.env());
    assert_eq!(said["aws"]["cluster"]["name"], "prod", "{said}");
    assert_eq!(said["cluster"]["account"], "123456789012");
    assert_eq!(said["cluster"]["version"], "1.33");
    // The resolver of the VPC is known from AWS alone.
    assert!(said["probes"].to_string().contains("\"172.31.0.2:53\""));
    // No component here calls AWS: there was nothing to simulate, and that is known.
    assert_eq!(said["aws"]["simulatedPolicies"], json!([]));
    assert_eq!(api.list("pods").len(), 1);
}

#[test]
fn evidence_of_another_cluster_ends_the_run_before_anything_is_created() {
    let api = cluster().script(answering()).start();
    let other = FakeApi::start();
    let aws = aws(other.ca_pem().expect("a CA"), "https://other.example");
    let said = run(&api, &aws.env());
    let error = said["error"].as_str().unwrap_or_default();
    assert!(
        error.contains("two clusters") && error.contains("--cluster-name"),
        "{said}"
    );
    assert_eq!(api.pods_created(), 0);
}

#[test]
fn without_credentials_aws_is_a_gap_and_the_cluster_is_still_read_and_probed() {
    let api = cluster().script(answering()).start();
    let env = [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let said = run(&api, &env);
    for source in ["cluster", "vpcs", "callerIdentity", "simulatedPolicies"] {
        assert_eq!(
            why(&said["aws"][source]),
            json!(Why::Unauthenticated),
            "{source}: {}",
            said["aws"][source]
        );
    }
    // Nobody asked for that.
    assert_eq!(why(&said["aws"]["networkAcls"]), json!(Why::NotRequested));
    assert_eq!(said["probes"]["pods"].as_array().map(Vec::len), Some(2));
}
