//! The server as a program.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use eksnet_testkit::{kubectl, require};

#[test]
fn the_program_serves_files_and_ends_with_its_input() {
    if require("kubectl", kubectl()).is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let objects = folder.path().join("nodes.json");
    let node = r#"{"kind":"NodeList","apiVersion":"v1","items":[{"metadata":{"name":"n1"}}]}"#;
    std::fs::write(&objects, node).expect("written");
    let kubeconfig = folder.path().join("config");
    let mut server = Command::new(env!("CARGO_BIN_EXE_eksnet-fake-api"))
        .arg("--objects")
        .arg(&objects)
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server ran");
    let mut url = String::new();
    BufReader::new(server.stdout.take().expect("a pipe"))
        .read_line(&mut url)
        .expect("a line");
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let output = Command::new("kubectl")
        .args(["get", "nodes", "-o", "name", "--cache-dir"])
        .arg(folder.path().join("cache"))
        .env("KUBECONFIG", &kubeconfig)
        .output()
        .expect("kubectl ran");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "node/n1\n");
    drop(server.stdin.take());
    assert!(server.wait().expect("the server ended").success());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_eksnet-fake-api"))
        .args(["--objects", "/nowhere/nodes.json"])
        .stdin(Stdio::null())
        .output()
        .expect("the program ran");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("loading /nowhere/nodes.json failed: "),
        "{said}"
    );
}
