//! What kube-proxy and the kubelet say of a version that does not fit.

use eksnet_model::{Component, Confidence, Cx, Finding, Heard, Place, Severity, logs_and_events};

use super::META;
use super::images::{Proxy, about, updated};

/// Lines and Events older than this, in seconds, are history.
const RECENT_S: i64 = 3600;
/// Flags that kube-proxy had and has lost, and that no other program of the cluster has.
const LOST_FLAGS: [&str; 4] = [
    "resource-container",
    "random-fully",
    "cleanup-iptables",
    "udp-timeout",
];

pub(super) fn findings(cx: &Cx<'_>, proxies: &[Proxy]) -> Vec<Finding> {
    let scans = logs_and_events(cx, &crate::signature_set(&META));
    let heard = |signature: &str| -> Vec<Heard<'_>> {
        Heard::recent(cx, &scans, &[signature], RECENT_S)
            .into_iter()
            .filter(is_proxys)
            .collect()
    };
    let mut found = Vec::new();
    let apis = heard("kproxy-removed-api");
    if let Some(first) = apis.first() {
        let kind = first.value("kind").unwrap_or("EndpointSlice");
        let api = first.value("api").unwrap_or("v1");
        let why = if api == "v1" {
            "kube-proxy is newer than the server"
        } else {
            "kube-proxy is older than the server"
        };
        found.push(said(
            cx,
            &apis,
            about(
                Severity::Error,
                format!("kube-proxy asks for {kind} {api}, which the API server does not have: {why}"),
                "removed-api",
            )
            .detail("It learns of no change of Services and their endpoints: rules that it wrote before grow stale, and new nodes get none."),
        ));
    }
    let flags = heard("kproxy-unknown-flag");
    let settings = heard("kproxy-config-unknown");
    let what = match (flags.first(), settings.first()) {
        (Some(flag), _) => Some(format!("flag --{}", flag.value("flag").unwrap_or("FLAG"))),
        (_, Some(setting)) => setting.value("what").map(str::to_owned),
        _ => None,
    };
    if let Some(what) = what {
        let lines: Vec<Heard<'_>> = flags.into_iter().chain(settings).collect();
        let finding = about(
            Severity::Error,
            format!("kube-proxy ends at its start: its version does not know what its manifest gives it ({what})"),
            "manifest",
        )
        .detail("The image was changed and the rest of the DaemonSet, or its configuration, is of another version. No Service address works on nodes where kube-proxy never started.");
        let finding = match lines[0].value("flag") {
            Some(flag) => finding.fix(format!(
                "kubectl -n kube-system edit daemonset kube-proxy   # take --{flag} out of its command"
            )),
            None => finding
                .fix("kubectl -n kube-system edit configmap kube-proxy-config   # take out what this version does not know"),
        };
        found.push(said(cx, &lines, finding));
    }
    let shells = heard("kproxy-no-shell");
    if !shells.is_empty()
        && proxies
            .iter()
            .all(|proxy| super::images::no_shell(cx, proxy).is_none())
    {
        let finding = about(
            Severity::Error,
            "kube-proxy is started through a shell, which its image does not have".to_owned(),
            "no-shell",
        )
        .detail("Manifests for the default image and for the minimal one are not interchangeable: the container cannot start.");
        found.push(said(cx, &shells, finding));
    }
    let images = heard("kproxy-image-missing");
    if let Some(image) = images.first().and_then(|one| one.value("image")) {
        let finding = about(
            Severity::Error,
            format!("kube-proxy is to run {image}, which the registry does not have"),
            "image-missing",
        )
        .detail("Whoever upgraded it named a version that was never built for EKS, or not for this region. kube-proxy starts on no further node.");
        found.push(said(cx, &images, finding));
    }
    found
}

/// Any client of the API server writes such lines: it has to be kube-proxy's.
fn is_proxys(one: &Heard<'_>) -> bool {
    let names_it = |text: &str| text.contains("kube-proxy") || text.contains("KubeProxy");
    let lost = one.values("flag").any(|flag| LOST_FLAGS.contains(&flag));
    one.scan.component == Component::KubeProxy
        || names_it(&one.scan.pod)
        || names_it(&one.scan.file)
        || lost
        || one.records().any(|record| names_it(record))
}

fn said(cx: &Cx<'_>, lines: &[Heard<'_>], finding: Finding) -> Finding {
    let place = Place::nodes(Heard::place(cx, lines).nodes);
    let finding = finding
        .confidence(Confidence::Confirmed)
        .facts(lines.iter().take(4).map(|one| one.fact("kube-proxy")));
    let finding = if place.nodes.is_empty() {
        finding
    } else {
        finding.at(place.clone()).reaches(place)
    };
    updated(finding, cx, super::server(cx))
}
