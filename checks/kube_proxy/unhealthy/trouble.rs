//! What can be wrong with kube-proxy on a node, in words.

use std::collections::BTreeMap;

use eksnet_model::kubernetes::{Event, Node, Pod};
use eksnet_model::{
    Component, Cx, DeadVip, Fact, Finding, Hits, LogScan, Severity, Source, Text, Time,
};

/// Longest part of a log line that is shown, in characters.
const MAX_LINE: usize = 240;

/// One thing that is wrong on one node.
pub(super) enum Trouble<'a> {
    Missing(&'a Node),
    NotReady(&'a Node, &'a Pod),
    DeadVip(DeadVip<'a>),
    Log(&'a LogScan, &'a Hits),
    Mount(&'a Event),
    NodeEvent(&'a Event),
}

/// Log lines that are recent. A single failed watch is what a moving API server looks like from
/// outside; it counts when it repeats, or when access itself was refused.
pub(super) fn in_logs<'a>(
    cx: &'a Cx<'a>,
    seconds: i64,
    found: &mut BTreeMap<Text, Vec<Trouble<'a>>>,
) {
    for scan in cx.logs().optional().into_iter().flatten() {
        for hits in &scan.hits {
            let counts = match hits.signature.as_str() {
                "kproxy-iptables-restore" => true,
                "kproxy-watch-failed" => {
                    let refused =
                        |text: &str| text.contains("Unauthorized") || text.contains("forbidden");
                    // Every client of the API server writes this line: it has to say whose it is.
                    let says_whose = |text: &str| text.contains("kube-proxy");
                    let own = scan.component == Component::KubeProxy
                        || hits.samples.iter().any(|sample| says_whose(&sample.text));
                    let lasting = hits.count > 1;
                    own && (lasting || hits.samples.iter().any(|sample| refused(&sample.text)))
                }
                _ => false,
            };
            if counts && cx.within(hits.last, seconds) {
                let node = cx.topology().node_of_log(scan).unwrap_or_default();
                found
                    .entry(node)
                    .or_default()
                    .push(Trouble::Log(scan, hits));
            }
        }
    }
}

/// Events that are recent: a lock file that cannot be mounted, and what the node monitoring agent says.
pub(super) fn in_events<'a>(
    cx: &'a Cx<'a>,
    seconds: i64,
    found: &mut BTreeMap<Text, Vec<Trouble<'a>>>,
) {
    for event in cx.events().optional().into_iter().flatten() {
        if !cx.within(event.last_seen(), seconds) {
            continue;
        }
        let object = &event.involved_object;
        let pod = cx.topology().pod(&object.namespace, &object.name);
        let lock = event.reason == "FailedMount"
            && (event.message.contains("xtables-lock") || event.message.contains("xtables.lock"));
        // aws-node mounts the same file. An Event without a name comes from a description of a pod.
        let is_proxy = match pod {
            Some(pod) => Component::of_pod(pod) == Component::KubeProxy,
            None => object.name.is_empty() || object.name.starts_with("kube-proxy"),
        };
        if lock && is_proxy {
            let node = pod.map_or("", |pod| pod.spec.node_name.as_str());
            found
                .entry(node.into())
                .or_default()
                .push(Trouble::Mount(event));
        } else if event.reason == "KubeProxyNotReady" && object.kind == "Node" {
            found
                .entry(object.name.as_str().into())
                .or_default()
                .push(Trouble::NodeEvent(event));
        }
    }
}

impl Trouble<'_> {
    /// Lower is what a reader has to hear first.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Mount(_) => 0,
            Self::Missing(_) => 1,
            Self::NotReady(..) => 2,
            Self::DeadVip(_) => 3,
            Self::Log(_, hits) if hits.signature == "kproxy-iptables-restore" => 4,
            Self::Log(..) => 5,
            Self::NodeEvent(_) => 6,
        }
    }

    pub(super) fn severity(&self) -> Severity {
        match self {
            // Rules that were written stay when kube-proxy stops; a node that never had it has none.
            Self::Missing(_) | Self::DeadVip(_) => Severity::Critical,
            _ => Severity::Error,
        }
    }

    pub(super) fn signals(&self) -> Vec<&'static str> {
        match self {
            Self::Missing(_) => vec!["pod-missing"],
            Self::NotReady(node, _) if node.is_ready() == Some(false) => {
                vec!["pod-not-ready", "node-not-ready"]
            }
            Self::NotReady(..) => vec!["pod-not-ready"],
            Self::DeadVip(_) => vec!["vip-dead"],
            Self::Log(_, hits) if hits.signature == "kproxy-iptables-restore" => {
                vec!["log-iptables-restore"]
            }
            Self::Log(..) => vec!["log-watch-failed"],
            Self::Mount(_) => vec!["mount-failed"],
            Self::NodeEvent(_) => vec!["node-event"],
        }
    }

    pub(super) fn title(&self, node: &str) -> String {
        let on = if node.is_empty() {
            String::new()
        } else {
            format!(" on node {node}")
        };
        match self {
            Self::Missing(_) => {
                format!("Node {node} runs no kube-proxy: no Service address works there")
            }
            Self::NotReady(of, _) if of.is_ready() == Some(false) => {
                format!("kube-proxy{on} is not ready: its node is not Ready")
            }
            Self::NotReady(_, pod) => format!("kube-proxy{on} is not ready: {}", why(pod)),
            Self::DeadVip(dead) => format!(
                "Service address {}{on} is dead while what stands behind it answers",
                dead.vip
            ),
            Self::Log(_, hits) if hits.signature == "kproxy-iptables-restore" => {
                format!("kube-proxy{on} cannot write its rules: iptables-restore fails")
            }
            Self::Log(..) => format!("kube-proxy{on} cannot read Services from the API server"),
            Self::Mount(_) => {
                format!("kube-proxy{on} does not start: /run/xtables.lock cannot be mounted")
            }
            Self::NodeEvent(_) => format!("kube-proxy{on} is reported as not ready"),
        }
    }

    pub(super) fn detail(&self) -> &'static str {
        match self {
            Self::NotReady(..) => {
                "Rules that it has written stay in force, but Services and endpoints that change from now on are not followed on that node."
            }
            Self::Log(..) => {
                "Services and endpoints that change are not followed on that node; queries go to pods that are gone."
            }
            Self::Mount(_) => {
                "Its container waits for the file. The path is a directory, or missing, where a file is expected."
            }
            _ => {
                "Pods on that node cannot use the address of any Service, cluster DNS and the API server included."
            }
        }
    }

    pub(super) fn fact(&self, cx: &Cx<'_>) -> Fact {
        match self {
            Self::Missing(node) => Fact::new(
                Source::Pods,
                format!("Node {}", node.metadata.name),
                "kube-proxy pods",
                "0",
            )
            .expected("1"),
            Self::NotReady(node, pod) => {
                let ready = pod.condition("Ready");
                let since = ready.and_then(|ready| ready.last_transition_time);
                let state = ready.map_or("none", |ready| ready.status.as_str());
                let node = match node.condition("Ready") {
                    Some(of) if of.status != "True" => format!("; its node's is {}", of.status),
                    _ => String::new(),
                };
                let age = age(cx, since);
                Fact::new(
                    Source::Pods,
                    format!("Pod {}", pod.key()),
                    "condition Ready",
                    format!("{state}{age}{node} ({})", why(pod)),
                )
                .expected("True")
                .at(since)
            }
            Self::DeadVip(dead) => Fact::new(
                Source::Probes,
                format!("{} -> {} {}", dead.node(), dead.vip, dead.service),
                "answers",
                format!("{}; behind it {}", dead.saw, dead.behind),
            )
            .at(dead.pod.at_time),
            Self::Log(scan, hits) => {
                let line: String = hits
                    .samples
                    .last()
                    .map(|sample| sample.text.chars().take(MAX_LINE).collect())
                    .unwrap_or_default();
                Fact::new(
                    Source::Logs,
                    scan.place(),
                    "lines",
                    format!("{}: {line}", times(hits.count)),
                )
                .at(hits.last)
            }
            Self::Mount(event) | Self::NodeEvent(event) => Fact::new(
                Source::Events,
                if event.involved_object.name.is_empty() {
                    "a kube-proxy pod".to_owned()
                } else {
                    format!(
                        "{} {}",
                        event.involved_object.kind, event.involved_object.name
                    )
                },
                event.reason.as_str(),
                format!("{}: {}", times(event.times().into()), event.message),
            )
            .at(event.last_seen()),
        }
    }

    /// The finding with commands; `pod` is the kube-proxy of the node.
    pub(super) fn remedied(
        &self,
        cx: &Cx<'_>,
        node: &str,
        pod: Option<&Pod>,
        finding: Finding,
    ) -> Finding {
        let finding = finding.confirm(if node.is_empty() {
            "kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide".to_owned()
        } else {
            format!("kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide --field-selector spec.nodeName={node}")
        });
        let restart = match self {
            Self::Log(scan, _) if !scan.pod.is_empty() => Some(scan.pod.as_str()),
            _ => pod.map(|pod| pod.metadata.name.as_str()),
        };
        // The DaemonSet starts it again; rules on the node stay meanwhile.
        let restart = match restart {
            Some(pod) => format!("kubectl -n kube-system delete pod {pod}"),
            None => "kubectl -n kube-system rollout restart daemonset kube-proxy".to_owned(),
        };
        match self {
            Self::Missing(_) => finding
                .confirm("kubectl -n kube-system describe daemonset kube-proxy")
                .fix(format!(
                    "aws eks update-addon --cluster-name {} --addon-name kube-proxy --resolve-conflicts OVERWRITE",
                    cx.cluster_name()
                )),
            Self::NotReady(of, _) if of.is_ready() == Some(false) => finding
                .confirm(format!("kubectl describe node {node}"))
                .fix(format!("Mend node {node}: kube-proxy follows by itself")),
            Self::NotReady(_, pod) => finding
                .confirm(format!(
                    "kubectl -n kube-system logs {} --previous",
                    pod.metadata.name
                ))
                .fix(restart),
            Self::Mount(_) => {
                let node = if node.is_empty() { "NODE" } else { node };
                finding
                    .confirm(format!("kubectl debug node/{node} -it --image=busybox -- ls -ld /host/run/xtables.lock"))
                    .fix(format!("kubectl debug node/{node} -it --image=busybox -- rmdir /host/run/xtables.lock   # it removes nothing but an empty directory; the file is then made anew"))
            }
            Self::DeadVip(_) | Self::NodeEvent(_) => finding
                .confirm("kubectl -n kube-system logs -l k8s-app=kube-proxy --tail=50 --prefix")
                .fix(restart),
            Self::Log(..) => finding
                .confirm("kubectl -n kube-system logs -l k8s-app=kube-proxy --tail=50 --prefix")
                .fix(restart)
                .fix(format!(
                    "aws eks update-addon --cluster-name {} --addon-name kube-proxy --resolve-conflicts OVERWRITE",
                    cx.cluster_name()
                )),
        }
    }
}

fn times(count: u64) -> String {
    if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    }
}

/// Why a pod is not ready, in a few words.
fn why(pod: &Pod) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "it is being deleted and does not end".to_owned();
    }
    if let Some((reason, _)) = pod.trouble() {
        return reason.to_owned();
    }
    let restarts: u32 = pod
        .status
        .container_statuses
        .iter()
        .map(|status| status.restart_count)
        .sum();
    match pod.status.phase.as_str() {
        "Pending" => "it is Pending".to_owned(),
        _ if restarts > 0 => format!("restarted {restarts} times"),
        _ => "it runs and does not report ready".to_owned(),
    }
}

fn age(cx: &Cx<'_>, since: Option<Time>) -> String {
    match (cx.now(), since) {
        (Some(now), Some(since)) => format!(" for {} s", now.seconds_since(since)),
        _ => String::new(),
    }
}
