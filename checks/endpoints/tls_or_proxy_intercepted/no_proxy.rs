//! What `NO_PROXY` of a component lacks.

use std::collections::BTreeMap;
use std::net::IpAddr;

use eksnet_model::kubernetes::{Container, Pod};
use eksnet_model::{Component, Cx, Fact, Source};
use ipnet::IpNet;

/// A component that is told of a proxy and not of all that it must not be used for.
pub(super) struct Incomplete {
    pub workload: String,
    pub namespace: String,
    /// `deployment/NAME`.
    pub resource: String,
    pub lacks: Vec<String>,
    /// The whole value that it should have.
    pub wanted: String,
    pub fact: Fact,
}

/// The addresses of the API's Service and of the credential endpoints that the components call.
fn needed(cx: &Cx<'_>) -> Vec<(String, IpAddr)> {
    let cidr = cx
        .eks_cluster()
        .optional()
        .and_then(|cluster| cluster.kubernetes_network_config.service_ipv4_cidr.clone());
    let api = cx
        .services()
        .optional()
        .into_iter()
        .flatten()
        .find(|service| {
            service.metadata.namespace == "default" && service.metadata.name == "kubernetes"
        });
    let first = cidr
        .as_deref()
        .and_then(|cidr| cidr.parse::<IpNet>().ok())
        .and_then(|net| net.hosts().next());
    let address = api
        .and_then(|service| service.spec.cluster_ip.parse().ok())
        .or(first);
    let mut all = Vec::new();
    if let Some(address) = address {
        all.push((cidr.unwrap_or_else(|| address.to_string()), address));
    }
    all.push((
        "169.254.169.254".to_owned(),
        IpAddr::from([169, 254, 169, 254]),
    ));
    let _ = cx.pod_identity_associations().optional();
    if cx.topology().uses_pod_identity() {
        all.push((
            "169.254.170.23".to_owned(),
            IpAddr::from([169, 254, 170, 23]),
        ));
    }
    all
}

/// Components whose `NO_PROXY` lacks something, each workload once.
pub(super) fn incomplete(cx: &Cx<'_>, pods: &[Pod]) -> Vec<Incomplete> {
    let needed = needed(cx);
    let mut found = BTreeMap::new();
    for pod in pods {
        // CoreDNS calls no HTTP host but the API server, and is told of a proxy by nobody.
        if Component::of_pod(pod) == Component::Unknown || pod.is_terminal() {
            continue;
        }
        for container in &pod.spec.containers {
            if let Some(one) = judge(pod, container, &needed) {
                found.entry(one.workload.clone()).or_insert(one);
            }
        }
    }
    found.into_values().collect()
}

fn variable<'c>(container: &'c Container, name: &str) -> Option<&'c str> {
    let lower = name.to_ascii_lowercase();
    let mut all = container.env.iter();
    all.find(|env| env.name == name || env.name == lower)?
        .value
        .as_deref()
}

fn judge(pod: &Pod, container: &Container, needed: &[(String, IpAddr)]) -> Option<Incomplete> {
    let proxy = variable(container, "HTTPS_PROXY").or_else(|| variable(container, "HTTP_PROXY"))?;
    if proxy.is_empty() {
        return None;
    }
    let value = variable(container, "NO_PROXY").unwrap_or("");
    let entries: Vec<&str> = value
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .collect();
    let lacks: Vec<String> = needed
        .iter()
        .filter(|(_, address)| !entries.iter().any(|entry| covers(entry, *address)))
        .map(|(name, _)| name.clone())
        .collect();
    if lacks.is_empty() {
        return None;
    }
    let path = pod.workload_path();
    let parts: Vec<&str> = path.splitn(3, '/').collect();
    let resource = match parts.as_slice() {
        [_, kind, name] => format!("{}/{name}", kind.to_ascii_lowercase()),
        _ => path.clone(),
    };
    let mut wanted: Vec<&str> = entries.clone();
    wanted.extend(lacks.iter().map(String::as_str));
    Some(Incomplete {
        workload: pod.workload(),
        namespace: pod.metadata.namespace.clone(),
        resource,
        wanted: wanted.join(","),
        fact: Fact::new(
            Source::Pods,
            format!("Pod {}", pod.key()),
            "NO_PROXY",
            if value.is_empty() { "not set" } else { value },
        )
        .expected(format!("{}, as HTTPS_PROXY is {proxy}", lacks.join(", "))),
        lacks,
    })
}

/// Whether an entry exempts an address, as Go reads it: `*`, the address, or a block.
fn covers(entry: &str, address: IpAddr) -> bool {
    entry == "*"
        || entry.parse() == Ok(address)
        || entry
            .parse::<IpNet>()
            .is_ok_and(|net| net.contains(&address))
}
