//! `sym/no-aws-credentials`: a program that calls AWS says that it has no credentials.

use std::collections::BTreeMap;

use eksnet_model::{
    Component, Cx, Fact, Finding, Hits, LogScan, Place, Role, Running, Severity, Source, Stop,
    Subject, Symptom,
};

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/no-aws-credentials",
    observe,
};

/// Seconds within which a log line tells of now.
const RECENT_S: i64 = 600;

/// What a line says, as the causal graph names it; `None` for lines that say something else.
fn signal_of(signature: &str) -> Option<&'static str> {
    Some(match signature {
        "aws-no-credentials-v1" => "no-providers",
        "aws-no-credentials-v2" | "lbc-imds-vpcid" => "imds-role-missing",
        "sts-no-oidc-provider" => "no-oidc-provider",
        "sts-trust-denied" => "trust-denied",
        "sts-token-audience" | "sts-token-expired" | "sts-lookup-failed" | "sts-dial-failed" => {
            "web-identity"
        }
        _ => return None,
    })
}

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut by_workload: BTreeMap<String, Finding> = BTreeMap::new();
    for scan in cx.logs().some()? {
        for hits in scan
            .hits
            .iter()
            .filter(|hits| cx.within(hits.last, RECENT_S))
        {
            let Some(signal) = signal_of(&hits.signature) else {
                continue;
            };
            let workload = cx
                .topology()
                .workload_of_log(scan)
                .unwrap_or_else(|| scan.component.name().to_owned());
            let finding = by_workload
                .remove(&workload)
                .unwrap_or_else(|| begin(cx, scan, &workload));
            by_workload.insert(workload, finding.fact(fact(scan, hits)).signal(signal));
        }
    }
    Ok(by_workload.into_values().collect())
}

fn begin(cx: &Cx<'_>, scan: &LogScan, workload: &str) -> Finding {
    let nodes = Some(scan.node.as_str()).filter(|node| !node.is_empty());
    let place = Place::nodes(nodes).of(workload);
    let subject = if scan.pod.is_empty() {
        Subject::new(eksnet_model::SubjectKind::Other, workload)
    } else {
        Subject::pod(scan.namespace.clone(), scan.pod.clone())
    };
    let finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Error,
        format!("{workload} has no credentials for AWS"),
    )
    .subject(subject)
    .at(place.clone())
    .reaches(place);
    match cx.topology().pod_of_log(scan) {
        Some(pod) => {
            let running = Running::of(Component::of_pod(pod), &pod.spec);
            let own = ["AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
            let has_role = running.is_some_and(|one| own.iter().any(|name| one.has_env(name)));
            finding.signal(if has_role {
                "pod-has-role"
            } else {
                "pod-without-role"
            })
        }
        None => finding,
    }
}

fn fact(scan: &LogScan, hits: &Hits) -> Fact {
    let sample = hits
        .samples
        .first()
        .map(|sample| sample.text.to_string())
        .unwrap_or_default();
    let saw = format!("{} times: {sample}", hits.count);
    Fact::new(Source::Logs, scan.place(), "no credentials", saw).at(hits.last)
}
