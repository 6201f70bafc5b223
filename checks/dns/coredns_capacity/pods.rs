//! CoreDNS pods that are killed for lack of memory, or restart.

use std::collections::BTreeSet;

use eksnet_model::kubernetes::{ContainerStatus, Pod, StateTerminated};
use eksnet_model::{Component, Confidence, Cx, Fact, Finding, Place, Severity, Source};

use super::{WINDOW_S, about, more_pods};

/// Restarts within the window from which on they are no accident.
const MANY_RESTARTS: u32 = 3;
/// Most pods that are spelt out.
const MAX_PODS: usize = 4;

/// One pod's trouble.
struct Starved<'a> {
    pod: &'a Pod,
    status: &'a ContainerStatus,
    oom: bool,
}

/// The finding about pods that were killed or restart; Events stand in where no pod tells.
pub(super) fn starved(cx: &Cx<'_>) -> Option<Finding> {
    let _ = cx.pods().optional();
    let all: Vec<Starved<'_>> = cx
        .topology()
        .pods_of(Component::CoreDns)
        .flat_map(|pod| {
            pod.status
                .container_statuses
                .iter()
                .map(move |status| (pod, status))
        })
        .filter_map(|(pod, status)| judge(cx, pod, status))
        .collect();
    let oom = all.iter().any(|one| one.oom);
    if all.is_empty() {
        return by_event(cx);
    }
    let names: BTreeSet<&str> = all
        .iter()
        .map(|one| one.pod.metadata.name.as_str())
        .collect();
    let what = match names.len() {
        1 => format!(
            "CoreDNS pod {}",
            names.iter().next().copied().unwrap_or_default()
        ),
        count => format!("{count} CoreDNS pods"),
    };
    let many = names.len() > 1;
    let end = match (oom, many) {
        (true, false) => "is killed for lack of memory",
        (true, true) => "are killed for lack of memory",
        (false, false) => "restarts again and again",
        (false, true) => "restart again and again",
    };
    let mut finding = about(
        if oom {
            Severity::Error
        } else {
            Severity::Warning
        },
        format!("{what} {end}"),
    )
    .confidence(if oom {
        Confidence::Confirmed
    } else {
        Confidence::Likely
    })
    .facts(all.iter().take(MAX_PODS).map(|one| fact(cx, one)))
    .at(place(&all))
    .signal(if oom { "oom-killed" } else { "restarts" })
    .confirm("kubectl -n kube-system describe pods -l k8s-app=kube-dns | grep -A6 'Last State'");
    if oom {
        let limit = all.iter().find_map(|one| limit(one.pod));
        finding = finding
            .detail(match limit {
                Some(limit) => format!("The kernel ends it at its limit of {limit}, and queries in flight are lost. It grows with the number of Services, endpoints and queries in flight: a slow upstream, a loop, or a large cluster."),
                None => "The kernel ends it at its memory limit, and queries in flight are lost. It grows with the number of Services, endpoints and queries in flight: a slow upstream, a loop, or a large cluster.".to_owned(),
            })
            .fix("kubectl -n kube-system set resources deployment coredns --limits=memory=512Mi --requests=memory=128Mi");
    } else {
        finding = finding
            .detail("Each restart loses the queries in flight and the list of Services for seconds. The log of the previous container tells why.")
            .confirm("kubectl -n kube-system logs -l k8s-app=kube-dns --previous --tail=50");
    }
    Some(more_pods(cx, finding))
}

/// Whether a container was killed for memory, or restarts now. An old end is history: its time decides,
/// where there is one.
fn judge<'a>(cx: &Cx<'_>, pod: &'a Pod, status: &'a ContainerStatus) -> Option<Starved<'a>> {
    let ends = [&status.state.terminated, &status.last_state.terminated];
    let recent = |end: &&StateTerminated| cx.within(end.finished_at, WINDOW_S);
    let last = ends.into_iter().flatten().find(recent);
    let oom = last.is_some_and(|end| end.reason == "OOMKilled");
    let waits = status
        .state
        .waiting
        .as_ref()
        .is_some_and(|waiting| waiting.reason == "CrashLoopBackOff");
    // A crash loop by itself is told by `dns/coredns-no-ready-endpoints` and the checks of its cause.
    let restarts = last.is_some_and(|end| end.finished_at.is_some())
        && status.restart_count >= MANY_RESTARTS
        && !waits;
    (oom || restarts).then_some(Starved { pod, status, oom })
}

fn place(all: &[Starved<'_>]) -> Place {
    all.iter().fold(Place::default(), |place, one| {
        let node = Some(one.pod.spec.node_name.as_str()).filter(|node| !node.is_empty());
        place.on(node).of(one.pod.workload())
    })
}

fn limit(pod: &Pod) -> Option<&str> {
    pod.spec
        .containers
        .iter()
        .find_map(|container| container.resources.limits.get("memory"))
        .map(String::as_str)
}

fn fact(cx: &Cx<'_>, one: &Starved<'_>) -> Fact {
    let ends = [
        &one.status.state.terminated,
        &one.status.last_state.terminated,
    ];
    let end = ends.into_iter().flatten().next();
    let when = end.and_then(|end| end.finished_at);
    let ago = when.map_or_else(String::new, |when| {
        format!(", the last {}", when.ago(cx.now()))
    });
    let reason = end.map_or("", |end| end.reason.as_str());
    Fact::new(
        Source::Pods,
        format!("Pod {}", one.pod.key()),
        "last end",
        format!("{reason}, {} restarts{ago}", one.status.restart_count),
    )
    .at(when)
}

/// The node's kernel log names the process that it ended.
fn by_event(cx: &Cx<'_>) -> Option<Finding> {
    let event = cx.events().optional()?.iter().find(|event| {
        matches!(event.reason.as_str(), "OOMKilling" | "SystemOOM")
            && event.message.contains("coredns")
            && cx.within(event.last_seen(), WINDOW_S)
    })?;
    let finding = about(
        Severity::Error,
        "CoreDNS is killed for lack of memory".to_owned(),
    )
    .confidence(Confidence::Confirmed)
    .detail("The kernel of its node ended it; queries in flight are lost.")
    .fact(
        Fact::new(
            Source::Events,
            format!("{} {}", event.involved_object.kind, event.involved_object.name),
            event.reason.as_str(),
            event.message.as_str(),
        )
        .at(event.last_seen()),
    )
    .signal("oom-killed")
    .fix("kubectl -n kube-system set resources deployment coredns --limits=memory=512Mi --requests=memory=128Mi");
    Some(more_pods(cx, finding))
}
