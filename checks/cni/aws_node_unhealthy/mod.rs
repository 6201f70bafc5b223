//! `cni/aws-node-unhealthy`: nodes on which the VPC CNI's daemon does not do its work.

mod advice;
mod reasons;

use std::collections::BTreeMap;

use eksnet_model::kubernetes::{Event, Node, Pod};
use eksnet_model::{
    Check, CniSettings, Component, Confidence, Cx, Fact, Finding, Meta, Place, Role, Severity,
    Source, Stop, Subject, SubjectKind, Text,
};

use reasons::{RECENT_S, Reason, Reasons, of_events, of_logs, of_pod, of_sandboxes};

const NAMESPACE: &str = "kube-system";
/// A node or pod that is this young, in seconds, may still be starting.
const STARTING_S: i64 = 180;
/// Restarts within an hour from which on a container restarts again and again.
const MANY_RESTARTS: u32 = 4;
/// Share of the nodes, in percent, from which on it is an outage.
const OUTAGE_PERCENT: usize = 20;

const META: Meta = Meta {
    id: "cni/aws-node-unhealthy",
    title: "aws-node is missing, not ready or restarts again and again",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Nodes, Source::Pods],
    // Which nodes are to have a pod; where it is not known, each of them.
    helps: &[Source::DaemonSets, Source::Events, Source::Logs],
    signals: &[
        "pod-missing",
        "pod-not-ready",
        "restarting",
        "node-not-ready",
        "node-ready",
        "kubelet-silent",
        "image-pull",
        "init-failed",
        "env-invalid",
        "env-warm-prefix",
        "no-eniconfig",
        "missing-iam",
        "api-unreachable",
        "oom-killed",
        "probe-failed",
        "ipamd-wait",
        "sandbox-ipamd-down",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// What is wrong with aws-node on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Missing,
    NotReady,
    Restarting {
        last_minutes: Option<i64>,
        times: u32,
    },
    /// Only logs or Events tell: neither nodes nor pods were read.
    Told,
}

struct Trouble<'a> {
    name: Text,
    node: Option<&'a Node>,
    pod: Option<&'a Pod>,
    state: State,
    reasons: Reasons,
}

impl Trouble<'_> {
    /// The node, where it is known.
    fn node_name(&self) -> Option<&str> {
        let of_pod = || self.pod.map(|pod| pod.spec.node_name.as_str());
        self.node
            .map(|node| node.metadata.name.as_str())
            .or_else(of_pod)
            .filter(|name| !name.is_empty())
    }
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let nodes = cx.nodes().some();
    let pods = cx.pods().all_in(NAMESPACE);
    let pods_seen: Vec<&Pod> = cx.topology().pods_of(Component::AwsNode).collect();
    // Pods of it show that the DaemonSet is there; without any, the DaemonSet has to tell.
    let sets = if pods_seen.is_empty() {
        cx.daemonsets().all_in(NAMESPACE).map(Some)
    } else {
        Ok(cx.daemonsets().optional())
    };
    let events = cx.events().optional().map_or(&[][..], Vec::as_slice);
    let logs = cx.logs().optional().map_or(&[][..], Vec::as_slice);
    if let Ok(Some(sets)) = sets
        && pods_seen.is_empty()
        && CniSettings::of(sets).is_none()
    {
        return Err(Stop::not_applicable(
            "there is no DaemonSet kube-system/aws-node: another CNI, or EKS Auto Mode",
        ));
    }
    let mut told = of_logs(cx, logs);
    let mut troubles = Vec::new();
    let mine: Vec<&Node> = nodes
        .as_ref()
        .map(|nodes| nodes.iter().filter(|node| node.has_cni_pod()).collect())
        .unwrap_or_default();
    let mine: Vec<&Node> = mine
        .into_iter()
        .filter(|node| is_selected(cx, node))
        .collect();
    if let Ok(nodes) = nodes.as_ref() {
        if mine.is_empty() && !nodes.is_empty() {
            return Err(Stop::not_applicable(
                "no node runs aws-node as a pod: Fargate, Auto Mode, hybrid and Windows nodes bring their own, and a node selector may switch it off",
            ));
        }
        let mut by_node: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
        for pod in pods_seen.iter().filter(|pod| !pod.is_terminal()) {
            by_node.entry(&pod.spec.node_name).or_default().push(pod);
        }
        for node in &mine {
            let own = by_node
                .get(node.metadata.name.as_str())
                .map_or(&[][..], Vec::as_slice);
            let reasons = told.remove(node.metadata.name.as_str()).unwrap_or_default();
            // A pod that was not listed is missing only where all were listed.
            let Some((state, pod)) = state(cx, node, own, pods.is_ok() && sets.is_ok()) else {
                continue;
            };
            troubles.push(with_reasons(cx, events, node, pod, state, reasons));
        }
    }
    if nodes.is_err() {
        troubles.extend(of_pods(cx, events, &pods_seen, &mut told));
    }
    if pods.is_err() && pods_seen.is_empty() {
        // A refused call by itself does not say that aws-node is down.
        told.retain(|_, reasons| {
            reasons
                .all
                .iter()
                .any(|reason| *reason != Reason::MissingIam)
        });
        troubles.extend(told.into_iter().map(|(name, reasons)| Trouble {
            node: cx.topology().node(&name),
            name,
            pod: None,
            state: State::Told,
            reasons,
        }));
    }
    let severity = severity(&mine, &troubles);
    let findings: Vec<Finding> = troubles
        .into_iter()
        .map(|trouble| finding(cx, trouble, severity))
        .collect();
    if findings.is_empty() {
        nodes?;
        pods?;
        sets?;
    }
    Ok(findings)
}

/// Pods whose nodes nobody listed. What a log says whose node is not known is taken for all of them.
fn of_pods<'a>(
    cx: &Cx<'_>,
    events: &[Event],
    pods: &[&'a Pod],
    told: &mut BTreeMap<Text, Reasons>,
) -> Vec<Trouble<'a>> {
    let mut troubles = Vec::new();
    for pod in pods.iter().copied().filter(|pod| !pod.is_terminal()) {
        let started = pod.metadata.creation_timestamp.or(pod.status.start_time);
        let young = match (cx.now(), started) {
            (Some(now), Some(started)) => now.seconds_since(started) < STARTING_S,
            _ => false,
        };
        let state = if pod.is_ready() {
            restarting(cx, pod)
        } else if young && !has_failed(pod) {
            None
        } else {
            Some(State::NotReady)
        };
        let Some(state) = state else { continue };
        let name = Text::from(if pod.spec.node_name.is_empty() {
            &pod.metadata.name
        } else {
            &pod.spec.node_name
        });
        let mut reasons = told.remove(&name).unwrap_or_default();
        of_pod(pod, &mut reasons);
        of_events(cx, events, None, Some(pod), &mut reasons);
        troubles.push(Trouble {
            name,
            node: None,
            pod: Some(pod),
            state,
            reasons,
        });
    }
    if !troubles.is_empty() {
        for rest in std::mem::take(told).into_values() {
            for trouble in &mut troubles {
                trouble.reasons.take_from(&rest);
            }
        }
    }
    troubles
}

/// Whether a container of the pod has failed already: a young pod that has is not just starting.
fn has_failed(pod: &Pod) -> bool {
    let init = pod.status.init_container_statuses.iter();
    init.chain(&pod.status.container_statuses).any(|status| {
        status.restart_count > 0
            || [&status.state, &status.last_state].iter().any(|state| {
                let ended = state.terminated.as_ref();
                ended.is_some_and(|ended| ended.exit_code != 0)
            })
    })
}

/// Whether the DaemonSet's node selector takes the node. Clusters with another CNI switch aws-node off by a
/// selector that no node has.
fn is_selected(cx: &Cx<'_>, node: &Node) -> bool {
    let set = cx
        .topology()
        .daemonsets()
        .find(|set| set.metadata.namespace == NAMESPACE && set.metadata.name == "aws-node");
    set.is_none_or(|set| {
        let selector = &set.spec.template.spec.node_selector;
        selector
            .iter()
            .all(|(key, value)| node.label(key) == Some(value))
    })
}

/// What the pods of one node show; `None` when all is well or it is too early to tell.
fn state<'a>(
    cx: &Cx<'_>,
    node: &Node,
    own: &[&'a Pod],
    all_listed: bool,
) -> Option<(State, Option<&'a Pod>)> {
    let young = |since| match (cx.now(), since) {
        (Some(now), Some(since)) => now.seconds_since(since) < STARTING_S,
        _ => false,
    };
    if node.metadata.deletion_timestamp.is_some() || young(node.metadata.creation_timestamp) {
        return None;
    }
    if let Some(ready) = own.iter().copied().find(|pod| pod.is_ready()) {
        return restarting(cx, ready).map(|state| (state, Some(ready)));
    }
    let Some(pod) = own.first().copied() else {
        return all_listed.then_some((State::Missing, None));
    };
    let starts = pod.metadata.creation_timestamp.or(pod.status.start_time);
    let since = pod
        .condition("Ready")
        .and_then(|ready| ready.last_transition_time);
    let leaving = own
        .iter()
        .any(|pod| pod.metadata.deletion_timestamp.is_some());
    // A pod that turned unready a moment ago, or is replaced by a rollout, may be back at once.
    let silent = node
        .condition("Ready")
        .is_some_and(|ready| ready.status == "Unknown");
    if !silent && (leaving || young(starts) || young(since)) {
        return restarting(cx, pod).map(|state| (state, Some(pod)));
    }
    Some((State::NotReady, Some(pod)))
}

/// More than three restarts an hour, the last of them within the hour.
fn restarting(cx: &Cx<'_>, pod: &Pod) -> Option<State> {
    let worst = pod
        .status
        .container_statuses
        .iter()
        .max_by_key(|status| status.restart_count)?;
    let last = worst.last_state.terminated.as_ref()?.finished_at;
    if worst.restart_count < MANY_RESTARTS || !cx.within(last, RECENT_S) {
        return None;
    }
    let created = pod.metadata.creation_timestamp.or(pod.status.start_time);
    let (hours, last_minutes) = match (cx.now(), created, last) {
        (Some(now), Some(created), Some(last)) => (
            (now.seconds_since(created) / RECENT_S).max(1),
            Some(now.seconds_since(last) / 60),
        ),
        _ => (1, None),
    };
    let times = worst.restart_count;
    (i64::from(times) >= i64::from(MANY_RESTARTS) * hours).then_some(State::Restarting {
        last_minutes,
        times,
    })
}

fn with_reasons<'a>(
    cx: &Cx<'_>,
    events: &[Event],
    node: &'a Node,
    pod: Option<&'a Pod>,
    state: State,
    mut reasons: Reasons,
) -> Trouble<'a> {
    if let Some(pod) = pod {
        of_pod(pod, &mut reasons);
    }
    of_events(cx, events, Some(node), pod, &mut reasons);
    of_sandboxes(cx, events, node, &mut reasons);
    if let Some(ready) = node
        .condition("Ready")
        .filter(|ready| ready.status != "True")
    {
        let fact = Fact::new(
            Source::Nodes,
            format!("Node {}", node.metadata.name),
            "condition Ready",
            format!("{} ({}: {})", ready.status, ready.reason, ready.message),
        )
        .expected("True")
        .at(ready.last_transition_time);
        if ready.status == "Unknown" {
            reasons.add(Reason::KubeletSilent, fact);
        } else {
            reasons.facts.push(fact);
        }
    }
    Trouble {
        name: node.metadata.name.as_str().into(),
        node: Some(node),
        pod,
        state,
        reasons,
    }
}

/// An outage when a fifth of the nodes, or every node of a zone with more than one, is affected.
fn severity(mine: &[&Node], troubles: &[Trouble<'_>]) -> Severity {
    let mut zones: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for node in mine {
        let (all, down) = zones.entry(node.zone().unwrap_or("")).or_default();
        *all += 1;
        *down += usize::from(troubles.iter().any(|one| *one.name == *node.metadata.name));
    }
    let whole_zone = zones.values().any(|(all, down)| *all > 1 && all == down);
    let share = troubles.len() * 100 >= mine.len() * OUTAGE_PERCENT;
    if !mine.is_empty() && (share || whole_zone) {
        Severity::Critical
    } else {
        Severity::Error
    }
}

fn finding(cx: &Cx<'_>, trouble: Trouble<'_>, severity: Severity) -> Finding {
    let place = Place::nodes(trouble.node_name());
    let mut finding = META
        .finding(severity, advice::title(&trouble))
        .detail(advice::detail(&trouble))
        .confidence(confidence(&trouble))
        .subject(match trouble.node_name() {
            Some(node) => Subject::node(node),
            None => Subject::new(SubjectKind::Other, trouble.name.clone()),
        });
    if !place.nodes.is_empty() {
        finding = finding.at(place.clone()).reaches(place);
    }
    if let Some(pod) = trouble.pod {
        finding = finding
            .subject(Subject::pod(&pod.metadata.namespace, &pod.metadata.name))
            .fact(advice::pod_fact(pod));
    } else if trouble.state == State::Missing {
        finding = finding.fact(
            Fact::new(
                Source::Pods,
                format!("Node {}", trouble.name),
                "aws-node pods",
                "0",
            )
            .expected("1"),
        );
    }
    let signal = match trouble.state {
        State::Missing => Some("pod-missing"),
        State::NotReady => Some("pod-not-ready"),
        State::Restarting { .. } => Some("restarting"),
        State::Told => None,
    };
    let node = trouble.node.and_then(Node::is_ready).map(|ready| {
        if ready {
            "node-ready"
        } else {
            "node-not-ready"
        }
    });
    let reasons = trouble.reasons.all.iter().map(|reason| reason.signal());
    for signal in signal.into_iter().chain(node).chain(reasons) {
        finding = finding.signal(signal);
    }
    finding.remedy.confirm = advice::confirm(&trouble);
    finding.remedy.fix = advice::fix(cx, &trouble);
    finding.facts(trouble.reasons.facts)
}

/// A status and another source that says why.
fn confidence(trouble: &Trouble<'_>) -> Confidence {
    let other = trouble
        .reasons
        .facts
        .iter()
        .any(|fact| fact.source != Source::Pods);
    match trouble.state {
        State::Told => Confidence::Likely,
        _ if other => Confidence::Confirmed,
        _ => Confidence::Likely,
    }
}
