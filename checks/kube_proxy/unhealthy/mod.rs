//! `kube-proxy/unhealthy`: a node on which nothing programmes the addresses of Services.

mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use eksnet_model::kubernetes::{Node, Pod, Service};
use eksnet_model::{
    Check, ClusterDns, Component, Confidence, Cx, DeadVip, Finding, Meta, Place, Role, Severity,
    Source, Stop, Subject, SubjectKind, Text,
};
use trouble::Trouble;

const NAMESPACE: &str = "kube-system";
/// A node that is this young, in seconds, may still be waiting for its kube-proxy.
const NODE_STARTING_S: i64 = 120;
/// A pod that is this young, in seconds, or has been leaving for no longer, is part of a rollout.
const POD_STARTING_S: i64 = 60;
/// Log lines and Events older than this, in seconds, are history.
const RECENT_S: i64 = 600;

const META: Meta = Meta {
    id: "kube-proxy/unhealthy",
    title: "kube-proxy is missing, not ready, or cannot programme Service addresses",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Nodes, Source::Pods, Source::DaemonSets],
    helps: &[
        Source::Probes,
        Source::Logs,
        Source::Events,
        Source::Services,
    ],
    signals: &[
        "pod-missing",
        "pod-not-ready",
        "node-not-ready",
        "mount-failed",
        "vip-dead",
        "log-iptables-restore",
        "log-watch-failed",
        "node-event",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let nodes = cx.nodes().some();
    let pods = cx.pods().all_in(NAMESPACE);
    let sets = cx.daemonsets().all_in(NAMESPACE);
    let proxies: Vec<&Pod> = cx.topology().pods_of(Component::KubeProxy).collect();
    let mut by_node: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in proxies.iter().filter(|pod| !pod.is_terminal()) {
        by_node.entry(&pod.spec.node_name).or_default().push(pod);
    }
    let installed = !proxies.is_empty() || has_set(cx);
    let mut found: BTreeMap<Text, Vec<Trouble<'_>>> = BTreeMap::new();
    if let Ok(nodes) = &nodes {
        let mine: Vec<&Node> = nodes.iter().filter(|node| is_mine(cx, node)).collect();
        if !installed && sets.is_ok() && pods.is_ok() {
            not_installed(cx, nodes)?;
            let dead = dead_vips(cx);
            if !mine.is_empty() {
                return Ok(vec![absent(cx, &mine, dead.len())]);
            }
        }
        for node in mine {
            let own = by_node
                .get(node.metadata.name.as_str())
                .map_or(&[][..], Vec::as_slice);
            // A pod that was not listed is missing only where all were listed.
            if let Some(trouble) = of_pods(cx, node, own, pods.is_ok() && installed) {
                found
                    .entry(node.metadata.name.as_str().into())
                    .or_default()
                    .push(trouble);
            }
        }
    }
    for dead in dead_vips(cx) {
        let entry = found.entry(dead.node().clone()).or_default();
        entry.push(Trouble::DeadVip(dead));
    }
    trouble::in_logs(cx, RECENT_S, &mut found);
    trouble::in_events(cx, RECENT_S, &mut found);
    let findings: Vec<Finding> = found
        .iter()
        .map(|(node, troubles)| {
            let pod = by_node.get(node.as_str()).and_then(|pods| pods.first());
            finding(cx, node, troubles, pod.copied())
        })
        .collect();
    if findings.is_empty() {
        nodes?;
        pods?;
        sets?;
    }
    Ok(findings)
}

/// Whether kube-proxy has to run on a node, and has had the time to start.
fn is_mine(cx: &Cx<'_>, node: &Node) -> bool {
    let young = match (cx.now(), node.metadata.creation_timestamp) {
        (Some(now), Some(created)) => now.seconds_since(created) < NODE_STARTING_S,
        _ => false,
    };
    node.has_cni_pod() && node.metadata.deletion_timestamp.is_none() && !young
}

fn has_set(cx: &Cx<'_>) -> bool {
    cx.topology().daemonsets().any(|set| {
        let template = &set.spec.template;
        Component::of(&template.spec, &template.metadata.labels) == Component::KubeProxy
    })
}

/// Refuses clusters in which something else programmes Service addresses.
fn not_installed(cx: &Cx<'_>, nodes: &[Node]) -> Result<(), Stop> {
    const OTHERS: [(&str, &str); 4] = [
        ("cilium", "Cilium"),
        ("kube-router", "kube-router"),
        ("antrea", "Antrea"),
        ("calico-node", "Calico's eBPF data plane"),
    ];
    let other = cx.topology().daemonsets().find_map(|set| {
        OTHERS
            .iter()
            .find(|(name, _)| set.metadata.name.starts_with(name))
    });
    if let Some((_, other)) = other {
        return Err(Stop::not_applicable(format!(
            "there is no kube-proxy; {other} is there and takes its place"
        )));
    }
    if nodes.iter().any(Node::has_cni_pod) {
        return Ok(());
    }
    Err(Stop::not_applicable(if nodes.is_empty() {
        "the cluster has no nodes"
    } else {
        "no node runs kube-proxy as a pod: Fargate, Auto Mode, hybrid and Windows nodes bring their own"
    }))
}

/// What the pods of one node say.
fn of_pods<'a>(cx: &Cx<'_>, node: &'a Node, own: &[&'a Pod], known: bool) -> Option<Trouble<'a>> {
    if own.iter().any(|pod| pod.is_ready()) {
        return None;
    }
    let Some(pod) = own.first() else {
        return known.then_some(Trouble::Missing(node));
    };
    let recent = |at: Option<eksnet_model::Time>| match (cx.now(), at) {
        (Some(now), Some(at)) => now.seconds_since(at) < POD_STARTING_S,
        _ => false,
    };
    let rolling = own.iter().any(|pod| {
        recent(pod.metadata.creation_timestamp) || recent(pod.metadata.deletion_timestamp)
    });
    if rolling && node.is_ready() != Some(false) {
        return None;
    }
    Some(Trouble::NotReady(node, pod))
}

fn dead_vips<'a>(cx: &'a Cx<'a>) -> Vec<DeadVip<'a>> {
    let Some(run) = cx.probes().optional() else {
        return Vec::new();
    };
    let _ = cx.services().optional();
    let dns = ClusterDns::of(cx.topology());
    let api: Vec<IpAddr> = cx
        .topology()
        .service("default", "kubernetes")
        .into_iter()
        .flat_map(Service::cluster_ips)
        .filter_map(|ip| ip.parse().ok())
        .collect();
    let domain = cx.cluster().dns_domain();
    run.pods
        .iter()
        .flat_map(|pod| DeadVip::seen_by(pod, &dns, &api, domain))
        .collect()
}

/// kube-proxy is on no node at all.
fn absent(cx: &Cx<'_>, nodes: &[&Node], dead: usize) -> Finding {
    let names: Vec<&str> = nodes
        .iter()
        .map(|node| node.metadata.name.as_str())
        .collect();
    let place = Place::nodes(names.iter().copied());
    let cluster = cx.cluster_name();
    META.finding(
        Severity::Critical,
        format!(
            "kube-proxy is not installed: no Service address works on {} nodes",
            names.len()
        ),
    )
    .confidence(if dead > 0 {
        Confidence::Confirmed
    } else {
        Confidence::Likely
    })
    .detail("Nothing turns the addresses of Services into those of pods; cluster DNS is such an address.")
    .subject(Subject::namespaced(
        SubjectKind::DaemonSet,
        NAMESPACE,
        "kube-proxy",
    ))
    .fact(
        eksnet_model::Fact::new(
            Source::DaemonSets,
            "DaemonSet kube-system/kube-proxy",
            "existence",
            "absent, and no known replacement",
        )
        .expected("a pod on every Linux node"),
    )
    .at(place.clone())
    .reaches(place)
    .signal("pod-missing")
    .confirm("kubectl -n kube-system get daemonsets")
    .fix(format!(
        "aws eks create-addon --cluster-name {cluster} --addon-name kube-proxy"
    ))
}

fn finding(cx: &Cx<'_>, node: &Text, troubles: &[Trouble<'_>], pod: Option<&Pod>) -> Finding {
    let mut troubles: Vec<&Trouble<'_>> = troubles.iter().collect();
    troubles.sort_by_key(|trouble| trouble.rank());
    let kinds: BTreeSet<&str> = troubles
        .iter()
        .flat_map(|trouble| trouble.signals())
        .collect();
    let worst = troubles[0];
    let severity = troubles.iter().map(|trouble| trouble.severity()).max();
    let mut finding = META
        .finding(severity.unwrap_or(Severity::Error), worst.title(node))
        .confidence(if kinds.len() > 1 {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail(worst.detail())
        .facts(troubles.iter().map(|trouble| trouble.fact(cx)));
    finding.facts.dedup();
    finding = if node.is_empty() {
        finding.subject(Subject::namespaced(
            SubjectKind::DaemonSet,
            NAMESPACE,
            "kube-proxy",
        ))
    } else {
        let place = Place::nodes([node.clone()]);
        finding
            .subject(Subject::node(node.clone()))
            .at(place.clone())
            .reaches(place)
    };
    for kind in kinds {
        finding = finding.signal(kind);
    }
    worst.remedied(cx, node, pod, finding)
}
