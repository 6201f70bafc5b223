//! What logs say of roles that did not arrive.

use eksnet_model::iam::name_of_arn;
use eksnet_model::kubernetes::ServiceAccount;
use eksnet_model::{
    Component, Confidence, Cx, Finding, Place, Severity, Speaker, Subject, SubjectKind,
};

use super::{META, ROLE};

/// How far back a line counts, in seconds.
const RECENT_S: i64 = 3600;
const REFUSED: &str = "aws-action-denied";
const NOT_MOUNTED: &str = "irsa-token-missing";
const SKIPPED: &str = "irsa-webhook-skipped";

pub(super) fn add(cx: &Cx<'_>, accounts: &[ServiceAccount], findings: &mut Vec<Finding>) {
    for said in Speaker::in_logs(cx, &[NOT_MOUNTED], RECENT_S) {
        findings.push(not_mounted(&said));
    }
    let annotated: Vec<&ServiceAccount> = accounts
        .iter()
        .filter(|account| account.metadata.annotations.contains_key(ROLE))
        .collect();
    for said in Speaker::in_logs(cx, &[REFUSED], RECENT_S) {
        let Some(user) = said
            .values("user")
            .into_iter()
            .find(|user| is_of_node(user))
        else {
            continue;
        };
        let is_told = findings.iter().any(|finding| {
            finding
                .at
                .workloads
                .iter()
                .any(|one| said.place.workloads.contains(one))
        });
        if let Some(account) = own(cx, &annotated, &said).filter(|_| !is_told) {
            findings.push(of_node(account, &said, user));
        }
    }
    for said in Speaker::in_logs(cx, &[SKIPPED], RECENT_S) {
        for account in &annotated {
            let name = account.metadata.name.as_str();
            if said.values("account").contains(name) {
                findings.push(skipped(account, &said));
            }
        }
    }
}

/// Whether a session is that of an instance: EC2 calls it by the instance's id.
fn is_of_node(user: &str) -> bool {
    let session = user.rsplit('/').next().unwrap_or_default();
    session
        .strip_prefix("i-")
        .is_some_and(|id| id.len() >= 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The account of whoever said it: by its pod, by its component's name, else the only one.
fn own<'a>(
    cx: &Cx<'_>,
    annotated: &[&'a ServiceAccount],
    said: &Speaker<'_>,
) -> Option<&'a ServiceAccount> {
    if let Some(pod) = said.pod(cx) {
        return annotated.iter().copied().find(|account| {
            account.metadata.name == pod.spec.service_account_name
                && account.metadata.namespace == pod.metadata.namespace
        });
    }
    let component = said.component();
    let by_name = annotated.iter().copied().find(|account| {
        component != Component::Unknown && account.metadata.name.contains(component.name())
    });
    by_name.or(match annotated {
        [only] => Some(*only),
        _ => None,
    })
}

fn base(title: String, confidence: Confidence, said: &Speaker<'_>) -> Finding {
    let finding = META
        .finding(Severity::Error, title)
        .confidence(confidence)
        .subject(said.subject());
    if said.place == Place::default() {
        finding
    } else {
        finding.at(said.place.clone()).reaches(said.place.clone())
    }
}

fn account_subject(account: &ServiceAccount) -> Subject {
    Subject::namespaced(
        SubjectKind::ServiceAccount,
        account.metadata.namespace.as_str(),
        account.metadata.name.as_str(),
    )
}

fn of_node(account: &ServiceAccount, said: &Speaker<'_>, user: &str) -> Finding {
    let meta = &account.metadata;
    let role = meta
        .annotations
        .get(ROLE)
        .map_or("", |arn| name_of_arn(arn));
    let (namespace, workload) = said.target();
    base(
        format!(
            "{} calls AWS with its node's role, and its service account {}/{} names role {role}",
            said.caller(),
            meta.namespace,
            meta.name
        ),
        Confidence::Likely,
        said,
    )
    .detail("The session is that of an instance: the pod was not given its own role, or its SDK is too old to use it.")
    .subject(account_subject(account))
    .facts(said.facts(&format!("refused as {user}")))
    .signal("uses-node-role")
    .confirm(format!(
        "kubectl -n {namespace} get pods -o jsonpath='{{range .items[*]}}{{.metadata.name}} {{.spec.serviceAccountName}} {{.spec.containers[*].env[*].name}}{{\"\\n\"}}{{end}}'"
    ))
    .fix(format!("kubectl -n {namespace} rollout restart deployment/{workload}"))
}

fn not_mounted(said: &Speaker<'_>) -> Finding {
    let (namespace, workload) = said.target();
    base(
        format!("{} has the variables of a role and no token is mounted", said.caller()),
        Confidence::Confirmed,
        said,
    )
    .detail("AWS_WEB_IDENTITY_TOKEN_FILE names a file that is not there: variables that were written by hand keep EKS's webhook from mounting the token, or the container was left out.")
    .facts(said.facts("token file"))
    .signal("token-not-mounted")
    .confirm(format!(
        "kubectl -n {namespace} get pods -o jsonpath='{{range .items[*]}}{{.metadata.name}} {{.spec.volumes[*].name}}{{\"\\n\"}}{{end}}'   # aws-iam-token"
    ))
    .fix(format!(
        "Take AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE out of the manifest of {workload}, annotate its service account with {ROLE}, and restart it"
    ))
}

fn skipped(account: &ServiceAccount, said: &Speaker<'_>) -> Finding {
    let meta = &account.metadata;
    base(
        format!(
            "EKS's webhook made a pod of service account {}/{} without the role that the account names",
            meta.namespace, meta.name
        ),
        Confidence::Confirmed,
        said,
    )
    .detail("The webhook did not know the annotation when the pod was made: the account was made or changed just before, or the webhook's cache is stale.")
    .subject(account_subject(account))
    .facts(said.facts("pod was not mutated"))
    .signal("webhook-skipped")
    .confirm(format!(
        "kubectl -n {} get serviceaccount {} -o yaml",
        meta.namespace, meta.name
    ))
    .fix(format!(
        "kubectl -n {} delete pods --field-selector spec.serviceAccountName={}   # their owner makes them anew",
        meta.namespace, meta.name
    ))
}
