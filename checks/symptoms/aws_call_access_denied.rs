//! `sym/aws-call-access-denied`: AWS refused a call of a program in the cluster.

use eksnet_model::kubernetes::Event;
use eksnet_model::{
    Component, Confidence, Cx, Fact, Finding, Hits, LogScan, Place, Role, Sample, Severity, Source,
    Stop, Subject, SubjectKind, Symptom, Text,
};

use super::failed_calls::{add, caller};

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/aws-call-access-denied",
    observe,
};

/// How AWS's services word a refusal, whichever signature caught the line.
const REFUSALS: [&str; 5] = [
    "AccessDenied",
    "UnauthorizedOperation",
    "is not authorized to perform",
    "SignatureDoesNotMatch",
    "Signature expired",
];

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut findings = Vec::new();
    for scan in cx.logs().optional().into_iter().flatten() {
        for hits in &scan.hits {
            if let Some(sample) = hits.samples.iter().find(|sample| is_refusal(&sample.text)) {
                add(&mut findings, of_log(cx, scan, hits, sample));
            }
        }
    }
    for event in cx.events().optional().into_iter().flatten() {
        if event.reason == "MissingIAMPermissions" {
            add(&mut findings, of_event(cx, event));
        }
    }
    Ok(findings)
}

/// A refused exchange of a token is a lack of credentials, not of a permission.
fn is_refusal(text: &str) -> bool {
    REFUSALS.iter().any(|word| text.contains(word)) && !text.contains("AssumeRoleWithWebIdentity")
}

fn of_log(cx: &Cx<'_>, scan: &LogScan, hits: &Hits, sample: &Sample) -> Finding {
    let subject = caller(cx, scan);
    let mut place = Place::default();
    place.nodes.extend(cx.topology().node_of_log(scan));
    place
        .workloads
        .extend(cx.topology().workload_of_log(scan).map(Text::from));
    let who = match &subject.namespace {
        Some(namespace) => format!("{namespace}/{}", subject.name),
        None if scan.component != Component::Unknown && scan.pod.is_empty() => {
            scan.component.name().to_owned()
        }
        None => subject.name.to_string(),
    };
    let fact = Fact::new(
        Source::Logs,
        scan.place(),
        "refused calls",
        format!("{}: {}", hits.times(), sample.text),
    )
    .at(hits.last);
    finding(&who, subject, &sample.text, fact, place)
}

fn of_event(cx: &Cx<'_>, event: &Event) -> Finding {
    let object = &event.involved_object;
    let pod = cx.topology().pod(&object.namespace, &object.name);
    let mut place = Place::default();
    if let Some(pod) = pod {
        place = place.of(pod.workload());
        place.nodes.insert(pod.spec.node_name.as_str().into());
    }
    let who = pod.map_or_else(
        || format!("{}/{}", object.namespace, object.name),
        |pod| pod.workload(),
    );
    let subject = Subject::namespaced(
        SubjectKind::Pod,
        object.namespace.as_str(),
        object.name.as_str(),
    );
    let fact = Fact::new(
        Source::Events,
        format!("{} {}/{}", object.kind, object.namespace, object.name),
        event.reason.as_str(),
        event.message.as_str(),
    )
    .at(event.last_seen());
    finding(&who, subject, &event.message, fact, place)
}

fn finding(who: &str, subject: Subject, text: &str, fact: Fact, place: Place) -> Finding {
    let finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Error,
        match action(text) {
            Some(action) => format!("AWS refuses {action} to {who}"),
            None => format!("AWS refuses a call of {who}"),
        },
    )
    .confidence(Confidence::Confirmed)
    .subject(subject)
    .fact(fact)
    .at(place.clone())
    .reaches(place);
    if text.contains("no VPC endpoint policy allows") {
        finding.signal("vpce-policy")
    } else if text.contains("Signature") {
        finding.signal("signature-expired")
    } else {
        finding.signal("identity-policy")
    }
}

/// The action in `is not authorized to perform: autoscaling:DescribeTags`.
fn action(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("is not authorized to perform:")?;
    let word = rest.split_whitespace().next()?;
    word.contains(':')
        .then(|| word.trim_end_matches([',', '.']))
}
