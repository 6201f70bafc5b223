//! `iam/sts-probe-failed`: STS gives a workload no credentials for its service account.

use std::collections::BTreeMap;

use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, LogScan, Meta, Place, Role, Severity, Source,
    Stop, Subject, SubjectKind,
};
use eksnet_probe::{Outcome, StsOutcome};

const META: Meta = Meta {
    id: "iam/sts-probe-failed",
    title: "STS gives a workload no credentials",
    severity: Severity::Critical,
    role: Role::Mechanism,
    needs: &[Source::IdentityProbes],
    helps: &[Source::Logs],
    signals: &[
        "no-oidc-provider",
        "trust-denied",
        "audience",
        "expired",
        "region-disabled",
        "dns",
        "connect",
        "no-credentials",
        "token-unreadable",
        "agent-unreachable",
        "from-probe",
        "from-log",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// Seconds within which a log line tells of now.
const RECENT_S: i64 = 600;

/// What is known of one workload.
#[derive(Default)]
struct Seen {
    facts: Vec<Fact>,
    nodes: Vec<String>,
    signals: Vec<&'static str>,
    component: Component,
    /// Where it was asked as: `namespace/Kind/name`.
    probed_as: Option<String>,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for scan in cx.logs().optional().into_iter().flatten() {
        from_log(cx, scan, &mut seen);
    }
    if let Some(run) = cx.identity_probes().optional() {
        for pod in &run.pods {
            for (_, outcome) in pod.answers() {
                let Outcome::Sts(sts) = outcome else { continue };
                let Some(signal) = signal_of_probe(sts) else {
                    continue;
                };
                let asked_as = pod.at.workload.as_deref().unwrap_or(&pod.name);
                let entry = seen.entry(without_kind(asked_as)).or_default();
                entry.probed_as = Some(asked_as.to_owned());
                entry.nodes.push(pod.at.node.to_string());
                entry.signals.extend([signal, "from-probe"]);
                entry
                    .facts
                    .push(fact_of_probe(asked_as, sts).at(pod.at_time));
            }
        }
    }
    if seen.is_empty() {
        // Only a run as the workload can say that all is well.
        let run = cx.identity_probes().all()?;
        let asked = run.pods.iter().any(|pod| {
            pod.answers()
                .any(|(_, outcome)| matches!(outcome, Outcome::Sts(sts) if sts.arn.is_some()))
        });
        if !asked {
            return Err(Stop::not_applicable(
                "no workload with a role of its own was probed",
            ));
        }
    }
    Ok(seen
        .into_iter()
        .map(|(workload, seen)| finding(cx.cluster_name(), &workload, seen))
        .collect())
}

/// `namespace/name` of `namespace/Kind/name`.
fn without_kind(workload: &str) -> String {
    match workload.split('/').collect::<Vec<_>>()[..] {
        [namespace, _, name] => format!("{namespace}/{name}"),
        _ => workload.to_owned(),
    }
}

/// What an error of STS means; `None` when it worked. Codes are those of the STS API reference.
fn signal_of_probe(sts: &StsOutcome) -> Option<&'static str> {
    let code = sts.error.as_deref()?;
    let message = sts.message.as_deref().unwrap_or("");
    Some(match code {
        "InvalidIdentityToken" if message.contains("audience") => "audience",
        "InvalidIdentityToken" | "InvalidIdentityTokenException" => "no-oidc-provider",
        "AccessDenied" | "AccessDeniedException" => "trust-denied",
        "ExpiredToken" | "ExpiredTokenException" => "expired",
        "RegionDisabledException" => "region-disabled",
        "dns" => "dns",
        "connect" | "timeout" | "tls" => "connect",
        _ => "no-credentials",
    })
}

fn signal_of_log(signature: &str) -> Option<&'static str> {
    Some(match signature {
        "sts-no-oidc-provider" => "no-oidc-provider",
        "sts-token-audience" => "audience",
        "sts-trust-denied" => "trust-denied",
        "sts-token-expired" => "expired",
        "sts-lookup-failed" => "dns",
        "sts-dial-failed" => "connect",
        "sts-token-unreadable" => "token-unreadable",
        "sts-agent-unreachable" => "agent-unreachable",
        _ => return None,
    })
}

fn from_log(cx: &Cx<'_>, scan: &LogScan, seen: &mut BTreeMap<String, Seen>) {
    for hits in scan.hits.iter().filter(|hits| hits.check == META.id) {
        let Some(signal) = signal_of_log(&hits.signature) else {
            continue;
        };
        if !cx.within(hits.last, RECENT_S) {
            continue;
        }
        let workload = cx
            .topology()
            .workload_of_log(scan)
            .unwrap_or_else(|| scan.component.name().to_owned());
        let entry = seen.entry(workload).or_default();
        entry.component = scan.component;
        if !scan.node.is_empty() {
            entry.nodes.push(scan.node.to_string());
        }
        entry.signals.extend([signal, "from-log"]);
        let sample = hits
            .samples
            .first()
            .map(|sample| sample.text.to_string())
            .unwrap_or_default();
        entry.facts.push(
            Fact::new(
                Source::Logs,
                scan.place(),
                "refused by STS",
                format!("{}: {sample}", hits.times()),
            )
            .at(hits.last),
        );
    }
}

fn fact_of_probe(asked_as: &str, sts: &StsOutcome) -> Fact {
    let provider = sts.provider.as_deref().unwrap_or("no provider");
    let code = sts.error.as_deref().unwrap_or("");
    let message = sts.message.as_deref().unwrap_or("");
    Fact::new(
        Source::IdentityProbes,
        asked_as,
        "GetCallerIdentity with its own credentials",
        format!("{code} ({provider}): {message}"),
    )
    .expected("the ARN of its role")
}

fn finding(cluster: &str, workload: &str, seen: Seen) -> Finding {
    let severity = if seen.component == Component::AwsNode || workload == "kube-system/aws-node" {
        Severity::Critical
    } else {
        Severity::Error
    };
    let cause = seen.signals.first().copied().unwrap_or("no-credentials");
    // The probe brings STS's own error code; a log alone may tell of a time that has passed.
    let confidence = if seen.signals.contains(&"from-probe") {
        Confidence::Confirmed
    } else {
        Confidence::Likely
    };
    let (namespace, name) = workload
        .split_once('/')
        .unwrap_or(("kube-system", workload));
    let place = Place::nodes(seen.nodes.iter().map(String::as_str)).of(workload);
    let mut finding = META
        .finding(severity, format!("{workload} gets no credentials from STS: {}", meaning(cause)))
        .confidence(confidence)
        .detail("Every call of AWS by this workload fails until STS accepts its service account.")
        .subject(Subject::namespaced(SubjectKind::Deployment, namespace, name))
        .facts(seen.facts)
        .at(place.clone())
        .reaches(place)
        .confirm(format!(
            "kubectl -n {namespace} get pods -o jsonpath='{{range .items[*]}}{{.metadata.name}} {{.spec.serviceAccountName}}{{\"\\n\"}}{{end}}' | grep {name}"
        ))
        .confirm(format!(
            "kubectl eksnet doctor --only iam --as-workload {}",
            seen.probed_as.unwrap_or_else(|| format!("{namespace}/Deployment/{name}"))
        ))
        .fix(
            fix(cause)
                .replace("CLUSTER", cluster)
                .replace("NAMESPACE", namespace)
                .replace("WORKLOAD", name),
        );
    for signal in seen.signals {
        finding = finding.signal(signal);
    }
    finding
}

fn meaning(signal: &str) -> &'static str {
    match signal {
        "no-oidc-provider" => "the account has no OIDC provider for this cluster",
        "trust-denied" => "its role's trust policy does not admit its service account",
        "audience" => "the token's audience is not one that the OIDC provider lists",
        "expired" => "STS calls its token expired",
        "region-disabled" => "STS is not activated in this region",
        "dns" => "the name of STS does not resolve",
        "connect" => "STS is not reached",
        "token-unreadable" => "its user may not read the token that is mounted for it",
        "agent-unreachable" => "the Pod Identity agent of its node does not answer",
        _ => "no source of credentials answers",
    }
}

fn fix(signal: &str) -> &'static str {
    match signal {
        "no-oidc-provider" => {
            "eksctl utils associate-iam-oidc-provider --cluster CLUSTER --approve"
        }
        "trust-denied" => {
            "aws iam get-role --role-name ROLE --query Role.AssumeRolePolicyDocument   # its `sub` must be that of WORKLOAD, system:serviceaccount:NAMESPACE:SERVICE_ACCOUNT"
        }
        "audience" => {
            "aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn ARN --client-id sts.amazonaws.com"
        }
        "expired" => {
            "Restart the pod, so that it mounts a fresh token, and compare the node's clock with `date -u`"
        }
        "region-disabled" => {
            "Activate STS for the region under IAM, Account settings, Security Token Service"
        }
        "dns" => {
            "kubectl eksnet doctor --only dns,endpoints/name-unresolvable   # the fault in name resolution that it names is the one to mend"
        }
        "connect" => {
            "kubectl eksnet doctor --only endpoints,net   # the closed way that it names is the one to mend"
        }
        "token-unreadable" => {
            "kubectl -n NAMESPACE patch deployment WORKLOAD -p '{\"spec\":{\"template\":{\"spec\":{\"securityContext\":{\"fsGroup\":65534}}}}}'"
        }
        "agent-unreachable" => {
            "kubectl -n kube-system get pods -l app.kubernetes.io/name=eks-pod-identity-agent -o wide   # the one of this node must be Ready"
        }
        _ => {
            "Give the service account a role: aws eks create-pod-identity-association --cluster-name CLUSTER --namespace NAMESPACE --service-account SERVICE_ACCOUNT --role-arn ROLE"
        }
    }
}
