//! Answers that do not fit a packet: both transports work, and what is large is lost.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_model::{
    ClusterDns, Confidence, Cx, Finding, Gap, Place, ProbePod, Severity, Source, Subject,
    SubjectKind, Why,
};
use eksnet_probe::{DnsOutcome, QueryType, Transport};

use super::{MAX_FACTS, META, Servers, fact};

/// Fewest tries that show that none comes through.
const FEWEST: usize = 3;

/// Clients that get short answers over TCP, and none that is large.
///
/// # Errors
/// The gap, where short answers are lost as well: large ones may then have been lost by chance.
pub(super) fn finding(cx: &Cx<'_>, servers: &Servers<'_>) -> Result<Option<Finding>, Gap> {
    let run = cx.probes().optional();
    let mut nodes = BTreeSet::new();
    let mut facts = Vec::new();
    let mut unclear = None;
    for pod in run.into_iter().flat_map(|run| &run.pods) {
        for (server, tries) in lost(servers, pod) {
            if short_are_lost(pod, server) {
                unclear = Some((&pod.at.node, server));
                continue;
            }
            nodes.insert(pod.at.node.clone());
            let saw = format!(
                "short answers over TCP come, an answer above 512 bytes is lost {tries}/{tries}"
            );
            facts.push(fact(Source::Probes, pod.at.node.as_str(), server, saw).at(pod.at_time));
        }
    }
    let Some(first) = nodes.first().cloned() else {
        return match unclear {
            None => Ok(None),
            Some((node, server)) => Err(Gap::new(
                Source::Probes,
                Why::Sampled,
                format!(
                    "{node} lost large answers of {server}, and short ones at times: chance explains both"
                ),
            )),
        };
    };
    let who = match nodes.len() {
        1 => format!("node {first}"),
        many => format!("{many} nodes"),
    };
    let place = Place::nodes(nodes);
    Ok(Some(
        META.finding(
            Severity::Error,
            format!("Answers of cluster DNS that do not fit a packet are lost for {who}"),
        )
        .confidence(Confidence::Confirmed)
        .detail("UDP and TCP both work, and packets above some 500 bytes do not come back: names with many addresses and long TXT records fail. A smaller MTU on the way without the ICMP messages that tell of it, or a firewall that looks into DNS.")
        .subject(Subject::namespaced(
            SubjectKind::Service,
            ClusterDns::NAMESPACE,
            ClusterDns::SERVICE,
        ))
        .subject(Subject::new(SubjectKind::Other, "large answers"))
        .facts(facts.into_iter().take(MAX_FACTS))
        .signal("large-lost")
        .signal("truncated")
        .at(place.clone())
        .reaches(place)
        .confirm(format!(
            "kubectl debug node/{first} -it --image=public.ecr.aws/amazonlinux/amazonlinux -- sh -c 'dnf -qy install iproute iputils; ip link show eth0; ping -M do -s 1400 -c 3 COREDNS_POD_IP'"
        ))
        .confirm("kubectl -n NAMESPACE exec POD -- dig +tcp +time=2 @CLUSTER_DNS_IP amazon.com TXT")
        .fix("The same MTU on both nodes' interfaces and in AWS_VPC_ENI_MTU of aws-node; ICMP type 3 code 4 admitted in network ACLs and by firewalls on the way")
        .fix("kubectl -n kube-system set env daemonset/aws-node AWS_VPC_ENI_MTU=1500   # where a path between the nodes carries no jumbo frames"),
    ))
}

/// Whether the server's short answers are lost at times. Behind a Service with one silent pod half of all are, and
/// a few large ones in a row by chance.
fn short_are_lost(pod: &ProbePod, server: IpAddr) -> bool {
    pod.every_dns()
        .filter(|one| one.server == server && one.query != QueryType::Txt)
        .any(|one| one.answered() < one.tries.len())
}

/// Servers of cluster DNS whose large answers this client never gets, with the number of tries.
fn lost(servers: &Servers<'_>, pod: &ProbePod) -> Vec<(IpAddr, usize)> {
    let mut found = Vec::new();
    let large = pod.every_dns().filter(|one| {
        one.query == QueryType::Txt
            && one.transport == Transport::Tcp
            && servers.is_known(one.server)
            && one.tries.len() >= FEWEST
            && one.every(DnsOutcome::Timeout)
    });
    for one in large {
        let of_server = || pod.every_dns().filter(|other| other.server == one.server);
        let did_not_fit = of_server().any(|other| {
            other.name == one.name
                && other.transport == Transport::Udp
                && other.count(DnsOutcome::Truncated) > 0
        });
        let short_comes = of_server().any(|other| {
            other.query != QueryType::Txt
                && other.transport == Transport::Tcp
                && other.answered() > 0
        });
        // The server itself may get no answer: somebody must have got this one, or the name be of the cluster.
        let has_it = eksnet_model::dns::in_domain(one.name, servers.domain)
            || pod.every_dns().any(|other| {
                other.server != one.server
                    && other.name == one.name
                    && other.query == QueryType::Txt
                    && other.transport == Transport::Tcp
                    && other.count(DnsOutcome::Ok) > 0
            });
        if did_not_fit && short_comes && has_it {
            found.push((one.server, one.tries.len()));
        }
    }
    found
}
