//! `cni/ip-pool-exhausted`: nodes whose CNI has no address to give.

mod room;
mod seen;

use eksnet_model::kubernetes::Node;
use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Finding, Meta, NodeUse, Place, Role, Severity, Source,
    Stop, Subject, SubjectKind, Text,
};

use room::{Room, Setup, room};
use seen::{ByNode, Seen, in_events, in_logs, in_metrics};

const META: Meta = Meta {
    id: "cni/ip-pool-exhausted",
    title: "The CNI has no address to give to a pod",
    severity: Severity::Critical,
    role: Role::Mechanism,
    needs: &[Source::Events],
    helps: &[
        Source::Nodes,
        Source::Pods,
        Source::DaemonSets,
        Source::CniMetrics,
        Source::Logs,
        Source::Subnets,
        Source::Instances,
        Source::InstanceTypes,
        Source::NetworkInterfaces,
    ],
    signals: &[
        "sandbox-no-ip",
        "counter-grew",
        "log-no-available-ip",
        "node-event-no-ips",
        "pool-at-node-limit",
        "pool-below-limit",
        "subnet-no-room",
        "subnet-has-room",
        "assigned-at-cap",
        "pool-nearly-empty",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let sets = cx.daemonsets().optional();
    let settings = sets.and_then(|sets| CniSettings::of(sets));
    if sets.is_some() && settings.is_none() && cx.daemonsets().is_complete() {
        return Err(Stop::not_applicable(
            "there is no DaemonSet kube-system/aws-node: another CNI, or EKS Auto Mode",
        ));
    }
    let events = cx.events().some();
    let nodes = cx.nodes().optional().map_or(&[][..], Vec::as_slice);
    let metrics = cx.cni_metrics().optional().map_or(&[][..], Vec::as_slice);
    let logs = cx.logs().optional().map_or(&[][..], Vec::as_slice);
    let _ = (cx.subnets().optional(), cx.instances().optional());
    let _ = cx.network_interfaces().optional();
    let setup = Setup {
        settings: settings.as_ref(),
        types: cx.instance_types().optional().map_or(&[], Vec::as_slice),
        metrics: metrics.iter().map(|one| (one.node.as_str(), one)).collect(),
        uses: (cx.pods().optional().is_some() && cx.pods().is_complete())
            .then(|| NodeUse::of_nodes(cx.topology())),
    };
    let mut seen = ByNode::new();
    if let Ok(events) = events.as_ref() {
        in_events(cx, events, &mut seen);
    }
    // In IPv6 mode these stand still.
    if !settings.as_ref().is_some_and(|settings| settings.ipv6) {
        in_metrics(metrics, &mut seen);
    }
    in_logs(cx, logs, &mut seen);
    let mut findings = Vec::new();
    for node in nodes.iter().filter(|node| node.has_cni_pod()) {
        let name = Text::from(&node.metadata.name);
        let room = room(cx.topology(), node, &setup);
        let own = seen.remove(&name).unwrap_or_default();
        if own.refused() || own.stats.is_some() || room.nearly_empty() {
            findings.push(finding(&name, Some(node), &own, &room, settings.as_ref()));
        }
    }
    // Nodes that nobody listed.
    for (name, own) in seen {
        let one = finding(&name, None, &own, &Room::default(), settings.as_ref());
        findings.push(if name.is_empty() {
            one.subject(Subject::new(SubjectKind::Other, place_of(&own)))
        } else {
            let place = Place::nodes([name.clone()]);
            one.subject(Subject::node(name))
                .at(place.clone())
                .reaches(place)
        });
    }
    if findings.is_empty() {
        events?;
    }
    Ok(findings)
}

/// What a finding without a node is about: the first thing that was seen.
fn place_of(seen: &Seen) -> Text {
    seen.facts
        .first()
        .map_or_else(Text::default, |fact| fact.subject.clone())
}

fn finding(
    name: &str,
    node: Option<&Node>,
    seen: &Seen,
    room: &Room,
    settings: Option<&CniSettings>,
) -> Finding {
    let severity = if !seen.waiting.is_empty() {
        Severity::Critical
    } else if seen.counter.is_some() || seen.node_event || seen.log {
        Severity::Error
    } else {
        Severity::Warning
    };
    let confirmed = seen.kinds() > 1 || (seen.refused() && room.nearly_empty());
    let mut finding = META
        .finding(severity, title(name, seen, room))
        .confidence(if confirmed {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail(detail(seen, room, settings))
        .facts(seen.facts.iter().cloned())
        .facts(room.facts(name));
    if node.is_some() {
        finding = finding
            .subject(Subject::node(name))
            .at(Place::nodes([name]))
            .reaches(Place::nodes([name]));
    }
    let sandbox = !(seen.waiting.is_empty() && seen.waited.is_empty());
    for (shows, signal) in [
        (sandbox, "sandbox-no-ip"),
        (seen.counter.is_some(), "counter-grew"),
        (seen.log, "log-no-available-ip"),
        (seen.node_event, "node-event-no-ips"),
        (room.at_limit() == Some(true), "pool-at-node-limit"),
        (room.at_limit() == Some(false), "pool-below-limit"),
        (room.subnet_has_room() == Some(false), "subnet-no-room"),
        (room.subnet_has_room() == Some(true), "subnet-has-room"),
        (room.assigned_at_cap(), "assigned-at-cap"),
        (!seen.refused(), "pool-nearly-empty"),
    ] {
        if shows {
            finding = finding.signal(signal);
        }
    }
    let events = "kubectl get events -A --field-selector reason=FailedCreatePodSandBox";
    finding = finding.confirm(events);
    if !name.is_empty() {
        finding = finding.confirm(format!(
            "kubectl get --raw \"/api/v1/namespaces/kube-system/pods/$(kubectl -n kube-system get pod -l k8s-app=aws-node --field-selector spec.nodeName={name} -o name | cut -d/ -f2):61678/proxy/metrics\" | grep -E 'awscni_(total|assigned)_ip'"
        ));
    }
    finding.fix(fix(room))
}

fn title(name: &str, seen: &Seen, room: &Room) -> String {
    let subject = if name.is_empty() {
        "A node".to_owned()
    } else {
        format!("Node {name}")
    };
    if !seen.refused() {
        return match (seen.stats, room.assigned, room.total) {
            (_, Some(assigned), Some(total)) | (Some((total, assigned)), _, _) => {
                format!("{subject} has given {assigned} of its {total} addresses to pods")
            }
            _ => format!("{subject} has hardly an address left for pods"),
        };
    }
    if seen.waiting.is_empty() && !seen.waited.is_empty() {
        let pods = match seen.waited.len() {
            1 => "1 pod that has one by now".to_owned(),
            n => format!("{n} pods that have one by now"),
        };
        return format!("{subject} had no address for {pods}");
    }
    let pods = match seen.waiting.len() {
        0 => String::new(),
        1 => ": 1 pod waits".to_owned(),
        n => format!(": {n} pods wait"),
    };
    format!("{subject} has no address for a pod{pods}")
}

/// Which of the ends was reached, as far as it can be told.
fn detail(seen: &Seen, room: &Room, settings: Option<&CniSettings>) -> String {
    let trunk = settings.is_some_and(|settings| settings.pod_eni);
    match (room.at_limit(), room.subnet_has_room()) {
        (Some(true), _) => {
            let also = if trunk {
                " The trunk interface of security groups for pods is not counted in: it gives none."
            } else {
                ""
            };
            format!("The node has all addresses that its instance type can hold.{also}")
        }
        (Some(false), Some(false)) => {
            "The node could hold more, and its subnet has not enough free.".to_owned()
        }
        (Some(false), Some(true)) if seen.waiting.is_empty() => {
            "The node could hold more and its subnet has them: a burst of pods, or addresses that rest for 30 s after their pods ended."
                .to_owned()
        }
        (Some(false), Some(true)) => {
            "The node could hold more and its subnet has them: look for errors of EC2 in ipamd's log, permissions and throttling first."
                .to_owned()
        }
        (None, Some(false)) => "The node's subnet has not enough free for what ipamd asks for.".to_owned(),
        _ => "Whether the node, its subnet or EC2 stands in the way cannot be told from what was read.".to_owned(),
    }
}

fn fix(room: &Room) -> String {
    match (room.at_limit(), room.subnet_has_room()) {
        (Some(true), _) => "Move pods to other nodes, and lower the kubelet's maximum to what the CNI can serve (kubectl eksnet capacity)".to_owned(),
        (_, Some(false)) => {
            let subnet = room.subnet.as_ref().map_or("the subnet", |(id, _, _)| id.as_str());
            format!("Add room beside {subnet}: a subnet of the same zone tagged kubernetes.io/role/cni=1")
        }
        (Some(false), Some(true)) => "kubectl -n kube-system logs -l k8s-app=aws-node -c aws-node --tail=100".to_owned(),
        _ => "kubectl eksnet capacity".to_owned(),
    }
}
