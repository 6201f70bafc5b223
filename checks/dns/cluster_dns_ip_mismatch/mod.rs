//! `dns/cluster-dns-ip-mismatch`: pods are told a nameserver that is not the Service of cluster DNS.

mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use eksnet_model::{
    Check, ClusterDns, Confidence, Cx, DnsPath, Fact, Finding, Gap, Meta, Place, ProbePod, Role,
    Severity, Source, Stop, Subject, SubjectKind, Text, Why,
};
use eksnet_probe::{Resolv, Transport};

/// What bootstrap code hands out when it cannot ask EKS for the service range. Sources: pluto in
/// bottlerocket-core-kit and `bootstrap.sh` of amazon-eks-ami, read May 2026.
const GUESSES: [&str; 2] = ["10.100.0.10", "172.20.0.10"];

const META: Meta = Meta {
    id: "dns/cluster-dns-ip-mismatch",
    title: "Pods are told a nameserver that is not the kube-dns Service",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Services, Source::Probes],
    helps: &[
        Source::Pods,
        Source::Nodes,
        Source::DaemonSets,
        Source::Cluster,
    ],
    signals: &[
        "resolv-differs",
        "fallback-address",
        "right-ip-answers",
        "service-port-missing",
        "selector-matches-nothing",
    ],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let dns = ClusterDns::of(cx.topology());
    let services = cx.services().all_in(ClusterDns::NAMESPACE);
    let Some(of_dns) = dns.service else {
        services?;
        return Err(Stop::not_applicable(
            "there is no Service kube-system/kube-dns to compare with",
        ));
    };
    let mut findings = service::findings(cx, &dns, of_dns);
    let probes = cx.probes().some();
    let mut evidence = 0;
    if let Ok(run) = &probes {
        let _ = (cx.nodes().optional(), cx.daemonsets().optional());
        let mut wrong: BTreeMap<(&Text, IpAddr), Vec<&ProbePod>> = BTreeMap::new();
        for pod in &run.pods {
            let Some(server) = pod.resolv().and_then(|resolv| first_server(cx, resolv)) else {
                continue;
            };
            // Whether a cache listens on a link-local address is known by its DaemonSet or by asking.
            let silent = pod
                .dns_path(server, Transport::Udp, cx.cluster().dns_domain())
                .is_some_and(DnsPath::is_dead);
            if is_link_local(server)
                && !dns.is_server(server)
                && !cx.daemonsets().is_complete()
                && !silent
            {
                continue;
            }
            evidence += 1;
            if !is_right(cx, &dns, pod, server) {
                wrong.entry((class_of(pod), server)).or_default().push(pod);
            }
        }
        findings.extend(
            wrong
                .iter()
                .map(|((class, server), pods)| finding(cx, &dns, class, *server, pods)),
        );
    }
    if findings.is_empty() {
        probes?;
        if evidence == 0 {
            return Err(Stop::unknown(Gap::new(
                Source::Probes,
                Why::Sampled,
                "no probe read a resolv.conf that kubelet wrote for cluster DNS",
            )));
        }
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

/// The server that is asked first. A search list without the cluster's own suffix is that of the node:
/// `dnsPolicy: Default`, or a `dnsConfig` of its own, and no evidence.
fn first_server(cx: &Cx<'_>, resolv: &Resolv) -> Option<IpAddr> {
    let suffix = format!("svc.{}", cx.cluster().dns_domain());
    let for_cluster = resolv
        .search
        .iter()
        .any(|domain| domain.trim_end_matches('.') == suffix);
    let first = resolv.nameservers.first()?;
    first.parse().ok().filter(|_| for_cluster)
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    }
}

/// Whether pods may be told that server: kube-dns, a cache on the node, another Service that serves
/// DNS, or whatever answers for the cluster's names.
fn is_right(cx: &Cx<'_>, dns: &ClusterDns<'_>, pod: &ProbePod, server: IpAddr) -> bool {
    let is_service = cx.services().optional().into_iter().flatten().any(|one| {
        one.spec.ports.iter().any(|port| port.port == 53)
            && one.cluster_ips().any(|ip| ip.parse() == Ok(server))
    });
    let domain = cx.cluster().dns_domain();
    let answers = pod
        .dns_path(server, Transport::Udp, domain)
        .is_some_and(|path| path.answered > 0);
    dns.is_server(server) || is_service || answers
}

fn finding(
    cx: &Cx<'_>,
    dns: &ClusterDns<'_>,
    class: &Text,
    server: IpAddr,
    pods: &[&ProbePod],
) -> Finding {
    let nodes: BTreeSet<&Text> = pods.iter().map(|pod| &pod.at.node).collect();
    let right = dns.cluster_ips();
    let right_text = right
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" and ");
    let domain = cx.cluster().dns_domain();
    let answers = pods.iter().find_map(|pod| {
        let ip = right.iter().find(|ip| {
            pod.dns_path(**ip, Transport::Udp, domain)
                .is_some_and(DnsPath::works)
        })?;
        Some((*pod, *ip))
    });
    let silent = pods.iter().any(|pod| {
        pod.dns_path(server, Transport::Udp, domain)
            .is_some_and(DnsPath::is_dead)
    });
    // A resolv.conf out of saved evidence has no node.
    let who = if class.is_empty() {
        "resolv.conf of a pod".to_owned()
    } else if nodes.contains(class) {
        format!("Node {class}")
    } else {
        format!("Node class {class}")
    };
    let known = nodes.iter().filter(|node| !node.is_empty());
    let at = Place::nodes(known.map(|node| (*node).clone()));
    let all = cx
        .topology()
        .classes()
        .into_iter()
        .find(|one| one.name == *class);
    let members = all.iter().flat_map(|one| &one.nodes);
    let reach = at
        .clone()
        .on(members.map(|node| node.metadata.name.as_str()));
    let mut finding = META
        .finding(
            Severity::Critical,
            format!("{who} tells pods to ask {server} for names; kube-dns is {right_text}"),
        )
        .confidence(if answers.is_some() || silent {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail("kubelet writes its own setting into every pod's resolv.conf. Nothing answers at that address, so no name resolves in pods of those nodes.")
        .subjects(
            Some(class)
                .filter(|class| !class.is_empty())
                .map(|class| Subject::new(SubjectKind::NodeGroup, class.clone())),
        )
        .subject(Subject::new(SubjectKind::Host, server.to_string()))
        .facts(pods.iter().take(3).map(|pod| {
            Fact::new(
                Source::Probes,
                format!("/etc/resolv.conf on {}", pod.at.node)
                    .trim_end_matches(" on ")
                    .to_owned(),
                "first nameserver",
                server.to_string(),
            )
            .expected(right_text.clone())
            .at(pod.at_time)
        }))
        .at(at)
        .reaches(reach)
        .signal("resolv-differs");
    if let Some((pod, ip)) = answers {
        finding = finding.signal("right-ip-answers").fact(
            Fact::new(
                Source::Probes,
                format!("{} -> {ip}:53 kube-dns", pod.at.node),
                "DNS over UDP",
                "answers: the way to the right address works",
            )
            .at(pod.at_time),
        );
    }
    if GUESSES.iter().any(|guess| guess.parse() == Ok(server)) {
        finding = finding.signal("fallback-address").detail(
            "The address is what a node's bootstrap guesses when it cannot ask EKS for the cluster's service range. Nothing answers there, so no name resolves in pods of those nodes.",
        );
    }
    remedied(cx, finding, &nodes, &right_text)
}

fn remedied(cx: &Cx<'_>, finding: Finding, nodes: &BTreeSet<&Text>, right: &str) -> Finding {
    let range = cx.eks_cluster().optional().and_then(|cluster| {
        let config = &cluster.kubernetes_network_config;
        config
            .service_ipv4_cidr
            .clone()
            .or_else(|| config.service_ipv6_cidr.clone())
    });
    let range = range.unwrap_or_else(|| "the cluster's service range".to_owned());
    let mut named = nodes.iter().map(|node| node.as_str());
    let node = named.find(|node| !node.is_empty()).unwrap_or("NODE");
    let image = cx
        .topology()
        .node(node)
        .map_or("", |node| node.status.node_info.os_image.as_str());
    let setting = if image.contains("Bottlerocket") {
        format!(
            "Set settings.kubernetes.cluster-dns-ip = \"{right}\" in the user data of the node group"
        )
    } else if image.contains("2023") {
        format!("Set spec.cluster.cidr: {range} in the NodeConfig of the node group")
    } else if image.contains("Amazon Linux 2") {
        format!(
            "Pass --dns-cluster-ip {right} to /etc/eks/bootstrap.sh in the user data of the node group"
        )
    } else if image.contains("Windows") {
        format!(
            "Pass -ServiceCIDR {range} to Start-EKSBootstrap.ps1 in the user data of the node group"
        )
    } else {
        format!("Set clusterDNS of the kubelets to {right}")
    };
    finding
        .confirm(format!(
            "kubectl get --raw /api/v1/nodes/{node}/proxy/configz | jq .kubeletconfig.clusterDNS"
        ))
        .confirm("kubectl -n kube-system get service kube-dns")
        .fix(setting)
        .fix("Replace the nodes of the group afterwards: a running kubelet keeps its setting")
}
