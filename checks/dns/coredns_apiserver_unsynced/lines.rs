//! What CoreDNS's log tells of its way to the API server.

use std::collections::BTreeSet;

use eksnet_model::{Component, Confidence, Cx, Fact, Heard, LogScan, Severity};

use super::WINDOW_S;

/// Most logs that are spelt out.
const MAX_FACTS: usize = 4;
/// Lines that a healthy start prints now and then count from so many on.
const STARTING: u64 = 3;

const WATCH: &str = "coredns-k8s-watch-failed";
const UNSYNCED: &str = "coredns-k8s-unsynced-start";
const WAITING: [&str; 2] = ["coredns-k8s-waiting-api", "coredns-ready-waits"];

/// Why the API server gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Denied,
    Token,
    Unreachable,
    NotKnown,
}

impl Reason {
    pub(super) fn signal(self) -> Option<&'static str> {
        match self {
            Self::Denied => Some("rbac-denied"),
            Self::Token => Some("token-refused"),
            Self::Unreachable => Some("api-unreachable"),
            Self::NotKnown => None,
        }
    }

    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::Denied => {
                "The API server answers, and refuses: CoreDNS's ClusterRole lacks the right to list and watch what this version reads. Names of Services do not resolve, or go stale."
            }
            Self::Token => {
                "The API server answers, and does not accept CoreDNS's token. Names of Services do not resolve, or go stale."
            }
            Self::Unreachable => {
                "CoreDNS cannot connect to the address of Service kubernetes: kube-proxy, a security group or a NetworkPolicy is in the way. Names of Services do not resolve, or go stale."
            }
            Self::NotKnown => {
                "Without the list of Services and endpoints CoreDNS answers names outside of the cluster alone. Its log does not say what the API server answers."
            }
        }
    }
}

/// Lines that count.
pub(super) struct Told<'a> {
    pub(super) lines: Vec<Heard<'a>>,
}

impl<'a> Told<'a> {
    /// What the logs tell; `None` where they tell of nothing, or of a start that went well.
    pub(super) fn of(cx: &Cx<'_>, logs: &'a [LogScan]) -> Option<Self> {
        let signatures = [WATCH, UNSYNCED, WAITING[0], WAITING[1]];
        let lines: Vec<Heard<'a>> = Heard::recent(cx, logs, &signatures, WINDOW_S)
            .into_iter()
            .filter(|one| is_own(one) && counts(cx, one))
            .collect();
        (!lines.is_empty()).then_some(Self { lines })
    }

    fn has(&self, signature: &str) -> bool {
        self.lines.iter().any(|one| one.hits.signature == signature)
    }

    pub(super) fn reason(&self) -> Reason {
        let says = |texts: &[&str]| self.lines.iter().any(|one| one.says(texts));
        if says(&["forbidden"]) {
            Reason::Denied
        } else if says(&["Unauthorized", "x509: "]) {
            Reason::Token
        } else if says(&[
            "i/o timeout",
            "no route to host",
            "connection refused",
            "connection timed out",
            "network is unreachable",
            "TLS handshake timeout",
            "context deadline exceeded",
            "no such host",
        ]) {
            Reason::Unreachable
        } else {
            Reason::NotKnown
        }
    }

    /// An outage where no replica is known to be ready; broken in part otherwise.
    pub(super) fn severity(&self, cx: &Cx<'_>) -> Severity {
        let ready = cx
            .topology()
            .pods_of(Component::CoreDns)
            .any(eksnet_model::kubernetes::Pod::is_ready);
        let is_start = self.has(UNSYNCED) || WAITING.iter().any(|id| self.has(id));
        if is_start && !ready {
            Severity::Critical
        } else {
            Severity::Error
        }
    }

    pub(super) fn confidence(&self) -> Confidence {
        match self.reason() {
            Reason::NotKnown if !self.has(UNSYNCED) => Confidence::Likely,
            _ => Confidence::Confirmed,
        }
    }

    pub(super) fn title(&self) -> String {
        let end = match self.reason() {
            Reason::Denied => {
                let lines = self.lines.iter();
                let kinds: BTreeSet<&str> = lines.flat_map(|one| one.values("kind")).collect();
                if kinds.is_empty() {
                    return "CoreDNS may not read from the API server".to_owned();
                }
                return format!(
                    "CoreDNS may not list {} from the API server",
                    kinds.into_iter().collect::<Vec<_>>().join(", ")
                );
            }
            Reason::Token => "the API server does not accept its token",
            Reason::Unreachable => "it cannot connect to the API server",
            Reason::NotKnown => "it waits for the API server",
        };
        format!("CoreDNS has no list of Services: {end}")
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        self.lines
            .iter()
            .take(MAX_FACTS)
            .map(|one| one.fact("lines"))
            .collect()
    }
}

/// Many programs watch Services. A line of an unknown program is CoreDNS's where it says so.
fn is_own(one: &Heard<'_>) -> bool {
    one.scan.component == Component::CoreDns
        || one.says(&["plugin/kubernetes", "plugin/ready", "kube-system:coredns"])
}

/// A start prints that it waits, and goes on. What it says counts where it repeats, where its pod is
/// known to be not ready, or where somebody picked the line out of a log.
fn counts(cx: &Cx<'_>, one: &Heard<'_>) -> bool {
    let pod = cx.topology().pod_of_log(one.scan);
    let ready = pod.map(eksnet_model::kubernetes::Pod::is_ready);
    match one.hits.signature.as_str() {
        WATCH => one.hits.count > 1 || one.is_excerpt() || one.says(&["forbidden", "Unauthorized"]),
        UNSYNCED => ready != Some(true),
        _ => match ready {
            Some(ready) => !ready,
            None => one.hits.count >= STARTING || one.is_excerpt(),
        },
    }
}
