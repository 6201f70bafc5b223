//! Why aws-node is not well on a node, as far as statuses, Events and logs tell.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::{ContainerStatus, Event, Node, Pod};
use eksnet_model::{Cx, Fact, Hits, LogScan, SandboxFailure, Source, Text};

/// Log lines and Events older than this, in seconds, are history.
pub(super) const RECENT_S: i64 = 3600;

/// In the order in which one is the root of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    KubeletSilent,
    ImagePull,
    InitFailed,
    EnvInvalid,
    WarmPrefix,
    NoEniConfig,
    MissingIam,
    ApiUnreachable,
    OomKilled,
    ProbeFailed,
    IpamdWait,
    SandboxIpamdDown,
}

impl Reason {
    pub(super) fn signal(self) -> &'static str {
        match self {
            Self::KubeletSilent => "kubelet-silent",
            Self::ImagePull => "image-pull",
            Self::InitFailed => "init-failed",
            Self::EnvInvalid => "env-invalid",
            Self::WarmPrefix => "env-warm-prefix",
            Self::NoEniConfig => "no-eniconfig",
            Self::MissingIam => "missing-iam",
            Self::ApiUnreachable => "api-unreachable",
            Self::OomKilled => "oom-killed",
            Self::ProbeFailed => "probe-failed",
            Self::IpamdWait => "ipamd-wait",
            Self::SandboxIpamdDown => "sandbox-ipamd-down",
        }
    }

    /// Ends a title.
    pub(super) fn clause(self) -> &'static str {
        match self {
            Self::KubeletSilent => "the node's kubelet reports no more",
            Self::ImagePull => "its image cannot be pulled",
            Self::InitFailed => "its init container fails",
            Self::EnvInvalid => "one of its environment variables is invalid",
            Self::WarmPrefix => "prefix delegation has no warm target",
            Self::NoEniConfig => "custom networking finds no ENIConfig",
            Self::MissingIam => "EC2 refuses its calls",
            Self::ApiUnreachable => "it cannot reach the API server",
            Self::OomKilled => "it is killed for lack of memory",
            Self::ProbeFailed => "its health probe fails",
            Self::IpamdWait => "its address daemon does not come up",
            Self::SandboxIpamdDown => "its address daemon does not answer",
        }
    }

    fn of_signature(id: &str) -> Option<Self> {
        Some(match id {
            "cni-env-invalid" => Self::EnvInvalid,
            "cni-env-warm-prefix" => Self::WarmPrefix,
            "cni-ipamd-wait" => Self::IpamdWait,
            "cni-api-unreachable" => Self::ApiUnreachable,
            "ipamd-no-eniconfig" | "ipamd-customnet-no-eni" => Self::NoEniConfig,
            "ipamd-unauthorized"
            | "cni-missing-iam"
            | "cni-action-denied"
            | "cni-operation-denied" => Self::MissingIam,
            "plugin-ipamd-connect" | "sandbox-ipamd-down" => Self::SandboxIpamdDown,
            _ => return None,
        })
    }
}

/// What is known of one node's trouble.
#[derive(Default)]
pub(super) struct Reasons {
    pub all: BTreeSet<Reason>,
    pub facts: Vec<Fact>,
}

impl Reasons {
    pub(super) fn add(&mut self, reason: Reason, fact: Fact) {
        self.all.insert(reason);
        self.facts.push(fact);
    }

    /// Takes over what is told of no particular node.
    pub(super) fn take_from(&mut self, other: &Self) {
        self.all.extend(other.all.iter().copied());
        self.facts.extend(other.facts.iter().cloned());
    }
}

/// What the containers of the pod say.
pub(super) fn of_pod(pod: &Pod, reasons: &mut Reasons) {
    let subject = format!("Pod {}", pod.key());
    let init = pod
        .status
        .init_container_statuses
        .iter()
        .map(|one| (one, true));
    let main = pod.status.container_statuses.iter().map(|one| (one, false));
    for (status, is_init) in init.chain(main) {
        let field = format!("container {}", status.name);
        let waiting = status.state.waiting.as_ref();
        let ended = ended(status);
        if let Some(waiting) = waiting
            && matches!(
                waiting.reason.as_str(),
                "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName"
            )
        {
            let saw = format!("{}: {}", waiting.reason, waiting.message);
            reasons.add(
                Reason::ImagePull,
                Fact::new(Source::Pods, subject.clone(), field, saw),
            );
        } else if let Some((why, code)) = ended {
            let saw = format!(
                "ended with {why} (exit code {code}), {} restarts",
                status.restart_count
            );
            let fact = Fact::new(Source::Pods, subject.clone(), field, saw);
            if why == "OOMKilled" {
                reasons.add(Reason::OomKilled, fact);
            } else if is_init {
                reasons.add(Reason::InitFailed, fact);
            } else {
                reasons.facts.push(fact);
            }
        }
    }
}

/// How a container ended, unless it ended well.
fn ended(status: &ContainerStatus) -> Option<(&str, i32)> {
    let terminated = status
        .state
        .terminated
        .as_ref()
        .or(status.last_state.terminated.as_ref())?;
    let reason = if terminated.reason.is_empty() {
        "Error"
    } else {
        &terminated.reason
    };
    (terminated.exit_code != 0).then_some((reason, terminated.exit_code))
}

/// What Events say of the pod and of its node.
pub(super) fn of_events(
    cx: &Cx<'_>,
    events: &[Event],
    node: Option<&Node>,
    pod: Option<&Pod>,
    reasons: &mut Reasons,
) {
    for event in events {
        let object = &event.involved_object;
        let of_pod = pod.is_some_and(|pod| {
            object.name == pod.metadata.name && object.namespace == pod.metadata.namespace
        });
        let of_node =
            object.kind == "Node" && node.is_some_and(|node| object.name == node.metadata.name);
        if !(of_pod || of_node) || !cx.within(event.last_seen(), RECENT_S) {
            continue;
        }
        let fact = || {
            Fact::new(
                Source::Events,
                format!("{} {}", object.kind, object.name),
                event.reason.clone(),
                format!("{} ({}x)", event.message, event.times()),
            )
            .at(event.last_seen())
        };
        match event.reason.as_str() {
            "Unhealthy" if of_pod => reasons.add(Reason::ProbeFailed, fact()),
            "MissingIAMPermissions" => reasons.add(Reason::MissingIam, fact()),
            "IPAMDNotRunning" | "IPAMDNotReady" | "IPAMDRepeatedlyRestart" => {
                reasons.add(Reason::IpamdWait, fact());
            }
            _ => {}
        }
    }
}

/// Sandbox Events on a node that say that nobody answers the CNI plugin.
pub(super) fn of_sandboxes(cx: &Cx<'_>, events: &[Event], node: &Node, reasons: &mut Reasons) {
    let seen = events.iter().find(|event| {
        SandboxFailure::of(event) == Some(SandboxFailure::IpamdDown)
            && cx.within(event.last_seen(), RECENT_S)
            && cx
                .topology()
                .pod(
                    &event.involved_object.namespace,
                    &event.involved_object.name,
                )
                .is_some_and(|pod| pod.spec.node_name == node.metadata.name)
    });
    if let Some(event) = seen {
        let object = &event.involved_object;
        reasons.add(
            Reason::SandboxIpamdDown,
            Fact::new(
                Source::Events,
                format!("Pod {}/{}", object.namespace, object.name),
                event.reason.clone(),
                event.message.clone(),
            )
            .at(event.last_seen()),
        );
    }
}

/// Recent hits in logs, by node; under the name of the log where no node is known.
pub(super) fn of_logs(cx: &Cx<'_>, scans: &[LogScan]) -> BTreeMap<Text, Reasons> {
    let mut found: BTreeMap<Text, Reasons> = BTreeMap::new();
    for scan in scans {
        for hits in &scan.hits {
            let Some(reason) = Reason::of_signature(&hits.signature) else {
                continue;
            };
            if !cx.within(hits.last, RECENT_S) {
                continue;
            }
            let place = cx
                .topology()
                .node_of_log(scan)
                .map_or_else(|| Text::from(scan.place()), Text::from);
            found
                .entry(place)
                .or_default()
                .add(reason, fact(scan, hits));
        }
    }
    found
}

fn fact(scan: &LogScan, hits: &Hits) -> Fact {
    let line = hits
        .samples
        .last()
        .map_or("", |sample| sample.text.as_str());
    Fact::new(
        Source::Logs,
        scan.place(),
        format!("{} log", scan.component.name()),
        format!("{}x '{line}'", hits.count),
    )
    .at(hits.last)
}
