//! What kube-proxy says of a mode that it cannot run in.

use eksnet_model::{Component, Cx, Finding, Heard, Place, Severity, logs_and_events};

use super::{META, about, to_iptables};

/// Lines older than this, in seconds, are history. They are written at the start alone: what kube-proxy says
/// there holds for as long as it runs.
const RECENT_S: i64 = 7 * 24 * 3600;

pub(super) fn findings(cx: &Cx<'_>) -> Vec<Finding> {
    let scans = logs_and_events(cx, &crate::signature_set(&META));
    let heard = |signatures: &[&str]| -> Vec<Heard<'_>> {
        Heard::recent(cx, &scans, signatures, RECENT_S)
            .into_iter()
            .filter(is_proxys)
            .collect()
    };
    let mut found = Vec::new();
    // klog's own end of a program begins with F and the month.
    let is_end = |record: &str| {
        record.contains("command failed") || record.starts_with("F0") || record.starts_with("F1")
    };
    let ends = |lines: &[Heard<'_>]| {
        let mut records = lines.iter().flat_map(Heard::records);
        records.any(|record| is_end(record))
    };
    let ipvs = heard(&["kproxy-no-ipvs"]);
    if !ipvs.is_empty() {
        let stops = ends(&ipvs);
        let finding = if stops {
            about(
                Severity::Error,
                "kube-proxy ends at its start: the node cannot do the IPVS mode that it is set to",
                "cannot-run",
            )
        } else {
            about(
                Severity::Warning,
                "kube-proxy is set to IPVS and fell back to iptables: the node cannot do it",
                "fell-back",
            )
        };
        found.push(said(
            cx,
            &ipvs,
            finding
                .detail("IPVS needs the kernel modules ip_vs, ip_vs_rr, ip_vs_wrr, ip_vs_sh and nf_conntrack, and ipset in the image.")
                .fix("Load the modules in the user data of the node group: modprobe -a ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh nf_conntrack"),
        ));
    }
    let others = heard(&["kproxy-no-nftables", "kproxy-mode-unknown"]);
    if let Some(first) = others.first() {
        let mode = first
            .value("mode")
            .or(first.value("flag"))
            .unwrap_or("nftables");
        let falls = others.iter().all(|one| one.says(&["assuming iptables"]));
        let finding = if falls {
            about(
                Severity::Warning,
                &format!("kube-proxy does not know the mode {mode} and took iptables"),
                "fell-back",
            )
        } else {
            about(
                Severity::Error,
                &format!("kube-proxy cannot run in the mode {mode} that it is set to"),
                "cannot-run",
            )
        };
        found.push(said(
            cx,
            &others,
            finding
                .detail(if mode == "nftables" { "The nftables mode needs kube-proxy 1.31, or its feature gate before, and Linux 5.13. Where kube-proxy never started no Service address works." } else { "It knows iptables, ipvs and, from 1.31 on, nftables." })
                .subject(eksnet_model::Subject::new(eksnet_model::SubjectKind::Other, mode)),
        ));
    }
    found
}

fn is_proxys(one: &Heard<'_>) -> bool {
    let names_it = |text: &str| text.contains("kube-proxy") || text.contains("KubeProxy");
    one.scan.component == Component::KubeProxy
        || names_it(&one.scan.pod)
        || names_it(&one.scan.file)
        || one.records().any(|record| {
            names_it(record) || record.contains("roxier") || record.contains("proxy-mode")
        })
}

fn said(cx: &Cx<'_>, lines: &[Heard<'_>], finding: Finding) -> Finding {
    let place = Place::nodes(Heard::place(cx, lines).nodes);
    let finding = finding.facts(lines.iter().take(4).map(|one| one.fact("kube-proxy")));
    let finding = if place.nodes.is_empty() {
        finding
    } else {
        finding.at(place.clone()).reaches(place)
    };
    to_iptables(finding, cx.cluster_name())
}
