//! Autoscalers that evicted their own pod.

use eksnet_model::{
    Confidence, Cx, Fact, Finding, Heard, LogScan, Severity, Source, Subject, Text,
};

use super::{META, SAFE};

/// Lines and Events older than this, in seconds, are history.
const WINDOW_S: i64 = 3600;

/// An own pod that was evicted.
pub(super) struct Evicted {
    namespace: String,
    pod: String,
    fact: Fact,
}

pub(super) fn seen(cx: &Cx<'_>) -> Vec<Evicted> {
    let mut found = Vec::new();
    for said in Heard::in_logs(cx, &["ca-evicts-itself"], WINDOW_S) {
        let pod = said.value("pod").and_then(|pod| pod.split_once('/'));
        let pair = pod.or_else(|| Some((said.value("namespace")?, said.value("name")?)));
        if let Some((namespace, pod)) = pair {
            found.push(Evicted {
                namespace: namespace.to_owned(),
                pod: pod.to_owned(),
                fact: said.fact("lines"),
            });
        }
    }
    for event in cx.events().optional().into_iter().flatten() {
        let object = &event.involved_object;
        let is_own = object.kind == "Pod"
            && (object.name.contains("cluster-autoscaler")
                || object.name.starts_with("karpenter-"));
        let drains = event.reason == "ScaleDown" && event.message.contains("deleting pod")
            || event.reason == "Evicted" && event.message.starts_with("Evicted pod");
        if is_own && drains && cx.within(event.last_seen(), WINDOW_S) {
            found.push(Evicted {
                namespace: object.namespace.clone(),
                pod: object.name.clone(),
                fact: Fact::new(
                    Source::Events,
                    format!("Pod {}/{}", object.namespace, object.name),
                    event.reason.as_str(),
                    event.message.as_str(),
                )
                .at(event.last_seen()),
            });
        }
    }
    found
}

/// What the eviction adds to a finding that the annotation is missing.
pub(super) fn add_to(finding: &mut Finding, evicted: &[Evicted]) {
    finding
        .facts
        .extend(evicted.iter().map(|one| one.fact.clone()));
    finding.signals.insert(Text::from("evicted-itself"));
}

/// The finding of evictions alone.
pub(super) fn finding(cx: &Cx<'_>, evicted: &[Evicted]) -> Finding {
    let first = evicted.first();
    let namespace = first.map_or("kube-system", |one| one.namespace.as_str());
    let pod = first.map_or("", |one| one.pod.as_str());
    // The name of a pod begins with that of its Deployment.
    let scan = LogScan {
        namespace: namespace.into(),
        pod: pod.into(),
        ..LogScan::default()
    };
    let workload = cx.topology().workload_of_log(&scan).unwrap_or_default();
    let name = workload.rsplit('/').next().unwrap_or_default().to_owned();
    let mut finding = META
        .finding(
            Severity::Warning,
            format!("Autoscaler pod {namespace}/{pod} was evicted by its own scale-down: nothing keeps its node"),
        )
        .detail("It stopped in the middle of its work, and nothing scales until it runs elsewhere. An annotation on its pods keeps the autoscaler from its own node.")
        .confidence(Confidence::Confirmed)
        .subject(Subject::pod(namespace, pod))
        .confirm(format!(
            "kubectl -n {namespace} get deployment/{name} -o jsonpath='{{.spec.template.metadata.annotations}}'"
        ))
        .fix(format!(
            "kubectl -n {namespace} patch deployment/{name} -p '{{\"spec\":{{\"template\":{{\"metadata\":{{\"annotations\":{{\"{SAFE}\":\"false\"}}}}}}}}}}'"
        ));
    add_to(&mut finding, evicted);
    finding
}
