//! `isolation/netpol-blocks-dns`: NetworkPolicies keep pods from cluster DNS.

use std::net::IpAddr;

use eksnet_model::kubernetes::NetworkPolicy;
use eksnet_model::netpol::{
    Admitted, Labels, Peer, egress, ingress_from_pods, isolates_egress, isolates_ingress,
};
use eksnet_model::{
    Check, ClusterDns, Confidence, Cx, Fact, Finding, Meta, Place, Role, Selected, Severity,
    Source, Stop, Subject, SubjectKind, policies_enforced,
};

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
    let enforced = policies_enforced(cx);
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
        if admits("UDP") == Admitted::No {
            findings.push(from_pods(cx, &selected, admits("TCP")));
        }
    }
    for finding in &mut findings {
        if enforced == Some(false) {
            finding.severity = Severity::Info;
            finding.confidence = Confidence::Possible;
            finding.signals.insert("not-enforced".into());
            finding.detail = "Nothing enforces NetworkPolicies here: network policies of the VPC CNI are off, and neither Calico nor Cilium runs. It would be blocked once they are switched on.".into();
        }
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
    let own: Vec<&NetworkPolicy> = selected
        .policies
        .iter()
        .copied()
        .filter(|one| isolates_egress(one))
        .collect();
    let namespace = selected.namespace;
    let name = own
        .first()
        .map_or("NAME", |policy| policy.metadata.name.as_str());
    let tcp_only = tcp == Admitted::Yes;
    let names: Vec<&str> = own
        .iter()
        .map(|policy| policy.metadata.name.as_str())
        .collect();
    let what = if tcp_only {
        "admits DNS over TCP alone"
    } else {
        "keeps pods from cluster DNS"
    };
    let whole = cx.network_policies().is_complete();
    let mut place = Place::default();
    for workload in &selected.workloads {
        place = place.of(workload.clone());
    }
    let finding = META
        .finding(
            Severity::Error,
            format!("NetworkPolicy {namespace}/{name} {what}: {}", selected.what),
        )
        .confidence(if whole { Confidence::Confirmed } else { Confidence::Likely })
        .detail("It isolates these pods in egress, and no rule of any policy that selects them admits UDP 53 to CoreDNS's pods. A rule with the address of Service kube-dns does not count: the packet is judged by the pod's address behind it.")
        .subjects(subjects(&own))
        .fact(
            Fact::new(
                Source::NetworkPolicies,
                format!("policies {} of namespace {namespace}", names.join(", ")),
                "egress on UDP 53",
                if tcp_only { "no rule; TCP 53 is admitted" } else { "no rule" },
            )
            .expected("a rule for CoreDNS's pods"),
        )
        .signal(if tcp_only { "udp-missing" } else { "egress-denied" })
        .confirm(format!("kubectl -n {namespace} get networkpolicies -o yaml"))
        .fix(admit_dns(namespace, name, own.first().is_some_and(|one| one.spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()))));
    if selects_probes(cx, namespace, &own) {
        // What the probes saw, wherever they stood, is this policy's doing.
        finding.signal("selects-probes")
    } else if selected.workloads.is_empty() {
        finding
    } else {
        finding.at(place.clone()).reaches(place)
    }
}

/// Whether a policy isolates every pod of a namespace in which probes ran.
fn selects_probes(cx: &Cx<'_>, namespace: &str, policies: &[&NetworkPolicy]) -> bool {
    let selects_all = policies.iter().any(|one| {
        let selector = &one.spec.pod_selector;
        selector.match_labels.is_empty() && selector.match_expressions.is_empty()
    });
    let run = cx.probes().optional();
    let mut probes = run.into_iter().flat_map(|run| &run.pods);
    selects_all && probes.any(|pod| pod.at.namespace == namespace)
}

/// A command that adds a rule for DNS. A JSON patch appends to a list only where there is one.
fn admit_dns(namespace: &str, name: &str, has_rules: bool) -> String {
    let rule = r#"{"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}},"podSelector":{"matchLabels":{"k8s-app":"kube-dns"}}}],"ports":[{"port":53,"protocol":"UDP"},{"port":53,"protocol":"TCP"}]}"#;
    let (path, value) = match has_rules {
        true => ("/spec/egress/-", rule.to_owned()),
        false => ("/spec/egress", format!("[{rule}]")),
    };
    format!(
        r#"kubectl -n {namespace} patch networkpolicy {name} --type=json -p '[{{"op":"add","path":"{path}","value":{value}}}]'"#
    )
}
