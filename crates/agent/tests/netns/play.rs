//! Builds the network of a case, runs the agent in it, and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use eksnet_probe::{Outcome, PROTOCOL, Plan, ProbeKind, ProbeResult, ProbeSpec, Transcript};
use serde_json::{Value, json};

use crate::case::{Case, Probe};
use crate::lab::{Lab, lacking};
use crate::{dns_server, http_server};

/// Time that the agent gets in a case. No case comes near it unless something hangs, and then the
/// stream says that it was cut.
const DEADLINE_MS: u64 = 60_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netns/cases")
}

/// Names of all case files, sorted.
pub(crate) fn files() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder of cases");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names: BTreeSet<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.into_iter().collect()
}

/// Plays the case of that name.
pub(crate) fn play(name: &str) {
    let case = Case::read(&folder().join(format!("{name}.toml")));
    if let Some(why) = lacking() {
        return skipped(why);
    }
    let mut lab = Lab::build(&case.nodes).unwrap_or_else(|why| panic!("{why}"));
    for server in case.dns {
        let node = server.on.clone();
        lab.serve(&node, |listening| dns_server::serve(server, listening));
    }
    for server in case.http {
        let node = server.on.clone();
        lab.serve(&node, |listening| http_server::serve(server, listening));
    }
    let nodes: BTreeSet<&str> = case.probe.iter().map(|probe| probe.from.as_str()).collect();
    let failures: Vec<String> = nodes
        .into_iter()
        .flat_map(|node| {
            let probes = case.probe.iter().filter(|probe| probe.from == node);
            let environment = &case.nodes[node].environment;
            run_on(&lab, node, environment, &probes.collect::<Vec<_>>())
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{}\n{}",
        case.situation,
        failures.join("\n")
    );
}

/// Says that a test was left out, unless it is required.
pub(crate) fn skipped(why: &str) {
    let required = std::env::var("EKSNET_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|each| each.trim() == "netns"),
        "network namespaces are required and cannot be made: {why}"
    );
    eprintln!("skipped, network namespaces cannot be made here: {why}");
}

/// Runs the probes of one node as one plan; returns what was not as expected.
fn run_on(
    lab: &Lab,
    node: &str,
    environment: &BTreeMap<String, String>,
    probes: &[&Probe],
) -> Vec<String> {
    let kinds: Vec<(&Probe, ProbeKind)> = probes
        .iter()
        .flat_map(|probe| (0..probe.times).map(|_| (*probe, kind(&probe.ask))))
        .collect();
    let specs = (0..).zip(&kinds).map(|(id, (_, kind))| ProbeSpec {
        id,
        kind: kind.clone(),
    });
    let results = run_plan(lab, node, environment, specs.collect());
    let by_id: BTreeMap<u32, &ProbeResult> = results.iter().map(|each| (each.id, each)).collect();
    (0..)
        .zip(&kinds)
        .filter_map(|(id, (probe, kind))| {
            let outcome = &by_id.get(&id)?.outcome;
            let seen = seen(outcome);
            let expected = serde_json::to_value(&probe.expect).expect("plain data");
            differs(&expected, &seen)
                .map(|how| format!("from {node}: {kind:?}\n    {how}\n    in {outcome:?}"))
        })
        .collect()
}

/// Runs the agent on a node; its results, whole.
pub(crate) fn run_plan(
    lab: &Lab,
    node: &str,
    environment: &BTreeMap<String, String>,
    probes: Vec<ProbeSpec>,
) -> Vec<ProbeResult> {
    let plan = Plan {
        protocol: PROTOCOL,
        nonce: "netns".to_owned(),
        deadline_ms: DEADLINE_MS,
        probes,
    };
    let output = Command::new("timeout")
        .args(["180", "ip", "netns", "exec", &lab.namespace(node)])
        .args([&agent(), "run", &plan.encode()])
        .env_clear()
        .envs(environment)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("EKSNET_TERMINATION_LOG", "/dev/null")
        .output()
        .expect("ip runs");
    let log = String::from_utf8(output.stdout).expect("the stream is text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{node}: {}\n{errors}",
        output.status
    );
    let transcript = Transcript::read(&log, "netns").expect("a stream within its bound");
    assert!(transcript.complete, "{node}: {log}\n{errors}");
    assert!(!transcript.cut, "{node}: the deadline came: {log}");
    assert_eq!(transcript.foreign_lines, 0, "{node}: {log}");
    transcript.results
}

fn agent() -> String {
    std::env::var("EKSNET_AGENT_BINARY")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_eksnet-agent").to_owned())
}

/// The probe of a case, with what it left out filled in.
fn kind(ask: &toml::Table) -> ProbeKind {
    let defaults = match ask.get("kind").and_then(toml::Value::as_str) {
        Some("dns") => json!({"query": "A", "tries": 5, "gapMs": 10, "timeoutMs": 2000}),
        Some("tcp") => json!({"tries": 3, "timeoutMs": 2000}),
        Some("http") => json!({"port": 443, "path": "/", "timeoutMs": 5000}),
        Some("tls") => json!({"port": 443, "timeoutMs": 5000}),
        Some("resolv") => json!({}),
        _ => json!({"timeoutMs": 5000}),
    };
    let mut whole = serde_json::to_value(ask).expect("plain data");
    for (key, value) in defaults.as_object().expect("an object") {
        if whole.get(key).is_none() {
            whole[key] = value.clone();
        }
    }
    serde_json::from_value(whole).unwrap_or_else(|error| panic!("{ask}: {error}"))
}

/// The outcome as JSON, with its tries summed up.
fn seen(outcome: &Outcome) -> Value {
    let mut seen = serde_json::to_value(outcome).expect("plain data");
    let tries = seen.get("tries").and_then(Value::as_array).cloned();
    let tries = tries.unwrap_or_default();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut answered: BTreeSet<String> = BTreeSet::new();
    for each in &tries {
        let ended = each.get("outcome").or_else(|| each.get("state"));
        let ended = ended.and_then(Value::as_str).unwrap_or_default();
        *counts.entry(ended.to_owned()).or_default() += 1;
        for answer in each
            .get("answers")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if let Some(address) = answer.get("address").and_then(Value::as_str) {
                answered.insert(address.to_owned());
            }
        }
    }
    if !tries.is_empty() {
        seen["counts"] = json!(counts);
    }
    if matches!(outcome, Outcome::Dns { .. }) {
        seen["addresses"] = json!(answered);
    }
    let elapsed = |value: &Value| value.get("elapsedMs").and_then(Value::as_f64);
    let slowest = tries.iter().chain([&seen]).filter_map(elapsed);
    seen["slowest"] = json!(slowest.fold(0.0, f64::max));
    seen
}

/// How `seen` differs from the keys that `expected` names; a key whose value is `"absent"` must
/// not be there.
fn differs(expected: &Value, seen: &Value) -> Option<String> {
    let keys = expected.as_object()?;
    keys.iter().find_map(|(key, wanted)| {
        if key == "slowest-at-least-ms" {
            let slowest = seen["slowest"].as_f64().unwrap_or_default();
            return (slowest < wanted.as_f64()?)
                .then(|| format!("the slowest took {slowest} ms, not {wanted} ms"));
        }
        let found = seen.get(key).filter(|found| !found.is_null()).cloned();
        let found = found.unwrap_or(json!("absent"));
        (found != *wanted).then(|| format!("{key} is {found}, not {wanted}"))
    })
}
