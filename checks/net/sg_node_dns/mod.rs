//! `net/sg-node-dns`: security groups that keep nodes from asking CoreDNS.

mod packets;
mod pairs;
mod wording;

use eksnet_model::path::{Missing, Protocol, SecurityGroups, Side};
use eksnet_model::{
    Check, ClusterDns, CniSettings, Confidence, Cx, Finding, Gap, Meta, Place, Role, Severity,
    Source, Stop, Subject, SubjectKind, Why,
};

use packets::{Packets, packets};
use pairs::{Judged, Key, Refused, Server, clients, judge, servers};

const META: Meta = Meta {
    id: "net/sg-node-dns",
    title: "Security groups deny DNS between nodes and CoreDNS",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[
        Source::Nodes,
        Source::Pods,
        Source::Instances,
        Source::NetworkInterfaces,
        Source::SecurityGroups,
    ],
    helps: &[
        Source::Services,
        Source::DaemonSets,
        Source::PrefixLists,
        Source::Probes,
    ],
    signals: &[
        "udp-denied",
        "tcp-denied",
        "ingress-missing",
        "egress-missing",
        "all-coredns-denied",
        "probe-blocked",
        "server-answers",
        "probe-passes",
        "no-probe",
    ],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    // What there is of each source suffices for a finding; what is missing keeps it from passing.
    let nodes = cx.nodes().some()?;
    if cx.pods().all_in(ClusterDns::NAMESPACE).is_err() {
        cx.pods().some()?;
    }
    let groups = cx.security_groups().some()?;
    let known = cx.instances().some().is_ok() | cx.network_interfaces().some().is_ok();
    let _ = cx.services().optional();
    let custom_networking = cx
        .daemonsets()
        .optional()
        .and_then(|all| CniSettings::of(all))
        .is_some_and(|cni| cni.custom_networking);
    let topology = cx.topology();
    if !nodes.is_empty() && nodes.iter().all(|node| node.compute_type() == Some("auto")) {
        return Err(Stop::not_applicable(
            "every node is of EKS Auto Mode and answers DNS by itself",
        ));
    }
    let dns = ClusterDns::of(topology);
    let (servers, hidden_servers) = servers(topology, &dns, custom_networking);
    if servers.is_empty() && hidden_servers.is_empty() {
        return Err(Stop::not_applicable("no CoreDNS pod has an address"));
    }
    let (clients, hidden_clients) = clients(topology, custom_networking);
    let names_lists = groups.iter().any(|group| {
        let rules = group
            .ip_permissions
            .iter()
            .chain(&group.ip_permissions_egress);
        rules
            .flat_map(|rule| &rule.prefix_list_ids)
            .next()
            .is_some()
    });
    let lists = names_lists.then(|| cx.prefix_lists().optional()).flatten();
    let rules = SecurityGroups::new(groups, lists.map_or(&[], Vec::as_slice));
    let judged = judge(topology, &rules, &clients, &servers);
    let findings: Vec<Finding> = judged
        .refused
        .iter()
        .map(|(key, refused)| finding(cx, &judged, &servers, key, refused))
        .collect();
    let mut gaps: Vec<Gap> = judged.missing.iter().map(|one| gap(cx, one)).collect();
    if known {
        let hidden = hidden_servers
            .iter()
            .map(|pod| format!("no interface is known to hold the address of {}", pod.key()))
            .chain(
                hidden_clients
                    .iter()
                    .map(|node| format!("no interface of node {} is known", node.metadata.name)),
            );
        gaps.extend(
            hidden
                .take(5)
                .map(|what| Gap::new(Source::NetworkInterfaces, Why::Failed, what)),
        );
    } else {
        gaps.extend(
            [cx.instances().gap(), cx.network_interfaces().gap()]
                .into_iter()
                .flatten()
                .cloned(),
        );
    }
    if findings.is_empty() && !gaps.is_empty() {
        return Err(Stop::Unknown(gaps));
    }
    Ok(findings)
}

/// What was missing, as a gap of the source that would tell.
fn gap(cx: &Cx<'_>, missing: &Missing) -> Gap {
    let source = match missing {
        Missing::PrefixList(_) => Source::PrefixLists,
        Missing::AddressLike(_) => Source::NetworkInterfaces,
        _ => Source::SecurityGroups,
    };
    let why = match missing {
        Missing::PrefixList(_) => cx.prefix_lists().gap(),
        Missing::AddressLike(_) => cx.network_interfaces().gap(),
        _ => cx.security_groups().gap(),
    };
    let why = why.map_or(Why::Failed, |gap| gap.why.clone());
    let gap = Gap::new(source, why, format!("DNS hangs on {missing}"));
    match missing {
        Missing::PrefixList(id) => gap.closed_by(format!(
            "aws ec2 get-managed-prefix-list-entries --prefix-list-id {id}"
        )),
        Missing::Group(id) => {
            gap.closed_by(format!("aws ec2 describe-security-groups --group-ids {id}"))
        }
        _ => gap,
    }
}

fn finding(
    cx: &Cx<'_>,
    judged: &Judged<'_>,
    servers: &[Server<'_>],
    key: &Key<'_>,
    refused: &Refused<'_>,
) -> Finding {
    let (group, server_groups) = key;
    let packets = match cx.probes().optional() {
        Some(run) => packets(cx, run, refused, servers),
        None => Packets::default(),
    };
    let reached = judged.reached_by(&refused.nodes);
    let attributed = refused.servers.iter().all(|at| {
        let address = servers[*at].way.address;
        cx.topology().interface_by_ip(address).is_some()
    });
    let (severity, confidence) = weigh(refused, &packets, reached, attributed);
    let text = wording::Wording::new(cx.topology(), servers, key, refused);
    let mut finding = META
        .finding(severity, text.title(&packets))
        .confidence(confidence)
        .detail(text.detail(&packets, reached))
        .subjects(
            server_groups
                .iter()
                .map(|id| Subject::new(SubjectKind::SecurityGroup, *id)),
        )
        .subject(Subject::new(SubjectKind::NodeGroup, group.clone()))
        .facts(packets.facts.iter().cloned())
        .facts(text.facts())
        .at(Place::nodes(refused.nodes.iter().copied()))
        .reaches(Place::nodes(refused.nodes.iter().copied()));
    finding.remedy.confirm = text.confirm();
    finding.remedy.fix = text.fix(&packets);
    for signal in signals(refused, &packets, reached) {
        finding = finding.signal(signal);
    }
    finding
}

/// How bad, and how sure. Packets that pass speak against the rules as they were read: no cause then.
///
/// `attributed` says that the interface behind every CoreDNS address is known. Where it is not, the
/// groups are taken from the node, and a pod on an interface of its own may have others.
fn weigh(
    refused: &Refused<'_>,
    packets: &Packets,
    reached: usize,
    attributed: bool,
) -> (Severity, Confidence) {
    match (packets.blocked, packets.passed) {
        (0, 1..) => return (Severity::Info, Confidence::Possible),
        (1.., 1..) => return (Severity::Error, Confidence::Possible),
        _ => {}
    }
    let confirmed = packets.blocked > 0 && packets.answers_others;
    let confidence = if confirmed && attributed {
        Confidence::Confirmed
    } else {
        Confidence::Likely
    };
    // Over TCP go only answers that did not fit, and what a node-local cache forwards.
    let udp = refused
        .denials
        .iter()
        .any(|denial| denial.flow.protocol == Protocol::Udp);
    let severity = if !refused.pods {
        Severity::Warning
    } else if udp && (confirmed || reached == 0) {
        Severity::Critical
    } else {
        Severity::Error
    };
    (severity, confidence)
}

fn signals(refused: &Refused<'_>, packets: &Packets, reached: usize) -> Vec<&'static str> {
    let denies = |protocol| {
        refused
            .denials
            .iter()
            .any(|one| one.flow.protocol == protocol)
    };
    let lacks = |side| refused.denials.iter().any(|one| one.side == side);
    [
        (denies(Protocol::Udp), "udp-denied"),
        (denies(Protocol::Tcp), "tcp-denied"),
        (lacks(Side::Ingress), "ingress-missing"),
        (lacks(Side::Egress), "egress-missing"),
        (reached == 0 && denies(Protocol::Udp), "all-coredns-denied"),
        (packets.blocked > 0, "probe-blocked"),
        (packets.answers_others, "server-answers"),
        (packets.passed > 0, "probe-passes"),
        (packets.blocked + packets.passed == 0, "no-probe"),
    ]
    .into_iter()
    .filter_map(|(seen, signal)| seen.then_some(signal))
    .collect()
}
