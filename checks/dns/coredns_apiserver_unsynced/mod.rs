//! `dns/coredns-apiserver-unsynced`: CoreDNS serves without the list of Services, or waits for it.

mod answers;
mod lines;

use eksnet_model::{
    Check, Component, Cx, Finding, Heard, Meta, Reach, Role, Severity, Source, Stop, Subject,
    SubjectKind, log_reaches,
};
use lines::{Reason, Told};

/// How far back lines count, in seconds.
const WINDOW_S: i64 = 600;

const META: Meta = Meta {
    id: "dns/coredns-apiserver-unsynced",
    title: "CoreDNS has no list of Services from the API server",
    severity: Severity::Critical,
    role: Role::Mechanism,
    needs: &[Source::Logs],
    helps: &[Source::Pods, Source::Probes, Source::ConfigMaps],
    signals: &[
        "rbac-denied",
        "api-unreachable",
        "token-refused",
        "answers-outside-only",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let _ = (cx.pods().optional(), cx.probes().optional());
    let _ = cx.config_maps().optional();
    let logs = cx.logs().some();
    let told = logs.as_ref().ok().and_then(|logs| Told::of(cx, logs));
    if let Some(told) = told {
        return Ok(vec![by_log(cx, &told)]);
    }
    let outside_only = answers::outside_only(cx);
    if !outside_only.is_empty() {
        return Ok(outside_only
            .iter()
            .map(|one| remedied(one.finding(&META), Reason::NotKnown))
            .collect());
    }
    log_reaches(cx, logs?, Component::CoreDns, WINDOW_S)?;
    Ok(Vec::new())
}

fn by_log(cx: &Cx<'_>, told: &Told<'_>) -> Finding {
    let reason = told.reason();
    let place = Heard::place(cx, &told.lines);
    let mut finding = META
        .finding(told.severity(cx), told.title())
        .confidence(told.confidence())
        .detail(reason.detail())
        .subject(Subject::namespaced(
            SubjectKind::Deployment,
            "kube-system",
            "coredns",
        ))
        .facts(told.facts())
        .at(place);
    finding.reach = Reach::Cluster;
    if let Some(signal) = reason.signal() {
        finding = finding.signal(signal);
    }
    remedied(finding, reason)
}

fn remedied(finding: Finding, reason: Reason) -> Finding {
    let finding = finding.confirm(
        "kubectl -n kube-system logs -l k8s-app=kube-dns --tail=100 --prefix | grep -E 'plugin/(kubernetes|ready)|reflector'",
    );
    match reason {
        Reason::Denied => finding
            .confirm("kubectl auth can-i list endpointslices.discovery.k8s.io -A --as=system:serviceaccount:kube-system:coredns")
            .fix("kubectl patch clusterrole system:coredns --type=json -p '[{\"op\":\"add\",\"path\":\"/rules/-\",\"value\":{\"apiGroups\":[\"discovery.k8s.io\"],\"resources\":[\"endpointslices\"],\"verbs\":[\"list\",\"watch\"]}}]'"),
        Reason::Token => finding
            .confirm("kubectl -n kube-system get serviceaccount coredns -o yaml")
            .fix("kubectl -n kube-system rollout restart deployment coredns"),
        Reason::Unreachable | Reason::NotKnown => finding
            .confirm("kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide")
            .confirm("kubectl -n default get endpointslices -l kubernetes.io/service-name=kubernetes")
            .fix("kubectl eksnet doctor --only kube-proxy,net/sg-control-plane,isolation,cni   # mend the way from CoreDNS's nodes to the Service kubernetes")
            .fix("kubectl -n kube-system rollout restart deployment coredns   # after that way works"),
    }
}
