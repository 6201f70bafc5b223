//! Folders of evidence as they come with a report of trouble: the right cause comes first.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Expected {
    /// One of them comes first; where the evidence holds no cause, nothing comes.
    accept: Vec<String>,
    /// None of them comes, of a near miss.
    #[serde(default)]
    deny: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn doctor(from: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-eksnet"));
    command
        .args(["doctor", "-o", "json", "--from", from])
        .env_clear()
        .env("LC_ALL", "C.UTF-8");
    command
}

fn report(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Checks of the diagnoses, best first.
fn diagnoses(report: &Value) -> Vec<&str> {
    report["diagnoses"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|diagnosis| diagnosis["check"].as_str())
        .collect()
}

#[test]
fn the_cause_comes_first_in_the_folders_of_this_project() {
    let own = root().join("tests/incidents");
    let folders: Vec<PathBuf> = std::fs::read_dir(own)
        .expect("the folder of this test")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    assert!(!folders.is_empty());
    for folder in folders {
        let text = std::fs::read_to_string(folder.join("expected.yaml")).expect("expected.yaml");
        let expected: Expected = serde_saphyr::from_str(&text).expect("what is expected");
        let output = doctor(&folder.join("evidence").to_string_lossy())
            .output()
            .expect("the plugin can be started");
        let report = report(&output);
        let found = diagnoses(&report);
        let first_is_accepted = found
            .first()
            .is_some_and(|first| expected.accept.iter().any(|accepted| accepted == first));
        assert!(
            first_is_accepted || (expected.accept.is_empty() && found.is_empty()),
            "{}: {found:?}",
            folder.display()
        );
        assert!(
            !found
                .iter()
                .any(|check| expected.deny.iter().any(|denied| denied == check)),
            "{}: {found:?}",
            folder.display()
        );
        assert_eq!(
            report["unread"],
            serde_json::json!([]),
            "{}",
            folder.display()
        );
    }
}

#[test]
fn the_autoscalers_log_alone_names_the_failing_name_through_a_pipe() {
    let log = std::fs::File::open(root().join("tests/incidents/field_notes/evidence/scale-in.log"))
        .expect("the log");
    let output = doctor("-")
        .stdin(Stdio::from(log))
        .output()
        .expect("the plugin can be started");
    let report = report(&output);
    let first = diagnoses(&report).first().copied();
    assert!(
        matches!(
            first,
            Some("endpoints/name-unresolvable" | "autoscaler/asg-cache-failed")
        ),
        "{first:?}"
    );
    assert!(
        report["diagnoses"][0]["title"]
            .as_str()
            .is_some_and(|title| title.contains("autoscaling.us-west-2.amazonaws.com")),
        "{report:#}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_the_user_tried_in_the_pod_tells_the_name_from_the_way_out() {
    let output = doctor(
        &root()
            .join("tests/incidents/field_notes/evidence")
            .to_string_lossy(),
    )
    .output()
    .expect("the plugin can be started");
    let report = report(&output);
    let first = &report["diagnoses"][0];
    let root = report["findings"]
        .as_array()
        .and_then(|findings| findings.iter().find(|one| one["id"] == first["finding"]));
    let text = format!("{first} {}", root.expect("the root's finding"));
    for said in [
        "8.8.8.8 answers from a pod",
        "the way to the DNS server 10.100.0.10",
        "no answer for the name",
        "net/sg-node-dns",
        "kubectl get nodes -o json",
    ] {
        assert!(text.contains(said), "{said}: {first:#}");
    }
}
