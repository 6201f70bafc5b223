//! Faults of the Service of cluster DNS itself.

use eksnet_model::dns::selects;
use eksnet_model::kubernetes::{Pod, Service};
use eksnet_model::{
    ClusterDns, Component, Confidence, Cx, Fact, Finding, Severity, Source, Subject, SubjectKind,
};

use super::META;

/// Ports that are missing, and a selector that matches no pod while CoreDNS pods exist.
pub(super) fn findings(cx: &Cx<'_>, dns: &ClusterDns<'_>, service: &Service) -> Vec<Finding> {
    let mut faults = Vec::new();
    let serves = |protocol: &str| {
        service.spec.ports.iter().any(|port| {
            let own = if port.protocol.is_empty() {
                "TCP"
            } else {
                &port.protocol
            };
            port.port == 53 && own == protocol
        })
    };
    let missing: Vec<&str> = ["UDP", "TCP"]
        .into_iter()
        .filter(|protocol| !serves(protocol))
        .collect();
    if !missing.is_empty() {
        let ports: Vec<String> = service
            .spec
            .ports
            .iter()
            .map(|port| format!("{}/{}", port.port, port.protocol))
            .collect();
        let severity = if missing.contains(&"UDP") {
            Severity::Critical
        } else {
            Severity::Error
        };
        faults.push(Fault {
            severity,
            title: format!(
                "Service kube-system/kube-dns does not serve 53/{}",
                missing.join(" and 53/")
            ),
            signal: "service-port-missing",
            field: "spec.ports",
            saw: ports.join(", "),
            expected: "53/UDP and 53/TCP".to_owned(),
        });
    }
    // Without a selector the endpoints are written by hand.
    if !service.spec.selector.is_empty()
        && cx.pods().optional().is_some()
        && cx.pods().is_complete()
    {
        let runs = |pod: &&Pod| Component::of_pod(pod) == Component::CoreDns;
        if dns.pods.iter().any(runs) && !dns.pods.iter().any(|pod| selects(service, pod)) {
            let selector: Vec<String> = service
                .spec
                .selector
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            faults.push(Fault {
                severity: Severity::Critical,
                title: "Service kube-system/kube-dns selects no CoreDNS pod".to_owned(),
                signal: "selector-matches-nothing",
                field: "spec.selector",
                saw: selector.join(","),
                expected: "labels of the CoreDNS pods, k8s-app=kube-dns".to_owned(),
            });
        }
    }
    // One finding for the Service, so that its id stays the same when one of two faults is mended.
    let Some(worst) = faults.iter().max_by_key(|fault| fault.severity) else {
        return Vec::new();
    };
    let mut finding = META
        .finding(worst.severity, worst.title.clone())
        .confidence(Confidence::Confirmed)
        .detail(if worst.severity == Severity::Critical {
            "Queries to the Service's address go nowhere: the pods behind it may all be well."
        } else {
            "Short names resolve over UDP. Answers that do not fit a packet, and caches on the node that ask over TCP, fail."
        })
        .subject(Subject::namespaced(
            SubjectKind::Service,
            ClusterDns::NAMESPACE,
            ClusterDns::SERVICE,
        ));
    for fault in &faults {
        finding = finding.signal(fault.signal).fact(
            Fact::new(
                Source::Services,
                "Service kube-system/kube-dns",
                fault.field,
                fault.saw.as_str(),
            )
            .expected(fault.expected.as_str()),
        );
    }
    let cluster = cx.cluster_name();
    vec![
        finding
            .confirm("kubectl -n kube-system get service kube-dns -o yaml")
            .fix(format!(
                "aws eks update-addon --cluster-name {cluster} --addon-name coredns --resolve-conflicts OVERWRITE"
            )),
    ]
}

struct Fault {
    severity: Severity,
    title: String,
    signal: &'static str,
    field: &'static str,
    saw: String,
    expected: String,
}
