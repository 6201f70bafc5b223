//! What is wrong in a Corefile by itself.

use std::net::IpAddr;

use eksnet_model::corefile::upstream_ip;
use eksnet_model::{
    Confidence, Corefile, Cx, Fact, Finding, Severity, Source, Subject, SubjectKind,
};

use super::{about, edit};

/// Resolvers of the public internet. Sources: their operators' pages (Google, Cloudflare, Quad9, OpenDNS).
const PUBLIC: [&str; 9] = [
    "8.8.8.8",
    "8.8.4.4",
    "1.1.1.1",
    "1.0.0.1",
    "9.9.9.9",
    "149.112.112.112",
    "208.67.222.222",
    "208.67.220.220",
    "4.2.2.2",
];
/// Plugins whose lack is missed on a bad day only.
const USUAL: [&str; 5] = ["cache", "loop", "reload", "ready", "health"];

/// A fault, with the signal of the log line that would say the same.
pub(super) struct Fault {
    /// What tells it from other faults of the same file.
    key: String,
    severity: Severity,
    title: String,
    detail: String,
    saw: String,
    expected: &'static str,
    signal: Option<&'static str>,
    fix: String,
    confidence: Confidence,
}

impl Fault {
    /// Whether a log line with that signal tells of the same fault.
    pub(super) fn is(&self, signal: &str) -> bool {
        match self.signal {
            Some("does-not-parse") => matches!(signal, "does-not-parse" | "reload-failed"),
            Some("bad-upstream") => signal == "loop",
            _ => false,
        }
    }

    pub(super) fn finding(&self) -> Finding {
        let finding = about(self.severity, self.title.clone())
            .confidence(self.confidence)
            .detail(self.detail.clone())
            .subject(Subject::new(SubjectKind::Other, self.key.clone()))
            .fact(
                Fact::new(
                    Source::ConfigMaps,
                    "ConfigMap kube-system/coredns",
                    "Corefile",
                    self.saw.clone(),
                )
                .expected(self.expected),
            )
            .fix(self.fix.clone());
        match self.signal {
            Some(signal) => finding.signal(signal),
            None => finding,
        }
    }
}

/// Every fault of a Corefile; of one that does not parse, that alone.
pub(super) fn faults(cx: &Cx<'_>, file: &Corefile) -> Vec<Fault> {
    if let Some((line, why)) = &file.broken {
        return vec![Fault {
            key: "syntax".to_owned(),
            severity: Severity::Critical,
            title: format!("CoreDNS's configuration does not parse: line {line}, {why}"),
            detail:
                "Pods that start now fail; pods that run keep the configuration that they have."
                    .to_owned(),
            saw: format!("line {line}: {why}"),
            expected: "every block closed once",
            signal: Some("does-not-parse"),
            fix: edit(&format!("close the blocks around line {line}")),
            confidence: Confidence::Confirmed,
        }];
    }
    let mut found = upstreams(cx, file);
    // What is imported may hold what seems to lack.
    if file.imports.is_empty() {
        found.extend(zones(file));
        found.extend(usual(cx, file));
    }
    found
}

/// Upstreams of the root that lead back, or past private names.
fn upstreams(cx: &Cx<'_>, file: &Corefile) -> Vec<Fault> {
    let mut found: Vec<Fault> = Vec::new();
    let service = cx.topology().service("kube-system", "kube-dns");
    let own: Vec<IpAddr> = service
        .into_iter()
        .flat_map(|service| service.cluster_ips().filter_map(|ip| ip.parse().ok()))
        .collect();
    let private = cx
        .vpc_endpoints()
        .optional()
        .into_iter()
        .flatten()
        .find(|one| one.private_dns_enabled == Some(true) && one.vpc_endpoint_type == "Interface");
    for block in &file.blocks {
        for (plugin, to) in block.upstreams(".") {
            let Some(ip) = upstream_ip(to) else { continue };
            if found.iter().any(|fault| fault.key == to) {
                continue;
            }
            let saw = format!(
                "line {}: {} {}",
                plugin.line,
                plugin.name,
                plugin.args.join(" ")
            );
            let back = if ip.is_loopback() {
                Some("a loopback address, which is CoreDNS itself in its own pod")
            } else if own.contains(&ip) {
                Some("the address of Service kube-dns, which is CoreDNS itself")
            } else {
                None
            };
            if let Some(back) = back {
                found.push(Fault {
                    key: to.to_owned(),
                    severity: Severity::Critical,
                    title: format!("CoreDNS forwards to itself: {to} is {back}"),
                    detail: "Every name outside of the cluster goes round until it times out, or the loop plugin ends the process.".to_owned(),
                    saw,
                    expected: "forward . /etc/resolv.conf",
                    signal: Some("bad-upstream"),
                    fix: edit("forward . /etc/resolv.conf"),
                    confidence: Confidence::Confirmed,
                });
                continue;
            }
            if let (true, Some(endpoint)) = (PUBLIC.contains(&ip.to_string().as_str()), private) {
                found.push(Fault {
                    key: to.to_owned(),
                    severity: Severity::Warning,
                    title: format!(
                        "CoreDNS forwards to the public resolver {to}, past the VPC's private names"
                    ),
                    detail: format!(
                        "Names of VPC endpoints ({} among them) and of private hosted zones resolve only at the VPC's resolver: pods get public addresses, or none.",
                        endpoint.service_name
                    ),
                    saw,
                    expected: "forward . /etc/resolv.conf",
                    signal: Some("bad-upstream"),
                    fix: edit("forward . /etc/resolv.conf"),
                    confidence: Confidence::Likely,
                });
            }
        }
    }
    found
}

/// Zones that nothing serves.
fn zones(file: &Corefile) -> Vec<Fault> {
    let mut found = Vec::new();
    if file.blocks.is_empty() {
        return found;
    }
    if file.plugins("kubernetes").next().is_none() {
        found.push(Fault {
            key: "kubernetes".to_owned(),
            severity: Severity::Error,
            title:
                "CoreDNS serves no zone of the cluster: its configuration has no kubernetes plugin"
                    .to_owned(),
            detail: "Names of Services and pods go to the upstream, which does not know them."
                .to_owned(),
            saw: "no line kubernetes".to_owned(),
            expected: "kubernetes cluster.local in-addr.arpa ip6.arpa",
            signal: Some("zone-missing"),
            fix: edit("add kubernetes cluster.local in-addr.arpa ip6.arpa { pods insecure }"),
            confidence: Confidence::Likely,
        });
    }
    let forwards = file
        .blocks
        .iter()
        .any(|block| !block.upstreams(".").is_empty());
    if !forwards {
        found.push(Fault {
        key: "forward".to_owned(),
        severity: Severity::Error,
        title: "CoreDNS forwards nothing: its configuration has no forward for names outside of the cluster".to_owned(),
        detail: "Names of AWS and of anything else outside are refused or denied.".to_owned(),
        saw: "no line forward .".to_owned(),
        expected: "forward . /etc/resolv.conf",
        signal: Some("zone-missing"),
        fix: edit("add forward . /etc/resolv.conf to the block of the root"),
        confidence: Confidence::Likely,
    });
    }
    found
}

/// Plugins whose lack is a risk; told of a whole file alone.
fn usual(cx: &Cx<'_>, file: &Corefile) -> Option<Fault> {
    let root = file.root()?;
    let lacking: Vec<&str> = USUAL
        .iter()
        .copied()
        .filter(|name| !root.has(name))
        .collect();
    let whole = cx.config_maps().is_complete();
    (!lacking.is_empty()).then(|| Fault {
        key: "usual".to_owned(),
        severity: if whole { Severity::Warning } else { Severity::Info },
        title: format!("CoreDNS runs without {}", lacking.join(", ")),
        detail: "Nothing fails by this alone: without cache every query leaves, without loop a wrong upstream fills the memory, without reload changes wait for a restart, without ready and health broken pods stay in service.".to_owned(),
        saw: format!("no line {}", lacking.join(", ")),
        expected: "cache, loop, reload, ready, health",
        signal: None,
        fix: edit(&format!("add {}", lacking.join(", "))),
        confidence: Confidence::Confirmed,
    })
}
