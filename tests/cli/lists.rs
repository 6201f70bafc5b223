//! Commands that show what the program knows.

use std::collections::BTreeSet;

use crate::program::{eksnet, root};

#[test]
fn checks_lists_every_check_with_its_permissions() {
    let run = eksnet(&["checks", "-o", "json"]);
    let checks = run.report();
    let checks = checks.as_array().expect("an array");
    let ids: BTreeSet<&str> = checks
        .iter()
        .filter_map(|check| check["id"].as_str())
        .collect();
    for id in [
        "dns/coredns-cross-node-blocked",
        "net/sg-node-dns",
        "iam/imds-hop-limit",
        "cni/aws-node-unhealthy",
    ] {
        assert!(ids.contains(id), "{id}");
    }
    assert_eq!(ids.len(), checks.len());
    for check in checks {
        let has =
            |key: &str| check[key].is_array() || check[key].is_string() || check[key].is_object();
        for key in ["id", "title", "family", "severity", "needs", "permissions"] {
            assert!(has(key), "{check:#} has no {key}");
        }
    }
    let text = eksnet(&["checks", "--only", "net"]).stdout;
    assert!(text.lines().all(|line| line.starts_with("net/")), "{text}");
}

#[test]
fn every_check_has_a_runbook_to_explain() {
    for check in eksnet(&["checks", "-o", "json"])
        .report()
        .as_array()
        .expect("an array")
    {
        let id = check["id"].as_str().expect("an id");
        let run = eksnet(&["explain", id]);
        assert_eq!(run.code, 0, "{id}");
        assert!(run.stdout.contains("## Confirm by hand"), "{id}");
    }
}

#[test]
fn permissions_hold_what_the_chosen_checks_declare_and_no_more() {
    let all = eksnet(&["permissions"]).stdout;
    assert!(
        all.contains("kind: ClusterRole") && all.contains("ec2:DescribeSecurityGroups"),
        "{all}"
    );
    let few = eksnet(&["permissions", "--for", "node/not-ready", "-o", "json"]).stdout;
    assert!(!few.contains("ec2:DescribeSecurityGroups"), "{few}");
    assert!(!all.contains("secrets"), "{all}");
}

#[test]
fn version_names_the_schemas() {
    let version = eksnet(&["version", "-o", "json"]).report();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["report"], "eksnet.report/v1");
    assert!(
        version["agentImage"]
            .as_str()
            .is_some_and(|image| image.ends_with(env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn kubectl_finds_the_plugin_by_its_name() {
    let Ok(kubectl) = std::process::Command::new("kubectl")
        .arg("version")
        .arg("--client")
        .output()
    else {
        eprintln!("left out: no kubectl");
        return;
    };
    assert!(kubectl.status.success());
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_kubectl-eksnet"));
    let folder = binary.parent().expect("a folder");
    let path = format!(
        "{}:{}",
        folder.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let list = std::process::Command::new("kubectl")
        .args(["plugin", "list"])
        .env("PATH", &path)
        .output()
        .expect("kubectl");
    assert!(
        String::from_utf8_lossy(&list.stdout).contains("kubectl-eksnet"),
        "{list:?}"
    );
    let version = std::process::Command::new("kubectl")
        .args(["eksnet", "version"])
        .env("PATH", &path)
        .output()
        .expect("kubectl");
    assert!(
        String::from_utf8_lossy(&version.stdout).starts_with("kubectl-eksnet "),
        "{version:?}"
    );
}

#[test]
fn no_word_of_the_command_line_is_hidden_from_its_document() {
    let cli = std::fs::read_to_string(root().join("docs/cli.md")).expect("docs/cli.md");
    for word in [
        "--as-workload",
        "--plan",
        "--fail-on",
        "--agent-image",
        "--older-than",
    ] {
        assert!(cli.contains(word), "{word}");
    }
}
