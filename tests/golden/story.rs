//! Judges a bundle with the built plugin, and reads the report.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

pub(crate) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The demo's bundle.
pub(crate) fn demo() -> Value {
    bundle(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/outage.json"))
}

pub(crate) fn bundle(path: &Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// The report of the plugin over a bundle.
pub(crate) fn judge(bundle: &Value) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bundle.json");
    std::fs::write(&path, bundle.to_string()).expect("a file");
    report(&["doctor", "--from", &path.to_string_lossy(), "-o", "json"])
}

/// The report of the plugin with these arguments.
pub(crate) fn report(arguments: &[&str]) -> Value {
    let text = stdout(arguments, &[]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub(crate) fn stdout(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-eksnet"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("the plugin can be started");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Check and confidence of the first diagnosis.
pub(crate) fn first(report: &Value) -> (&str, &str) {
    let first = &report["diagnoses"][0];
    (
        first["check"].as_str().unwrap_or("none"),
        first["confidence"].as_str().unwrap_or("none"),
    )
}

/// Checks of the findings that a diagnosis explains.
pub(crate) fn explained<'a>(report: &'a Value, diagnosis: &'a Value) -> Vec<&'a str> {
    let findings = report["findings"].as_array().expect("findings");
    diagnosis["explains"]
        .as_array()
        .expect("explains")
        .iter()
        .filter_map(|id| findings.iter().find(|finding| finding["id"] == *id)?["check"].as_str())
        .collect()
}

/// Where two values differ, as JSON pointers down to what is no longer an object or an array of the
/// same length.
pub(crate) fn differences(at: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            for (key, value) in one {
                differences(&format!("{at}/{key}"), value, &other[key], found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, value) in one.iter().enumerate() {
                differences(&format!("{at}/{index}"), value, &other[index], found);
            }
        }
        _ if one == other => {}
        _ => found.push(at.to_owned()),
    }
}
