//! `autoscaler/no-expansion-options`: pods wait for a node, and no group is judged able to take them.

mod reason;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::Event;
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Heard, Meta, Place, Role, Severity, Source,
    Stop, Subject, SubjectKind, log_covers,
};

use reason::Reason;

/// Lines and Events older than this, in seconds, are history.
const WINDOW_S: i64 = 3600;

const META: Meta = Meta {
    id: "autoscaler/no-expansion-options",
    title: "Pods wait for a node, and cluster-autoscaler finds no group to enlarge",
    severity: Severity::Error,
    role: Role::Mechanism,
    needs: &[Source::Logs],
    helps: &[Source::Deployments, Source::Pods, Source::Events],
    signals: &[
        "from-event",
        "from-log",
        "upcoming",
        "labels",
        "taints",
        "too-big",
        "volume-zone",
        "spread",
        "backoff",
        "other-reason",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// What was said on pods that wait.
#[derive(Default)]
struct Gathered {
    reasons: BTreeMap<Reason, BTreeSet<String>>,
    pods: BTreeSet<String>,
    groups: BTreeSet<String>,
    facts: Vec<Fact>,
    upcoming: u32,
    needless: BTreeSet<String>,
    others: u32,
    place: Place,
    by_event: bool,
    by_log: bool,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut heard = Gathered::default();
    by_events(cx, &mut heard);
    by_logs(cx, &mut heard);
    if !heard.by_event && !heard.by_log {
        log_covers(cx, Component::ClusterAutoscaler, 600)?;
        return Ok(Vec::new());
    }
    Ok(vec![finding(heard)])
}

fn by_events(cx: &Cx<'_>, heard: &mut Gathered) {
    let pods = cx.pods().optional();
    let mut newest: BTreeMap<(&str, &str), &Event> = BTreeMap::new();
    for event in cx.events().optional().into_iter().flatten() {
        let is_answer = matches!(
            event.reason.as_str(),
            "NotTriggerScaleUp" | "TriggeredScaleUp"
        );
        let object = &event.involved_object;
        let gone = pods.is_some_and(|pods| {
            !pods.is_empty()
                && pods.iter().any(|pod| {
                    pod.metadata.namespace == object.namespace
                        && pod.metadata.name == object.name
                        && (pod.unschedulable().is_none() || pod.owner_kind() == Some("DaemonSet"))
                        && !pod.status.phase.is_empty()
                })
        });
        if !is_answer || gone || !cx.within(event.last_seen(), WINDOW_S) {
            continue;
        }
        let known = newest
            .entry((object.namespace.as_str(), object.name.as_str()))
            .or_insert(event);
        if event.last_seen() > known.last_seen() {
            *known = event;
        }
    }
    for ((namespace, name), event) in newest {
        let reasons = Reason::of_event(&event.message);
        // The maximum has a check of its own, unless it is one reason of several.
        let only_max = !reasons.is_empty() && reasons.iter().all(|reason| *reason == Reason::Max);
        if event.reason != "NotTriggerScaleUp" || only_max {
            continue;
        }
        let pod = format!("{namespace}/{name}");
        for reason in reasons {
            heard.reasons.entry(reason).or_default().insert(pod.clone());
        }
        if heard.facts.len() < 3 {
            heard.facts.push(
                Fact::new(
                    Source::Events,
                    format!("Pod {pod}"),
                    "NotTriggerScaleUp",
                    event.message.as_str(),
                )
                .expected("TriggeredScaleUp")
                .at(event.last_seen()),
            );
        }
        heard.pods.insert(pod);
        heard.by_event = true;
    }
}

fn by_logs(cx: &Cx<'_>, heard: &mut Gathered) {
    for signature in ["ca-no-expansion", "ca-no-pod-fits", "ca-predicate-failed"] {
        for said in Heard::in_logs(cx, &[signature], WINDOW_S) {
            heard.by_log = true;
            heard.facts.push(said.fact("lines"));
            heard
                .place
                .workloads
                .extend(said.at(cx.topology()).workloads);
            heard.groups.extend(said.values("group").map(str::to_owned));
            heard.pods.extend(said.values("pod").map(str::to_owned));
            for why in said.values("why") {
                if let Some(reason) = Reason::of_predicate(why) {
                    let pods = said.values("pod").map(str::to_owned);
                    heard.reasons.entry(reason).or_default().extend(pods);
                }
            }
        }
    }
    if !heard.by_log {
        return;
    }
    let number = |said: &Heard<'_>| -> u32 {
        said.values("count")
            .filter_map(|count| count.parse().ok())
            .max()
            .unwrap_or(0)
    };
    for said in Heard::in_logs(cx, &["ca-upcoming"], WINDOW_S) {
        heard.upcoming = heard.upcoming.max(number(&said));
        heard.facts.push(said.fact("lines"));
    }
    for said in Heard::in_logs(cx, &["ca-no-need"], WINDOW_S) {
        heard
            .needless
            .extend(said.values("group").map(str::to_owned));
        heard.facts.push(said.fact("lines"));
    }
    for said in Heard::in_logs(cx, &["ca-other-unschedulable"], WINDOW_S) {
        heard.others = heard.others.max(number(&said));
        heard.facts.push(said.fact("lines"));
    }
}

fn finding(heard: Gathered) -> Finding {
    let waits = heard.upcoming > 0 && heard.reasons.is_empty();
    let pods = match (heard.pods.len(), heard.others) {
        (0, 0) => "Pods wait".to_owned(),
        (0, others) => format!("{others} pods and more wait"),
        (1, 0) => format!(
            "Pod {} waits",
            heard.pods.first().map_or("", String::as_str)
        ),
        (many, others) => format!("{} pods wait", many + others as usize),
    };
    let nodes = match heard.upcoming {
        1 => "1 node that it asked for already".to_owned(),
        many => format!("{many} nodes that it asked for already"),
    };
    let why = heard
        .reasons
        .keys()
        .map(|reason| reason.words())
        .collect::<Vec<_>>()
        .join("; ");
    let title = if waits {
        format!("{pods} for a node, and cluster-autoscaler asks for none: it counts on {nodes}")
    } else if why.is_empty() {
        format!("{pods} for a node that no group of cluster-autoscaler can give")
    } else {
        format!("{pods} for a node that no group of cluster-autoscaler can give: {why}")
    };
    let needless = heard
        .needless
        .iter()
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    let detail = if waits && !needless.is_empty() {
        format!(
            "\"Upcoming {} nodes\": they are launched and have not joined. \"No need for any nodes in {needless}\": in its reckoning the pods that fit that group go onto the upcoming nodes. \"No expansion options\": so no group is left to enlarge. It grows again when these nodes have joined and pods are left, or when it gives them up after --max-node-provision-time (15 min).",
            heard.upcoming
        )
    } else if waits {
        format!(
            "\"Upcoming {} nodes\": they are launched and have not joined; the pods that fit a group go onto them in the autoscaler's reckoning. It grows again when they have joined, or when it gives them up after --max-node-provision-time (15 min).",
            heard.upcoming
        )
    } else if !needless.is_empty() {
        format!(
            "\"No need for any nodes in {needless}\": that group would take the pods, and what is there or on its way suffices for them; no other group can take the rest."
        )
    } else {
        "The autoscaler tries each pod on an imagined node of each group; none fits.".to_owned()
    };
    let mut finding = META
        .finding(
            if waits { Severity::Warning } else { Severity::Error },
            title,
        )
        .detail(detail)
        .confidence(match (heard.by_event, why.is_empty()) {
            (true, false) => Confidence::Confirmed,
            (_, true) => Confidence::Possible,
            _ => Confidence::Likely,
        })
        .subjects(heard.pods.iter().take(5).map(|pod| {
            let (namespace, name) = pod.split_once('/').unwrap_or(("", pod));
            Subject::pod(namespace, name)
        }))
        .facts(heard.facts)
        .at(heard.place)
        .confirm("kubectl get events -A --field-selector reason=NotTriggerScaleUp")
        .confirm("kubectl -n kube-system logs deployment/cluster-autoscaler | grep -E 'No expansion options|Upcoming|No need for any nodes|scheduled on'");
    if heard.pods.is_empty() {
        let subject = Subject::new(SubjectKind::Other, "cluster-autoscaler");
        finding = finding.subject(subject);
    }
    for (seen, signal) in [
        (heard.by_event, "from-event"),
        (heard.by_log, "from-log"),
        (heard.upcoming > 0, "upcoming"),
    ] {
        if seen {
            finding = finding.signal(signal);
        }
    }
    for reason in heard.reasons.keys() {
        finding = finding.signal(reason.signal()).fix(reason.fix());
    }
    if waits {
        finding = finding.fix(
            "kubectl get nodes --sort-by=.metadata.creationTimestamp   # wait for the nodes; if they do not come: aws autoscaling describe-scaling-activities --max-items 5",
        );
    } else if heard.reasons.is_empty() {
        finding = finding.fix("kubectl describe pod POD   # then a group with what the scheduler misses, or --v=4 on the autoscaler to see each predicate");
    }
    finding
}
