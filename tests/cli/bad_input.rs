//! What goes wrong before there is a report: one line, the right exit code, nothing that looks like
//! a report.

use std::fs;

use crate::program::{command, eksnet, run};

fn kubeconfig(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config");
    fs::write(&path, text).expect("a file");
    let path = path.to_string_lossy().into_owned();
    (folder, path)
}

#[test]
fn flags_that_do_not_exist_are_usage() {
    let run = eksnet(&["doctor", "--nonsense"]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("--nonsense") && run.stderr.contains("Usage: kubectl eksnet doctor"),
        "{}",
        run.stderr
    );
    eksnet(&["doctor", "--demo", "--only", "dsn"]).fails_with(2, &["dsn", "kubectl eksnet checks"]);
    eksnet(&["explain", "dns/nonsense"]).fails_with(2, &["dns/nonsense", "kubectl eksnet checks"]);
}

#[test]
fn no_kubeconfig_says_how_to_get_one() {
    eksnet(&["doctor"]).fails_with(2, &["kubeconfig", "aws eks update-kubeconfig"]);
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_usage() {
    eksnet(&["doctor", "--kubeconfig", "/nonexistent/config"])
        .fails_with(2, &["/nonexistent/config"]);
    let (_folder, path) = kubeconfig("{{ not yaml");
    eksnet(&["doctor", "--kubeconfig", &path]).fails_with(2, &[&path]);
}

#[test]
fn an_unknown_context_names_those_that_there_are() {
    let (_folder, path) = kubeconfig(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- {name: a, context: {cluster: c, user: u}}\nclusters:\n- {name: c, cluster: {server: 'https://127.0.0.1:1'}}\nusers:\n- {name: u, user: {}}\n",
    );
    eksnet(&["doctor", "--kubeconfig", &path, "--context", "b"]).fails_with(2, &["\"b\"", "a"]);
}

#[test]
fn an_api_server_that_refuses_connections_is_no_verdict() {
    let (_folder, path) = kubeconfig(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- {name: a, context: {cluster: c, user: u}}\nclusters:\n- {name: c, cluster: {server: 'https://127.0.0.1:1'}}\nusers:\n- {name: u, user: {token: x}}\n",
    );
    eksnet(&["doctor", "--kubeconfig", &path]).fails_with(3, &["127.0.0.1:1"]);
}

#[test]
fn a_path_that_is_no_evidence_is_usage() {
    eksnet(&["doctor", "--from", "/nonexistent/case"]).fails_with(2, &["/nonexistent/case"]);
    let folder = tempfile::tempdir().expect("a folder");
    eksnet(&["doctor", "--from", &folder.path().to_string_lossy()]).fails_with(2, &["empty"]);
    fs::write(folder.path().join("x.json"), "hello").expect("a file");
    eksnet(&["doctor", "--from", &folder.path().to_string_lossy()])
        .fails_with(2, &["x.json", "kubectl eksnet collect"]);
}

#[test]
fn bundles_that_are_cut_off_or_newer_or_none_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole =
        fs::read_to_string(crate::program::root().join("src/demo/outage.json")).expect("the demo");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    };
    for cut in [200, whole.len() / 2, whole.len() - 3] {
        let path = write("cut.json", &whole[..cut]);
        eksnet(&["doctor", "--from", &path]).fails_with(3, &["cut off", &path]);
    }
    let path = write(
        "newer.json",
        &whole.replace("eksnet.bundle/v1", "eksnet.bundle/v9"),
    );
    eksnet(&["doctor", "--from", &path]).fails_with(2, &["eksnet.bundle/v9", "newer"]);
    let path = write("other.json", "{\"schema\": \"other/v1\"}");
    eksnet(&["doctor", "--from", &path]).fails_with(2, &[&path]);
}

#[test]
fn a_reader_that_goes_away_is_success() {
    let mut child = command(&["explain", "node/not-ready"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the plugin can be started");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn hostile_text_in_an_error_does_not_reach_the_terminal() {
    let run = run(command(&[
        "doctor",
        "--from",
        "/nonexistent/\u{1b}]0;owned\u{7}",
    ]));
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
}
