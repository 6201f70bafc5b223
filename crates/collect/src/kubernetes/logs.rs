//! Logs of the components, through the signature scan.

use std::collections::BTreeSet;
use std::time::Duration;

use eksnet_model::kubernetes::{ContainerStatus, Pod};
use eksnet_model::{
    Component, Evidence, Gap, LogScan, Running, Scanner, SignatureSet, Snapshot, Source, Time,
    Topology, Why,
};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::api::{Api, Ask};
use super::fault::Fault;

/// How far back logs are read, in seconds.
const WINDOW: i64 = 3600;
/// Limit of one log.
const ONE: Duration = Duration::from_secs(15);
/// Longest line that is kept, in bytes; what is beyond is dropped.
const MAX_LINE: usize = 64 * 1024;
/// Most CoreDNS pods whose logs are read.
const MOST_DNS: usize = 40;
/// Most pods of a component that has a few replicas.
const MOST_REPLICAS: usize = 5;
/// Most pods of a DaemonSet that look suspicious, and most of those that do not.
const MOST_SUSPICIOUS: usize = 20;
const MOST_OTHERS: usize = 10;

/// One log that is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Log {
    component: Component,
    namespace: String,
    pod: String,
    node: String,
    container: String,
    /// That of the container before its last restart.
    previous: bool,
}

/// The logs that are read, and how many pods were left out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choice {
    logs: Vec<Log>,
    left_out: usize,
}

/// Reads the logs of the components' pods in `snapshot`.
pub(crate) async fn fetch_logs(
    api: &Api,
    snapshot: &Snapshot,
    signatures: &SignatureSet,
    deadline: Instant,
) -> Evidence<Vec<LogScan>> {
    if snapshot.kubernetes.pods.value().is_none() {
        let gap = snapshot.kubernetes.pods.gap();
        let detail = gap.map_or_else(String::new, |gap| {
            format!("which pods there are is not known: {}", gap.detail)
        });
        let why = gap.map_or(Why::Failed, |gap| gap.why.clone());
        return Evidence::Absent(Gap {
            detail: detail.into(),
            ..Gap::new(Source::Logs, why, "")
        });
    }
    let choice = choose(snapshot);
    let read = join_all(choice.logs.iter().map(|log| {
        let limit = deadline.min(Instant::now() + ONE);
        read(api, log, signatures, snapshot.taken_at, limit)
    }))
    .await;
    let mut scans = Vec::new();
    let mut failed: Vec<Gap> = Vec::new();
    for outcome in read {
        scans.extend(outcome.scan);
        failed.extend(outcome.gap);
    }
    let total = choice.logs.len();
    let gap = match (failed.first(), choice.left_out) {
        (Some(first), _) => {
            let detail = format!("{} of {total} logs; {}", failed.len(), first.detail);
            Some(Gap {
                detail: detail.into(),
                ..first.clone()
            })
        }
        (None, 0) => pods_gap(snapshot),
        (None, left_out) => {
            let detail = format!(
                "logs of {left_out} pods were left out: {total} were read, of pods in trouble first"
            );
            Some(Gap::new(Source::Logs, Why::Sampled, detail))
        }
    };
    match gap {
        None => Evidence::Present(scans),
        Some(gap) if scans.is_empty() && !failed.is_empty() => Evidence::Absent(gap),
        Some(gap) => Evidence::Partial { value: scans, gap },
    }
}

/// Where not all pods are known, not all logs are.
fn pods_gap(snapshot: &Snapshot) -> Option<Gap> {
    let gap = snapshot.kubernetes.pods.gap()?;
    Some(Gap {
        source: Source::Logs,
        detail: format!("not all pods are known: {}", gap.detail).into(),
        ..gap.clone()
    })
}

/// Chooses pods: of components with few replicas all, of DaemonSets those in trouble and some
/// others.
fn choose(snapshot: &Snapshot) -> Choice {
    let topology = Topology::of(snapshot);
    let mut choice = Choice::default();
    for component in Component::WITH_LOGS {
        let mut pods: Vec<&Pod> = topology
            .pods_of(component)
            .filter(|pod| !pod.spec.node_name.is_empty())
            .collect();
        let is_suspicious = |pod: &Pod| {
            let is_ready = topology
                .node(&pod.spec.node_name)
                .and_then(|node| node.is_ready());
            !pod.is_ready()
                || is_ready == Some(false)
                || restarted(pod, snapshot.taken_at).next().is_some()
        };
        pods.sort_by_key(|pod| (!is_suspicious(pod), pod.key()));
        let suspicious = pods.iter().filter(|pod| is_suspicious(pod)).count();
        let most = match component {
            Component::CoreDns => MOST_DNS,
            Component::AwsNode | Component::KubeProxy => {
                suspicious.min(MOST_SUSPICIOUS) + MOST_OTHERS
            }
            _ => MOST_REPLICAS,
        };
        choice.left_out += pods.len().saturating_sub(most);
        for pod in pods.into_iter().take(most) {
            choice
                .logs
                .extend(logs_of(component, pod, snapshot.taken_at));
        }
    }
    choice
}

/// Containers of a pod that restarted within the window.
fn restarted(pod: &Pod, now: Option<Time>) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.container_statuses.iter().filter(move |status| {
        let ended = status
            .last_state
            .terminated
            .as_ref()
            .and_then(|end| end.finished_at);
        let is_recent = match (ended, now) {
            (Some(ended), Some(now)) => now.seconds_since(ended) <= WINDOW,
            _ => false,
        };
        status.restart_count > 0 && is_recent
    })
}

/// The logs of the component's container in a pod, and of the network policy agent beside aws-node.
fn logs_of(component: Component, pod: &Pod, now: Option<Time>) -> Vec<Log> {
    let main = Running::of(component, &pod.spec).map(|running| running.container.name.clone());
    let mut containers: Vec<(Component, String)> = Vec::new();
    containers.extend(main.map(|name| (component, name)));
    if component == Component::AwsNode {
        let agents = pod.spec.containers.iter().filter(|container| {
            container.image.contains("network-policy-agent")
                || container.name == "aws-eks-nodeagent"
        });
        containers.extend(agents.map(|agent| (Component::NetworkPolicyAgent, agent.name.clone())));
    }
    let has_restarted: BTreeSet<&str> = restarted(pod, now)
        .map(|status| status.name.as_str())
        .collect();
    let mut logs = Vec::new();
    for (component, container) in containers {
        let log = |previous| Log {
            component,
            namespace: pod.metadata.namespace.clone(),
            pod: pod.metadata.name.clone(),
            node: pod.spec.node_name.clone(),
            container: container.clone(),
            previous,
        };
        if has_restarted.contains(container.as_str()) {
            logs.push(log(true));
        }
        logs.push(log(false));
    }
    logs
}

/// What reading one log came to.
#[derive(Default)]
struct Outcome {
    scan: Option<LogScan>,
    gap: Option<Gap>,
}

async fn read(
    api: &Api,
    log: &Log,
    signatures: &SignatureSet,
    near: Option<Time>,
    deadline: Instant,
) -> Outcome {
    let scan = LogScan {
        component: log.component,
        namespace: log.namespace.as_str().into(),
        pod: log.pod.as_str().into(),
        node: log.node.as_str().into(),
        previous: log.previous,
        ..LogScan::default()
    };
    let limits = Limits::of(log.component);
    let path = log.path(limits);
    let ask = Ask {
        accept: "*/*",
        is_patient: false,
        ..Ask::get(&path)
    };
    let mut lines = Lines::new(Scanner::new(signatures, scan, near));
    let fault = match api.send(&ask, deadline).await {
        Err(fault) => {
            // Of a container that has not started, or of a pod that is gone, there is no log.
            if matches!(
                fault.status().map(|status| status.as_u16()),
                Some(400 | 404)
            ) {
                return Outcome::default();
            }
            return Outcome {
                scan: None,
                gap: Some(log.gap(&fault)),
            };
        }
        Ok(mut answer) => loop {
            match answer.piece().await {
                Ok(Some(piece)) => {
                    lines.push(&piece);
                    // Scanning is work: others of this thread shall get their turn.
                    tokio::task::consume_budget().await;
                }
                Ok(None) => break None,
                Err(fault) => break Some(fault),
            }
        },
    };
    let bytes = lines.bytes;
    let mut scan = lines.finish();
    scan.truncated = scan.lines >= limits.lines;
    let gap = match fault {
        Some(fault) => Some(log.gap(&fault)),
        // kubelet cuts at the limit, and what it cuts is the newest.
        None if bytes >= limits.bytes => {
            let detail = format!(
                "the log of {} has more than {} bytes in its last {} lines: its end was not read",
                log.place(),
                limits.bytes,
                limits.lines
            );
            Some(Gap::new(Source::Logs, Why::Truncated, detail))
        }
        None => None,
    };
    Outcome {
        scan: Some(scan),
        gap,
    }
}

/// How much of one log is read.
#[derive(Clone, Copy, Debug)]
struct Limits {
    lines: u64,
    bytes: u64,
}

impl Limits {
    /// Autoscalers and controllers have few pods that write much, the others many that write little.
    fn of(component: Component) -> Self {
        const MIB: u64 = 1024 * 1024;
        match component {
            Component::ClusterAutoscaler
            | Component::Karpenter
            | Component::LoadBalancerController => Self {
                lines: 20_000,
                bytes: 16 * MIB,
            },
            _ => Self {
                lines: 5_000,
                bytes: 4 * MIB,
            },
        }
    }
}

impl Log {
    fn path(&self, limits: Limits) -> String {
        let Self {
            namespace,
            pod,
            container,
            ..
        } = self;
        let mut path = format!(
            "/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&timestamps=true&sinceSeconds={WINDOW}&tailLines={}&limitBytes={}",
            limits.lines, limits.bytes
        );
        if self.previous {
            path.push_str("&previous=true");
        }
        path
    }

    fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.pod)
    }

    fn gap(&self, fault: &Fault) -> Gap {
        let permission = format!("get pods/log in {}", self.namespace);
        fault.gap(
            Source::Logs,
            &format!("log of {}", self.place()),
            &permission,
        )
    }
}

/// Splits a stream into lines for the scanner, in bounded memory.
struct Lines<'s> {
    scanner: Scanner<'s>,
    line: Vec<u8>,
    bytes: u64,
}

impl<'s> Lines<'s> {
    fn new(scanner: Scanner<'s>) -> Self {
        Self {
            scanner,
            line: Vec::new(),
            bytes: 0,
        }
    }

    fn push(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let room = MAX_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if parts.peek().is_some() {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        self.scanner.line(text.trim_end_matches('\r'));
        self.line.clear();
    }

    fn finish(mut self) -> LogScan {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.scanner.finish()
    }
}

#[cfg(test)]
mod tests;
