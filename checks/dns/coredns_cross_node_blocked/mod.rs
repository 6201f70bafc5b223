//! `dns/coredns-cross-node-blocked`: CoreDNS pods answer where they are, and not across nodes.

mod by_hand;
mod pairs;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::dns::vpc_resolvers;
use eksnet_model::kubernetes::Pod;
use eksnet_model::{
    Asked, Check, ClusterDns, Confidence, Cx, Fact, Finding, Gap, Meta, Place, ProbePod, Role,
    Severity, Source, Stop, Subject, SubjectKind, Text, Why,
};
use eksnet_probe::Transport;
use pairs::{Pair, Subnets, Vip};

/// Most CoreDNS pods that are spelt out for one class of nodes.
const MAX_PODS: usize = 6;

const META: Meta = Meta {
    id: "dns/coredns-cross-node-blocked",
    title: "CoreDNS answers on its own nodes and times out from others",
    severity: Severity::Critical,
    role: Role::Mechanism,
    needs: &[Source::Probes, Source::Pods],
    helps: &[
        Source::Observations,
        Source::EndpointSlices,
        Source::Services,
        Source::Nodes,
        Source::Vpcs,
        Source::Subnets,
    ],
    signals: &[
        "udp-blocked",
        "tcp-blocked",
        "all-pods-blocked",
        "same-node-ok",
        "cross-subnet-only",
        "same-subnet-blocked",
        "vip-dead",
        "vip-lossy",
        "vip-clean",
    ],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let asked = Asked::all(cx);
    let probes = cx.probes().some();
    let pods = cx.pods().some();
    let _ = (
        cx.nodes().optional(),
        cx.services().optional(),
        cx.endpoint_slices().optional(),
        cx.subnets().optional(),
    );
    let dns = ClusterDns::of(cx.topology());
    let servers: Vec<&Pod> = dns.serving_pods().collect();
    applicable(cx, &dns, &servers)?;
    // What was tried by hand in a pod stands among the probes too.
    let is_by_hand = |pod: &ProbePod| asked.iter().any(|one| one.from.file == pod.name);
    let clients: Vec<&ProbePod> = probes
        .iter()
        .flat_map(|run| &run.pods)
        .filter(|pod| !is_by_hand(pod))
        .collect();
    let pairs = pairs::all(cx, &clients, &servers);
    let mut classes: BTreeMap<&Text, Vec<&Pair<'_>>> = BTreeMap::new();
    for pair in pairs.iter().filter(|pair| !pair.same_node()) {
        classes.entry(class_of(pair.client)).or_default().push(pair);
    }
    let mut findings = Vec::new();
    for (class, of_class) in &classes {
        // A pod that answers nobody is down or shut, which is another fault.
        let blocked: Vec<&Pair<'_>> = of_class
            .iter()
            .copied()
            .filter(|pair| pair.is_blocked() && pair.has_baseline(&pairs))
            .collect();
        if !blocked.is_empty() {
            findings.push(finding(cx, &dns, class, of_class, &blocked, &pairs));
        }
    }
    if findings.is_empty() {
        findings.extend(by_hand::finding(cx, &dns, &asked));
    }
    if findings.is_empty() {
        probes?;
        pods?;
        judged(&pairs, &servers)?;
    }
    Ok(findings)
}

/// The class of nodes that a probe stands for; its node where it stands for itself.
fn class_of(pod: &ProbePod) -> &Text {
    if pod.at.class.is_empty() {
        &pod.at.node
    } else {
        &pod.at.class
    }
}

fn applicable(cx: &Cx<'_>, dns: &ClusterDns<'_>, servers: &[&Pod]) -> Result<(), Stop> {
    if dns.pods.is_empty() && cx.pods().is_complete() {
        return Err(Stop::not_applicable("no CoreDNS pod runs in kube-system"));
    }
    let node_of = |pod: &&Pod| cx.topology().node(&pod.spec.node_name);
    let on_fargate = |pod: &&Pod| {
        node_of(pod).is_some_and(|node| node.compute_type() == Some("fargate"))
            || pod.spec.node_name.starts_with("fargate-")
    };
    if !servers.is_empty() && servers.iter().all(on_fargate) {
        return Err(Stop::not_applicable(
            "all CoreDNS pods run on Fargate, where no probe can stand beside them",
        ));
    }
    if cx.nodes().is_complete() && cx.topology().nodes().count() == 1 {
        return Err(Stop::not_applicable(
            "the cluster has one node: no query leaves it",
        ));
    }
    Ok(())
}

/// A pass needs every serving pod to have been asked from another node.
fn judged(pairs: &[Pair<'_>], servers: &[&Pod]) -> Result<(), Stop> {
    let across: BTreeSet<&str> = pairs
        .iter()
        .filter(|pair| !pair.same_node())
        .map(|pair| pair.server.metadata.name.as_str())
        .collect();
    let why = if servers.is_empty() {
        "no CoreDNS pod is ready, so there is none to ask"
    } else if across.is_empty() {
        "no CoreDNS pod was asked from another node than its own"
    } else if servers.len() > across.len() && servers.len() <= 40 {
        "not every CoreDNS pod was asked from another node than its own"
    } else if let Some(dead) = pairs
        .iter()
        .find(|pair| pair.is_dead(Transport::Udp) && !pair.has_baseline(pairs))
    {
        return Err(Stop::unknown(Gap::new(
            Source::Probes,
            Why::Sampled,
            format!(
                "CoreDNS pod {} answered no probe at all; without one that it answers, the way to it and the pod itself cannot be told apart",
                dead.server.metadata.name
            ),
        )));
    } else {
        return Ok(());
    };
    Err(Stop::unknown(
        Gap::new(Source::Probes, Why::Sampled, why).closed_by("--nodes all"),
    ))
}

fn finding(
    cx: &Cx<'_>,
    dns: &ClusterDns<'_>,
    class: &Text,
    of_class: &[&Pair<'_>],
    blocked: &[&Pair<'_>],
    all: &[Pair<'_>],
) -> Finding {
    let clients: BTreeSet<&Text> = blocked.iter().map(|pair| &pair.client.at.node).collect();
    let servers: BTreeSet<&str> = blocked.iter().map(|pair| pair.name()).collect();
    let asked: BTreeSet<&str> = all
        .iter()
        .filter(|pair| clients.contains(&pair.client.at.node))
        .map(Pair::name)
        .collect();
    let udp = blocked.iter().any(|pair| pair.is_dead(Transport::Udp));
    let tcp = blocked.iter().any(|pair| pair.is_dead(Transport::Tcp));
    // A pod on the client's own node still answers it.
    let reaches_none = all
        .iter()
        .filter(|pair| clients.contains(&pair.client.at.node))
        .all(|pair| pair.is_dead(Transport::Udp));
    let severity = match (udp, reaches_none) {
        // A node that differs from its like is one node, not a class.
        (true, true) if differs(of_class, blocked) => Severity::Error,
        (true, true) => Severity::Critical,
        (true, false) => Severity::Error,
        (false, _) => Severity::Warning,
    };
    let protocols = match (udp, tcp) {
        (true, true) => "UDP and TCP",
        (true, false) => "UDP",
        (false, _) => "TCP",
    };
    let who = if clients.contains(class) {
        format!("Node {class}")
    } else if differs(of_class, blocked) {
        let nodes: Vec<&str> = clients.iter().map(|node| node.as_str()).collect();
        format!("Node {} of class {class}", nodes.join(", "))
    } else {
        format!("Node class {class}")
    };
    let pods = match (servers.len(), asked.len()) {
        (1, 1) => "the only CoreDNS pod".to_owned(),
        (blocked, all) if blocked == all => format!("any of the {all} CoreDNS pods"),
        (blocked, all) => format!("{blocked} of {all} CoreDNS pods"),
    };
    let vip = Vip::of(cx, dns, &clients, all);
    let subnets = Subnets::of(cx, of_class, blocked);
    let at = Place::nodes(clients.iter().map(|node| (*node).clone()));
    let mut finding = META
        .finding(
            severity,
            format!("{who} gets no answer from {pods} over {protocols}"),
        )
        .confidence(Confidence::Confirmed)
        .subject(Subject::new(SubjectKind::NodeGroup, class.clone()))
        .detail(detail(&vip, reaches_none, udp))
        .facts(blocked.iter().take(MAX_PODS).map(|pair| pair.fact(all)))
        .facts(vip.fact.clone())
        .facts(way_out(cx, blocked))
        .facts(subnets.fact.clone())
        .at(at)
        .reaches(reach(cx, class, of_class, blocked));
    let same_node_ok = blocked.iter().any(|pair| pair.answers_on_own_node(all));
    for (seen, signal) in [
        (udp, "udp-blocked"),
        (tcp, "tcp-blocked"),
        (udp && reaches_none, "all-pods-blocked"),
        (same_node_ok, "same-node-ok"),
        (subnets.cross_only, "cross-subnet-only"),
        (subnets.same_blocked, "same-subnet-blocked"),
        (vip.dead, "vip-dead"),
        (vip.lossy, "vip-lossy"),
        (vip.clean, "vip-clean"),
    ] {
        if seen {
            finding = finding.signal(signal);
        }
    }
    remedied(finding, blocked)
}

fn detail(vip: &Vip, reaches_none: bool, udp: bool) -> &'static str {
    if !udp {
        "Short names resolve over UDP. Answers that do not fit a packet, and caches on the node that ask over TCP, fail there."
    } else if reaches_none {
        "Names in the cluster and outside of it do not resolve there. The pods answer elsewhere, so something on the way drops the packets: security groups, a network ACL, a NetworkPolicy, or routes."
    } else if vip.lossy {
        "kube-proxy hands each query to any of the pods, so that share of queries is lost there. Something on the way to those pods drops the packets: security groups, a network ACL, a NetworkPolicy, or routes."
    } else {
        "Something on the way to those pods drops the packets: security groups, a network ACL, a NetworkPolicy, or routes."
    }
}

/// All nodes of the class, unless another probed node of it reaches the same pods.
fn reach(cx: &Cx<'_>, class: &Text, of_class: &[&Pair<'_>], blocked: &[&Pair<'_>]) -> Place {
    let probed = Place::nodes(blocked.iter().map(|pair| pair.client.at.node.clone()));
    let classes = cx.topology().classes();
    match classes.into_iter().find(|one| one.name == *class) {
        Some(all) if !differs(of_class, blocked) => {
            probed.on(all.nodes.iter().map(|node| node.metadata.name.as_str()))
        }
        _ => probed,
    }
}

/// Whether another probed node of the class reaches what is blocked for some.
fn differs(of_class: &[&Pair<'_>], blocked: &[&Pair<'_>]) -> bool {
    of_class
        .iter()
        .filter(|pair| !pair.is_blocked())
        .any(|pair| blocked.iter().any(|other| other.name() == pair.name()))
}

/// Whether the clients reach the VPC resolver: then only cluster DNS is cut off.
fn way_out(cx: &Cx<'_>, blocked: &[&Pair<'_>]) -> Option<Fact> {
    let _ = cx.vpcs().optional();
    let resolvers = vpc_resolvers(cx.topology().vpc());
    let of = |pod: &ProbePod| {
        pod.dns()
            .filter(|answer| resolvers.contains(&answer.server))
            .max_by_key(|answer| answer.answered())
            .map(|answer| (answer.server, answer.answered(), answer.score()))
    };
    let client = blocked.first()?.client;
    let (server, answered, score) = of(client)?;
    let means = if answered > 0 {
        "the way out works, only cluster DNS does not"
    } else {
        "no answer from there either"
    };
    Some(
        Fact::new(
            Source::Probes,
            format!("{} -> {server}:53 (VPC resolver)", client.at.node),
            "DNS",
            format!("{score}: {means}"),
        )
        .at(client.at_time),
    )
}

fn remedied(finding: Finding, blocked: &[&Pair<'_>]) -> Finding {
    let ips: BTreeSet<&str> = blocked
        .iter()
        .map(|pair| pair.server.status.pod_ip.as_str())
        .collect();
    let ips = ips.into_iter().collect::<Vec<_>>().join(",");
    finding
        .confirm(format!(
            "aws ec2 describe-network-interfaces --filters Name=addresses.private-ip-address,Values={ips} --query 'NetworkInterfaces[].[NetworkInterfaceId,SubnetId,Groups]'"
        ))
        .confirm("kubectl -n kube-system get networkpolicies")
        .fix("kubectl eksnet doctor --only dns,net,isolation,cni/sgp-sg-rules   # with AWS access: it names the group, ACL or policy that lacks the rule")
        .fix("The security groups on the interfaces above have to admit 53/UDP and 53/TCP from those of the clients: aws ec2 authorize-security-group-ingress --group-id SG_OF_COREDNS --ip-permissions 'IpProtocol=udp,FromPort=53,ToPort=53,UserIdGroupPairs=[{GroupId=SG_OF_CLIENTS}]' 'IpProtocol=tcp,FromPort=53,ToPort=53,UserIdGroupPairs=[{GroupId=SG_OF_CLIENTS}]'")
}
