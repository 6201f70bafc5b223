//! `cni/node-capacity-reached`: nodes that take no more pods.

mod fullness;
mod wording;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::Event;
use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Fact, Finding, Hits, LogScan, Meta, Place, Reach, Role,
    Severity, Source, Stop, Subject, SubjectKind, Text,
};

use fullness::{Full, full_nodes};

/// Events older than this, in seconds, are history.
const RECENT_S: i64 = 600;
/// The same for lines of logs.
const LOGS_S: i64 = 3600;

const META: Meta = Meta {
    id: "cni/node-capacity-reached",
    title: "Nodes have reached their ceiling of pods, addresses or interfaces",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Nodes, Source::Pods],
    helps: &[
        Source::Events,
        Source::CniMetrics,
        Source::DaemonSets,
        Source::NetworkInterfaces,
        Source::InstanceTypes,
        Source::Logs,
    ],
    signals: &[
        "too-many-pods",
        "pods-full",
        "pods-nearly-full",
        "ips-full",
        "enis-full",
        "unmanaged-enis",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let events = cx.events().optional().map_or(&[][..], Vec::as_slice);
    let waiting = waiting(cx, events);
    let logs = cx.logs().optional().map_or(&[][..], Vec::as_slice);
    let nodes = cx.nodes().some();
    if nodes.as_ref().is_ok_and(|nodes| nodes.is_empty()) {
        return Err(Stop::not_applicable("the cluster has no nodes"));
    }
    let pods = cx.pods().some();
    let metrics = cx.cni_metrics().optional().map_or(&[][..], Vec::as_slice);
    let settings = cx
        .daemonsets()
        .optional()
        .and_then(|sets| CniSettings::of(sets));
    let _ = cx.network_interfaces().optional();
    let types = cx
        .instance_types()
        .optional()
        .map_or(&[][..], Vec::as_slice);
    let full = full_nodes(cx.topology(), metrics, settings.as_ref(), types);
    let mut findings = Vec::new();
    for ((group, kind), nodes) in by_group(cx, &full) {
        findings.push(of_group(&group, kind, &nodes, &waiting));
    }
    let slots_found = full.iter().any(Full::out_of_slots);
    if !waiting.is_empty() && !slots_found {
        findings.push(of_events(cx, &waiting));
    }
    findings.extend(of_logs(cx, logs, &full, waiting.is_empty() && !slots_found));
    if findings.is_empty() {
        nodes?;
        pods?;
    }
    Ok(findings)
}

/// Events of pods that still wait because every node that fits them is full.
fn waiting<'e>(cx: &Cx<'_>, events: &'e [Event]) -> Vec<&'e Event> {
    let still = |event: &&Event| {
        let object = &event.involved_object;
        match cx.topology().pod(&object.namespace, &object.name) {
            Some(pod) => pod.spec.node_name.is_empty(),
            None => !cx.pods().is_complete(),
        }
    };
    events
        .iter()
        .filter(|event| {
            // Older schedulers say it as they say it of CPU and memory.
            let text = &event.message;
            text.contains("Too many pods") || text.contains("Insufficient pods")
        })
        .filter(|event| cx.within(event.last_seen(), RECENT_S))
        .filter(still)
        .collect()
}

/// Nodes of one group and instance type are full alike.
fn by_group<'f, 'a>(
    cx: &Cx<'_>,
    full: &'f [Full<'a>],
) -> BTreeMap<(Text, &'a str), Vec<&'f Full<'a>>> {
    let mut groups: BTreeMap<(Text, &str), Vec<&Full<'_>>> = BTreeMap::new();
    for one in full {
        let group = cx.topology().group_of(one.node);
        let kind = one.node.instance_type().unwrap_or("");
        groups.entry((group, kind)).or_default().push(one);
    }
    groups
}

fn of_group(group: &Text, kind: &str, nodes: &[&Full<'_>], waiting: &[&Event]) -> Finding {
    let out_of_slots = nodes.iter().any(|one| one.out_of_slots());
    let blocks = out_of_slots && !waiting.is_empty();
    let names: Vec<&str> = nodes
        .iter()
        .map(|one| one.node.metadata.name.as_str())
        .collect();
    let place = Place::nodes(names.iter().copied());
    let mut finding = META
        .finding(
            if blocks {
                Severity::Error
            } else {
                Severity::Warning
            },
            wording::title(group, nodes),
        )
        .confidence(if blocks {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail(wording::detail(nodes, waiting.len(), blocks))
        .subject(Subject::new(SubjectKind::NodeGroup, group.clone()))
        .facts(nodes.iter().take(4).flat_map(|one| wording::facts(one)))
        .at(place.clone());
    if !kind.is_empty() {
        finding = finding.subject(Subject::new(SubjectKind::InstanceType, kind));
    }
    finding.reach = if blocks {
        // The pods that wait have no node yet.
        Reach::Cluster
    } else {
        Reach::Within(place)
    };
    if blocks {
        finding = finding
            .signal("too-many-pods")
            .facts(waiting.iter().take(2).map(|one| event_fact(one)));
    }
    for (seen, signal) in [
        (out_of_slots, "pods-full"),
        (
            nodes
                .iter()
                .any(|one| one.slots.is_some() && !one.out_of_slots()),
            "pods-nearly-full",
        ),
        (nodes.iter().any(|one| one.addresses.is_some()), "ips-full"),
        (
            nodes.iter().any(|one| !one.foreign.is_empty()),
            "unmanaged-enis",
        ),
    ] {
        if seen {
            finding = finding.signal(signal);
        }
    }
    finding.remedy.confirm = wording::confirm(nodes);
    finding.remedy.fix = wording::fix(group, nodes);
    finding
}

/// The scheduler says so, and which nodes it means is not known.
fn of_events(cx: &Cx<'_>, waiting: &[&Event]) -> Finding {
    let pods: BTreeSet<String> = waiting
        .iter()
        .map(|event| {
            format!(
                "{}/{}",
                event.involved_object.namespace, event.involved_object.name
            )
        })
        .collect();
    let many = match pods.len() {
        1 => "1 pod waits".to_owned(),
        n => format!("{n} pods wait"),
    };
    let mut finding = META
        .finding(
            Severity::Error,
            format!("Nodes have no free slot for pods: {many}, the scheduler says Too many pods"),
        )
        .detail("Every node that fits these pods runs as many as its kubelet admits.")
        .facts(waiting.iter().take(3).map(|one| event_fact(one)))
        .signal("too-many-pods")
        .subject(Subject::new(SubjectKind::Cluster, cx.cluster_name()))
        .confirm("kubectl get nodes -o custom-columns=NAME:.metadata.name,PODS:.status.allocatable.pods")
        .fix("Add nodes, or raise the kubelets' maximum where the VPC CNI has addresses for more (kubectl eksnet capacity)");
    for pod in pods.iter().take(3) {
        if let Some((namespace, name)) = pod.split_once('/') {
            finding = finding.confirm(format!("kubectl -n {namespace} describe pod {name}"));
        }
    }
    finding
}

/// What logs say of nodes that are not counted among the full ones.
fn of_logs(cx: &Cx<'_>, scans: &[LogScan], full: &[Full<'_>], unseen: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for scan in scans {
        for hits in &scan.hits {
            if !cx.within(hits.last, LOGS_S) {
                continue;
            }
            match hits.signature.as_str() {
                "ipamd-no-device-number" => {
                    let node = cx.topology().node_of_log(scan);
                    let counted = node.as_ref().is_some_and(|node| {
                        full.iter().any(|one| *one.node.metadata.name == **node)
                    });
                    if !counted {
                        findings.push(no_slot(scan, hits, node));
                    }
                }
                // One line of it in any log says that some pod waited.
                "event-too-many-pods" if unseen => {
                    findings.push(
                        META.finding(
                            Severity::Error,
                            format!("Nodes have no free slot for pods, {} says", scan.place()),
                        )
                        .detail("Every node that fits the pods runs as many as its kubelet admits.")
                        .subject(Subject::new(SubjectKind::Other, scan.place()))
                        .fact(log_fact(scan, hits))
                        .signal("too-many-pods")
                        .confirm("kubectl get nodes -o custom-columns=NAME:.metadata.name,PODS:.status.allocatable.pods")
                        .fix("Add nodes, or raise the kubelets' maximum where the VPC CNI has addresses for more (kubectl eksnet capacity)"),
                    );
                }
                _ => {}
            }
        }
    }
    findings
}

fn no_slot(scan: &LogScan, hits: &Hits, node: Option<Text>) -> Finding {
    let of = match &node {
        Some(node) => format!("Node {node}"),
        None => format!("Node ({})", scan.place()),
    };
    let finding = META
        .finding(Severity::Error, format!("{of} has no slot left for another network interface"))
        .detail("ipamd cannot attach an interface: the type's limit is reached, often by interfaces that others attached.")
        .fact(log_fact(scan, hits))
        .signal("enis-full")
        .confirm("aws ec2 describe-network-interfaces --filters Name=attachment.instance-id,Values=INSTANCE --query 'NetworkInterfaces[].[NetworkInterfaceId,Description]' --output table")
        .fix("Detach the interfaces that the CNI did not make, or use a larger instance type");
    match node {
        Some(node) => finding
            .subject(Subject::node(node.clone()))
            .at(Place::nodes([node.clone()]))
            .reaches(Place::nodes([node])),
        None => finding.subject(Subject::new(SubjectKind::Other, scan.place())),
    }
}

fn log_fact(scan: &LogScan, hits: &Hits) -> Fact {
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

fn event_fact(event: &Event) -> Fact {
    let object = &event.involved_object;
    Fact::new(
        Source::Events,
        format!("Pod {}/{}", object.namespace, object.name),
        event.reason.clone(),
        format!("{} ({}x)", event.message, event.times()),
    )
    .at(event.last_seen())
}
