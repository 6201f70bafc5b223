//! Why a CoreDNS pod is no endpoint.

use std::collections::BTreeSet;

use eksnet_model::kubernetes::{ContainerStatus, Event, Node, Pod};
use eksnet_model::{ClusterDns, Cx, Fact, Source, Time};

/// A CoreDNS pod that does not serve.
pub(super) struct Missing<'a> {
    pod: &'a Pod,
    pub(super) why: Why<'a>,
}

/// What keeps it from serving.
pub(super) enum Why<'a> {
    /// Its node is not Ready.
    DeadNode(&'a Node),
    /// It is not scheduled; the scheduler's message.
    Pending(String),
    /// Its container ends again and again.
    Crash(&'a ContainerStatus),
    /// Its container does not start: reason and message.
    NotStarting(String, String),
    /// It runs and does not say that it is ready.
    Unready(String),
}

/// All CoreDNS pods that are no ready endpoint. Pods that are going away do not count, except on a
/// node that is down, where they stay until it comes back.
pub(super) fn missing<'a>(cx: &'a Cx<'a>, dns: &ClusterDns<'a>) -> Vec<Missing<'a>> {
    let serving: BTreeSet<&str> = dns
        .serving_pods()
        .map(|pod| pod.metadata.name.as_str())
        .collect();
    let _ = cx.nodes().optional();
    dns.pods
        .iter()
        .copied()
        .filter(|pod| !serving.contains(pod.metadata.name.as_str()))
        .filter_map(|pod| {
            let why = why(cx, pod);
            let leaving = pod.metadata.deletion_timestamp.is_some();
            (!leaving || matches!(why, Why::DeadNode(_))).then_some(Missing { pod, why })
        })
        .collect()
}

fn why<'a>(cx: &'a Cx<'a>, pod: &'a Pod) -> Why<'a> {
    let node = cx.topology().node(&pod.spec.node_name);
    if let Some(node) = node.filter(|node| node.is_ready() == Some(false)) {
        return Why::DeadNode(node);
    }
    if pod.spec.node_name.is_empty() {
        let scheduled = pod.condition("PodScheduled");
        let by_condition = scheduled.map(|condition| condition.message.clone());
        let message = by_condition
            .filter(|message| !message.is_empty())
            .or_else(|| event(cx, pod, &["FailedScheduling"]))
            .unwrap_or_else(|| "not scheduled".to_owned());
        return Why::Pending(message);
    }
    let statuses = &pod.status.container_statuses;
    let crashing = statuses.iter().find(|status| {
        let waiting = status.state.waiting.as_ref();
        waiting.is_some_and(|waiting| waiting.reason == "CrashLoopBackOff")
            || (status.state.terminated.is_some() && status.restart_count > 0)
    });
    if let Some(status) = crashing {
        return Why::Crash(status);
    }
    if let Some((reason, message)) = pod.trouble() {
        let message = if message.is_empty() {
            event(
                cx,
                pod,
                &["FailedCreatePodSandBox", "FailedMount", "Failed"],
            )
            .unwrap_or_default()
        } else {
            message.to_owned()
        };
        return Why::NotStarting(reason.to_owned(), message);
    }
    let ready = pod.condition("Ready");
    Why::Unready(ready.map_or_else(
        || "no condition Ready".to_owned(),
        |ready| {
            if ready.message.is_empty() {
                format!("{} {}", ready.status, ready.reason)
                    .trim()
                    .to_owned()
            } else {
                format!("{} ({}: {})", ready.status, ready.reason, ready.message)
            }
        },
    ))
}

/// The newest Event of a pod with one of these reasons.
fn event(cx: &Cx<'_>, pod: &Pod, reasons: &[&str]) -> Option<String> {
    let about = |event: &&Event| {
        event.involved_object.kind == "Pod"
            && event.involved_object.namespace == pod.metadata.namespace
            && event.involved_object.name == pod.metadata.name
            && reasons.contains(&event.reason.as_str())
    };
    cx.events()
        .optional()?
        .iter()
        .filter(about)
        .max_by_key(|event| event.last_seen())
        .map(|event| event.message.clone())
}

impl<'a> Missing<'a> {
    pub(super) fn name(&self) -> &'a str {
        &self.pod.metadata.name
    }

    pub(super) fn node_name(&self) -> Option<&'a str> {
        Some(self.pod.spec.node_name.as_str()).filter(|node| !node.is_empty())
    }

    /// Whether it may just be starting: young, scheduled or about to be, and not crashing.
    pub(super) fn is_young(&self, cx: &Cx<'_>, seconds: i64) -> bool {
        let age = |now: Time| Some(now.seconds_since(self.pod.metadata.creation_timestamp?));
        !matches!(self.why, Why::Crash(_) | Why::DeadNode(_))
            && cx.now().and_then(age).is_some_and(|age| age < seconds)
    }

    pub(super) fn signals(&self) -> Vec<&'static str> {
        match &self.why {
            Why::DeadNode(_) => vec!["endpoints-on-dead-node"],
            Why::Pending(message) if lacks_capacity(message) => {
                vec!["coredns-pending", "coredns-pending-capacity"]
            }
            Why::Pending(_) => vec!["coredns-pending"],
            Why::Crash(_) => vec!["coredns-crashloop"],
            Why::NotStarting(..) => vec!["coredns-not-starting"],
            Why::Unready(_) => vec!["coredns-unready"],
        }
    }

    pub(super) fn fact(&self, cx: &Cx<'_>) -> Fact {
        let subject = format!("Pod {}", self.pod.key());
        match &self.why {
            Why::DeadNode(node) => {
                let ready = node.condition("Ready").cloned().unwrap_or_default();
                let since = match (cx.now(), ready.last_transition_time) {
                    (Some(now), Some(at)) => format!(" for {} s", now.seconds_since(at)),
                    _ => String::new(),
                };
                let saw = format!(
                    "{}, whose condition Ready is {}{since}",
                    node.metadata.name, ready.status
                );
                Fact::new(Source::Nodes, subject, "node", saw)
                    .expected("a node that is Ready")
                    .at(ready.last_transition_time)
            }
            Why::Pending(message) => {
                let at = self.pod.condition("PodScheduled");
                Fact::new(
                    Source::Pods,
                    subject,
                    "PodScheduled",
                    format!("False ({message})"),
                )
                .expected("True")
                .at(at.and_then(|at| at.last_transition_time))
            }
            Why::Crash(status) => {
                let last = [&status.last_state, &status.state]
                    .into_iter()
                    .find_map(|state| state.terminated.as_ref());
                let end = last.map_or_else(String::new, |last| {
                    let message = Some(last.message.trim()).filter(|message| !message.is_empty());
                    format!(
                        ", last ended with code {} ({}{})",
                        last.exit_code,
                        last.reason,
                        message.map_or_else(String::new, |message| format!(": {message}"))
                    )
                });
                let saw = format!("restarted {} times{end}", status.restart_count);
                Fact::new(
                    Source::Pods,
                    subject,
                    format!("container {}", status.name),
                    saw,
                )
                .expected("running")
                .at(last.and_then(|last| last.finished_at))
            }
            Why::NotStarting(reason, message) => {
                let saw = if message.is_empty() {
                    reason.clone()
                } else {
                    format!("{reason}: {message}")
                };
                Fact::new(Source::Pods, subject, "container", saw).expected("running")
            }
            Why::Unready(saw) => {
                let ready = self.pod.condition("Ready");
                Fact::new(Source::Pods, subject, "Ready", saw.as_str())
                    .expected("True")
                    .at(ready.and_then(|ready| ready.last_transition_time))
            }
        }
    }
}

impl Why<'_> {
    /// Whether two pods have the same trouble, so that it is told once.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::DeadNode(one), Self::DeadNode(two)) => one.metadata.name == two.metadata.name,
            (Self::NotStarting(one, _), Self::NotStarting(two, _)) => one == two,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// The trouble of `count` pods, as a clause.
    pub(super) fn clause(&self, count: usize) -> String {
        let (pods, are) = if count == 1 {
            ("pod", "is")
        } else {
            ("pods", "are")
        };
        match self {
            Self::DeadNode(node) => format!(
                "{count} {pods} {are} on node {}, which is not Ready",
                node.metadata.name
            ),
            Self::Pending(message) if lacks_capacity(message) => {
                format!("{count} {pods} {are} Pending for lack of room on the nodes")
            }
            Self::Pending(_) => format!("{count} {pods} {are} Pending"),
            Self::Crash(_) => format!("{count} {pods} {are} crashing again and again"),
            Self::NotStarting(reason, _) => format!("{count} {pods} {are} held at {reason}"),
            Self::Unready(_) => format!("{count} {pods} {are} running but not Ready"),
        }
    }
}

/// Whether the scheduler lacks room, not permission: no node at all, too little of a resource, or no
/// pod slot.
fn lacks_capacity(message: &str) -> bool {
    message.contains("Insufficient ")
        || message.contains("Too many pods")
        || message.contains("no nodes available")
        || message.contains("0/0 nodes")
}
