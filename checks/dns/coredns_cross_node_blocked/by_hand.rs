//! What clients got from CoreDNS when they asked by hand: a server that answers some and not others, one
//! that is well and out of reach, or silence alone.

use std::net::IpAddr;

use eksnet_model::dns::vpc_resolvers;
use eksnet_model::kubernetes::Pod;
use eksnet_model::observed::{CallEnd, Ground};
use eksnet_model::{
    Asked, ClusterDns, Confidence, Cx, Fact, Finding, Place, Severity, Source, Subject,
    SubjectKind, Text,
};

use super::META;

/// Most clients that stand as proof.
const MAX_FACTS: usize = 6;

/// A client that gets nothing, and what else is known of its server.
struct Cut<'a> {
    client: &'a Asked,
    /// Somebody whom the same server answers.
    answered: Option<&'a Asked>,
    /// The CoreDNS pod that was asked.
    pod: Option<&'a Pod>,
    /// Whether client and pod are known to be on two nodes.
    apart: bool,
    /// Whether the one that is answered is on the pod's own node.
    same_node: bool,
    /// Whether the server is the Service, by its address or because nothing names it.
    is_service: bool,
}

pub(super) fn finding(cx: &Cx<'_>, dns: &ClusterDns<'_>, asked: &[Asked]) -> Option<Finding> {
    let cuts: Vec<Cut<'_>> = asked
        .iter()
        .filter_map(|client| cut(cx, dns, asked, client))
        .collect();
    let best = cuts.iter().max_by_key(|cut| cut.confidence())?;
    let confidence = best.confidence();
    let cuts: Vec<&Cut<'_>> = cuts
        .iter()
        .filter(|cut| cut.confidence() == confidence)
        .collect();
    let nodes: Vec<Text> = cuts
        .iter()
        .filter_map(|cut| node_of(cx, cut.client))
        .collect();
    let at = Place::nodes(nodes);
    let who = best.client.from.standpoint();
    let mut finding = META
        .finding(Severity::Error, title(best, &who))
        .confidence(confidence)
        .detail(detail(best))
        .subject(Subject::new(SubjectKind::Other, who))
        .facts(cuts.iter().flat_map(|cut| cut.facts()).take(MAX_FACTS))
        .signal("udp-blocked");
    for (seen, signal) in [
        (best.same_node, "same-node-ok"),
        (best.is_service, "vip-dead"),
    ] {
        if seen {
            finding = finding.signal(signal);
        }
    }
    if !at.nodes.is_empty() {
        finding = finding.at(at.clone()).reaches(at);
    }
    Some(remedied(cx, dns, finding, best))
}

fn cut<'a>(
    cx: &Cx<'a>,
    dns: &ClusterDns<'a>,
    all: &'a [Asked],
    client: &'a Asked,
) -> Option<Cut<'a>> {
    if !client.is_silent() || is_resolver(cx, dns, client) || has_no_network(cx, client) {
        return None;
    }
    let pod = client.server.and_then(|server| dns.pod_by_ip(server));
    if pod.is_some_and(|pod| !dns.serving_pods().any(|one| std::ptr::eq(one, pod))) {
        return None;
    }
    let own_node = node_of(cx, client);
    let on_one_node = |other: &Asked| {
        let other = node_of(cx, other);
        matches!((&other, &own_node), (Some(other), Some(own)) if is_same_node(other, own))
    };
    // An outside name is lost as well where the server's own upstream is silent.
    let answered = all.iter().find(|other| {
        client.server.is_some()
            && other.server == client.server
            && !on_one_node(other)
            && if client.own.lost > 0 {
                other.total().answered > 0
            } else {
                other.outside.answered > 0
            }
    });
    let pod_node = pod.map(|pod| Text::from(pod.spec.node_name.as_str()));
    let apart = matches!((&own_node, &pod_node), (Some(own), Some(pod)) if !is_same_node(own, pod) && !pod.is_empty());
    let same = matches!((&own_node, &pod_node), (Some(own), Some(pod)) if is_same_node(own, pod));
    let same_node = matches!((answered.and_then(|other| node_of(cx, other)), &pod_node), (Some(own), Some(pod)) if is_same_node(&own, pod));
    let is_service = client.server.is_none_or(|server| {
        pod.is_none() && (dns.cluster_ips().contains(&server) || looks_like_service(server))
    });
    let found = Cut {
        client,
        answered,
        pod,
        apart,
        same_node,
        is_service,
    };
    if same {
        return None;
    }
    // Alone, silence tells of cluster DNS only where the names are those of the cluster.
    let alone = answered.is_none();
    if alone && (!client.is_cut_off_cluster_dns() || !may_serve(cx, dns)) {
        return None;
    }
    // Somebody on the same node is answered: the way there is open.
    if all.iter().any(|other| {
        other.server == client.server && on_one_node(other) && other.total().answered > 0
    }) {
        return None;
    }
    // Of a server that is neither the Service nor known as a pod, silence alone says nothing.
    (!alone || found.is_service || pod.is_some()).then_some(found)
}

impl Cut<'_> {
    /// Two pieces prove it: the pod is ready on another node, and answers somebody else.
    fn confidence(&self) -> Confidence {
        match (self.answered.is_some(), self.pod.is_some()) {
            (true, true) if self.apart => Confidence::Confirmed,
            (true, true) => Confidence::Likely,
            (false, true) if self.apart => Confidence::Likely,
            // Two nodes by their prompts, and a name that CoreDNS answers by itself.
            (true, false) if self.client.own.lost > 0 && self.on_two_nodes() => Confidence::Likely,
            (true, false) if !self.is_service => Confidence::Likely,
            _ => Confidence::Possible,
        }
    }

    fn on_two_nodes(&self) -> bool {
        self.client.node().is_some() && self.answered.is_some_and(|other| other.node().is_some())
    }

    fn facts(&self) -> Vec<Fact> {
        let server = match (self.client.server, self.pod) {
            (Some(server), Some(pod)) => {
                format!(
                    "{server}:53 {} on {}",
                    pod.metadata.name, pod.spec.node_name
                )
            }
            (Some(server), None) => format!("{server}:53"),
            (None, _) => "the server of its resolv.conf".to_owned(),
        };
        let fact = |one: &Asked| {
            Fact::new(
                Source::Observations,
                format!("{} -> {server}", one.from.standpoint()),
                "look-ups that were answered",
                one.total().score(),
            )
        };
        let failed = (self.client.own_failed > 0).then(|| {
            Fact::new(
                Source::Observations,
                self.client.from.standpoint(),
                "names of the cluster that did not resolve",
                self.client.own_failed.to_string(),
            )
        });
        let mut facts = vec![fact(self.client).expected("answers, as CoreDNS serves all nodes")];
        facts.extend(failed);
        facts.extend(self.answered.map(fact));
        facts
    }
}

fn title(best: &Cut<'_>, who: &str) -> String {
    let who = match best.client.from.ground {
        Ground::Pod => who.replacen("pod ", "Pod ", 1),
        _ => who.to_owned(),
    };
    let server = best.client.server;
    match (best.pod, server, best.answered) {
        (Some(pod), _, _) => format!(
            "{who} gets no answer from CoreDNS pod {} on {}",
            pod.metadata.name, pod.spec.node_name
        ),
        (None, Some(server), Some(other)) => format!(
            "{who} gets no answer from cluster DNS at {server}, and {} does",
            other.from.standpoint()
        ),
        (None, Some(server), None) => {
            format!("{who} gets no answer from cluster DNS at {server}")
        }
        (None, None, _) => format!("{who} gets no answer from cluster DNS"),
    }
}

fn detail(best: &Cut<'_>) -> &'static str {
    if best.answered.is_some() {
        "The server is well, since others are answered. Something on the way drops the packets: security groups, a network ACL, a NetworkPolicy, or routes."
    } else if best.pod.is_some() {
        "The pod is ready where it runs, and queries to it are lost. Something on the way drops them: security groups, a network ACL, a NetworkPolicy, or routes."
    } else {
        "Nothing comes back, not even for names that CoreDNS answers by itself; where it had no endpoint the query would be refused. Most often security groups keep this node from the nodes of CoreDNS. If CoreDNS's own node gets no answer at the Service's address either, kube-proxy is at fault."
    }
}

/// Whether it asked somebody who is not CoreDNS: the VPC's resolver, a cache on the node, a public server.
fn is_resolver(cx: &Cx<'_>, dns: &ClusterDns<'_>, client: &Asked) -> bool {
    let _ = cx.vpcs().optional();
    let vpc = cx.topology().vpc();
    let Some(server) = client.server else {
        // A node asks the VPC's resolver; of somebody unnamed nothing tells.
        return client.from.ground != Ground::Pod;
    };
    if dns.is_server(server) {
        return false;
    }
    let by_form = match server {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]);
            v4.is_link_local() || v4.is_loopback() || !(v4.is_private() || shared)
                // The third address of a block, which a VPC's resolver has.
                || (vpc.is_none() && v4.octets()[3] == 2 && client.own.tries() == 0)
        }
        IpAddr::V6(v6) => v6.segments()[0] & 0xfe00 != 0xfc00,
    };
    by_form || vpc_resolvers(vpc).contains(&server) || dns.node_local.contains(&server)
}

/// Whether nothing else that it tried came back either: that pod has no network, which is another fault.
fn has_no_network(cx: &Cx<'_>, client: &Asked) -> bool {
    let Some(seen) = cx.observations().optional() else {
        return false;
    };
    let pings = seen
        .pings
        .iter()
        .filter(|one| one.from.standpoint() == client.from.standpoint());
    let calls = seen
        .calls
        .iter()
        .filter(|one| one.from.standpoint() == client.from.standpoint());
    let (mut lost, mut came) = (false, false);
    for ping in pings {
        lost |= ping.is_lost();
        came |= ping.received > 0;
    }
    for call in calls {
        let by_address = call.address.is_some() || call.host.parse::<IpAddr>().is_ok();
        let is_dns = call.port == Some(53);
        lost |= by_address && !is_dns && matches!(call.end, CallEnd::TimedOut | CallEnd::NoRoute);
        came |= matches!(
            call.end,
            CallEnd::Answered | CallEnd::Refused | CallEnd::Reset
        );
    }
    lost && !came
}

/// Whether CoreDNS may serve: nothing shows that no pod of it is ready.
fn may_serve(cx: &Cx<'_>, dns: &ClusterDns<'_>) -> bool {
    let known = !dns.pods.is_empty()
        || !dns.endpoints.is_empty()
        || cx.pods().all_in(ClusterDns::NAMESPACE).is_ok();
    !known || dns.serving_pods().next().is_some() || dns.ready_endpoints().next().is_some()
}

/// The node on which it was asked, by the prompt or by where its pod runs.
fn node_of(cx: &Cx<'_>, client: &Asked) -> Option<Text> {
    if let Some(node) = client.node() {
        return Some(node.clone());
    }
    let name = &client.from.name;
    let mut pods = cx.topology().pods().filter(|pod| {
        client.from.ground == Ground::Pod
            && pod.metadata.name.as_str() == name.as_str()
            && !name.is_empty()
    });
    let pod = pods.next()?;
    let node = &pod.spec.node_name;
    (pods.next().is_none() && !node.is_empty()).then(|| node.as_str().into())
}

/// Whether two names are of one node: a prompt shows the name up to its first dot.
fn is_same_node(one: &str, other: &str) -> bool {
    let begins = |long: &str, short: &str| {
        long.strip_prefix(short)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    begins(one, other) || begins(other, one)
}

/// The tenth address of the Services' block, which EKS gives to cluster DNS.
fn looks_like_service(server: IpAddr) -> bool {
    match server {
        IpAddr::V4(v4) => v4.octets()[3] == 10,
        IpAddr::V6(v6) => v6.segments()[7] == 10,
    }
}

fn remedied(cx: &Cx<'_>, dns: &ClusterDns<'_>, finding: Finding, best: &Cut<'_>) -> Finding {
    let domain = cx.cluster().dns_domain();
    let ips: Vec<&str> = match best.pod {
        Some(pod) => vec![pod.status.pod_ip.as_str()],
        None => dns
            .pods
            .iter()
            .map(|pod| pod.status.pod_ip.as_str())
            .collect(),
    };
    let ips = if ips.is_empty() {
        "COREDNS_POD_IP".to_owned()
    } else {
        ips.join(",")
    };
    let first = ips.split(',').next().unwrap_or("COREDNS_POD_IP").to_owned();
    finding
        .confirm("kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide")
        .confirm(format!("kubectl -n NAMESPACE exec POD -- dig +time=2 +tries=1 @{first} kubernetes.default.svc.{domain}   # from a pod on CoreDNS's own node, and from one on another"))
        .confirm(format!(
            "aws ec2 describe-network-interfaces --filters Name=addresses.private-ip-address,Values={ips} --query 'NetworkInterfaces[].[NetworkInterfaceId,SubnetId,Groups]'"
        ))
        .fix("kubectl eksnet doctor --only dns,net,isolation,cni/sgp-sg-rules   # with AWS access: it names the group, ACL or policy that lacks the rule")
        .fix("aws ec2 authorize-security-group-ingress --group-id SG_OF_COREDNS --ip-permissions 'IpProtocol=udp,FromPort=53,ToPort=53,UserIdGroupPairs=[{GroupId=SG_OF_CLIENTS}]' 'IpProtocol=tcp,FromPort=53,ToPort=53,UserIdGroupPairs=[{GroupId=SG_OF_CLIENTS}]'   # where the group lacks it")
}
