//! Namespaces that are alike, and which of them are closed to the others.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::Cx;
use eksnet_model::kubernetes::{LabelSelector, NetworkPolicy, NetworkPolicyRule, Pod};
use eksnet_model::netpol::isolates_ingress;

/// A namespace that stands open, and those like it that do not.
pub(super) struct Kin<'a> {
    pub namespace: &'a str,
    pub kept: BTreeSet<&'a str>,
    /// Its workloads that nothing isolates.
    pub open: BTreeSet<&'a str>,
    /// What makes them alike, in words.
    pub alike: String,
}

#[derive(Default)]
struct Tenant<'a> {
    /// Names of workloads, without the namespace.
    workloads: BTreeSet<String>,
    open: BTreeSet<&'a str>,
}

/// Namespaces that run pods on the pod network.
pub(super) struct Tenants<'a>(BTreeMap<&'a str, Tenant<'a>>);

impl<'a> Tenants<'a> {
    pub(super) fn of(cx: &Cx<'a>, policies: &'a [NetworkPolicy]) -> Self {
        let mut found: BTreeMap<&str, Tenant<'_>> = BTreeMap::new();
        let pods = cx.topology().pods().filter(|pod| {
            !pod.on_host_network() && !pod.is_terminal() && !is_system(&pod.metadata.namespace)
        });
        for pod in pods {
            let tenant = found.entry(&pod.metadata.namespace).or_default();
            let workload = pod.workload();
            let name = workload
                .split_once('/')
                .map_or(workload.as_str(), |(_, name)| name);
            tenant.workloads.insert(name.to_owned());
            if !is_closed(pod, policies) {
                tenant.open.insert(&pod.metadata.name);
            }
        }
        Self(found)
    }

    /// Open namespaces beside closed ones that are alike.
    pub(super) fn left_out(&self) -> Vec<Kin<'a>> {
        let mut found = Vec::new();
        for (namespace, tenant) in self.0.iter().filter(|(_, one)| !one.open.is_empty()) {
            let closed = || {
                self.0
                    .iter()
                    .filter(|(name, one)| one.open.is_empty() && *name != namespace)
            };
            let by_name: BTreeSet<&str> = closed()
                .filter(|(name, _)| stem(name).is_some() && stem(name) == stem(namespace))
                .map(|(name, _)| *name)
                .collect();
            let by_work: BTreeSet<&str> = closed()
                .filter(|(_, one)| one.workloads == tenant.workloads)
                .map(|(name, _)| *name)
                .collect();
            let alike = match (by_name.is_empty(), by_work.is_empty()) {
                (true, true) => continue,
                (false, true) => format!("name: {}-...", stem(namespace).unwrap_or_default()),
                (true, false) => "workloads: the same names".to_owned(),
                (false, false) => format!(
                    "name: {}-..., and workloads: the same names",
                    stem(namespace).unwrap_or_default()
                ),
            };
            found.push(Kin {
                namespace,
                kept: by_name.union(&by_work).copied().collect(),
                open: tenant.open.clone(),
                alike,
            });
        }
        found
    }
}

/// `team` of `team-a`.
fn stem(namespace: &str) -> Option<&str> {
    namespace.rsplit_once('-').map(|(stem, _)| stem)
}

/// Namespaces of the cluster itself and of engines.
pub(super) fn is_system(namespace: &str) -> bool {
    namespace == "default"
        || ["kube-", "calico-", "tigera-", "cilium", "amazon-", "aws-"]
            .iter()
            .any(|start| namespace.starts_with(start))
}

/// Whether a policy isolates all pods of its namespace in ingress, and no rule of its admits any namespace.
pub(super) fn denies_by_default(policy: &NetworkPolicy) -> bool {
    is_every(&policy.spec.pod_selector) && closes(policy)
}

fn closes(policy: &NetworkPolicy) -> bool {
    isolates_ingress(policy) && !policy.spec.ingress.iter().flatten().any(admits_all)
}

/// Whether one policy at least isolates this pod, and none that selects it admits any namespace.
fn is_closed(pod: &Pod, policies: &[NetworkPolicy]) -> bool {
    let selecting: Vec<&NetworkPolicy> = policies
        .iter()
        .filter(|one| one.metadata.namespace == pod.metadata.namespace)
        .filter(|one| isolates_ingress(one) && one.spec.pod_selector.matches(&pod.metadata.labels))
        .collect();
    // A rule for some ports is what the pod serves to all: its namespace is closed on the others.
    !selecting.is_empty() && selecting.iter().all(|one| closes(one))
}

fn admits_all(rule: &NetworkPolicyRule) -> bool {
    rule.ports.is_empty()
        && (rule.from.is_empty()
            || rule.from.iter().any(|peer| {
                peer.namespace_selector.as_ref().is_some_and(is_every)
                    && peer.pod_selector.as_ref().is_none_or(is_every)
            }))
}

fn is_every(selector: &LabelSelector) -> bool {
    selector.match_labels.is_empty() && selector.match_expressions.is_empty()
}

/// Whether an engine other than the VPC CNI's runs: by DaemonSet, or by pod where DaemonSets were read of some
/// namespaces alone.
pub(super) fn has_other_engine(cx: &Cx<'_>) -> bool {
    const NAMES: [&str; 6] = [
        "calico-node",
        "canal",
        "cilium",
        "antrea-agent",
        "weave-net",
        "kube-router",
    ];
    let is_engine = |name: &str| NAMES.iter().any(|engine| name.starts_with(engine));
    let topology = cx.topology();
    topology
        .daemonsets()
        .any(|one| is_engine(&one.metadata.name))
        || topology.pods().any(|pod| is_engine(&pod.metadata.name))
}
