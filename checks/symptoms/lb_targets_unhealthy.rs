//! `sym/lb-targets-unhealthy`: targets of a load balancer that it sends nothing to.

use std::collections::BTreeMap;

use eksnet_model::aws::TargetHealthDescription;
use eksnet_model::{
    Cx, Fact, Finding, Place, Role, Severity, Source, Stop, Subject, SubjectKind, Symptom,
};

/// Most targets that are named.
const MAX: usize = 8;

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/lb-targets-unhealthy",
    observe,
};

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let all = cx.target_health().some()?;
    let mut by_reason: BTreeMap<&str, Vec<&TargetHealthDescription>> = BTreeMap::new();
    for one in all.iter().filter(|one| is_fault(one)) {
        by_reason
            .entry(one.target_health.reason.as_str())
            .or_default()
            .push(one);
    }
    Ok(by_reason
        .iter()
        .map(|(reason, targets)| finding(cx, reason, targets, all.len()))
        .collect())
}

/// Targets that come or go are none, nor those of a group that no listener uses.
fn is_fault(one: &TargetHealthDescription) -> bool {
    let health = &one.target_health;
    match health.state.as_str() {
        "unhealthy" => true,
        // Without health checks nothing is known, and everything is sent.
        "unavailable" => health.reason != "Target.HealthCheckDisabled",
        "unused" => matches!(
            health.reason.as_str(),
            "Target.InvalidState" | "Target.IpUnusable"
        ),
        _ => false,
    }
}

fn finding(cx: &Cx<'_>, reason: &str, targets: &[&TargetHealthDescription], all: usize) -> Finding {
    let many = match targets {
        [one] => format!("Target {}", one.key()),
        _ => format!("{} of {all} targets", targets.len()),
    };
    let verb = if targets.len() == 1 { "is" } else { "are" };
    let state = targets
        .first()
        .map_or("unhealthy", |one| one.target_health.state.as_str());
    let why = if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    };
    let mut finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Error,
        format!("{many} of a load balancer {verb} {state}{why}"),
    )
    .subjects(
        targets
            .iter()
            .take(MAX)
            .map(|one| Subject::new(SubjectKind::Other, format!("target {}", one.key()))),
    )
    .at(Place::nodes(targets.iter().filter_map(|one| node(cx, one))))
    .signal(signal(reason));
    for one in targets.iter().take(MAX) {
        finding = finding.fact(
            Fact::new(
                Source::TargetHealth,
                format!("target {}", one.key()),
                format!("health check on port {}", one.health_check_port),
                format!(
                    "{} ({}: {})",
                    one.target_health.state,
                    one.target_health.reason,
                    one.target_health.description
                ),
            )
            .expected("healthy"),
        );
    }
    finding.confirm("aws elbv2 describe-target-health --target-group-arn ARN")
}

/// The codes of `DescribeTargetHealth`. Source: the API reference of Elastic Load Balancing, read November 2026.
fn signal(reason: &str) -> &'static str {
    match reason {
        "Target.Timeout" => "timeout",
        "Target.FailedHealthChecks" => "failed-checks",
        "Target.ResponseCodeMismatch" => "wrong-answer",
        "Target.IpUnusable" => "address-unusable",
        "Target.InvalidState" => "stopped",
        _ => "other-reason",
    }
}

/// The node that is the target, or on which the pod that is the target runs.
fn node(cx: &Cx<'_>, one: &TargetHealthDescription) -> Option<String> {
    let id = one.target.id.as_str();
    if let Ok(address) = id.parse() {
        let pod = cx.topology().pod_by_ip(address);
        return pod
            .map(|pod| pod.spec.node_name.clone())
            .filter(|node| !node.is_empty());
    }
    let mut nodes = cx.topology().nodes();
    nodes
        .find(|node| node.instance_id() == Some(id))
        .map(|node| node.metadata.name.clone())
}
