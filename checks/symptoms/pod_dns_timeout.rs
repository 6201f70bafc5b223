//! `sym/pod-dns-timeout`: names do not resolve in pods of a node, because nothing answers them.

use std::net::IpAddr;

use eksnet_model::dns::{NODE_LOCAL, in_domain};
use eksnet_model::{
    ClusterDns, Confidence, Cx, DnsPath, Fact, Finding, ProbePod, Role, Severity, Source, Stop,
    Subject, Symptom,
};
use eksnet_probe::{DnsOutcome, Outcome, ProbeKind, Transport};

use super::stands_for::{Classes, standpoint};

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/pod-dns-timeout",
    observe,
};

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let run = cx.probes().some()?;
    let dns = ClusterDns::of(cx.topology());
    let classes = Classes::of(cx, run);
    Ok(run
        .pods
        .iter()
        .filter_map(|pod| of_pod(cx, &classes, &dns, pod))
        .collect())
}

/// What one server of the pod gave.
struct Seen {
    server: IpAddr,
    path: DnsPath,
}

fn of_pod(
    cx: &Cx<'_>,
    classes: &Classes<'_>,
    dns: &ClusterDns<'_>,
    pod: &ProbePod,
) -> Option<Finding> {
    let domain = cx.cluster().dns_domain();
    let behind: Vec<DnsPath> = dns
        .serving_pods()
        .flat_map(|server| server.ips().filter_map(|ip| ip.parse().ok()))
        .filter_map(|ip| pod.dns_path(ip, Transport::Udp, domain))
        .collect();
    let behind_dead = behind.iter().any(|path| path.is_dead());
    let seen: Vec<Seen> = servers(dns, pod)
        .into_iter()
        .filter_map(|server| {
            let path = pod.dns_path(server, Transport::Udp, domain)?;
            Some(Seen { server, path })
        })
        .collect();
    // Loss without a pod that is out of reach is another symptom.
    let failing: Vec<&Seen> = seen
        .iter()
        .filter(|one| {
            one.path.is_dead() || one.path.is_refused() || (one.path.is_lossy() && behind_dead)
        })
        .collect();
    let lookup = lost_lookup(pod, domain).filter(|_| seen.is_empty());
    if failing.is_empty() && lookup.is_none() {
        return None;
    }
    let lossy_alone = failing.iter().all(|one| one.path.is_lossy()) && lookup.is_none();
    let at = classes.nodes(pod);
    let mut finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        if lossy_alone {
            Severity::Warning
        } else {
            Severity::Error
        },
        if lossy_alone {
            format!("Names resolve only at times in pods on {}", standpoint(pod))
        } else {
            format!("Names do not resolve in pods on {}", standpoint(pod))
        },
    )
    .confidence(Confidence::Confirmed)
    .subject(Subject::node(pod.at.node.clone()))
    .at(at.clone())
    .reaches(at);
    for one in &failing {
        let what = if one.path.is_refused() {
            format!("refused {}/{}", one.path.refused, one.path.tries())
        } else {
            one.path.score()
        };
        finding = finding.fact(
            Fact::new(
                Source::Probes,
                format!("{} -> {}:53", standpoint(pod), one.server),
                "DNS over UDP",
                what,
            )
            .at(pod.at_time),
        );
        let is_known = dns.is_server(one.server) || one.server == NODE_LOCAL;
        finding = finding.signal(if is_known || dns.service.is_none() {
            of_server(dns, one)
        } else {
            "wrong-nameserver"
        });
    }
    if let Some(name) = lookup {
        finding = finding.fact(Fact::new(
            Source::Probes,
            standpoint(pod),
            format!("look-up of {name}"),
            "timeout",
        ));
    }
    if behind_dead {
        finding = finding.signal("pod-ips-dead");
    } else if !behind.is_empty() && behind.iter().all(|path| path.works()) {
        finding = finding.signal("pod-ips-ok");
    }
    Some(finding)
}

/// The servers that the pod was told, else those that it should have been.
fn servers(dns: &ClusterDns<'_>, pod: &ProbePod) -> Vec<IpAddr> {
    let own: Vec<IpAddr> = pod
        .resolv()
        .map(|resolv| {
            let servers = resolv.nameservers.iter();
            servers.filter_map(|ip| ip.parse().ok()).collect()
        })
        .unwrap_or_default();
    if own.is_empty() {
        dns.cluster_ips()
    } else {
        own
    }
}

fn of_server(dns: &ClusterDns<'_>, one: &Seen) -> &'static str {
    let is_local = one.server == NODE_LOCAL || dns.node_local.contains(&one.server);
    match one.path {
        path if path.is_refused() && !is_local => "vip-refused",
        _ if is_local => "node-local-dead",
        path if path.is_lossy() => "vip-lossy",
        _ => "vip-dead",
    }
}

/// A name of the cluster that a program would have waited for in vain.
fn lost_lookup<'p>(pod: &'p ProbePod, domain: &str) -> Option<&'p str> {
    pod.answers()
        .find_map(|(kind, outcome)| match (kind, outcome) {
            (ProbeKind::Lookup { name, .. }, Outcome::Lookup(lookup))
                if lookup.error == Some(DnsOutcome::Timeout)
                    && (in_domain(name, domain) || name == "kubernetes.default") =>
            {
                Some(name.as_str())
            }
            _ => None,
        })
}
