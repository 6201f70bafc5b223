//! `dns/eni-pps-throttled`: packets to the VPC's resolver are dropped at the limit of an interface.

use std::net::IpAddr;

use eksnet_model::dns::vpc_resolvers;
use eksnet_model::kubernetes::Event;
use eksnet_model::{
    Check, ClusterDns, Confidence, Cx, Fact, Finding, Heard, Meta, Place, Role, Severity, Source,
    Stop, Subject,
};

/// How far back Events count, in seconds.
const WINDOW_S: i64 = 3600;
/// Probes are lossy from so many lost queries on: one may be any packet.
const LEAST_LOST: usize = 2;

const META: Meta = Meta {
    id: "dns/eni-pps-throttled",
    title: "Queries to the VPC's resolver are dropped at an interface's packet limit",
    severity: Severity::Error,
    role: Role::Mechanism,
    needs: &[Source::Events],
    helps: &[Source::Logs, Source::Probes, Source::Vpcs, Source::Pods],
    signals: &["node-event", "counter", "lossy-resolver"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let _ = (cx.vpcs().optional(), cx.pods().optional());
    let events = cx.events().some();
    let mut findings = Vec::new();
    for event in events.as_ref().ok().copied().into_iter().flatten() {
        if event.reason == "LinkLocalExceeded" && cx.within(event.last_seen(), WINDOW_S) {
            findings.push(by_event(event));
        }
    }
    if findings.is_empty() {
        findings.extend(by_counter(cx));
    }
    if findings.is_empty() {
        findings.extend(by_loss(cx));
    }
    if findings.is_empty() {
        events?;
    }
    Ok(findings)
}

fn about(severity: Severity, title: String, node: &str) -> Finding {
    let on = if node.is_empty() { "NODE" } else { node };
    META.finding(severity, title)
        .subject(Subject::node(on))
        .detail("A network interface passes 1024 packets a second to link-local services: DNS, instance metadata and time together. What is over the limit is dropped; flow logs and query logs do not show it.")
        .confirm(format!("kubectl debug node/{on} -it --image=public.ecr.aws/amazonlinux/amazonlinux -- sh -c 'dnf -qy install ethtool; ethtool -S eth0 | grep linklocal'   # twice"))
        .confirm("kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide")
        .fix("kubectl -n kube-system scale deployment coredns --replicas=4   # spread over nodes: each interface has a limit of its own")
        .fix("In the Corefile: cache 30 { prefetch 10 1m 10% }; for clients: ndots:2, names with a dot at the end, NodeLocal DNSCache")
}

fn by_event(event: &Event) -> Finding {
    let node = event.involved_object.name.as_str();
    let times = event.times();
    about(
        if times > 1 {
            Severity::Error
        } else {
            Severity::Warning
        },
        format!("Node {node} drops packets to DNS and metadata at its interface's limit"),
        node,
    )
    .confidence(Confidence::Confirmed)
    .fact(
        Fact::new(
            Source::Events,
            format!("Node {node}"),
            "LinkLocalExceeded",
            format!("{times} times: {}", event.message),
        )
        .at(event.last_seen()),
    )
    .at(Place::nodes([node]))
    .signal("node-event")
}

/// The counter of the driver, as ethtool, node-exporter or the CloudWatch agent print it.
fn by_counter(cx: &Cx<'_>) -> Option<Finding> {
    let logs = cx.logs().optional()?;
    let lines = Heard::recent(cx, logs, &["linklocal-allowance-exceeded"], WINDOW_S);
    let one = lines.first()?;
    let count = one
        .values("count")
        .filter_map(|value| value.parse::<f64>().ok())
        .fold(0.0, f64::max);
    let node = cx.topology().node_of_log(one.scan).unwrap_or_default();
    let place = Place::nodes(Some(node.clone()).filter(|node| !node.is_empty()));
    let of = if node.is_empty() {
        String::new()
    } else {
        format!(" of node {node}")
    };
    Some(
        about(
            Severity::Error,
            format!(
                "Network interface{of} dropped {count} packets to DNS and metadata at its limit"
            ),
            &node,
        )
        // The counter runs since the interface was attached.
        .confidence(Confidence::Likely)
        .fact(one.fact("lines").expected("0"))
        .at(place)
        .signal("counter"),
    )
}

/// Loss to the resolver, from probes whose queries to CoreDNS itself are all answered: the shape of the
/// limit, and no more than that.
fn by_loss(cx: &Cx<'_>) -> Option<Finding> {
    let resolvers = vpc_resolvers(cx.topology().vpc());
    let dns = ClusterDns::of(cx.topology());
    let servers: Vec<IpAddr> = dns
        .pods
        .iter()
        .flat_map(|pod| pod.ips().filter_map(|ip| ip.parse().ok()))
        .chain(dns.cluster_ips())
        .collect();
    cx.probes().optional()?.pods.iter().find_map(|pod| {
        let of = |among: &[IpAddr]| {
            let answers: Vec<_> = pod
                .dns()
                .filter(|one| among.contains(&one.server))
                .collect();
            let tries: usize = answers.iter().map(|one| one.tries.len()).sum();
            let answered: usize = answers.iter().map(|one| one.answered()).sum();
            (tries, tries - answered)
        };
        let (tries, lost) = of(&resolvers);
        let (others, lost_others) = of(&servers);
        let on_coredns = dns.nodes().contains(pod.at.node.as_str());
        if lost < LEAST_LOST || lost == tries || others == 0 || lost_others > 0 || !on_coredns {
            return None;
        }
        let node = pod.at.node.as_str();
        Some(
            about(
                Severity::Warning,
                format!("Node {node} loses queries to the VPC's resolver and none to CoreDNS"),
                node,
            )
            .confidence(Confidence::Possible)
            .fact(
                Fact::new(
                    Source::Probes,
                    format!("{node} -> VPC resolver"),
                    "lost queries",
                    format!("{lost} of {tries}; to CoreDNS 0 of {others}"),
                )
                .expected("0")
                .at(pod.at_time),
            )
            .at(Place::nodes([node]))
            .signal("lossy-resolver"),
        )
    })
}
