//! `autoscaler/scale-down-blocked`: nodes that could go stay, for a reason that the autoscaler names.

mod why;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Heard, Meta, Place, Role, Severity, Source,
    Stop, Subject, log_covers,
};

use why::Why;

/// Reasons older than this, in seconds, are history.
const WINDOW_S: i64 = 3600;
/// A reason that stands for less than this, in seconds, may pass by itself: the autoscaler waits as
/// long before it removes a node.
const LASTING_S: i64 = 600;
const SIGNATURES: [&str; 4] = [
    "ca-node-not-removable",
    "ca-node-unremovable",
    "ca-node-no-scale-down",
    "ca-group-min",
];

const META: Meta = Meta {
    id: "autoscaler/scale-down-blocked",
    title: "Nodes that could go stay, for a reason that the autoscaler names",
    severity: Severity::Warning,
    role: Role::Cause,
    needs: &[Source::Logs],
    helps: &[Source::Deployments, Source::Pods, Source::Events],
    signals: &["pod-blocks", "budget-blocks", "node-marked", "by-design"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// What holds nodes for one reason.
#[derive(Debug, Default)]
struct Held {
    nodes: BTreeSet<String>,
    pods: BTreeSet<String>,
    facts: Vec<Fact>,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut held: BTreeMap<Why, Held> = BTreeMap::new();
    let mut place = Place::default();
    for said in SIGNATURES
        .iter()
        .flat_map(|signature| Heard::in_logs(cx, &[signature], WINDOW_S))
        .filter(|said| lasts(said))
    {
        let mut by_reason: BTreeMap<Why, BTreeSet<String>> = BTreeMap::new();
        for text in said.values("why") {
            if let Some(why) = Why::of(text) {
                by_reason.entry(why).or_default().extend(why::pod(text));
            }
        }
        for (why, pods) in by_reason {
            let one = held.entry(why).or_default();
            one.pods.extend(pods);
            one.nodes.extend(said.values("node").map(str::to_owned));
            one.facts.push(fact(&said, why));
            place.workloads.extend(said.at(cx.topology()).workloads);
        }
    }
    by_events(cx, &mut held);
    if held.is_empty() {
        log_covers(cx, Component::ClusterAutoscaler, LASTING_S)?;
        return Ok(Vec::new());
    }
    Ok(vec![finding(cx, &held, place)])
}

/// Whether a reason stands long enough. A file may be an excerpt: what it quotes was quoted for a reason.
fn lasts(said: &Heard<'_>) -> bool {
    match (said.hits.first, said.hits.last) {
        (Some(first), Some(last)) if !said.scan.pod.is_empty() => {
            last.seconds_since(first) >= LASTING_S
        }
        _ => true,
    }
}

/// The newest record that gives the reason.
fn fact(said: &Heard<'_>, why: Why) -> Fact {
    let record = said
        .records()
        .filter(|record| Why::of(record) == Some(why))
        .last()
        .cloned()
        .unwrap_or_else(|| said.line().into());
    Fact::new(
        Source::Logs,
        said.scan.place(),
        format!("reason ({} records)", said.hits.count),
        record,
    )
    .at(said.hits.last)
}

/// What Karpenter says on nodes that it may not disrupt.
fn by_events(cx: &Cx<'_>, held: &mut BTreeMap<Why, Held>) {
    for event in cx.events().optional().into_iter().flatten() {
        if event.reason != "DisruptionBlocked" || !cx.within(event.last_seen(), WINDOW_S) {
            continue;
        }
        let Some(why) = Why::of_karpenter(&event.message) else {
            continue;
        };
        let one = held.entry(why).or_default();
        let object = &event.involved_object;
        one.nodes.insert(object.name.clone());
        one.facts.push(
            Fact::new(
                Source::Events,
                format!("{} {}", object.kind, object.name),
                event.reason.as_str(),
                event.message.as_str(),
            )
            .at(event.last_seen()),
        );
    }
}

fn finding(cx: &Cx<'_>, held: &BTreeMap<Why, Held>, place: Place) -> Finding {
    let nodes: BTreeSet<&String> = held.values().flat_map(|one| &one.nodes).collect();
    let by_design = held.keys().all(|why| why.is_by_design());
    let severity = if by_design {
        Severity::Info
    } else {
        Severity::Warning
    };
    let words: Vec<String> = held
        .iter()
        .filter(|(why, _)| by_design || !why.is_by_design())
        .map(|(why, one)| why.words(&one.pods))
        .collect();
    let subject = match nodes.iter().collect::<Vec<_>>().as_slice() {
        [] => "A node stays".to_owned(),
        [one] => format!("Node {one} stays"),
        many => format!("{} nodes stay", many.len()),
    };
    let mut finding = META
        .finding(severity, format!("{subject}: {}", words.join("; ")))
        .detail("The autoscaler removes a node only when each pod on it may be evicted and has a place elsewhere.")
        .confidence(if held.keys().all(|why| *why == Why::Other) {
            Confidence::Likely
        } else {
            Confidence::Confirmed
        })
        .subjects(nodes.iter().map(|node| Subject::node(node.as_str())))
        .at(place.on(nodes.iter().map(|node| node.as_str())))
        .confirm("kubectl -n kube-system logs deployment/cluster-autoscaler | grep -E 'cannot be removed|unremovable|no scale down'");
    for (why, one) in held {
        finding = finding.signal(why.signal()).facts(one.facts.clone());
        let node = one.nodes.first().map_or("NODE", String::as_str);
        let pods: Vec<_> = one.pods.iter().take(5).collect();
        if pods.is_empty() {
            finding = finding.fix(why.fix(None, "NAMESPACE", node));
        }
        for pod in pods {
            let (namespace, name) = located(cx, *why, pod);
            finding = finding.fix(why.fix(Some(&name), &namespace, node));
        }
    }
    finding
}

/// Namespace and name of a pod that the log may name without its namespace.
fn located(cx: &Cx<'_>, why: Why, pod: &str) -> (String, String) {
    if let Some((namespace, name)) = pod.split_once('/') {
        return (namespace.to_owned(), name.to_owned());
    }
    let seen = cx
        .topology()
        .pods()
        .find(|one| one.metadata.name == pod)
        .map(|one| one.metadata.namespace.clone());
    let usual = if why == Why::SystemPod {
        "kube-system"
    } else {
        "NAMESPACE"
    };
    (seen.unwrap_or_else(|| usual.to_owned()), pod.to_owned())
}
