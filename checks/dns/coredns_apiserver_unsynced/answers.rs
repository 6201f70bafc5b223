//! CoreDNS pods that answer for names outside of the cluster, and not for the cluster's own.

use std::net::IpAddr;

use eksnet_model::dns::{bare, in_domain};
use eksnet_model::{
    ClusterDns, Confidence, Corefile, Cx, Fact, Finding, Meta, ProbePod, Severity, Source, Subject,
};
use eksnet_probe::DnsOutcome;

/// One CoreDNS pod, as a probe found it.
pub(super) struct OutsideOnly<'a> {
    probe: &'a ProbePod,
    pod: String,
    name: &'a str,
    saw: DnsOutcome,
    every_pod: bool,
}

/// The pods that answer only for names outside. Where the Corefile serves another domain, the name is
/// wrong and not the list.
pub(super) fn outside_only<'a>(cx: &'a Cx<'a>) -> Vec<OutsideOnly<'a>> {
    let domain = cx.cluster().dns_domain();
    let maps = cx.config_maps().optional();
    if let Some(file) = maps.and_then(|maps| Corefile::of(maps))
        && !file.cluster_domains().contains(&domain)
    {
        return Vec::new();
    }
    let dns = ClusterDns::of(cx.topology());
    let probes = cx.probes().optional();
    let mut found: Vec<OutsideOnly<'a>> = Vec::new();
    let mut judged = 0;
    for server in &dns.pods {
        let ips: Vec<IpAddr> = server.ips().filter_map(|ip| ip.parse().ok()).collect();
        let mut asked = false;
        for probe in probes.into_iter().flat_map(|run| &run.pods) {
            let own = probe.dns().find(|answer| {
                ips.contains(&answer.server)
                    && bare(answer.name) == format!("kubernetes.default.svc.{domain}")
            });
            let Some(own) = own else { continue };
            asked = true;
            let outside = probe.dns().any(|answer| {
                ips.contains(&answer.server)
                    && !in_domain(answer.name, domain)
                    && answer.count(DnsOutcome::Ok) > 0
            });
            let saw = [DnsOutcome::Servfail, DnsOutcome::Nxdomain]
                .into_iter()
                .find(|outcome| own.every(*outcome));
            if let (Some(saw), true) = (saw, outside)
                && !found.iter().any(|one| one.pod == server.key())
            {
                found.push(OutsideOnly {
                    probe,
                    pod: server.key(),
                    name: own.name,
                    saw,
                    every_pod: false,
                });
            }
        }
        judged += usize::from(asked);
    }
    let every = found.len() == judged;
    for one in &mut found {
        one.every_pod = every;
    }
    found
}

impl OutsideOnly<'_> {
    pub(super) fn finding(&self, meta: &Meta) -> Finding {
        let (namespace, name) = self
            .pod
            .split_once('/')
            .unwrap_or(("kube-system", &self.pod));
        meta.finding(
            if self.every_pod {
                Severity::Critical
            } else {
                Severity::Error
            },
            format!(
                "CoreDNS pod {} answers names outside of the cluster and none inside",
                self.pod
            ),
        )
        .confidence(Confidence::Confirmed)
        .detail("It serves without the list of Services that it reads from the API server.")
        .subject(Subject::pod(namespace, name))
        .fact(
            Fact::new(
                Source::Probes,
                format!("{} -> pod {}", self.probe.at.node, self.pod),
                self.name,
                format!("{:?}", self.saw).to_uppercase(),
            )
            .expected("an address")
            .at(self.probe.at_time),
        )
        .signal("answers-outside-only")
        .confirm(format!("kubectl -n {namespace} logs {name} --tail=100"))
    }
}
