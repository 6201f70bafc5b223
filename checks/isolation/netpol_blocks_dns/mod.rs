//! `isolation/netpol-blocks-dns`: NetworkPolicies keep pods from cluster DNS.

mod probes;

use std::net::IpAddr;

use eksnet_model::kubernetes::NetworkPolicy;
use eksnet_model::netpol::{Admitted, Labels, Peer, egress, ingress_from_pods, isolates_ingress};
use eksnet_model::{
    Check, ClusterDns, Confidence, Cx, Fact, Finding, Gap, Meta, Place, Role, Selected, Severity,
    Source, Stop, Subject, SubjectKind, Why, unless_enforced,
};
use probes::Seen;

/// Admits DNS to CoreDNS's pods.
const DNS_RULE: &str = r#"{"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}},"podSelector":{"matchLabels":{"k8s-app":"kube-dns"}}}],"ports":[{"port":53,"protocol":"UDP"},{"port":53,"protocol":"TCP"}]}"#;

const META: Meta = Meta {
    id: "isolation/netpol-blocks-dns",
    title: "A NetworkPolicy keeps pods from cluster DNS",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::NetworkPolicies],
    helps: &[
        Source::Pods,
        Source::Services,
        Source::DaemonSets,
        Source::Probes,
    ],
    signals: &[
        "coredns-ingress",
        "udp-missing",
        "egress-denied",
        "not-enforced",
        "selects-probes",
    ],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let policies = cx.network_policies().some()?;
    let _ = (cx.pods().optional(), cx.services().optional());
    let dns = ClusterDns::of(cx.topology());
    let mut labels = Labels::from([("k8s-app".to_owned(), "kube-dns".to_owned())]);
    if let Some(pod) = dns.pods.first() {
        labels = pod.metadata.labels.clone();
    }
    let ips: Vec<IpAddr> = dns
        .pods
        .iter()
        .flat_map(|pod| pod.ips().filter_map(|ip| ip.parse().ok()))
        .collect();
    let mut findings = Vec::new();
    let mut not_known = None;
    findings.extend(to_coredns(policies, &labels));
    let peer = Peer::Pods {
        namespace: ClusterDns::NAMESPACE,
        labels: &labels,
        ips: &ips,
    };
    for selected in Selected::all(cx, policies) {
        let admits = |protocol: &str| {
            let by_pods = egress(&selected.policies, selected.namespace, peer, protocol, 53);
            let by_cache = dns
                .node_local
                .iter()
                .map(|ip| {
                    egress(
                        &selected.policies,
                        selected.namespace,
                        Peer::Address(*ip),
                        protocol,
                        53,
                    )
                })
                .max();
            by_cache.map_or(by_pods, |cache| cache.max(by_pods))
        };
        match admits("UDP") {
            Admitted::No => findings.push(from_pods(cx, &selected, admits("TCP"))),
            Admitted::NotKnown => {
                not_known.get_or_insert(format!("{}/{}", selected.namespace, selected.name()));
            }
            Admitted::Yes => {}
        }
    }
    unless_enforced(cx, &mut findings);
    if let (true, Some(policy)) = (findings.is_empty(), not_known) {
        return Err(Stop::unknown(Gap::new(
            Source::NetworkPolicies,
            Why::Sampled,
            format!(
                "whether NetworkPolicy {policy} admits DNS hangs on labels of namespaces, which are not read"
            ),
        )));
    }
    Ok(findings)
}

/// Policies in kube-system that shut CoreDNS.
fn to_coredns(policies: &[NetworkPolicy], labels: &Labels) -> Option<Finding> {
    let on: Vec<&NetworkPolicy> = policies
        .iter()
        .filter(|policy| {
            policy.metadata.namespace == ClusterDns::NAMESPACE && isolates_ingress(policy)
        })
        .filter(|policy| policy.spec.pod_selector.matches(labels))
        .collect();
    if on.is_empty() || ingress_from_pods(&on, "UDP", 53) != Admitted::No {
        return None;
    }
    let name = on[0].metadata.name.as_str();
    Some(
        META.finding(
            Severity::Critical,
            format!("NetworkPolicy kube-system/{name} admits no query to CoreDNS"),
        )
        .confidence(Confidence::Confirmed)
        .detail("It selects CoreDNS's pods, and no rule of any policy that does admits UDP 53 from other pods.")
        .subjects(subjects(&on))
        .fact(
            Fact::new(Source::NetworkPolicies, format!("NetworkPolicy kube-system/{name}"), "ingress on UDP 53", "no rule")
                .expected("a rule for all namespaces"),
        )
        .signal("coredns-ingress")
        .confirm("kubectl -n kube-system get networkpolicies -o yaml")
        .fix(format!("kubectl -n kube-system patch networkpolicy {name} --type=json -p '[{{\"op\":\"add\",\"path\":\"/spec/ingress\",\"value\":[{{\"from\":[{{\"namespaceSelector\":{{}}}}],\"ports\":[{{\"port\":53,\"protocol\":\"UDP\"}},{{\"port\":53,\"protocol\":\"TCP\"}}]}}]}}]'   # replaces its ingress rules")),
    )
}

fn subjects(policies: &[&NetworkPolicy]) -> Vec<Subject> {
    policies
        .iter()
        .map(|policy| {
            Subject::namespaced(
                SubjectKind::NetworkPolicy,
                policy.metadata.namespace.as_str(),
                policy.metadata.name.as_str(),
            )
        })
        .collect()
}

fn from_pods(cx: &Cx<'_>, selected: &Selected<'_>, tcp: Admitted) -> Finding {
    let (namespace, name) = (selected.namespace, selected.name());
    let tcp_only = tcp == Admitted::Yes;
    let (what, has, signal) = if tcp_only {
        (
            "admits DNS over TCP alone",
            "no rule; TCP 53 is admitted",
            "udp-missing",
        )
    } else {
        ("keeps pods from cluster DNS", "no rule", "egress-denied")
    };
    let whole = cx.network_policies().is_complete();
    let finding = META
        .finding(
            Severity::Error,
            format!("NetworkPolicy {namespace}/{name} {what}: {}", selected.what),
        )
        .confidence(if whole { Confidence::Confirmed } else { Confidence::Likely })
        .detail("It isolates these pods in egress, and no rule of any policy that selects them admits UDP 53 to CoreDNS's pods. A rule with the address of Service kube-dns does not count: the packet is judged by the pod's address behind it.")
        .subjects(selected.subjects())
        .fact(selected.lacks("UDP 53", has, "a rule for CoreDNS's pods"))
        .signal(signal)
        .confirm(format!("kubectl -n {namespace} get networkpolicies -o yaml"))
        .fix(selected.admit(&[DNS_RULE]));
    match probes::seen(cx, selected) {
        // What the probes saw, wherever they stood, is this policy's doing.
        Seen::Silence => finding.signal("selects-probes"),
        Seen::Answer(fact) => probes::answered(finding, fact),
        Seen::Nothing if selected.workloads.is_empty() => finding,
        Seen::Nothing => {
            let workloads = selected.workloads.iter().cloned();
            let place = workloads.fold(Place::default(), Place::of);
            finding.at(place.clone()).reaches(place)
        }
    }
}
