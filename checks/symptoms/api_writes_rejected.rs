//! `sym/api-writes-rejected`: the API server refuses writes because a webhook cannot be called.

use std::collections::BTreeMap;

use eksnet_model::kubernetes::Event;
use eksnet_model::{
    Cx, Fact, Finding, Place, Role, Severity, Source, Stop, Subject, SubjectKind, Symptom,
};

/// Events older than this, in seconds, are history.
const WINDOW_S: i64 = 3600;

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/api-writes-rejected",
    observe,
};

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut webhooks: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in cx.events().some()? {
        if let Some(name) = failed_webhook(&event.message)
            && cx.within(event.last_seen(), WINDOW_S)
        {
            webhooks.entry(name).or_default().push(event);
        }
    }
    Ok(webhooks
        .iter()
        .filter_map(|(name, events)| finding(cx, name, events))
        .collect())
}

/// The webhook in `failed calling webhook "NAME": ..`.
fn failed_webhook(message: &str) -> Option<&str> {
    let rest = message.split_once("failed calling webhook \"")?.1;
    rest.split_once('"').map(|(name, _)| name)
}

fn finding(cx: &Cx<'_>, name: &str, events: &[&Event]) -> Option<Finding> {
    let newest = events.iter().max_by_key(|event| event.last_seen())?;
    let object = &newest.involved_object;
    let times: u32 = events.iter().map(|event| event.times()).sum();
    let times = match times {
        1 => "once".to_owned(),
        many => format!("{many} times"),
    };
    let last = newest
        .last_seen()
        .map(|last| format!(", last {}", last.ago(cx.now())))
        .unwrap_or_default();
    let mut finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Error,
        format!("Webhook {name} cannot be called, and writes fail over it ({times}{last})"),
    )
    .subject(Subject::new(SubjectKind::Other, name))
    .fact(
        Fact::new(
            Source::Events,
            format!("{} {}/{}", object.kind, object.namespace, object.name),
            newest.reason.as_str(),
            newest.message.as_str(),
        )
        .at(newest.last_seen()),
    )
    .at(Place::default())
    .confirm(format!(
        "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o yaml | grep -B2 -A12 'name: {name}'"
    ));
    let says = |words: &[&str]| {
        events
            .iter()
            .any(|event| words.iter().any(|word| event.message.contains(word)))
    };
    for (seen, signal) in [
        (
            says(&[
                "context deadline exceeded",
                "i/o timeout",
                "Client.Timeout",
                "no route to host",
            ]),
            "webhook-timeout",
        ),
        (
            says(&["no endpoints available for service"]),
            "webhook-no-endpoints",
        ),
        (says(&["connection refused"]), "webhook-refused"),
        (name.ends_with(".elbv2.k8s.aws"), "lb-webhook"),
    ] {
        if seen {
            finding = finding.signal(signal);
        }
    }
    Some(finding)
}
