//! `autoscaler/not-running`: an autoscaler is deployed, and no replica does its work.

mod advice;
mod state;

use eksnet_model::kubernetes::Lease;
use eksnet_model::{
    Check, ClusterAutoscaler, Component, Confidence, Cx, Deployed, Fact, Finding, Meta, Role,
    Severity, Source, Stop, Time, go_time,
};

use state::State;

/// Leases are renewed every 2 s (10 s for Karpenter); beyond this, in seconds, nobody leads.
const LEASE_S: i64 = 60;
/// The status is written with every loop, each 10 s by default; beyond this, in seconds, no loop ends.
const STATUS_S: i64 = 180;
/// A pod that is younger than this, in seconds, may still be starting.
const STARTING_S: i64 = 120;

const META: Meta = Meta {
    id: "autoscaler/not-running",
    title: "An autoscaler is deployed and no replica of it works",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Deployments, Source::Pods],
    helps: &[
        Source::Nodes,
        Source::Leases,
        Source::ConfigMaps,
        Source::Events,
        Source::Logs,
    ],
    signals: &[
        "no-ready-pod",
        "on-dead-node",
        "crash-loop",
        "manager-failed",
        "oom-killed",
        "lost-master",
        "evicted",
        "bad-flags",
        "pod-pending",
        "scaled-to-zero",
        "not-starting",
        "lease-stale",
        "leader-renews",
        "status-stale",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let all = Deployed::seen(cx, &[Component::ClusterAutoscaler, Component::Karpenter])?;
    let findings: Vec<Finding> = all
        .iter()
        .filter(|one| !is_replaced(one, &all))
        .filter_map(|one| judge(cx, one))
        .collect();
    if findings.is_empty() {
        for one in &all {
            cx.deployments().all_in(one.namespace)?;
            cx.pods().all_in(one.namespace)?;
        }
    }
    Ok(findings)
}

/// Scaled to zero on purpose: another autoscaler does the work.
fn is_replaced(one: &Deployed<'_>, all: &[Deployed<'_>]) -> bool {
    one.deployment.is_some() && one.wanted() == 0 && all.iter().any(|other| other.ready() > 0)
}

fn judge(cx: &Cx<'_>, one: &Deployed<'_>) -> Option<Finding> {
    let state = State::of(cx, one);
    let lease = leader_lease(cx, one);
    let renewed = lease.and_then(|lease| lease.spec.renew_time);
    let age = |time: Option<Time>| Some(cx.now()?.seconds_since(time?));
    let lease_age = age(renewed);
    let status_age = age(status_time(cx, one));
    let is_leading = lease_age.is_some_and(|age| age <= LEASE_S);
    let lease_stale = lease_age.is_some_and(|age| age > LEASE_S);
    let status_stale = status_age.is_some_and(|age| age > status_limit(one));
    let works = matches!(state, State::Works);
    if works && !lease_stale && (!status_stale || loops_fail(cx, one)) {
        return None;
    }
    let title = format!(
        "{} ({}) {}",
        one.component.name(),
        one.workload(),
        match (&state, lease_stale, renewed) {
            (State::Works, true, Some(renewed)) => format!(
                "runs, but no replica leads: its lease was last renewed {}",
                renewed.ago(cx.now())
            ),
            (State::Works, ..) => format!(
                "runs, but has finished no loop for {} min",
                status_age.unwrap_or_default() / 60
            ),
            (other, ..) => other.what(),
        }
    );
    let severity = if has_unschedulable(cx) {
        Severity::Critical
    } else {
        Severity::Error
    };
    let mut finding = META
        .finding(severity, title)
        .detail(state.detail())
        .subject(one.subject())
        .fact(
            Fact::new(
                Source::Pods,
                one.subject().to_string(),
                "ready replicas",
                format!("{} of {}", one.ready(), one.wanted()),
            )
            .expected("at least 1"),
        )
        .facts(state.facts(cx, one))
        .at(one.place());
    if let (Some(lease), Some(age)) = (lease, lease_age) {
        finding = finding.fact(
            Fact::new(
                Source::Leases,
                format!("Lease {}/{}", lease.metadata.namespace, lease.metadata.name),
                "renewTime",
                format!("{age} s ago, by {:?}", lease.spec.holder_identity),
            )
            .expected(format!("within {LEASE_S} s"))
            .at(renewed),
        );
    }
    if let Some(age) = status_age.filter(|_| status_stale) {
        finding = finding.fact(
            Fact::new(
                Source::ConfigMaps,
                "ConfigMap kube-system/cluster-autoscaler-status",
                "last update",
                format!("{age} s ago"),
            )
            .expected(format!("within {} s", status_limit(one)))
            .at(status_time(cx, one)),
        );
    }
    if !works && (lease_stale || state.is_explicit()) {
        finding = finding.confidence(Confidence::Confirmed);
    }
    for (seen, signal) in [
        (one.ready() == 0, "no-ready-pod"),
        (lease_stale, "lease-stale"),
        (is_leading, "leader-renews"),
        (status_stale, "status-stale"),
    ] {
        if seen {
            finding = finding.signal(signal);
        }
    }
    for signal in state.signals(cx, one) {
        finding = finding.signal(signal);
    }
    Some(advice::remedy(finding, one, &state))
}

/// Pods that the scheduler cannot place: with them a dead autoscaler is an outage.
fn has_unschedulable(cx: &Cx<'_>) -> bool {
    let pods = cx.pods().optional();
    pods.into_iter()
        .flatten()
        .any(|pod| pod.unschedulable().is_some())
}

/// The lease by which one replica leads; `None` where there is no election, or none was seen. Old
/// releases elect through other objects, so its absence says nothing.
fn leader_lease<'c>(cx: &'c Cx<'_>, one: &Deployed<'_>) -> Option<&'c Lease> {
    let (name, namespaces) = if one.component == Component::Karpenter {
        ("karpenter-leader-election", vec![one.namespace])
    } else {
        let flags = ClusterAutoscaler::of(one)?;
        if !flags.is_on("leader-elect", true) {
            return None;
        }
        let namespace = flags
            .value("leader-elect-resource-namespace")
            .or_else(|| flags.value("namespace"))
            .unwrap_or("kube-system");
        let name = flags
            .value("leader-elect-resource-name")
            .unwrap_or("cluster-autoscaler");
        (name, vec![namespace, one.namespace])
    };
    cx.leases()
        .optional()?
        .iter()
        .filter(|lease| {
            lease.metadata.name == name && namespaces.contains(&lease.metadata.namespace.as_str())
        })
        .max_by_key(|lease| lease.spec.renew_time)
}

/// When the status was last written; `None` where it is switched off or was not seen.
fn status_time(cx: &Cx<'_>, one: &Deployed<'_>) -> Option<Time> {
    if one.component != Component::ClusterAutoscaler {
        return None;
    }
    let flags = ClusterAutoscaler::of(one)?;
    if !flags.is_on("write-status-configmap", true)
        || flags.value("status-config-map-name").is_some()
    {
        return None;
    }
    let map = cx.config_maps().optional()?.iter().find(|map| {
        map.metadata.namespace == "kube-system" && map.metadata.name == "cluster-autoscaler-status"
    })?;
    map.metadata
        .annotations
        .get("cluster-autoscaler.kubernetes.io/last-updated")
        .or_else(|| map.data.get("status"))
        .and_then(|text| go_time(text))
}

fn status_limit(one: &Deployed<'_>) -> i64 {
    let scan = ClusterAutoscaler::of(one).map_or(10, |flags| flags.seconds("scan-interval", 10));
    STATUS_S.max(3 * scan)
}

/// A loop that cannot read its groups ends before it writes the status: the autoscaler runs, and
/// `autoscaler/asg-cache-failed` says why it does nothing.
fn loops_fail(cx: &Cx<'_>, one: &Deployed<'_>) -> bool {
    state::hits(cx, one, "ca-asg-cache-failed").any(|hits| cx.within(hits.last, 600))
}
