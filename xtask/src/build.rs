//! Where things are, and how cargo is called.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Runs a command in the workspace, its output going through.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .current_dir(root())
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

/// Standard output of a command in the workspace.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    output_of(command, &[0])
}

/// Standard output of a run of the plugin that found something, which is exit code 1.
pub(crate) fn output_of_findings(command: &mut Command) -> anyhow::Result<String> {
    output_of(command, &[1])
}

fn output_of(command: &mut Command, codes: &[i32]) -> anyhow::Result<String> {
    let output = command
        .current_dir(root())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output
            .status
            .code()
            .is_some_and(|code| codes.contains(&code)),
        "{command:?} failed: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// cargo, the same that runs this.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// cargo's target folder.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A field of the workspace's package table in Cargo.toml, read through cargo.
pub(crate) fn package(field: &str) -> anyhow::Result<String> {
    let text = output(cargo().args([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "kubectl-eksnet")
        .and_then(|package| package[field].as_str())
        .map(str::to_owned)
        .with_context(|| format!("Cargo.toml has no field {field}"))
}
