//! `isolation/npa-deny-flows`: the network policy agent drops packets to DNS or AWS.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_model::{
    Check, ClusterDns, Component, Confidence, Cx, Fact, Finding, Heard, Meta, Role, Severity,
    Source, Stop, Subject, SubjectKind, log_reaches,
};

/// How far back lines count, in seconds.
const WINDOW_S: i64 = 600;
/// Most pods that are named.
const MAX_PODS: usize = 4;

/// Signatures, what they are drops of, and how bad that is.
const KINDS: [(&str, &str, &str, Severity); 4] = [
    ("npa-deny-dns", "DNS", "dns-denied", Severity::Error),
    (
        "npa-deny-link-local",
        "instance metadata or Pod Identity",
        "link-local-denied",
        Severity::Error,
    ),
    (
        "npa-deny-https",
        "port 443",
        "https-denied",
        Severity::Warning,
    ),
    (
        "npa-deny-other",
        "other ports",
        "other-denied",
        Severity::Info,
    ),
];

const META: Meta = Meta {
    id: "isolation/npa-deny-flows",
    title: "The network policy agent drops packets to DNS or AWS",
    severity: Severity::Error,
    role: Role::Mechanism,
    needs: &[Source::Logs],
    helps: &[Source::Pods, Source::Services],
    signals: &[
        "dns-denied",
        "link-local-denied",
        "https-denied",
        "other-denied",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let logs = cx.logs().some()?;
    let _ = (cx.pods().optional(), cx.services().optional());
    let worst = KINDS.iter().find_map(|kind| {
        let lines = Heard::recent(cx, logs, &[kind.0], WINDOW_S);
        (!lines.is_empty()).then_some((kind, lines))
    });
    if let Some((kind, lines)) = worst {
        return Ok(vec![finding(cx, *kind, &lines)]);
    }
    log_reaches(cx, logs, Component::NetworkPolicyAgent, WINDOW_S)?;
    Ok(Vec::new())
}

fn finding(
    cx: &Cx<'_>,
    (_, what, signal, severity): (&str, &str, &'static str, Severity),
    lines: &[Heard<'_>],
) -> Finding {
    let sources: BTreeSet<&str> = addresses(lines, "src");
    let targets: BTreeSet<&str> = addresses(lines, "dest");
    let owners: Vec<String> = sources
        .iter()
        .filter_map(|ip| cx.topology().pod_by_ip(ip.parse().ok()?))
        .map(|pod| pod.key())
        .collect();
    let from = match (owners.as_slice(), sources.len()) {
        ([one], 1) => format!("pod {one}"),
        ([], 1) => format!(
            "pod address {}",
            sources.iter().next().copied().unwrap_or_default()
        ),
        (_, count) => format!("{count} pods"),
    };
    let count: u64 = lines.iter().map(|one| one.hits.count).sum();
    let dest = targets.iter().next().copied().unwrap_or_default();
    let name = named(cx, dest);
    let severity = if severity == Severity::Warning && !name.is_empty() {
        Severity::Error
    } else {
        severity
    };
    let mut place = Heard::place(cx, lines);
    for owner in sources
        .iter()
        .filter_map(|ip| cx.topology().pod_by_ip(ip.parse().ok()?))
    {
        place = place.of(owner.workload());
    }
    let namespace = owners
        .first()
        .and_then(|key| key.split_once('/'))
        .map_or("NAMESPACE", |(namespace, _)| namespace);
    let mut finding = META
        .finding(
            severity,
            format!("Network policy drops packets of {from} to {what}: {count} to {dest}{name}"),
        )
        .confidence(Confidence::Confirmed)
        .detail("The agent's eBPF program denies them: a NetworkPolicy selects the pod and no rule of any policy that selects it admits this destination and port.")
        .facts(lines.iter().take(2).map(|one| one.fact("lines")))
        .at(place)
        .signal(signal)
        .confirm(format!("kubectl -n {namespace} get networkpolicies -o yaml"))
        .confirm(format!("kubectl -n {namespace} get policyendpoints -o yaml"));
    for key in owners.iter().take(MAX_PODS) {
        let (namespace, pod) = key.split_once('/').unwrap_or(("", key));
        finding = finding.subject(Subject::pod(namespace, pod));
    }
    if owners.is_empty() {
        let ip = sources.iter().next().copied().unwrap_or("agent");
        finding = finding.subject(Subject::new(SubjectKind::Other, ip));
    }
    if owners.len() > 1 {
        finding = finding.fact(Fact::new(
            Source::Pods,
            "sources",
            "pods",
            owners
                .iter()
                .take(MAX_PODS)
                .cloned()
                .collect::<Vec<_>>()
                .join(", "),
        ));
    }
    finding.fix(match signal {
        "dns-denied" => format!("kubectl -n {namespace} edit networkpolicy NAME   # add an egress rule to namespaceSelector kubernetes.io/metadata.name=kube-system with podSelector k8s-app=kube-dns, ports UDP 53 and TCP 53"),
        "link-local-denied" => format!("kubectl -n {namespace} edit networkpolicy NAME   # add an egress rule to ipBlock {dest}/32, port TCP 80, where the pod needs it"),
        _ => format!("kubectl -n {namespace} edit networkpolicy NAME   # add an egress rule to ipBlock {dest}/32 with that port, where the pod needs it"),
    })
}

fn addresses<'a>(lines: &[Heard<'a>], field: &str) -> BTreeSet<&'a str> {
    let other = format!("{field}2");
    lines
        .iter()
        .flat_map(|one| one.values(field).chain(one.values(&other)))
        .collect()
}

/// What stands behind an address that is known to be needed.
fn named(cx: &Cx<'_>, address: &str) -> String {
    let Ok(ip) = address.parse::<IpAddr>() else {
        return String::new();
    };
    let dns = ClusterDns::of(cx.topology());
    let api = cx.topology().service("default", "kubernetes");
    if dns.is_server(ip) || dns.pod_by_ip(ip).is_some() {
        " (cluster DNS)".to_owned()
    } else if api.is_some_and(|service| service.cluster_ips().any(|own| own.parse() == Ok(ip))) {
        " (the API server)".to_owned()
    } else {
        String::new()
    }
}
