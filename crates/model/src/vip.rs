//! Whether Service addresses work on a node, as probes see it.

use std::net::IpAddr;

use eksnet_probe::{TcpOutcome, TcpState, Transport};

use crate::{ClusterDns, DnsPath, ProbePod, Text};

/// A Service address that does not work on a node, while what stands behind it does.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadVip<'a> {
    /// The probe pod that saw it.
    pub pod: &'a ProbePod,
    /// The Service's address, with its port, as in `10.100.0.10:53`.
    pub vip: String,
    /// Name of the Service.
    pub service: &'static str,
    /// What the Service's address gave, such as `0/5 over UDP`.
    pub saw: String,
    /// What stands behind it gave, such as `10.0.1.7 5/5`.
    pub behind: String,
}

impl<'a> DeadVip<'a> {
    /// What probes in `pod` say. Cluster DNS: the Service's address is silent, and every CoreDNS pod
    /// that was asked answers. The API server: its ClusterIP is silent, and its endpoint opens.
    ///
    /// A pod address that is silent too is another fault, and so is a refused connection: that is what
    /// a Service without endpoints gives.
    #[must_use]
    pub fn seen_by(
        pod: &'a ProbePod,
        dns: &ClusterDns<'_>,
        kubernetes: &[IpAddr],
        domain: &str,
    ) -> Vec<Self> {
        let mut found = Vec::new();
        for (transport, word) in [(Transport::Udp, "UDP"), (Transport::Tcp, "TCP")] {
            let behind = paths_behind(pod, dns, transport, domain);
            if behind.is_empty() || behind.iter().any(|(_, path)| !path.works()) {
                continue;
            }
            for vip in dns.cluster_ips() {
                let path = pod.dns_path(vip, transport, domain);
                if let Some(path) = path.filter(|path| path.is_dead()) {
                    found.push(Self {
                        pod,
                        vip: format!("{vip}:53"),
                        service: "kube-dns",
                        saw: format!("{} over {word}", path.score()),
                        behind: behind
                            .iter()
                            .map(|(ip, path)| format!("{ip} {}", path.score()))
                            .collect::<Vec<_>>()
                            .join(", "),
                    });
                }
            }
        }
        found.extend(dead_api(pod, kubernetes));
        found
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &'a Text {
        &self.pod.at.node
    }
}

/// The paths to the CoreDNS pods of the Service's own family that serve.
fn paths_behind(
    pod: &ProbePod,
    dns: &ClusterDns<'_>,
    transport: Transport,
    domain: &str,
) -> Vec<(IpAddr, DnsPath)> {
    dns.serving_pods()
        .flat_map(crate::kubernetes::Pod::ips)
        .filter_map(|ip| ip.parse().ok())
        .filter_map(|ip| Some((ip, pod.dns_path(ip, transport, domain)?)))
        .collect()
}

/// The API server's ClusterIP, silent while a host name of the API server opens.
fn dead_api<'a>(pod: &'a ProbePod, kubernetes: &[IpAddr]) -> Option<DeadVip<'a>> {
    let silent = |tcp: &TcpOutcome| {
        !tcp.tries.is_empty()
            && tcp
                .tries
                .iter()
                .all(|each| matches!(each.state, TcpState::Timeout | TcpState::NoRoute))
    };
    let open = |tcp: &TcpOutcome| tcp.tries.iter().any(|each| each.state == TcpState::Open);
    let (host, port, tcp) = pod.tcp().find(|(host, _, tcp)| {
        host.parse::<IpAddr>()
            .is_ok_and(|ip| kubernetes.contains(&ip))
            && silent(tcp)
    })?;
    let (endpoint, _, _) = pod
        .tcp()
        .find(|(host, _, tcp)| host.contains(".eks.") && open(tcp))?;
    Some(DeadVip {
        pod,
        vip: format!("{host}:{port}"),
        service: "kubernetes",
        saw: format!("0/{} over TCP", tcp.tries.len()),
        behind: format!("{endpoint} open"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Snapshot, Topology};

    fn snapshot() -> Snapshot {
        serde_json::from_value(serde_json::json!({"kubernetes": {
            "services": [{"metadata": {"namespace": "kube-system", "name": "kube-dns"}, "spec": {"clusterIP": "10.100.0.10", "selector": {"k8s-app": "kube-dns"}}}],
            "pods": [{"metadata": {"namespace": "kube-system", "name": "coredns-1", "labels": {"k8s-app": "kube-dns"}},
                "spec": {"nodeName": "n9"}, "status": {"phase": "Running", "podIP": "10.0.9.7", "conditions": [{"type": "Ready", "status": "True"}]}}]}}))
        .expect("a snapshot")
    }

    fn seen(vip: &str, behind: &str) -> usize {
        let ask = |id: u32, server: &str| {
            serde_json::json!({"id": id, "kind": "dns", "server": server, "transport": "udp",
                "name": "kubernetes.default.svc.cluster.local.", "query": "A", "tries": 1, "gapMs": 1, "timeoutMs": 1})
        };
        let got = |id: u32, outcome: &str| serde_json::json!({"id": id, "outcome": {"kind": "dns", "tries": [{"outcome": outcome, "elapsedMs": 1.0}]}});
        let pod: ProbePod = serde_json::from_value(serde_json::json!({
            "plan": [ask(1, "10.100.0.10:53"), ask(2, "10.0.9.7:53")],
            "results": [got(1, vip), got(2, behind)]}))
        .expect("a probe pod");
        let snapshot = snapshot();
        let topology = Topology::of(&snapshot);
        DeadVip::seen_by(&pod, &ClusterDns::of(&topology), &[], "cluster.local").len()
    }

    #[test]
    fn only_a_silent_service_in_front_of_pods_that_answer_is_dead() {
        assert_eq!(seen("timeout", "ok"), 1);
        assert_eq!(seen("timeout", "timeout"), 0, "the way to the pods is cut");
        assert_eq!(seen("conn-refused", "ok"), 0, "no endpoints");
        assert_eq!(seen("ok", "ok"), 0);
    }

    #[test]
    fn the_api_server_by_its_cluster_ip_alone_silent_is_a_dead_vip() {
        let pod: ProbePod = serde_json::from_value(serde_json::json!({
            "plan": [
                {"id": 1, "kind": "tcp", "host": "10.100.0.1", "port": 443, "tries": 1, "timeoutMs": 1},
                {"id": 2, "kind": "tcp", "host": "AB12.gr7.us-west-2.eks.amazonaws.com", "port": 443, "tries": 1, "timeoutMs": 1}],
            "results": [
                {"id": 1, "outcome": {"kind": "tcp", "addresses": ["10.100.0.1"], "tries": [{"address": "10.100.0.1", "state": "timeout", "elapsedMs": 1.0}]}},
                {"id": 2, "outcome": {"kind": "tcp", "addresses": ["1.2.3.4"], "tries": [{"address": "1.2.3.4", "state": "open", "elapsedMs": 1.0}]}}]}))
        .expect("a probe pod");
        let api = ["10.100.0.1".parse().expect("an address")];
        let snapshot = Snapshot::default();
        let topology = Topology::of(&snapshot);
        let found = DeadVip::seen_by(&pod, &ClusterDns::of(&topology), &api, "cluster.local");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].service, "kubernetes");
    }
}
