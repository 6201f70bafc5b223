//! `sym/kubectl-logs-exec-fail`: the API server cannot reach a node's kubelet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use eksnet_model::{
    Cx, Fact, Finding, Place, ProbePod, Role, Severity, Source, Stop, Subject, Symptom, Text,
};
use ipnet::IpNet;

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/kubectl-logs-exec-fail",
    observe,
};

/// Docker's own bridge on the control plane's hosts: addresses in it are not reached from there.
/// <https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html> (read 2026-05)
const DOCKER: &str = "172.17.0.0/16";

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let run = cx.probes().some()?;
    let mut nodes: BTreeMap<&Text, (&ProbePod, &Text)> = BTreeMap::new();
    for pod in &run.pods {
        if let Some(error) = &pod.log_error
            && (error.contains("dialing backend") || error.contains(":10250: "))
        {
            nodes.entry(&pod.at.node).or_insert((pod, error));
        }
    }
    Ok(nodes
        .into_values()
        .map(|(pod, error)| finding(cx, pod, error))
        .collect())
}

fn finding(cx: &Cx<'_>, pod: &ProbePod, error: &Text) -> Finding {
    let node = &pod.at.node;
    let signal = if error.contains("no route to host") {
        Some("no-route-to-host")
    } else if error.contains("connection refused") {
        Some("dial-refused")
    } else if error.contains("timeout") || error.contains("timed out") || error.contains("deadline")
    {
        Some("dial-timeout")
    } else {
        None
    };
    let docker: Option<IpNet> = DOCKER.parse().ok();
    let own: Option<IpAddr> = cx
        .topology()
        .node(node)
        .and_then(|node| node.internal_ip())
        .and_then(|ip| ip.parse().ok());
    let in_docker =
        docker.is_some_and(|net| own.into_iter().chain(pod.ip).any(|ip| net.contains(&ip)));
    let mut finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Error,
        format!("API server cannot reach the kubelet of node {node}: logs and exec fail there"),
    )
    .subject(Subject::node(node.clone()))
    .fact(
        Fact::new(
            Source::Probes,
            format!("Pod {}/{}", pod.at.namespace, pod.name),
            "log",
            error.clone(),
        )
        .expected("readable")
        .at(pod.at_time),
    )
    .at(Place::nodes([node.clone()]))
    .reaches(Place::nodes([node.clone()]))
    .confirm(format!(
        "kubectl get --raw /api/v1/nodes/{node}/proxy/healthz"
    ));
    for signal in signal
        .into_iter()
        .chain(in_docker.then_some("docker-range"))
    {
        finding = finding.signal(signal);
    }
    finding
}
