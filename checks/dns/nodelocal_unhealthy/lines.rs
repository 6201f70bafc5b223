//! What the cache, its kubelet and its clients say.

use eksnet_model::dns::in_domain;
use eksnet_model::{
    Component, Confidence, Cx, Finding, Heard, LogScan, Place, Subject, SubjectKind,
    logs_and_events,
};

use super::{Cache, META, NAMESPACE, asked};

/// Lines and Events older than this, in seconds, are history.
const RECENT_S: i64 = 3600;
const MAX_FACTS: usize = 4;

pub(super) fn findings(cx: &Cx<'_>, cache: &Cache<'_>) -> Vec<Finding> {
    let scans = logs_and_events(cx, &crate::signature_set(&META));
    let mut found = Vec::new();
    found.extend(start(cx, cache, &scans));
    found.extend(upstream(cx, cache, &scans));
    if found.is_empty() {
        found.extend(clients(cx, cache, &scans));
    }
    found
}

fn heard<'s>(cx: &Cx<'_>, scans: &'s [LogScan], signatures: &[&str]) -> Vec<Heard<'s>> {
    Heard::recent(cx, scans, signatures, RECENT_S)
}

/// Whether the log is the cache's own: by its name, or because nobody else names that address or that file.
fn is_own(one: &Heard<'_>) -> bool {
    let names_it = |text: &str| {
        ["node-local", "nodelocal", "node-cache", "169.254."]
            .iter()
            .any(|word| text.contains(word))
    };
    one.scan.component == Component::NodeLocalDns
        || names_it(&one.scan.pod)
        || names_it(&one.scan.file)
        || one.records().any(|record| names_it(record))
}

/// It cannot listen, has no interface, or does not answer the kubelet.
fn start(cx: &Cx<'_>, cache: &Cache<'_>, scans: &[LogScan]) -> Option<Finding> {
    let own = |signature: &str| -> Vec<Heard<'_>> {
        let all = heard(cx, scans, &[signature]);
        all.into_iter().filter(is_own).collect()
    };
    let (binds, links) = (own("nodelocal-bind"), own("nodelocal-interface"));
    let (rules, probes) = (own("nodelocal-iptables"), own("nodelocal-probe"));
    let (title, detail) = if let Some(first) = binds.first() {
        let (ip, port) = (
            first.value("ip").unwrap_or_default(),
            first.value("port").unwrap_or("53"),
        );
        let why = first.value("why").unwrap_or("refused");
        let detail = match (port, why) {
            ("53", "address already in use") => {
                "Another DNS server on the node has the address, or kube-proxy in IPVS mode does."
            }
            (_, "address already in use") => {
                "Another program on the node has the port; the cache shares the node's network. Its health port can be another one, in the Corefile and in the probe of the DaemonSet."
            }
            (_, "permission denied") => {
                "The container lacks NET_ADMIN or NET_BIND_SERVICE, or may not use the node's network."
            }
            _ => {
                "The address is not on the node: its interface nodelocaldns was not made, or was taken away."
            }
        };
        (
            format!("NodeLocal DNSCache cannot listen on {ip}:{port}: {why}"),
            detail,
        )
    } else if !links.is_empty() {
        (
            "NodeLocal DNSCache cannot make the interface of its address".to_owned(),
            "It needs NET_ADMIN and the node's own network (hostNetwork).",
        )
    } else if !probes.is_empty() {
        (
            "NodeLocal DNSCache does not answer the kubelet's probe and is restarted".to_owned(),
            "Between its restarts nobody answers at its address on that node.",
        )
    } else if !rules.is_empty() {
        (
            "NodeLocal DNSCache cannot write the iptables rules that lead queries to it".to_owned(),
            "Without them its packets are tracked and translated like others: answers are lost under load, and the address of cluster DNS is not taken over.",
        )
    } else {
        return None;
    };
    let lines: Vec<Heard<'_>> = binds
        .into_iter()
        .chain(links)
        .chain(probes)
        .chain(rules)
        .collect();
    let name = cache.name();
    Some(placed(
        cx,
        &lines,
        cache
            .about(title, "cannot-listen")
            .confidence(Confidence::Confirmed)
            .detail(detail)
            .confirm(format!("kubectl -n {NAMESPACE} logs -l k8s-app={name} --tail=50 --prefix"))
            .fix(format!("kubectl -n {NAMESPACE} edit daemonset {name}   # hostNetwork: true, capabilities NET_ADMIN, a health port that is free"))
            .fix(format!("kubectl -n {NAMESPACE} rollout restart daemonset {name}")),
    ))
}

/// What the cache forwards gets no answer of cluster DNS.
fn upstream(cx: &Cx<'_>, cache: &Cache<'_>, scans: &[LogScan]) -> Option<Finding> {
    let missing: Vec<Heard<'_>> = heard(cx, scans, &["nodelocal-upstream-lookup"]);
    if let Some(service) = missing.first().and_then(|one| one.value("service")) {
        let finding = cache
            .about(
                format!("NodeLocal DNSCache does not see Service {service}, which it forwards to"),
                "upstream-missing",
            )
            .confidence(Confidence::Confirmed)
            .detail("The Service has to exist before the cache starts: names of the cluster fail at it.")
            .confirm(format!("kubectl -n {NAMESPACE} get service {service}"))
            .fix(format!("kubectl -n {NAMESPACE} get service {service} && kubectl -n {NAMESPACE} rollout restart daemonset {}", cache.name()));
        return Some(placed(cx, &missing, finding));
    }
    let silent: Vec<Heard<'_>> = heard(cx, scans, &["nodelocal-upstream-silent"])
        .into_iter()
        .filter(|one| {
            // CoreDNS answers names of the cluster by itself: who forwards them is the cache.
            let in_cluster = |name: &str| in_domain(name, cache.domain);
            let to_cluster = one.values("server").any(|server| {
                server
                    .trim_matches(['[', ']'])
                    .parse()
                    .is_ok_and(|ip| cache.cluster.contains(&ip))
            });
            one.values("name").any(in_cluster) || to_cluster
        })
        .collect();
    let first = silent.first()?;
    let server = first.value("server").unwrap_or("its upstream");
    let over_tcp = silent
        .iter()
        .all(|one| one.values("protocol").all(|protocol| protocol == "tcp"));
    let over = if over_tcp { " over TCP" } else { "" };
    let mut finding = cache
        .about(
            format!("NodeLocal DNSCache gets no answer of cluster DNS at {server}{over}"),
            "upstream-silent",
        )
        .detail("Names of the cluster fail at the cache, but for what it has kept. The DNS pods are down or too busy, the node's kube-proxy does not know the Service, or something on the way drops the packets; the cache asks over TCP (force_tcp), which a rule for UDP alone does not admit.")
        .subject(Subject::new(SubjectKind::Host, server))
        .confirm(format!("kubectl -n {NAMESPACE} get endpointslices -l kubernetes.io/service-name={}", cache.upstream))
        .confirm(format!("kubectl -n NAMESPACE exec POD -- dig +tcp +time=2 @{server} kubernetes.default.svc.{}", cache.domain))
        .fix("Admit TCP 53 beside UDP 53 from all nodes in the security group of CoreDNS's interfaces and in NetworkPolicies")
        .fix(format!("kubectl -n {NAMESPACE} scale deployment coredns --replicas=4   # where the DNS pods are too busy"));
    if over_tcp {
        finding = finding.signal("upstream-tcp");
    }
    Some(placed(cx, &silent, finding))
}

/// Programs that ask the cache and get nothing.
fn clients(cx: &Cx<'_>, cache: &Cache<'_>, scans: &[LogScan]) -> Option<Finding> {
    if asked::is_strict(cx) {
        return None;
    }
    let lines: Vec<Heard<'_>> = heard(cx, scans, &["nodelocal-silent"])
        .into_iter()
        .filter(|one| {
            one.values("server")
                .filter_map(|server| server.parse().ok())
                .any(|ip| cache.is_own(ip))
        })
        .collect();
    let first = lines.first()?;
    let server = first.value("server").unwrap_or("169.254.20.10");
    let refused = lines
        .iter()
        .any(|one| one.values("how").any(|how| how == "connection refused"));
    let (what, detail) = if refused {
        (
            "nothing listens there",
            "The node refuses the connection: the cache does not run on it.",
        )
    } else {
        (
            "look-ups get no answer",
            "The address exists on each node by itself: the cache does not run or listen there, or its own upstream is silent. Pods with strict security groups of their own never reach it.",
        )
    };
    let finding = META
        .finding(
            // Whoever asks it there was told its address.
            eksnet_model::Severity::Critical,
            format!("NodeLocal DNSCache at {server}: {what}"),
        )
        .confidence(Confidence::Likely)
        .detail(detail)
        .subject(Subject::namespaced(
            SubjectKind::DaemonSet,
            NAMESPACE,
            cache.name(),
        ))
        .subject(Subject::new(SubjectKind::Host, server))
        .signal("silent")
        .confirm(format!("kubectl -n {NAMESPACE} get pods -l k8s-app={} -o wide", cache.name()))
        .fix(format!("kubectl -n {NAMESPACE} rollout restart daemonset {}", cache.name()))
        .fix("Until it answers, let the kubelets hand out the address of Service kube-dns (clusterDNS) to new pods");
    Some(placed(cx, &lines, finding))
}

fn placed(cx: &Cx<'_>, lines: &[Heard<'_>], finding: Finding) -> Finding {
    let place = Place::nodes(Heard::place(cx, lines).nodes);
    let finding = finding.facts(lines.iter().take(MAX_FACTS).map(|one| one.fact("says")));
    if place.nodes.is_empty() {
        finding
    } else {
        finding.at(place.clone()).reaches(place)
    }
}
