//! What protects CoreDNS from a drain, and drains that happened.

use eksnet_model::kubernetes::{IntOrString, PodDisruptionBudget};
use eksnet_model::{Component, Cx, Deployed, Time};

/// A drain of a node of CoreDNS, by the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Drain {
    pub(super) node: String,
    pub(super) pod: String,
    pub(super) at: Option<Time>,
    /// Whose log says so.
    pub(super) log: String,
}

/// The drains that logs show, oldest first.
pub(super) fn drained(cx: &Cx<'_>) -> Vec<Drain> {
    let mut found = Vec::new();
    for scan in cx.logs().optional().into_iter().flatten() {
        let Some(hits) = scan.hits("ca-removing-coredns-node") else {
            continue;
        };
        let nodes = hits.fields.get("node").into_iter().flatten();
        for (node, _) in nodes {
            // The samples carry the time of each; beyond them only that of the last is known.
            let sample = hits
                .samples
                .iter()
                .find(|sample| sample.text.contains(node.as_str()));
            let pod = hits
                .fields
                .get("pod")
                .into_iter()
                .flatten()
                .find(|(pod, _)| sample.is_none_or(|sample| sample.text.contains(pod.as_str())));
            found.push(Drain {
                node: node.to_string(),
                pod: pod.map_or_else(|| "CoreDNS".to_owned(), |(pod, _)| pod.to_string()),
                at: sample.and_then(|sample| sample.at).or(hits.last),
                log: scan.place(),
            });
        }
    }
    found.sort_by_key(|drain| (drain.at, drain.node.clone()));
    found
}

/// Whether a PodDisruptionBudget of its namespace selects CoreDNS and allows fewer disruptions than
/// it has replicas.
pub(super) fn has_budget(dns: &Deployed<'_>, budgets: &[PodDisruptionBudget]) -> bool {
    let labels = dns
        .deployment
        .map(|deployment| &deployment.spec.template.metadata.labels)
        .or_else(|| dns.pods.first().map(|pod| &pod.metadata.labels));
    let Some(labels) = labels else {
        return false;
    };
    budgets.iter().any(|budget| {
        budget.metadata.namespace == dns.namespace
            && budget
                .spec
                .selector
                .as_ref()
                .is_some_and(|selector| selector.matches(labels))
            && !allows_all(budget, dns.wanted())
    })
}

fn allows_all(budget: &PodDisruptionBudget, replicas: usize) -> bool {
    let is = |value: &Option<IntOrString>, number: i64, text: &str| match value {
        Some(IntOrString::Int(value)) => *value == number,
        Some(IntOrString::String(value)) => value == text,
        None => false,
    };
    let replicas = i64::try_from(replicas).unwrap_or(i64::MAX);
    let all_unavailable = match &budget.spec.max_unavailable {
        Some(IntOrString::Int(value)) => *value >= replicas,
        Some(IntOrString::String(text)) => text == "100%",
        None => false,
    };
    all_unavailable || is(&budget.spec.min_available, 0, "0%")
}

/// Whether an annotation on its pods keeps the autoscaler from evicting them. It must stand on the
/// pod template, and its value be a string.
pub(super) fn is_pinned(dns: &Deployed<'_>, scaler: Component) -> bool {
    let (key, value) = if scaler == Component::Karpenter {
        ("karpenter.sh/do-not-disrupt", "true")
    } else {
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false")
    };
    let of_template = dns
        .deployment
        .map(|deployment| &deployment.spec.template.metadata.annotations);
    let annotations = of_template.or_else(|| dns.pods.first().map(|pod| &pod.metadata.annotations));
    annotations.is_some_and(|all| all.get(key).is_some_and(|saw| saw == value))
}

/// The command that protects it.
pub(super) fn budget_command(dns: &Deployed<'_>) -> String {
    let labels = dns
        .deployment
        .map(|deployment| &deployment.spec.selector.match_labels)
        .filter(|labels| !labels.is_empty());
    let selector = labels.map_or_else(
        || "k8s-app=kube-dns".to_owned(),
        |labels| {
            labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
                .join(",")
        },
    );
    format!(
        "kubectl -n {} create poddisruptionbudget {} --selector={selector} --max-unavailable=1",
        dns.namespace, dns.name
    )
}
