//! Why an installation has no working replica.

use eksnet_model::kubernetes::{ContainerStatus, Event, Pod, StateTerminated};
use eksnet_model::{Cx, Deployed, Fact, Hits, Source, Text, Time};

use super::STARTING_S;

/// Restarts from which on a container counts as crashing again and again.
const RESTARTS: u32 = 3;
/// A restart before that, in seconds, is history.
const RECENT_S: i64 = 600;

/// What is wrong with the pods of an installation.
#[derive(Debug)]
pub(super) enum State<'a> {
    /// A replica is ready, or has just been started.
    Works,
    /// Zero replicas are wanted.
    ScaledToZero,
    /// There is no pod.
    NoPods,
    /// The Deployment counts no ready replica; its pods were not seen.
    Unseen,
    /// The pod's node does not report.
    DeadNode(&'a Pod),
    /// The pod has no node; what the scheduler says.
    Pending(&'a Pod, &'a str),
    /// A container ends again and again.
    Crashes(&'a Pod, &'a ContainerStatus),
    /// A container does not start: reason and message.
    NotStarting(&'a Pod, &'a str, &'a str),
    /// It runs, and is not ready.
    Unready(&'a Pod),
}

impl<'a> State<'a> {
    pub(super) fn of(cx: &Cx<'_>, one: &Deployed<'a>) -> Self {
        if one.deployment.is_some() && one.wanted() == 0 {
            return Self::ScaledToZero;
        }
        let pods: Vec<&Pod> = one.live_pods().collect();
        if let Some(crashing) = pods.iter().find_map(|pod| {
            let status = pod.status.container_statuses.iter();
            let mut crashing = status.filter(|status| crashes(cx, status));
            crashing.next().map(|status| Self::Crashes(pod, status))
        }) && pods
            .iter()
            .all(|pod| !pod.is_ready() || has_crashed(cx, pod))
        {
            return crashing;
        }
        if one.ready() > 0 {
            return Self::Works;
        }
        let nodes = cx.nodes().optional();
        let is_dead = |pod: &&&Pod| {
            nodes.into_iter().flatten().any(|node| {
                node.metadata.name == pod.spec.node_name && node.is_ready() == Some(false)
            })
        };
        let Some(pod) = pods.iter().find(is_dead).or(pods.first()) else {
            return if cx.pods().is_complete() {
                Self::NoPods
            } else {
                Self::Unseen
            };
        };
        if is_dead(&pod) {
            return Self::DeadNode(pod);
        }
        if let Some(scheduled) = pod
            .condition("PodScheduled")
            .filter(|condition| condition.status == "False")
        {
            return Self::Pending(pod, &scheduled.message);
        }
        if let Some((reason, message)) = pod.trouble() {
            return Self::NotStarting(pod, reason, message);
        }
        let started = pod.status.start_time.or(pod.metadata.creation_timestamp);
        match (cx.now(), started) {
            (Some(now), Some(started)) if now.seconds_since(started) < STARTING_S => Self::Works,
            _ => Self::Unready(pod),
        }
    }

    /// The clause of the title, behind the name.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Works => "runs".to_owned(),
            Self::ScaledToZero => "is scaled to 0 replicas".to_owned(),
            Self::NoPods => "has no pod".to_owned(),
            Self::Unseen => "has no ready replica".to_owned(),
            Self::DeadNode(pod) => format!(
                "is down with its node {}, which is not Ready",
                pod.spec.node_name
            ),
            Self::Pending(pod, _) => format!(
                "is not running: its pod {} is not scheduled",
                pod.metadata.name
            ),
            Self::Crashes(_, status) => {
                let last = match ended(status) {
                    Some(end) if end.reason == "OOMKilled" => ", the last OOMKilled".to_owned(),
                    Some(end) => format!(", the last with exit code {}", end.exit_code),
                    None => String::new(),
                };
                format!(
                    "crashes again and again: {} restarts{last}",
                    status.restart_count
                )
            }
            Self::NotStarting(_, reason, _) => format!("does not start: {reason}"),
            Self::Unready(pod) => format!("runs in {} and is not ready", pod.metadata.name),
        }
    }

    pub(super) fn detail(&self) -> &'static str {
        match self {
            Self::Pending(..) => {
                "An autoscaler launches no node for itself: where it can only run on nodes that it makes, it cannot start from zero."
            }
            Self::Crashes(..) => {
                "Nothing is scaled while it is down. Its backoff reaches 5 min, so it may look Running between two crashes."
            }
            _ => "Nothing is scaled: Pending pods wait, and idle nodes stay.",
        }
    }

    /// Whether an explicit code or condition says so.
    pub(super) fn is_explicit(&self) -> bool {
        matches!(
            self,
            Self::ScaledToZero
                | Self::DeadNode(_)
                | Self::Pending(..)
                | Self::Crashes(..)
                | Self::NotStarting(..)
        )
    }

    pub(super) fn facts(&self, cx: &Cx<'_>, one: &Deployed<'_>) -> Vec<Fact> {
        let fact = |pod: &Pod, field: &str, saw: String, at: Option<Time>| {
            Fact::new(Source::Pods, format!("Pod {}", pod.key()), field, saw).at(at)
        };
        let mut facts = match self {
            Self::DeadNode(pod) | Self::Unready(pod) => {
                vec![fact(pod, "node", pod.spec.node_name.clone(), None)]
            }
            Self::Pending(pod, message) => {
                let since = pod
                    .condition("PodScheduled")
                    .and_then(|condition| condition.last_transition_time);
                vec![fact(
                    pod,
                    "PodScheduled",
                    format!("False ({message})"),
                    since,
                )]
            }
            Self::NotStarting(pod, reason, message) => {
                vec![fact(pod, "waiting", format!("{reason} ({message})"), None)]
            }
            Self::Crashes(pod, status) => {
                let mut saw = format!("{} restarts", status.restart_count);
                let mut at = None;
                if let Some(end) = ended(status) {
                    at = end.finished_at;
                    saw.push_str(&format!(", last end {} exit {}", end.reason, end.exit_code));
                    if !end.message.is_empty() {
                        saw.push_str(&format!(": {}", end.message));
                    }
                }
                let limit = one
                    .running()
                    .and_then(|running| running.container.resources.limits.get("memory"));
                let mut facts = vec![fact(pod, "container", saw, at)];
                if let Some(limit) = limit.filter(|_| self.is_oom()) {
                    facts.push(fact(pod, "memory limit", limit.clone(), None));
                }
                facts
            }
            Self::Works | Self::ScaledToZero | Self::NoPods | Self::Unseen => Vec::new(),
        };
        facts.extend(evictions(cx, one).map(|event| {
            Fact::new(
                Source::Events,
                format!(
                    "Pod {}/{}",
                    event.involved_object.namespace, event.involved_object.name
                ),
                event.reason.as_str(),
                event.message.as_str(),
            )
            .at(event.last_seen())
        }));
        for signature in ["ca-bad-flags", "ca-lost-master", "karpenter-lost-leader"] {
            facts.extend(
                hits(cx, one, signature)
                    .filter(|_| !matches!(self, Self::Works))
                    .map(|hits| {
                        let text = hits.samples.last().map(|sample| sample.text.clone());
                        Fact::new(
                            Source::Logs,
                            one.workload(),
                            format!("{} records", hits.count),
                            text.unwrap_or_default(),
                        )
                        .at(hits.last)
                    }),
            );
        }
        facts
    }

    pub(super) fn signals(&self, cx: &Cx<'_>, one: &Deployed<'_>) -> Vec<&'static str> {
        let mut signals = match self {
            Self::Works | Self::NoPods | Self::Unseen | Self::Unready(_) => Vec::new(),
            Self::ScaledToZero => vec!["scaled-to-zero"],
            Self::DeadNode(_) => vec!["on-dead-node"],
            Self::Pending(..) => vec!["pod-pending"],
            Self::NotStarting(..) => vec!["not-starting"],
            Self::Crashes(_, status) => {
                let said = |words: &[&str]| {
                    ended(status)
                        .is_some_and(|end| words.iter().any(|word| end.message.contains(word)))
                };
                let logged = |signature| hits(cx, one, signature).next().is_some();
                let mut signals = vec!["crash-loop"];
                if self.is_oom() {
                    signals.push("oom-killed");
                }
                if said(&["Failed to create AWS Manager"]) || logged("ca-asg-cache-failed") {
                    signals.push("manager-failed");
                }
                if said(&["unknown flag", "invalid argument"]) || logged("ca-bad-flags") {
                    signals.push("bad-flags");
                }
                if said(&["lost master", "leader election lost"])
                    || logged("ca-lost-master")
                    || logged("karpenter-lost-leader")
                {
                    signals.push("lost-master");
                }
                signals
            }
        };
        if !matches!(self, Self::Works) && evictions(cx, one).next().is_some() {
            signals.push("evicted");
        }
        signals
    }

    pub(super) fn is_oom(&self) -> bool {
        matches!(self, Self::Crashes(_, status)
            if ended(status).is_some_and(|end| end.reason == "OOMKilled"))
    }

    pub(super) fn pod(&self) -> Option<&'a Pod> {
        match self {
            Self::DeadNode(pod)
            | Self::Pending(pod, _)
            | Self::Crashes(pod, _)
            | Self::NotStarting(pod, ..)
            | Self::Unready(pod) => Some(pod),
            Self::Works | Self::ScaledToZero | Self::NoPods | Self::Unseen => None,
        }
    }
}

/// Hits of a signature in the logs of this installation.
pub(super) fn hits<'c>(
    cx: &'c Cx<'_>,
    one: &Deployed<'_>,
    signature: &'static str,
) -> impl Iterator<Item = &'c Hits> {
    let workload = one.workload();
    let logs = cx.logs().optional();
    logs.into_iter()
        .flatten()
        .filter(move |scan| cx.topology().workload_of_log(scan).as_ref() == Some(&workload))
        .filter_map(move |scan| scan.hits(signature))
}

fn has_crashed(cx: &Cx<'_>, pod: &Pod) -> bool {
    pod.status
        .container_statuses
        .iter()
        .any(|status| crashes(cx, status))
}

/// Between two crashes a container runs and its pod may be Ready: the autoscaler has no readiness
/// probe.
fn crashes(cx: &Cx<'_>, status: &ContainerStatus) -> bool {
    let backs_off = status
        .state
        .waiting
        .as_ref()
        .is_some_and(|waiting| waiting.reason == "CrashLoopBackOff");
    let recent = ended(status).is_some_and(|end| cx.within(end.finished_at, RECENT_S));
    backs_off || (status.restart_count >= RESTARTS && recent)
}

fn ended(status: &ContainerStatus) -> Option<&StateTerminated> {
    status
        .state
        .terminated
        .as_ref()
        .or(status.last_state.terminated.as_ref())
}

/// Events of evictions of the installation's pods, by scale-down or by the kubelet.
fn evictions<'c>(cx: &'c Cx<'_>, one: &Deployed<'_>) -> impl Iterator<Item = &'c Event> {
    let prefix = format!("{}-", one.name);
    let namespace = Text::from(one.namespace);
    let events = cx.events().optional();
    events.into_iter().flatten().filter(move |event| {
        let object = &event.involved_object;
        matches!(
            event.reason.as_str(),
            "ScaleDown" | "Evicted" | "Preempted" | "TaintManagerEviction"
        ) && object.kind == "Pod"
            && object.namespace.as_str() == namespace.as_str()
            && object.name.starts_with(&prefix)
    })
}
