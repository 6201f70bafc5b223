//! What comes from the environment of a process: credentials, endpoints, profile, proxy. A process
//! cannot change its own safely, so these tests run this test program again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::Duration;

use eksnet_collect::aws::{AwsOptions, AwsSession};
use eksnet_model::{Source, Why};
use eksnet_testkit::FakeAws;
use serde_json::{Value, json};

use crate::world::{everything, hints, small_aws};

/// The part that runs in the child: connects as the plugin does, and prints what came of it.
#[tokio::test]
#[ignore = "runs in a child of the other tests of this file"]
async fn connects_as_its_environment_says() {
    let options = AwsOptions {
        timeout: Duration::from_secs(20),
        ..AwsOptions::default()
    };
    let said = match AwsSession::connect(&options, &hints()).await {
        Ok(session) => {
            let found = session.fetch(&everything()).await;
            json!({
                "region": session.region(),
                "caller": found.aws.caller_identity,
                "subnets": found.aws.subnets,
                "cluster": found.aws.cluster.gap(),
            })
        }
        Err(gap) => json!({"gap": gap}),
    };
    println!("\nSAID {said}");
}

/// Runs the child with `env` and nothing else of AWS and proxies in its environment.
fn run(env: &[(String, String)]) -> Value {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child::connects_as_its_environment_says"]);
    child.args(["--ignored", "--nocapture"]);
    for (name, _) in std::env::vars() {
        let upper = name.to_uppercase();
        if upper.starts_with("AWS_") || upper.ends_with("_PROXY") || upper == "HOME" {
            child.env_remove(name);
        }
    }
    let Output { stdout, .. } = child.envs(env.iter().cloned()).output().unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    let said = stdout.lines().find_map(|line| line.strip_prefix("SAID "));
    let said = said.unwrap_or_else(|| panic!("the child said nothing: {stdout}"));
    serde_json::from_str(said).unwrap()
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn credentials_region_and_endpoints_come_from_the_environment() {
    let aws = small_aws();
    let said = run(&aws.env());
    assert_eq!(said["region"], "us-west-2");
    assert_eq!(said["caller"]["Account"], "123456789012");
    assert_eq!(said["subnets"][0]["SubnetId"], "subnet-a");
    let agent = aws
        .calls()
        .last()
        .unwrap()
        .request
        .header("user-agent")
        .unwrap_or("")
        .to_owned();
    assert!(agent.contains("app/kubectl-eksnet"), "{agent}");
}

#[test]
fn the_endpoint_of_one_service_beats_that_of_all() {
    let (all, ec2) = (small_aws(), small_aws());
    let mut env = all.env();
    env.retain(|(name, _)| name != "AWS_ENDPOINT_URL_EC2");
    env.push(("AWS_ENDPOINT_URL_EC2".to_owned(), ec2.url()));
    let said = run(&env);
    assert!(said["subnets"].is_array(), "{said}");
    let services = |aws: &FakeAws| {
        let mut services: Vec<String> = aws.calls().into_iter().map(|call| call.service).collect();
        services.sort();
        services.dedup();
        services
    };
    assert_eq!(services(&ec2), ["ec2"]);
    assert_eq!(services(&all), ["autoscaling", "eks", "sts"]);
}

#[test]
fn a_profile_with_a_credential_process_is_asked_once_for_all_services() {
    let aws = small_aws();
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let program = folder.path().join("credentials.sh");
    let credentials = json!({"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "s"});
    let script = format!("echo run >> {}\necho '{credentials}'\n", runs.display());
    std::fs::write(&program, script).unwrap();
    let config = folder.path().join("config");
    let profile = format!(
        "[profile ops]\nregion = eu-west-1\ncredential_process = sh {}\n",
        program.display()
    );
    std::fs::write(&config, profile).unwrap();
    let said = run(&env(&[
        ("AWS_CONFIG_FILE", config.to_str().unwrap()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_PROFILE", "ops"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_ENDPOINT_URL", &aws.url()),
    ]));
    assert_eq!(said["region"], "eu-west-1");
    assert!(said["subnets"].is_array(), "{said}");
    assert!(
        aws.calls()
            .iter()
            .all(|call| call.access_key == "AKIAPROCESS")
    );
    let runs = std::fs::read_to_string(runs).unwrap();
    assert_eq!(runs.lines().count(), 1, "the process ran more than once");
}

#[test]
fn without_credentials_or_region_the_gap_says_how_to_go_on() {
    let nothing = [
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let said = run(&env(&nothing));
    assert_eq!(said["gap"]["closes"], "--region");

    let mut with_region = env(&nothing);
    with_region.extend(env(&[("AWS_REGION", "us-west-2")]));
    let gap: eksnet_model::Gap = serde_json::from_value(run(&with_region)["gap"].clone()).unwrap();
    assert_eq!(gap.source, Source::CallerIdentity);
    assert_eq!(gap.why, Why::Unauthenticated);
    assert!(
        gap.closes.as_deref().unwrap_or("").contains("--profile"),
        "{gap:?}"
    );
}

#[test]
fn an_sso_profile_without_a_session_names_the_command_that_signs_in() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let profile = "[profile dev]\nregion = us-west-2\nsso_session = corp\nsso_account_id = 123456789012\n\
                   sso_role_name = admin\n[sso-session corp]\nsso_region = us-west-2\n\
                   sso_start_url = https://corp.example/start\n";
    std::fs::write(&config, profile).unwrap();
    let said = run(&env(&[
        ("AWS_CONFIG_FILE", config.to_str().unwrap()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("HOME", folder.path().to_str().unwrap()),
        ("AWS_PROFILE", "dev"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]));
    assert_eq!(said["gap"]["closes"], "aws sso login --profile dev");
}

/// A proxy that takes down whom it is asked for, and refuses.
fn refusing_proxy() -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
            let _ = reader.get_mut().write_all(refused);
            if said.send(line).is_err() {
                return;
            }
        }
    });
    (url, heard)
}

#[test]
fn calls_go_through_the_proxy_and_those_to_plain_endpoints_do_not() {
    let (proxy, heard) = refusing_proxy();
    let aws = small_aws();
    // EC2 alone keeps its public endpoint.
    let mut env = aws.env();
    env.retain(|(name, _)| name != "AWS_ENDPOINT_URL_EC2" && name != "AWS_ENDPOINT_URL");
    env.push(("HTTPS_PROXY".to_owned(), proxy));
    let said = run(&env);
    assert_eq!(said["caller"]["Account"], "123456789012");
    assert_eq!(said["subnets"]["gap"]["why"], "unreachable");
    let asked: Vec<String> = heard.try_iter().collect();
    assert!(!asked.is_empty());
    for line in asked {
        assert_eq!(line, "CONNECT ec2.us-west-2.amazonaws.com:443 HTTP/1.1\r\n");
    }
}
