//! `sym/intermittent-drops`: some of a probe's queries are lost, and others are answered.

use std::net::IpAddr;

use eksnet_model::dns::vpc_resolvers;
use eksnet_model::{
    ClusterDns, Confidence, Cx, DnsPath, Fact, Finding, ProbePod, Role, Severity, Source, Stop,
    Subject, Symptom,
};
use eksnet_probe::Transport;

use super::stands_for::{Classes, standpoint};

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/intermittent-drops",
    observe,
};

/// A single lost packet is no symptom.
const LEAST_LOST: usize = 2;
/// Most lossy ways that are spelt out for one node.
const MAX_FACTS: usize = 6;

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

fn of_pod(
    cx: &Cx<'_>,
    classes: &Classes<'_>,
    dns: &ClusterDns<'_>,
    pod: &ProbePod,
) -> Option<Finding> {
    let domain = cx.cluster().dns_domain();
    let pods: Vec<IpAddr> = dns
        .serving_pods()
        .flat_map(|server| server.ips().filter_map(|ip| ip.parse().ok()))
        .collect();
    let path = |ip: IpAddr, transport| pod.dns_path(ip, transport, domain);
    // A Service in front of a pod that is out of reach loses that pod's share: no random loss.
    let one_is_dead = pods
        .iter()
        .any(|ip| path(*ip, Transport::Udp).is_some_and(DnsPath::is_dead));
    let vips = dns.cluster_ips().into_iter().filter(|_| !one_is_dead);
    let targets = vips
        .map(|ip| (ip, "to-vip"))
        .chain(pods.iter().map(|ip| (*ip, "to-coredns-pod")))
        .chain(
            vpc_resolvers(cx.topology().vpc())
                .into_iter()
                .map(|ip| (ip, "to-vpc-resolver")),
        );
    let at = classes.nodes(pod);
    let mut finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Warning,
        format!("DNS queries from {} are lost at times", standpoint(pod)),
    )
    .confidence(Confidence::Confirmed)
    .subject(Subject::node(pod.at.node.clone()))
    .at(at.clone())
    .reaches(at);
    let mut lost = 0;
    for (ip, signal) in targets {
        let (udp, tcp) = (path(ip, Transport::Udp), path(ip, Transport::Tcp));
        let lossy = |path: Option<DnsPath>| path.is_some_and(DnsPath::is_lossy);
        if !lossy(udp) && !lossy(tcp) {
            continue;
        }
        let score = |path: Option<DnsPath>| path.map_or_else(|| "not tried".into(), DnsPath::score);
        lost += [udp, tcp]
            .into_iter()
            .flatten()
            .map(|path| path.lost)
            .sum::<usize>();
        finding = finding
            .fact(
                Fact::new(
                    Source::Probes,
                    format!("{} -> {ip}:53", standpoint(pod)),
                    "DNS",
                    format!("udp {} tcp {}", score(udp), score(tcp)),
                )
                .at(pod.at_time),
            )
            .signal(signal);
        if lossy(udp) && tcp.is_some_and(|path| path.lost == 0) {
            finding = finding.signal("udp-worse");
        }
    }
    finding.facts.truncate(MAX_FACTS);
    (lost >= LEAST_LOST).then_some(finding)
}
