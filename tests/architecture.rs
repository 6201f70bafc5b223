//! Which crate may reach which: the "must never reach" column of docs/architecture.md.
//!
//! `cargo tree` is asked per crate, because `cargo metadata` unifies features and dev-dependencies of
//! the whole workspace.

use std::process::Command;

/// Names, or prefixes that end in `-`, that a crate must never reach.
const FENCES: [(&str, &[&str]); 8] = [
    (
        "eksnet-probe",
        &[
            "tokio",
            "kube",
            "aws-",
            "hyper",
            "rustls",
            "hickory-",
            "eksnet-model",
            "jiff",
            "regex",
        ],
    ),
    (
        "eksnet-model",
        &[
            "tokio", "kube", "aws-", "hyper", "rustls", "hickory-", "clap",
        ],
    ),
    (
        "eksnet-checks",
        &[
            "tokio",
            "kube",
            "aws-",
            "hyper",
            "rustls",
            "hickory-",
            "clap",
            "eksnet-triage",
            "eksnet-collect",
        ],
    ),
    (
        "eksnet-triage",
        &[
            "tokio",
            "kube",
            "aws-",
            "hyper",
            "rustls",
            "hickory-",
            "clap",
            "eksnet-checks",
            "eksnet-collect",
        ],
    ),
    (
        "eksnet-capacity",
        &[
            "tokio",
            "kube",
            "aws-",
            "hyper",
            "rustls",
            "hickory-",
            "clap",
            "eksnet-checks",
            "eksnet-collect",
            "eksnet-evidence",
        ],
    ),
    (
        "eksnet-evidence",
        &[
            "tokio",
            "kube",
            "aws-",
            "hyper",
            "rustls",
            "hickory-",
            "clap",
            "eksnet-checks",
            "eksnet-triage",
        ],
    ),
    (
        "eksnet-collect",
        &["eksnet-checks", "eksnet-triage", "eksnet-evidence", "clap"],
    ),
    (
        "eksnet-agent",
        &[
            "kube",
            "k8s-openapi",
            "eksnet-model",
            "eksnet-checks",
            "clap",
        ],
    ),
];

fn cargo_tree(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal,build",
            "--target",
            "all",
        ])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

fn is_fenced(name: &str, fence: &str) -> bool {
    if fence.ends_with('-') {
        name.starts_with(fence)
    } else {
        name == fence
            || name
                .strip_prefix(fence)
                .is_some_and(|rest| fence == "kube" && rest.starts_with('-'))
    }
}

#[test]
fn no_crate_reaches_what_it_must_never_reach() {
    let mut broken = Vec::new();
    for (package, fences) in FENCES {
        let tree = cargo_tree(&["-p", package, "--prefix", "none", "--format", "{p}"]);
        let reached = tree
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        for name in reached.filter(|name| *name != package) {
            if fences.iter().any(|fence| is_fenced(name, fence)) {
                let path = cargo_tree(&["-p", package, "--invert", name, "--prefix", "depth"]);
                broken.push(format!("{package} reaches {name}:\n{path}"));
            }
        }
    }
    broken.dedup();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_plugin_does_not_link_the_agent_and_has_one_tls_provider() {
    let tree = cargo_tree(&[
        "-p",
        "kubectl-eksnet",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for absent in [
        "eksnet-agent",
        "aws-lc-rs",
        "aws-lc-sys",
        "openssl-sys",
        "native-tls",
        "aws-sdk-ec2",
    ] {
        assert!(!names.contains(&absent), "the plugin reaches {absent}");
    }
    let rustls: std::collections::BTreeSet<&str> = tree
        .lines()
        .filter(|line| line.starts_with("rustls v"))
        .map(|line| line.trim_end_matches(" (*)"))
        .collect();
    assert_eq!(rustls.len(), 1, "{rustls:?}");
}

#[test]
fn the_fence_of_names_is_not_blind() {
    assert!(is_fenced("aws-config", "aws-"));
    assert!(is_fenced("kube-client", "kube"));
    assert!(!is_fenced("tokio-util-x", "tokio"));
    assert!(!is_fenced("kubectl-eksnet", "kube"));
}
