//! `sym/lb-not-created`: a Service or an Ingress that wants a load balancer, and has none.

use std::collections::BTreeMap;

use eksnet_model::kubernetes::Event;
use eksnet_model::{
    Cx, Fact, Finding, Role, Severity, Source, Stop, Subject, SubjectKind, Symptom, Time,
};

/// A load balancer is made within this, in seconds.
const WAIT_S: i64 = 300;
/// Events older than this, in seconds, are history.
const WINDOW_S: i64 = 3600;

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/lb-not-created",
    observe,
};

/// What wants a load balancer.
#[derive(Default)]
struct Wanting<'a> {
    /// Whether it has one; `None` where its status was not shown.
    has: Option<bool>,
    since: Option<Time>,
    /// Whose status says so.
    source: Option<Source>,
    events: Vec<&'a Event>,
}

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut wanting: BTreeMap<(&str, &str, &str), Wanting<'_>> = BTreeMap::new();
    for service in cx.services().optional().into_iter().flatten() {
        if service.spec.kind == "LoadBalancer" {
            let meta = &service.metadata;
            let one = wanting
                .entry(("Service", &meta.namespace, &meta.name))
                .or_default();
            one.has = service.status.as_ref().map(|status| status.exists());
            one.since = meta.creation_timestamp;
            one.source = Some(Source::Services);
        }
    }
    for ingress in cx.ingresses().optional().into_iter().flatten() {
        if ingress.is_of_aws() {
            let meta = &ingress.metadata;
            let one = wanting
                .entry(("Ingress", &meta.namespace, &meta.name))
                .or_default();
            one.has = ingress.status.as_ref().map(|status| status.exists());
            one.since = meta.creation_timestamp;
            one.source = Some(Source::Ingresses);
        }
    }
    for event in cx.events().optional().into_iter().flatten() {
        let object = &event.involved_object;
        if !is_failure(event) || !cx.within(event.last_seen(), WINDOW_S) {
            continue;
        }
        let kind = match object.kind.as_str() {
            "Service" => "Service",
            "Ingress" => "Ingress",
            // A description that was cut off says whose reasons these are by the reasons alone.
            "" => "",
            _ => continue,
        };
        wanting
            .entry((kind, &object.namespace, &object.name))
            .or_default()
            .events
            .push(event);
    }
    Ok(wanting
        .iter()
        .filter(|(_, one)| is_without(cx, one))
        .map(|((kind, namespace, name), one)| finding(kind, namespace, name, one))
        .collect())
}

/// What the load balancer controller, and the service controller of Kubernetes, report as failed.
fn is_failure(event: &Event) -> bool {
    matches!(
        event.reason.as_str(),
        "FailedBuildModel"
            | "FailedDeployModel"
            | "SyncLoadBalancerFailed"
            | "CreatingLoadBalancerFailed"
            | "FailedAddFinalizer"
    )
}

/// An object that has a load balancer may fail to change it: that is something else.
fn is_without(cx: &Cx<'_>, one: &Wanting<'_>) -> bool {
    match one.has {
        Some(true) => false,
        Some(false) => match (cx.now(), one.since) {
            (Some(now), Some(since)) => now.seconds_since(since) > WAIT_S || !one.events.is_empty(),
            _ => true,
        },
        None => !one.events.is_empty(),
    }
}

fn finding(kind: &str, namespace: &str, name: &str, one: &Wanting<'_>) -> Finding {
    let newest = one.events.iter().max_by_key(|event| event.last_seen());
    let what = if name.is_empty() {
        "A Service or Ingress".to_owned()
    } else {
        format!("{kind} {namespace}/{name}").trim().to_owned()
    };
    let why = newest.map_or_else(
        || ", and no Event says why".to_owned(),
        |event| format!(": {}", event.reason),
    );
    let subject = match kind {
        "Service" => Subject::namespaced(SubjectKind::Service, namespace, name),
        _ => Subject::new(SubjectKind::Other, what.as_str()),
    };
    let mut finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Error,
        format!("{what} has no load balancer{why}"),
    )
    .subject(subject);
    if let (Some(source), Some(false)) = (one.source, one.has) {
        finding = finding.fact(
            Fact::new(source, what.as_str(), "status.loadBalancer", "empty")
                .expected("a name")
                .at(one.since),
        );
    }
    for event in one.events.iter().take(3) {
        finding = finding.fact(
            Fact::new(
                Source::Events,
                what.as_str(),
                event.reason.as_str(),
                event.message.as_str(),
            )
            .at(event.last_seen()),
        );
    }
    let signals: Vec<&str> = one
        .events
        .iter()
        .flat_map(|event| says(&event.message))
        .collect();
    for signal in &signals {
        finding = finding.signal(*signal);
    }
    if one.events.is_empty() {
        finding = finding.signal("no-event");
    } else if signals.is_empty() {
        finding = finding.signal("says-other");
    }
    let kind = if kind.is_empty() { "ingress" } else { kind };
    finding.confirm(format!(
        "kubectl -n {} describe {} {}",
        if namespace.is_empty() {
            "NAMESPACE"
        } else {
            namespace
        },
        kind.to_ascii_lowercase(),
        if name.is_empty() { "NAME" } else { name }
    ))
}

/// What a message blames.
fn says(message: &str) -> Vec<&'static str> {
    const WORDS: [(&str, &[&str]); 6] = [
        (
            "says-credentials",
            &[
                "WebIdentityErr",
                "AssumeRoleWithWebIdentity",
                "NoCredentialProviders",
                "no EC2 IMDS role found",
                "failed to refresh cached credentials",
            ],
        ),
        (
            "says-denied",
            &[
                "not authorized to perform",
                "AccessDenied",
                "UnauthorizedOperation",
            ],
        ),
        (
            "says-webhook",
            &["failed calling webhook", "failed to call webhook"],
        ),
        (
            "says-target",
            &[
                "NodePort",
                "TargetGroup port is empty",
                "CreateTargetGroup",
                "is invalid for EC2 instances",
            ],
        ),
        (
            "says-sg-tag",
            &["securityGroup tagged", "tagged security groups"],
        ),
        ("says-subnet", &["subnet", "Availability Zone"]),
    ];
    // A refusal may name the look-up of subnets that it ended: what stands first tells more.
    WORDS
        .iter()
        .find(|(_, words)| words.iter().any(|word| message.contains(word)))
        .map(|(signal, _)| vec![*signal])
        .unwrap_or_default()
}
