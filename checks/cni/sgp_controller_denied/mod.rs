//! `cni/sgp-controller-denied`: writes of the VPC resource controller that the cluster refuses.

use std::sync::LazyLock;

use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Fact, Finding, Meta, Role, Severity, SignatureSet, Source,
    Stop, Subject, SubjectKind, Told, told,
};

const META: Meta = Meta {
    id: "cni/sgp-controller-denied",
    title: "The VPC resource controller may not write what pods with security groups need",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Events],
    helps: &[Source::Logs, Source::DaemonSets, Source::Pods],
    signals: &["write-refused", "by-webhook", "by-rbac", "entry-exists"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

/// Events and lines older than this, in seconds, are history.
const RECENT_S: i64 = 3600;
/// Whom the control plane's controller acts as.
const USER: &str = "eks:vpc-resource-controller";

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let settings = CniSettings::here(cx)?;
    let _ = cx.pods().optional();
    let told: Vec<Told<'_>> = told(cx, META.id, &SIGNATURES, RECENT_S)
        .into_iter()
        .filter(still_waits)
        .collect();
    if told.is_empty() {
        if settings.is_some_and(|settings| !settings.pod_eni) {
            return Err(Stop::not_applicable(
                "security groups for pods are off (ENABLE_POD_ENI)",
            ));
        }
        cx.events().some()?;
        return Ok(Vec::new());
    }
    let refusals: Vec<&Told<'_>> = told
        .iter()
        .filter(|one| one.signature() != "branch-entry-exists")
        .collect();
    Ok(vec![if refusals.is_empty() {
        never_told(&told)
    } else {
        refused(&refusals)
    }])
}

/// A pod that has its branch interface by now waits for none.
fn still_waits(told: &Told<'_>) -> bool {
    told.pod.is_none_or(|pod| {
        !pod.metadata
            .annotations
            .contains_key("vpc.amazonaws.com/pod-eni")
    })
}

fn refused(told: &[&Told<'_>]) -> Finding {
    let webhook = told.iter().find_map(|one| one.value("webhook"));
    let resource = told.iter().find_map(|one| one.value("resource"));
    let user = told
        .iter()
        .find_map(|one| one.value("user"))
        .unwrap_or(USER);
    let what = resource.unwrap_or("pods");
    // Several signatures may tell the same Event.
    let mut facts: Vec<Fact> = Vec::new();
    for one in told {
        let fact = one.fact();
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    let (title, signal, fix) = match webhook {
        Some(webhook) => (
            format!("Webhook {webhook} refuses what the VPC resource controller writes to pods"),
            "by-webhook",
            format!("Exempt user {user} in webhook or policy {webhook}"),
        ),
        None if resource.is_some() => (
            format!("The VPC resource controller ({user}) may not write {what}: RBAC refuses it"),
            "by-rbac",
            format!(
                "Restore the ClusterRole and ClusterRoleBinding of {user} that EKS installs, with get, list, watch, patch and update on {what}"
            ),
        ),
        None => (
            "The cluster refuses what the VPC resource controller writes to pods".to_owned(),
            "by-webhook",
            format!(
                "Exempt user {user} in the webhooks and policies that match pods (Kyverno, Gatekeeper, PodSecurityPolicy)"
            ),
        ),
    };
    META.finding(Severity::Critical, title)
        .confidence(Confidence::Confirmed)
        .detail("Branch interfaces are made, and pods are never told: they say only that no address could be assigned, which looks like exhaustion.")
        .subject(Subject::new(SubjectKind::Other, user))
        .subjects(told.iter().take(3).map(|one| one.subject()))
        .facts(facts.into_iter().take(3))
        .signal("write-refused")
        .signal(signal)
        .confirm("kubectl get events -A --field-selector reason=BranchENIAnnotationFailed")
        .confirm(match webhook {
            Some(_) => "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations".to_owned(),
            None => format!("kubectl auth can-i patch {what} --as {user} -A"),
        })
        .fix(fix)
}

fn never_told(told: &[Told<'_>]) -> Finding {
    META.finding(
        Severity::Critical,
        "The VPC resource controller made a branch interface for a pod that was never told of it",
    )
    .detail("The first attempt made the interface, and the write of its annotation to the pod did not get through: a policy or webhook that refuses it does that. The pod itself says only that no address could be assigned.")
    .subject(Subject::new(SubjectKind::Other, USER))
    .subjects(told.iter().take(3).map(Told::subject))
    .facts(told.iter().take(3).map(Told::fact))
    .signal("entry-exists")
    .confirm("kubectl get events -A --field-selector reason=BranchENIAnnotationFailed")
    .confirm(format!("kubectl auth can-i patch pods --as {USER} -A"))
    .confirm("kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations")
    .fix(format!(
        "Exempt user {USER} in the webhooks and policies that match pods, then delete the pod so that it is made anew"
    ))
}
