//! The whole way from packets to a cause: agents probe a small cluster of namespaces, the checks judge what
//! they met, and the report must name what was broken.
//!
//! The agent itself reaches neither model nor checks (docs/architecture.md); these tests do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eksnet_model::{OriginKind, ProbePod, Report, Snapshot, Standpoint, Topology, judge};
use eksnet_probe::{ProbeKind, ProbeSpec, QueryType, Transport};
use eksnet_triage::render::{self, Style};
use eksnet_triage::{FailOn, Graph, Input, report};
use serde::Deserialize;
use serde_json::Value;

use crate::case::{Answer, DnsServer, Node, Quirk};
use crate::dns_server;
use crate::lab::{Lab, lacking};
use crate::play::{run_plan, skipped};

/// What the agents' nodes are called in the cluster and in the network.
const STANDPOINTS: [(&str, &str); 3] = [("node-a", "a"), ("node-b", "b"), ("node-c", "c")];
const SERVICE: &str = "10.100.0.10";
const PODS: [&str; 2] = ["10.0.2.53", "10.0.3.54"];
const RESOLVERS: [&str; 2] = ["10.0.0.2", "169.254.169.253"];
const IN_CLUSTER: &str = "kubernetes.default.svc.cluster.local.";
const LARGE: &str = "large.cluster.local.";
const AWS: &str = "sts.eu-north-1.amazonaws.com.";

/// What is common to all topologies.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Network {
    nodes: BTreeMap<String, Node>,
    dns: Vec<DnsServer>,
}

/// One broken cluster.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Broken {
    /// What is broken, in a sentence.
    situation: String,
    /// Checks or symptoms of which one must come first; empty where nothing may be diagnosed.
    accept: Vec<String>,
    /// Checks that must find nothing.
    #[serde(default)]
    deny: Vec<String>,
    /// Checks that must find something.
    #[serde(default)]
    found: Vec<String>,
    /// Words that the first diagnosis must say.
    #[serde(default)]
    says: Vec<String>,
    /// Words that it must not say.
    #[serde(default)]
    never: Vec<String>,
    /// Tries of each query.
    #[serde(default = "five")]
    tries: u32,
    /// CoreDNS gets no answer from the resolver that it asks.
    #[serde(default)]
    silent_upstream: bool,
    #[serde(default)]
    filter: BTreeMap<String, Filter>,
    #[serde(default)]
    change: Vec<Change>,
}

fn five() -> u32 {
    5
}

/// Packet filters of a namespace.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Filter {
    input: Vec<String>,
    output: Vec<String>,
    /// Whether the Service's address leads to the pods.
    service: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            input: Vec::new(),
            output: Vec::new(),
            service: true,
        }
    }
}

/// What the APIs say in place of what `cluster.json` has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// JSON pointer; the index after the last of a list adds to it.
    at: String,
    value: toml::Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netns/topologies")
}

fn read(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of all topologies, sorted.
pub(crate) fn files() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder of topologies");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.ends_with(".toml") && name != "network.toml")
        .collect();
    names.sort_unstable();
    names
}

/// Builds the topology of that name, probes it, and demands that its cause is named.
pub(crate) fn diagnose(name: &str) {
    let broken: Broken = toml::from_str(&read(&format!("{name}.toml")))
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    if let Some(why) = lacking() {
        return skipped(why);
    }
    let pods = probed(&broken);
    let snapshot = snapshot(&broken, pods);
    let report = judged(&snapshot);
    let mut wrong = differs(&broken, &report);
    if !wrong.is_empty() {
        let style = Style {
            width: 120,
            wide: true,
            ..Style::default()
        };
        if let Ok(matrix) = eksnet_model::dns::matrix::DnsMatrix::of(&snapshot, None) {
            wrong.push(render::dns(&matrix, &style));
        }
        panic!(
            "{}\n{}\n{}",
            broken.situation,
            wrong.join("\n"),
            render::text(&report, &style)
        );
    }
}

/// What the agents of both nodes met.
fn probed(broken: &Broken) -> Vec<ProbePod> {
    let mut network: Network = toml::from_str(&read("network.toml")).expect("network.toml");
    for (node, filter) in &broken.filter {
        let node = network
            .nodes
            .get_mut(node)
            .unwrap_or_else(|| panic!("no namespace {node}"));
        node.input.clone_from(&filter.input);
        node.output.clone_from(&filter.output);
    }
    let mut lab = Lab::build(&network.nodes).unwrap_or_else(|why| panic!("{why}"));
    for (_, namespace) in STANDPOINTS {
        let leads = broken
            .filter
            .get(namespace)
            .is_none_or(|filter| filter.service);
        lab.load(namespace, &service(leads))
            .unwrap_or_else(|why| panic!("{why}"));
    }
    for mut server in network.dns {
        if broken.silent_upstream && server.on != "vpc" {
            server.names.insert(
                AWS.trim_end_matches('.').to_owned(),
                Answer {
                    quirk: Some(Quirk::Silent),
                    ..Answer::default()
                },
            );
        }
        let node = server.on.clone();
        lab.serve(&node, |listening| dns_server::serve(server, listening));
    }
    let lab = &lab;
    std::thread::scope(|scope| {
        let running: Vec<_> = STANDPOINTS
            .iter()
            .map(|(node, namespace)| {
                let plan = plan(broken.tries);
                scope.spawn(move || {
                    let results = run_plan(lab, namespace, &BTreeMap::new(), plan.clone());
                    ProbePod {
                        name: format!("probe-{namespace}").into(),
                        at: Standpoint {
                            node: (*node).into(),
                            namespace: "default".into(),
                            ..Standpoint::default()
                        },
                        complete: true,
                        plan,
                        results,
                        ..ProbePod::default()
                    }
                })
            })
            .collect();
        running
            .into_iter()
            .map(|one| one.join().expect("a run of the agent"))
            .collect()
    })
}

/// What kube-proxy does: a random pod for each flow. Without it the address leads nowhere.
fn service(leads: bool) -> String {
    let rule = |protocol: &str| {
        if leads {
            format!(
                "ip daddr {SERVICE} {protocol} dport 53 dnat to numgen random mod 2 map {{ 0 : {}, 1 : {} }}\n",
                PODS[0], PODS[1]
            )
        } else {
            String::new()
        }
    };
    // An address that nobody has on the switch would be unreachable, and not silent.
    let silent = if leads {
        String::new()
    } else {
        format!(
            "table ip silent {{\nchain out {{\ntype filter hook output priority -200; policy accept;\nip daddr {SERVICE} drop\n}}\n}}\n"
        )
    };
    format!(
        "{silent}table ip service {{\nchain out {{\ntype nat hook output priority -100; policy accept;\n{}{}}}\n}}\n",
        rule("udp"),
        rule("tcp")
    )
}

/// What the plugin's planner asks of such a cluster.
fn plan(tries: u32) -> Vec<ProbeSpec> {
    let mut kinds = vec![ProbeKind::Resolv];
    let mut ask = |server: &str, name: &str, query: QueryType| {
        for transport in [Transport::Udp, Transport::Tcp] {
            kinds.push(ProbeKind::Dns {
                server: format!("{server}:53").parse().expect("an address"),
                transport,
                name: name.to_owned(),
                query,
                tries,
                gap_ms: 20,
                timeout_ms: 1000,
            });
        }
    };
    for server in [SERVICE].iter().chain(&PODS) {
        ask(server, IN_CLUSTER, QueryType::A);
        ask(server, AWS, QueryType::A);
        ask(server, LARGE, QueryType::Txt);
    }
    for server in RESOLVERS {
        ask(server, AWS, QueryType::A);
    }
    for name in ["kubernetes.default", AWS.trim_end_matches('.')] {
        kinds.push(ProbeKind::Lookup {
            name: name.to_owned(),
            timeout_ms: 3000,
        });
    }
    (1..)
        .zip(kinds)
        .map(|(id, kind)| ProbeSpec { id, kind })
        .collect()
}

fn snapshot(broken: &Broken, pods: Vec<ProbePod>) -> Snapshot {
    let mut json: Value = serde_json::from_str(&read("cluster.json")).expect("cluster.json");
    for change in &broken.change {
        let value = serde_json::to_value(&change.value).expect("plain data");
        let (parent, last) = change.at.rsplit_once('/').expect("a pointer");
        let parent = json
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{} is nowhere", change.at));
        match parent {
            Value::Array(items) if items.len().to_string() == last => items.push(value),
            Value::Array(items) => items[last.parse::<usize>().expect("an index")] = value,
            parent => parent[last] = value,
        }
    }
    let mut snapshot: Snapshot = serde_json::from_value(json).expect("a snapshot");
    snapshot.origin.kind = OriginKind::Cluster;
    let topology = Topology::of(&snapshot);
    let classes: Vec<_> = pods
        .iter()
        .map(|pod| topology.class_of(&pod.at.node).map(|class| class.name))
        .collect();
    let pods = pods.into_iter().zip(classes).map(|(mut pod, class)| {
        pod.at.class = class.unwrap_or_default();
        pod.at_time = snapshot.taken_at;
        pod
    });
    let pods = pods.collect();
    snapshot.probes = eksnet_model::Evidence::Present(eksnet_model::ProbeRun {
        pods,
        created: 2,
        deleted: 2,
        ..eksnet_model::ProbeRun::default()
    });
    snapshot
}

fn judged(snapshot: &Snapshot) -> Report {
    let checks = eksnet_checks::all();
    let graph = Graph::load().expect("the graph");
    report(Input {
        snapshot,
        judged: judge(snapshot, &checks, &eksnet_checks::symptoms()),
        graph: &graph,
        unread: Vec::new(),
        timings: BTreeMap::new(),
        created: eksnet_model::Created::default(),
        version: "0.0.0".into(),
        fail_on: FailOn::Error,
        probes_expected: true,
        selected: false,
    })
}

/// In what the report is not as the topology demands.
fn differs(broken: &Broken, report: &Report) -> Vec<String> {
    let mut wrong = Vec::new();
    let found = |check: &str| {
        report
            .findings
            .iter()
            .any(|one| one.check.as_str() == check)
    };
    let first = report.diagnoses.first();
    let named = first.map_or("nothing", |first| first.check.as_str());
    let unexplained = || {
        let ids = report.unexplained.iter();
        ids.filter_map(|id| report.findings.iter().find(|one| one.id == *id))
            .any(|one| {
                broken
                    .accept
                    .iter()
                    .any(|accepted| *accepted == one.check.as_str())
            })
    };
    let is_right = match first {
        None => broken.accept.is_empty() || unexplained(),
        Some(_) => broken.accept.iter().any(|accepted| accepted == named),
    };
    if !is_right {
        wrong.push(format!(
            "{named} comes first, not one of {:?}",
            broken.accept
        ));
    }
    for check in broken.deny.iter().filter(|check| found(check)) {
        wrong.push(format!("{check} was found"));
    }
    for check in broken.found.iter().filter(|check| !found(check)) {
        wrong.push(format!("{check} was not found"));
    }
    let text = first
        .and_then(|first| report.findings.iter().find(|one| one.id == first.finding))
        .map(|root| serde_json::to_string(root).expect("plain data"))
        .unwrap_or_default();
    for word in broken
        .says
        .iter()
        .filter(|word| !text.contains(word.as_str()))
    {
        wrong.push(format!("{named} does not say {word}"));
    }
    for word in broken
        .never
        .iter()
        .filter(|word| text.contains(word.as_str()))
    {
        wrong.push(format!("{named} says {word}"));
    }
    wrong
}
