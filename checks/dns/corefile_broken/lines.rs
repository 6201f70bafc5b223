//! What CoreDNS itself says of its configuration.

use eksnet_model::{Cx, Finding, Heard, Severity};

use super::{about, edit};

/// How far back lines count, in seconds.
const WINDOW_S: i64 = 3600;

/// What the log says, worst first; one finding per kind.
pub(super) fn findings(cx: &Cx<'_>) -> Vec<Finding> {
    let logs = cx.logs().optional().map_or(&[][..], Vec::as_slice);
    let of = |signature: &str| {
        Heard::recent(cx, logs, &[signature], WINDOW_S)
            .into_iter()
            .next()
    };
    let mut found = Vec::new();
    if let Some(one) = of("coredns-loop") {
        let way = one.value("way").unwrap_or_default();
        let zone = one.value("zone").unwrap_or(".");
        found.push(
            about(
                Severity::Critical,
                format!("CoreDNS forwards to itself: its loop plugin saw its own query come back ({way})"),
            )
            .detail(format!("Queries for {zone} that CoreDNS forwards come back to it, and the loop plugin ends the process each time. The upstream, usually /etc/resolv.conf of the node, names a local resolver or cluster DNS."))
            .fact(one.fact("lines"))
            .signal("loop")
            .confirm("kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide   # then on that node: cat /etc/resolv.conf")
            .fix("Set resolvConf of the kubelet to /run/systemd/resolve/resolv.conf where the node runs systemd-resolved, and restart CoreDNS's pods")
            .fix(edit("forward . to the address of the VPC's resolver (169.254.169.253) in place of /etc/resolv.conf")),
        );
    }
    // A file that fails to load at start stops CoreDNS; one that fails to reload leaves the old in force.
    if let Some(one) = of("coredns-reload-failed") {
        found.push(
            about(
                Severity::Error,
                format!(
                    "CoreDNS refuses its new configuration and runs on with the old one: {}",
                    why(&one)
                ),
            )
            .detail("The next pod that starts has only the new one, and fails.")
            .fact(one.fact("lines"))
            .signal("reload-failed")
            .fix(edit(&format!("correct \"{}\"", why(&one)))),
        );
    } else if let Some(one) = of("coredns-corefile-parse") {
        found.push(
            about(
                Severity::Critical,
                format!("CoreDNS does not start: its configuration is wrong ({})", why(&one)),
            )
            .detail("It exits at this line each time that it starts. Plugins and options that were dropped in newer versions (proxy, federation, upstream, resyncperiod) end so after an upgrade.")
            .fact(one.fact("lines"))
            .signal("does-not-parse")
            .fix(edit(&format!("correct \"{}\"", why(&one)))),
        );
    }
    found
}

fn why(one: &Heard<'_>) -> String {
    one.value("why").unwrap_or(one.line()).trim().to_owned()
}
