//! `net/nacl-stateless`: network ACLs that drop DNS, HTTPS or kubelet traffic, or the answers.

mod flows;
mod wording;

use std::collections::BTreeSet;

use eksnet_model::path::{Leg, Missing, NetworkAcls};
use eksnet_model::{
    Check, ClusterDns, CniSettings, Confidence, Cx, Fact, Finding, Gap, Meta, Place, ProbeRun,
    Role, Severity, Source, Stop, Subject, SubjectKind, Why,
};
use eksnet_probe::Transport;

use flows::{Cut, Purpose, judge, senders, targets};

const META: Meta = Meta {
    id: "net/nacl-stateless",
    title: "Network ACLs drop DNS, HTTPS or kubelet traffic or its answers",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[
        Source::Nodes,
        Source::Pods,
        Source::Instances,
        Source::NetworkInterfaces,
        Source::Subnets,
        Source::NetworkAcls,
    ],
    helps: &[Source::Services, Source::DaemonSets, Source::Probes],
    signals: &[
        "dns-denied",
        "dns-return-denied",
        "https-denied",
        "https-return-denied",
        "kubelet-denied",
        "kubelet-return-denied",
        "probe-blocked",
        "probe-passes",
    ],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let nodes = cx.nodes().some()?;
    let subnets = cx.subnets().some()?;
    let all_acls = cx.network_acls().some()?;
    if !nodes.is_empty()
        && nodes
            .iter()
            .all(|node| node.compute_type() == Some("hybrid"))
    {
        return Err(Stop::not_applicable(
            "every node is a hybrid node, outside the VPC",
        ));
    }
    if cx.pods().all_in(ClusterDns::NAMESPACE).is_err() {
        let _ = cx.pods().some();
    }
    let _ = cx.instances().some();
    let interfaces = cx
        .network_interfaces()
        .some()
        .ok()
        .map_or(&[][..], Vec::as_slice);
    let _ = cx.services().optional();
    let custom_networking = cx
        .daemonsets()
        .optional()
        .and_then(|all| CniSettings::of(all))
        .is_some_and(|cni| cni.custom_networking);
    let probes = cx.probes().optional();
    let topology = cx.topology();
    // The VPC's default ACL stands for subnets that none names, as long as all ACLs are known.
    let complete = cx.network_acls().is_complete();
    let acls = NetworkAcls::new(subnets.iter().filter_map(|subnet| {
        let acl = topology.network_acl_of(subnet)?;
        let named = acl
            .associations
            .iter()
            .any(|one| one.subnet_id == subnet.subnet_id);
        (named || complete).then_some((subnet.subnet_id.as_str(), acl))
    }));
    let senders = senders(topology, custom_networking);
    if senders.is_empty() {
        return Err(Stop::unknown(Gap::new(
            Source::Instances,
            Why::Failed,
            "of no node the subnet is known",
        )));
    }
    let targets = targets(topology, interfaces, &ClusterDns::of(topology), probes);
    let judged = judge(topology, &acls, &senders, &targets, interfaces);
    let findings: Vec<Finding> = judged
        .cuts
        .iter()
        .filter_map(|(id, cut)| {
            let acl = all_acls.iter().find(|acl| acl.network_acl_id == *id)?;
            Some(finding(cx, acl, cut, probes))
        })
        .collect();
    if findings.is_empty() && !judged.missing.is_empty() {
        return Err(Stop::Unknown(
            judged.missing.iter().map(|one| gap(cx, one)).collect(),
        ));
    }
    Ok(findings)
}

fn gap(cx: &Cx<'_>, missing: &Missing) -> Gap {
    let known = cx.network_acls().gap().map(|gap| gap.why.clone());
    Gap::new(
        Source::NetworkAcls,
        known.unwrap_or(Why::Failed),
        format!("what may pass hangs on {missing}"),
    )
}

fn finding(
    cx: &Cx<'_>,
    acl: &eksnet_model::aws::NetworkAcl,
    cut: &Cut<'_>,
    probes: Option<&ProbeRun>,
) -> Finding {
    let packets = probes.map_or_else(Packets::default, |run| packets(cx, run, cut));
    let text = wording::Wording::new(cx.topology(), acl, cut);
    let (severity, confidence) = weigh(cut, &packets);
    let mut finding = META
        .finding(severity, text.title(packets.disprove(cut)))
        .confidence(confidence)
        .detail(text.detail(packets.disprove(cut)))
        .subject(Subject::new(
            SubjectKind::NetworkAcl,
            acl.network_acl_id.as_str(),
        ))
        .subjects(
            cut.subnets
                .iter()
                .map(|id| Subject::new(SubjectKind::Subnet, *id)),
        )
        .facts(text.facts())
        .facts(packets.facts.clone())
        .at(Place::nodes(cut.nodes.iter().copied()))
        .reaches(Place::nodes(cut.nodes.iter().copied()));
    finding.remedy.confirm = text.confirm();
    finding.remedy.fix = text.fix(packets.disprove(cut));
    for drop in &cut.drops {
        finding = finding.signal(match (drop.purpose, drop.leg) {
            (Purpose::Dns, Leg::Forward) => "dns-denied",
            (Purpose::Dns, Leg::Return) => "dns-return-denied",
            (Purpose::Https, Leg::Forward) => "https-denied",
            (Purpose::Https, Leg::Return) => "https-return-denied",
            (Purpose::Kubelet, Leg::Forward) => "kubelet-denied",
            (Purpose::Kubelet, Leg::Return) => "kubelet-return-denied",
        });
    }
    if packets.blocked > 0 {
        finding = finding.signal("probe-blocked");
    }
    if packets.passed > 0 {
        finding = finding.signal("probe-passes");
    }
    finding
}

/// A port that is closed is an outage; a return range that ends early hurts only who sends from the
/// ports outside it.
fn weigh(cut: &Cut<'_>, packets: &Packets) -> (Severity, Confidence) {
    if packets.disprove(cut) {
        return (Severity::Info, Confidence::Possible);
    }
    let outage = cut.drops.iter().any(|drop| drop.common);
    let severity = if outage {
        Severity::Critical
    } else {
        Severity::Error
    };
    let confidence = if packets.blocked > 0 && packets.passed == 0 {
        Confidence::Confirmed
    } else {
        Confidence::Likely
    };
    (severity, confidence)
}

/// What DNS probes met between cut nodes and cut CoreDNS pods.
#[derive(Default)]
struct Packets {
    blocked: u32,
    passed: u32,
    facts: Vec<Fact>,
}

impl Packets {
    /// Whether DNS passes that the entries drop for the ports that a probe sends from, and nothing else
    /// is cut.
    fn disprove(&self, cut: &Cut<'_>) -> bool {
        self.passed > 0
            && self.blocked == 0
            && cut
                .drops
                .iter()
                .all(|drop| drop.purpose == Purpose::Dns && drop.common)
    }
}

fn packets(cx: &Cx<'_>, run: &ProbeRun, cut: &Cut<'_>) -> Packets {
    let mut seen = Packets::default();
    let cut_off: BTreeSet<_> = cut
        .drops
        .iter()
        .filter(|drop| drop.purpose == Purpose::Dns)
        .map(|drop| drop.flow.protocol.name())
        .collect();
    let domain = cx.cluster().dns_domain();
    for pod in run
        .pods
        .iter()
        .filter(|pod| cut.nodes.contains(pod.at.node.as_str()))
    {
        for server in &cut.servers {
            for (name, transport) in [("udp", Transport::Udp), ("tcp", Transport::Tcp)] {
                let Some(way) = pod.dns_path(*server, transport, domain) else {
                    continue;
                };
                if !cut_off.contains(name) {
                    continue;
                }
                seen.blocked += u32::from(way.is_dead());
                seen.passed += u32::from(way.answered > 0);
                if seen.facts.len() < 4 {
                    seen.facts.push(
                        Fact::new(
                            Source::Probes,
                            format!("{} -> {server}", pod.at.node),
                            format!("dns over {name}"),
                            way.score(),
                        )
                        .at(pod.at_time),
                    );
                }
            }
        }
    }
    seen
}
