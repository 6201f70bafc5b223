//! `sym/pod-dns-nxdomain`: pods are told that a name which has to exist does not.

use std::collections::BTreeMap;
use std::net::IpAddr;

use eksnet_model::dns::{bare, in_domain};
use eksnet_model::{
    AwsEndpoint, ClusterDns, Confidence, Cx, Fact, Finding, Place, ProbePod, Reach, Role, Severity,
    Source, Stop, Subject, SubjectKind, Symptom, Way,
};
use eksnet_probe::DnsOutcome;

use super::stands_for::{Classes, standpoint};

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/pod-dns-nxdomain",
    observe,
};

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let run = cx.probes().some()?;
    let dns = ClusterDns::of(cx.topology());
    let classes = Classes::of(cx, run);
    let domain = cx.cluster().dns_domain();
    let cluster_name = format!("kubernetes.default.svc.{domain}");
    let expected = AwsEndpoint::expected(cx.cluster(), cx.topology());
    let mut names: Vec<String> = expected.iter().map(|one| one.host.to_string()).collect();
    names.push(cluster_name.clone());
    let servers = servers(&dns);
    let mut found: BTreeMap<String, Finding> = BTreeMap::new();
    for pod in &run.pods {
        for name in &names {
            let Some(refusal) = refusal(pod, name, &servers) else {
                continue;
            };
            let own = name == &cluster_name;
            let place = classes.nodes(pod).towards(name.as_str());
            let finding = found.entry(name.clone()).or_insert_with(|| new(name, own));
            finding.facts.push(
                Fact::new(
                    Source::Probes,
                    standpoint(pod),
                    format!("{name} at {}", refusal.via),
                    refusal.saw,
                )
                .expected("an address")
                .at(pod.at_time),
            );
            extend(&mut finding.at, place);
            finding.reach = Reach::Within(finding.at.clone());
            if outside_resolves(pod, &servers, domain) {
                finding.signals.insert("external-ok".into());
            }
        }
    }
    Ok(found.into_values().collect())
}

/// The servers of cluster DNS. At the VPC resolver it is right that names of the cluster do not exist.
fn servers(dns: &ClusterDns<'_>) -> Vec<IpAddr> {
    let pods = dns
        .serving_pods()
        .flat_map(|pod| pod.ips().filter_map(|ip| ip.parse().ok()));
    dns.cluster_ips()
        .into_iter()
        .chain(dns.node_local.iter().copied())
        .chain(pods)
        .collect()
}

/// The way on which the name was denied, where no way gave an address. An error of the server counts
/// for names of the cluster: that is what CoreDNS says before it has its list of Services.
fn refusal(pod: &ProbePod, name: &str, servers: &[IpAddr]) -> Option<Way> {
    let found = pod.resolution_at(name, servers)?;
    if found.resolved() {
        return None;
    }
    found.ways.into_iter().find(|way| {
        matches!(way.outcome, DnsOutcome::Nxdomain | DnsOutcome::Servfail)
            && (way.outcome == DnsOutcome::Nxdomain || name.contains(".svc."))
    })
}

/// Whether a name outside of the cluster resolves at the same servers.
fn outside_resolves(pod: &ProbePod, servers: &[IpAddr], domain: &str) -> bool {
    pod.dns().any(|answer| {
        servers.contains(&answer.server)
            && !in_domain(&bare(answer.name), domain)
            && answer.count(DnsOutcome::Ok) > 0
    })
}

fn new(name: &str, own: bool) -> Finding {
    Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Error,
        format!("{name} does not exist for pods"),
    )
    .confidence(Confidence::Confirmed)
    .subject(Subject::new(SubjectKind::Host, name))
    .signal(if own { "cluster-name" } else { "aws-name" })
}

fn extend(place: &mut Place, more: Place) {
    place.nodes.extend(more.nodes);
    place.hosts.extend(more.hosts);
}
