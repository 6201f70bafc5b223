//! `sym/service-vip-dead`: the address of a Service is silent on a node, and what stands behind it is
//! not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use eksnet_model::{
    ClusterDns, Confidence, Cx, DeadVip, Fact, Finding, Place, Role, Severity, Source, Stop,
    Subject, Symptom, Text,
};
use eksnet_probe::Transport;

use super::stands_for::standpoint;

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/service-vip-dead",
    observe,
};

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let run = cx.probes().some()?;
    let dns = ClusterDns::of(cx.topology());
    let domain = cx.cluster().dns_domain();
    let api: Vec<IpAddr> = cx
        .topology()
        .service("default", "kubernetes")
        .into_iter()
        .flat_map(|service| service.cluster_ips())
        .filter_map(|ip| ip.parse().ok())
        .collect();
    let mut dead: BTreeMap<&Text, Vec<DeadVip<'_>>> = BTreeMap::new();
    let mut asked: BTreeSet<&Text> = BTreeSet::new();
    for pod in &run.pods {
        let vips = dns.cluster_ips();
        if vips
            .iter()
            .any(|vip| pod.dns_path(*vip, Transport::Udp, domain).is_some())
        {
            asked.insert(&pod.at.node);
        }
        for one in DeadVip::seen_by(pod, &dns, &api, domain) {
            dead.entry(&pod.at.node).or_default().push(one);
        }
    }
    // One probed node is no evidence about all of them.
    let everywhere = asked.len() > 1 && asked.iter().all(|node| dead.contains_key(node));
    Ok(dead
        .into_iter()
        .map(|(node, vips)| {
            let pod = vips[0].pod;
            // kube-proxy fails per node, not per class.
            let at = Place::nodes([node.clone()]);
            let mut finding = Finding::new(
                SYMPTOM.id,
                Role::Symptom,
                Severity::Error,
                format!(
                    "Service address {} is dead on {}",
                    vips[0].vip,
                    standpoint(pod)
                ),
            )
            .confidence(Confidence::Confirmed)
            .subject(Subject::node(node.clone()))
            .at(at.clone())
            .reaches(at);
            for one in &vips {
                finding = finding
                    .fact(
                        Fact::new(
                            Source::Probes,
                            format!("{} -> {} {}", standpoint(pod), one.vip, one.service),
                            "answers",
                            format!("{}; behind it {}", one.saw, one.behind),
                        )
                        .at(pod.at_time),
                    )
                    .signal(if one.service == "kube-dns" {
                        "dns-vip"
                    } else {
                        "api-vip"
                    });
            }
            if everywhere {
                finding = finding.signal("every-node");
            }
            finding
        })
        .collect())
}
