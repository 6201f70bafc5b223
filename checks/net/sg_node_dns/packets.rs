//! What packets say about pairs that the rules refuse.

use std::collections::BTreeSet;

use eksnet_model::dns::vpc_resolvers;
use eksnet_model::path::{Flow, Protocol};
use eksnet_model::{Cx, DnsPath, Fact, ProbePod, ProbeRun, Source, Topology};
use eksnet_probe::Transport;

use super::pairs::{Refused, Server};

/// Most probes that are shown.
const MAX_SHOWN: usize = 4;

/// What probes met between the nodes and pods of a refusal, on the refused protocols.
#[derive(Default)]
pub(super) struct Packets {
    /// Ways on which every try was lost.
    pub blocked: u32,
    /// Ways on which tries were answered.
    pub passed: u32,
    /// Whether a pod that was asked in vain answers someone else.
    pub answers_others: bool,
    /// What to show.
    pub facts: Vec<Fact>,
}

pub(super) fn packets(
    cx: &Cx<'_>,
    run: &ProbeRun,
    refused: &Refused<'_>,
    servers: &[Server<'_>],
) -> Packets {
    let mut seen = Packets::default();
    let denied: BTreeSet<Flow> = refused.denials.iter().map(|denial| denial.flow).collect();
    for pod in &run.pods {
        if !refused.nodes.contains(pod.at.node.as_str()) {
            continue;
        }
        for server in refused.servers.iter().map(|at| &servers[*at]) {
            if *pod.at.node == *server.pod.spec.node_name {
                continue;
            }
            let ways = ways(cx, pod, server);
            if ways.is_empty() {
                continue;
            }
            let on_denied = || ways.iter().filter(|(flow, _)| denied.contains(flow));
            let lost = on_denied().filter(|(_, way)| way.is_dead()).count();
            let came = on_denied().filter(|(_, way)| way.answered > 0).count();
            seen.blocked += u32::from(lost > 0);
            seen.passed += u32::from(came > 0);
            let others = others(cx, run, refused, server, &denied);
            seen.answers_others |= lost > 0 && others.is_some();
            let others = others.map_or(String::new(), |text| format!("; {text}"));
            seen.facts.push(
                Fact::new(
                    Source::Probes,
                    path(cx.topology(), pod, server),
                    "dns",
                    format!("{}{others}", scores(&ways)),
                )
                .at(pod.at_time),
            );
        }
    }
    seen.facts.truncate(MAX_SHOWN);
    if seen.blocked > 0 {
        seen.facts.extend(
            run.pods
                .iter()
                .filter(|pod| refused.nodes.contains(pod.at.node.as_str()))
                .find_map(|pod| resolver(cx, pod)),
        );
    }
    seen
}

/// The ways from a probe pod to a CoreDNS pod that were tried.
fn ways(cx: &Cx<'_>, pod: &ProbePod, server: &Server<'_>) -> Vec<(Flow, DnsPath)> {
    let domain = cx.cluster().dns_domain();
    server
        .flows
        .iter()
        .filter_map(|flow| {
            let transport = match flow.protocol {
                Protocol::Udp => Transport::Udp,
                Protocol::Tcp => Transport::Tcp,
            };
            Some((*flow, pod.dns_path(server.way.address, transport, domain)?))
        })
        .collect()
}

/// `udp 0/5  tcp 0/5`.
fn scores(ways: &[(Flow, DnsPath)]) -> String {
    let scores: Vec<String> = ways
        .iter()
        .map(|(flow, way)| format!("{} {}", flow.protocol.name(), way.score()))
        .collect();
    scores.join("  ")
}

fn path(topology: &Topology<'_>, pod: &ProbePod, server: &Server<'_>) -> String {
    let port = server.flows[0].port;
    format!(
        "{} ({}) -> {}:{port} {}",
        pod.at.node,
        group_of(topology, &pod.at.node),
        server.way.address,
        server.pod.metadata.name
    )
}

/// `from c5: udp 5/5  tcp 5/5`, of a node outside the refusal that gets answers on a protocol that
/// is refused inside.
fn others(
    cx: &Cx<'_>,
    run: &ProbeRun,
    refused: &Refused<'_>,
    server: &Server<'_>,
    denied: &BTreeSet<Flow>,
) -> Option<String> {
    let outside = run.pods.iter().filter(|pod| {
        !refused.nodes.contains(pod.at.node.as_str()) || *pod.at.node == *server.pod.spec.node_name
    });
    for pod in outside {
        let ways = ways(cx, pod, server);
        if ways
            .iter()
            .any(|(flow, way)| denied.contains(flow) && way.works())
        {
            let from = group_of(cx.topology(), &pod.at.node);
            return Some(format!("from {from}: {}", scores(&ways)));
        }
    }
    None
}

/// The VPC resolver answers where CoreDNS does not: the way out works.
fn resolver(cx: &Cx<'_>, pod: &ProbePod) -> Option<Fact> {
    let resolvers = vpc_resolvers(cx.topology().vpc());
    let answer = pod
        .dns()
        .find(|answer| resolvers.contains(&answer.server) && answer.answered() > 0)?;
    Some(
        Fact::new(
            Source::Probes,
            format!("{} -> {}:53 (VPC resolver)", pod.at.node, answer.server),
            "dns",
            format!(
                "{}: the way out works, only cluster DNS does not",
                answer.score()
            ),
        )
        .at(pod.at_time),
    )
}

fn group_of(topology: &Topology<'_>, node: &str) -> String {
    topology.node(node).map_or_else(
        || node.to_owned(),
        |node| topology.group_of(node).to_string(),
    )
}
