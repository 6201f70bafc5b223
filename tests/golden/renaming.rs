//! The answer hangs on no name: with every id, address, node, cluster and account renamed, the report
//! is the same under the renaming.

use serde_json::Value;

use crate::story::{bundle, demo, golden, judge};

/// What is renamed, and to what. No name is part of another's replacement, so the way back is unique.
const NAMES: [(&str, &str); 16] = [
    ("172.31.", "10.77."),
    ("ip-172-31-", "ip-10-77-"),
    ("10.100.", "192.168."),
    ("sg-0", "sg-07f"),
    ("subnet-0", "subnet-07f"),
    ("vpc-0", "vpc-07f"),
    ("acl-0", "acl-07f"),
    ("eni-0", "eni-07f"),
    ("i-0a1", "i-07fa1"),
    ("i-0b2", "i-07fb2"),
    ("i-0c3", "i-07fc3"),
    ("123456789012", "210987654321"),
    ("prod", "blue"),
    ("shop", "till"),
    ("x2xkq", "y3ylr"),
    ("qz5wn", "ra6xp"),
];

fn rename(text: &str) -> String {
    NAMES
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn rename_back(text: &str) -> String {
    NAMES
        .iter()
        .rev()
        .fold(text.to_owned(), |text, (from, to)| text.replace(to, from))
}

/// The report with ids replaced by what they stand for, and lists sorted: ids are hashes of names, and
/// names decide between what is otherwise equal.
fn canonical(report: &Value) -> Value {
    let mut report = report.clone();
    report["timings"] = Value::Null;
    report["source"] = Value::Null;
    let mut text = report.to_string();
    for finding in report["findings"].as_array().expect("findings") {
        let mut subjects: Vec<String> = finding["subjects"]
            .as_array()
            .expect("subjects")
            .iter()
            .map(Value::to_string)
            .collect();
        subjects.sort();
        let id = finding["id"].as_str().expect("an id");
        let meaning =
            format!("{}:{}", finding["check"], subjects.join(",")).replace(['"', '\\'], "'");
        text = text.replace(id, &meaning);
    }
    sorted(serde_json::from_str(&text).expect("JSON"))
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(sorted).collect();
            items.sort_by_cached_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect(),
        ),
        other => other,
    }
}

#[test]
fn renaming_is_reversible() {
    let text = demo().to_string();
    assert_ne!(rename(&text), text);
    assert_eq!(rename_back(&rename(&text)), text);
}

#[test]
fn renamed_evidence_gives_the_same_report_under_the_renaming() {
    let names = [
        "kube_proxy_dead",
        "coredns_not_ready",
        "vpc_resolver_unreachable",
        "network_acl",
    ];
    let siblings = names
        .iter()
        .map(|name| bundle(&golden().join(format!("{name}.json"))));
    for story in std::iter::once(demo()).chain(siblings) {
        let renamed: Value = serde_json::from_str(&rename(&story.to_string())).expect("JSON");
        let report = judge(&renamed);
        let back: Value = serde_json::from_str(&rename_back(&report.to_string())).expect("JSON");
        let (expected, found) = (canonical(&judge(&story)), canonical(&back));
        let mut differ = Vec::new();
        crate::story::differences("", &expected, &found, &mut differ);
        let shown: Vec<String> = differ
            .iter()
            .map(|at| {
                format!(
                    "{at}: {} | {}",
                    expected.pointer(at).unwrap_or(&Value::Null),
                    found.pointer(at).unwrap_or(&Value::Null)
                )
            })
            .collect();
        assert!(differ.is_empty(), "{}", shown.join("\n"));
    }
}
