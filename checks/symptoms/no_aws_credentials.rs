//! `sym/no-aws-credentials`: a program finds no credentials to call AWS with.

use std::collections::BTreeMap;

use eksnet_model::kubernetes::Pod;
use eksnet_model::{
    Confidence, Cx, Fact, Finding, Hits, LogScan, Place, Role, Severity, Source, Stop, Subject,
    SubjectKind, Symptom, Text,
};
use eksnet_probe::Outcome;

use super::failed_calls::{add, caller};

/// Lines older than this, in seconds, are history.
const RECENT_S: i64 = 3600;
/// Variables by which IRSA and Pod Identity give a container a role.
const ROLE_VARIABLES: [&str; 2] = ["AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/no-aws-credentials",
    observe,
};

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut findings = Vec::new();
    for scan in cx.logs().optional().into_iter().flatten() {
        let seen: BTreeMap<&str, (&Hits, &[&str])> = scan
            .hits
            .iter()
            .filter(|hits| cx.within(hits.last, RECENT_S))
            .filter_map(|hits| Some((hits.signature.as_str(), (hits, signals(&hits.signature)?))))
            .collect();
        if !seen.is_empty() {
            add(&mut findings, of_log(cx, scan, &seen));
        }
    }
    for finding in of_probes(cx) {
        add(&mut findings, finding);
    }
    Ok(findings)
}

/// What a line says of the credentials that are missing; `None` for lines that speak of other things.
fn signals(signature: &str) -> Option<&'static [&'static str]> {
    Some(match signature {
        "aws-no-credentials-v1" | "ca-asg-cache-no-providers" => &["no-providers"],
        "aws-no-credentials-v2" | "ec2-role-missing" => &["imds-role-missing"],
        "sts-no-oidc-provider" | "sts-thumbprint" | "sts-issuer-unreachable" => {
            &["web-identity", "no-oidc-provider"]
        }
        "sts-trust-denied" => &["web-identity", "trust-denied"],
        "sts-token-audience"
        | "sts-token-expired"
        | "sts-lookup-failed"
        | "sts-dial-failed"
        | "ca-asg-cache-web-identity" => &["web-identity"],
        "sts-token-unreadable" => &["web-identity", "token-unreadable"],
        "sts-agent-unreachable" => &["agent-unreachable"],
        _ => return None,
    })
}

fn of_log(cx: &Cx<'_>, scan: &LogScan, seen: &BTreeMap<&str, (&Hits, &[&str])>) -> Finding {
    let subject = caller(cx, scan);
    let mut place = Place::default();
    place.nodes.extend(cx.topology().node_of_log(scan));
    place
        .workloads
        .extend(cx.topology().workload_of_log(scan).map(Text::from));
    let last = seen.values().filter_map(|(hits, _)| hits.last).max();
    let ago = last.map_or_else(String::new, |last| {
        format!(", last said {}", last.ago(cx.now()))
    });
    let mut finding = finding(subject, &ago, place).confidence(Confidence::Confirmed);
    for (hits, signals) in seen.values() {
        let sample = hits.samples.last().map(|sample| sample.text.to_string());
        finding = finding.fact(
            Fact::new(
                Source::Logs,
                scan.place(),
                "no credentials",
                format!("{}: {}", hits.times(), sample.unwrap_or_default()),
            )
            .at(hits.last),
        );
        for signal in *signals {
            finding = finding.signal(*signal);
        }
        // The global endpoint lies in another region, out of reach of the region's own endpoints.
        let names_global = |text: &str| text.contains("https://sts.amazonaws.com");
        if hits.samples.iter().any(|sample| names_global(&sample.text)) {
            finding = finding.signal("sts-global");
        }
    }
    match cx.topology().pod_of_log(scan) {
        Some(pod) => finding.signal(role_signal(pod)),
        None => finding,
    }
}

/// Workloads as which a probe ran and found no credentials.
fn of_probes(cx: &Cx<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let run = cx.identity_probes().optional();
    for pod in run.into_iter().flat_map(|run| &run.pods) {
        for (_, outcome) in pod.answers() {
            let Outcome::Sts(sts) = outcome else { continue };
            let (Some(error), Some(path)) = (&sts.error, &pod.at.workload) else {
                continue;
            };
            let parts: Vec<&str> = path.splitn(3, '/').collect();
            let [namespace, kind, name] = parts[..] else {
                continue;
            };
            let kind = match kind {
                "Deployment" => SubjectKind::Deployment,
                "DaemonSet" => SubjectKind::DaemonSet,
                "Pod" => SubjectKind::Pod,
                _ => SubjectKind::Other,
            };
            let subject = Subject::namespaced(kind, namespace, name);
            let place = Place::nodes([pod.at.node.clone()]).of(format!("{namespace}/{name}"));
            let message = sts.message.as_deref().unwrap_or("");
            let mut finding = finding(subject, "", place)
                .confidence(Confidence::Confirmed)
                .fact(
                    Fact::new(
                        Source::IdentityProbes,
                        path.clone(),
                        "GetCallerIdentity",
                        format!("{error}: {message}"),
                    )
                    .expected("the ARN of its role")
                    .at(pod.at_time),
                );
            finding = match sts.provider.as_deref() {
                Some("web-identity") => finding.signal("web-identity").signal("pod-has-role"),
                Some("container") => finding.signal("pod-has-role"),
                _ => finding.signal("no-providers"),
            };
            findings.push(finding);
        }
    }
    findings
}

fn finding(subject: Subject, ago: &str, place: Place) -> Finding {
    let who = match &subject.namespace {
        Some(namespace) => format!("{namespace}/{}", subject.name),
        None => subject.name.to_string(),
    };
    let finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Error,
        format!("{who} has no credentials to call AWS with{ago}"),
    )
    .subject(subject)
    .at(place.clone());
    if place == Place::default() {
        finding
    } else {
        finding.reaches(place)
    }
}

/// Whether the pod itself carries what IRSA or Pod Identity inject: their webhooks act on pods, so a
/// template shows nothing.
fn role_signal(pod: &Pod) -> &'static str {
    let mut variables = pod
        .spec
        .containers
        .iter()
        .flat_map(|container| &container.env);
    if variables.any(|variable| ROLE_VARIABLES.contains(&variable.name.as_str())) {
        "pod-has-role"
    } else {
        "pod-without-role"
    }
}
