//! `dns/coredns-capacity`: CoreDNS is starved of memory, or its pods are not spread.

mod pods;
mod spread;

use eksnet_model::{
    Check, Component, Confidence, Cx, Finding, Heard, Meta, Role, Severity, Source, Stop, Subject,
    SubjectKind,
};

/// How far back restarts and lines count, in seconds.
const WINDOW_S: i64 = 3600;

const META: Meta = Meta {
    id: "dns/coredns-capacity",
    title: "CoreDNS is starved or not spread",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Pods],
    helps: &[
        Source::Deployments,
        Source::Nodes,
        Source::PodDisruptionBudgets,
        Source::Events,
        Source::Logs,
    ],
    signals: &["oom-killed", "restarts", "one-node", "too-many-queries"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let _ = (
        cx.deployments().optional(),
        cx.nodes().optional(),
        cx.pod_disruption_budgets().optional(),
    );
    let mut findings: Vec<Finding> = pods::starved(cx)
        .into_iter()
        .chain(by_log(cx))
        .take(1)
        .collect();
    let pods = cx.pods().some();
    if findings.is_empty() {
        findings.extend(spread::fault(cx));
    }
    if findings.is_empty() {
        let _ = pods?;
        cx.pods().all_in("kube-system")?;
        if cx.topology().pods_of(Component::CoreDns).next().is_none() {
            return Err(Stop::not_applicable("no CoreDNS pod runs in kube-system"));
        }
    }
    Ok(findings)
}

/// A finding about CoreDNS's Deployment.
fn about(severity: Severity, title: String) -> Finding {
    META.finding(severity, title)
        .subject(Subject::namespaced(
            SubjectKind::Deployment,
            "kube-system",
            "coredns",
        ))
        .confirm("kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide")
}

/// Raises the number of pods, by the way that stays.
fn more_pods(cx: &Cx<'_>, finding: Finding) -> Finding {
    finding.fix(format!(
        "aws eks update-addon --cluster-name {} --addon-name coredns --configuration-values '{{\"autoScaling\":{{\"enabled\":true,\"minReplicas\":2,\"maxReplicas\":10}}}}'",
        cx.cluster_name()
    ))
}

/// What CoreDNS says of having too much to do.
fn by_log(cx: &Cx<'_>) -> Option<Finding> {
    let logs = cx.logs().optional()?;
    let of = |signature: &str| {
        Heard::recent(cx, logs, &[signature], WINDOW_S)
            .into_iter()
            .next()
    };
    if let Some(one) = of("coredns-max-concurrent") {
        let finding = about(
            Severity::Error,
            "CoreDNS turns queries away: more wait for its upstream than max_concurrent allows".to_owned(),
        )
        .confidence(Confidence::Confirmed)
        .detail("Queries over the limit are refused at once. Either clients ask too much for the number of pods, or the upstream has become slow.")
        .fact(one.fact("lines"))
        .signal("too-many-queries")
        .confirm("kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}' | grep max_concurrent");
        return Some(more_pods(cx, finding));
    }
    let one = of("coredns-health-slow").filter(|one| one.hits.count > 1 || one.is_excerpt())?;
    let finding = about(
        Severity::Warning,
        "CoreDNS is short of CPU: its own health request takes more than a second".to_owned(),
    )
    .confidence(Confidence::Likely)
    .detail("A request to itself waits for CPU: the node is busy, or the pod has too little of it.")
    .fact(one.fact("lines"))
    .confirm("kubectl -n kube-system top pods -l k8s-app=kube-dns");
    Some(more_pods(cx, finding))
}
