//! `sym/probe-pod-not-started`: a probe pod of ours met what other pods meet on that node.
//!
//! A refused image, Pod Security or quota is a matter of our pod alone and no symptom: the run lists it as
//! a gap.

use std::collections::BTreeMap;

use eksnet_model::{
    Cx, Fact, Finding, NotStarted, Place, ProbePod, Role, SandboxFailure, Severity, Source, Stop,
    Subject, Symptom, Text,
};

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/probe-pod-not-started",
    observe,
};

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let run = cx.probes().some()?;
    let mut nodes: BTreeMap<&Text, (&ProbePod, &NotStarted, Reason)> = BTreeMap::new();
    for pod in &run.pods {
        let Some(why) = &pod.not_started else {
            continue;
        };
        if let Some(reason) = reason(why) {
            nodes.entry(&pod.at.node).or_insert((pod, why, reason));
        }
    }
    Ok(nodes
        .into_values()
        .map(|(pod, why, reason)| finding(pod, why, reason))
        .collect())
}

#[derive(Clone, Copy)]
enum Reason {
    Sandbox(SandboxFailure),
    OutOfPods,
    Timeout,
}

/// What counts for other pods as well.
fn reason(why: &NotStarted) -> Option<Reason> {
    match why.reason.as_str() {
        "FailedCreatePodSandBox" | "NetworkNotReady" => {
            Some(Reason::Sandbox(SandboxFailure::of_message(&why.message)))
        }
        "OutOfpods" | "OutOfPods" => Some(Reason::OutOfPods),
        "Timeout" => Some(Reason::Timeout),
        _ => None,
    }
}

fn finding(pod: &ProbePod, why: &NotStarted, reason: Reason) -> Finding {
    let node = &pod.at.node;
    let (clause, signal) = match reason {
        Reason::Sandbox(failure) => (failure.clause(), failure.signal()),
        Reason::OutOfPods => ("its kubelet admits no more pods", "out-of-pods"),
        Reason::Timeout => ("it did not start in time", "timeout"),
    };
    Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Error,
        format!("Probe pod on node {node} did not start: {clause}"),
    )
    .subject(Subject::node(node.clone()))
    .fact(
        Fact::new(
            Source::Probes,
            format!("Pod {}/{}", pod.at.namespace, pod.name),
            why.reason.clone(),
            why.message.clone(),
        )
        .expected("started")
        .at(pod.at_time),
    )
    .at(Place::nodes([node.clone()]))
    .reaches(Place::nodes([node.clone()]))
    .signal(signal)
    .confirm(format!(
        "kubectl get events -A --field-selector reason=FailedCreatePodSandBox | grep {node}"
    ))
}
