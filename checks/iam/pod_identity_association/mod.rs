//! `iam/pod-identity-association`: an association's role does not let Pod Identity in, or a pod was not
//! given what the association promises.

use std::collections::BTreeSet;

use eksnet_model::aws::PodIdentityAssociation;
use eksnet_model::iam::name_of_arn;
use eksnet_model::iam::trust::lacks_for_pod_identity;
use eksnet_model::kubernetes::Pod;
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Meta, Place, Role, Severity, Source, Speaker, Stop,
    Subject, SubjectKind, Why,
};

/// What EKS's webhook sets for an association.
const INJECTED: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
/// How far back a line counts, in seconds.
const RECENT_S: i64 = 3600;
/// Associations take some seconds until pods are given them.
const SETTLES_S: i64 = 60;
const UNTRUSTED: &str = "pia-role-untrusted";
const NONE: &str = "pia-no-association";

const META: Meta = Meta {
    id: "iam/pod-identity-association",
    title: "A Pod Identity association gives its pods no role",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::PodIdentityAssociations, Source::Roles, Source::Pods],
    helps: &[Source::Logs],
    signals: &["untrusted", "no-association", "not-injected"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let associations = cx.pod_identity_associations().optional();
    let associations = associations.map(Vec::as_slice).unwrap_or_default();
    let mut findings = untrusted(cx, associations);
    findings.extend(not_injected(cx, associations));
    for said in Speaker::in_logs(cx, &[UNTRUSTED, NONE], RECENT_S) {
        let is_untrusted = said.has(UNTRUSTED);
        let known = findings
            .iter_mut()
            .find(|finding| is_untrusted && finding.signals.contains("untrusted"));
        match known {
            Some(known) => *known = known.clone().facts(said.facts("refused by EKS")),
            None => findings.push(by_log(cx, associations, &said)),
        }
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    let associations = cx.pod_identity_associations().some()?;
    if associations.is_empty() {
        return Err(Stop::not_applicable(
            "no service account has a Pod Identity association",
        ));
    }
    let roles = cx.roles().some()?;
    let is_open = |one: &&PodIdentityAssociation| {
        roles
            .iter()
            .find(|role| role.name() == name_of_arn(&one.role_arn))
            .and_then(|role| role.assume_role_policy_document.as_ref())
            .is_none_or(|trust| lacks_for_pod_identity(trust).is_none())
    };
    if let Some(open) = associations.iter().find(is_open) {
        let detail = format!(
            "the trust policy of {} was not read, or hangs on conditions",
            open.role_arn
        );
        return Err(Stop::unknown(Gap::new(Source::Roles, Why::Sampled, detail)));
    }
    cx.pods().some()?;
    Ok(findings)
}

fn who(one: &PodIdentityAssociation) -> String {
    format!("{}/{}", one.namespace, one.service_account)
}

fn pods_of<'a>(cx: &Cx<'a>, one: &PodIdentityAssociation) -> Vec<&'a Pod> {
    cx.topology()
        .pods()
        .filter(|pod| {
            pod.metadata.namespace == one.namespace
                && pod.spec.service_account_name == one.service_account
                && !pod.is_terminal()
        })
        .collect()
}

fn untrusted(cx: &Cx<'_>, associations: &[PodIdentityAssociation]) -> Vec<Finding> {
    let roles = cx.roles().optional().map(Vec::as_slice).unwrap_or_default();
    let mut told = BTreeSet::new();
    let mut findings = Vec::new();
    for one in associations {
        let name = name_of_arn(&one.role_arn);
        let lacking = roles
            .iter()
            .find(|role| role.name() == name)
            .and_then(|role| role.assume_role_policy_document.as_ref())
            .and_then(lacks_for_pod_identity)
            .filter(|lacking| !lacking.is_empty());
        let Some(lacking) = lacking.filter(|_| told.insert(name.to_owned())) else {
            continue;
        };
        let place = pods_of(cx, one)
            .iter()
            .fold(Place::default(), |place, pod| place.of(pod.workload()));
        let mut finding = META
            .finding(
                Severity::Error,
                format!("Role {name} does not let Pod Identity {} for service account {}", lacking.join(" and "), who(one)),
            )
            .confidence(Confidence::Confirmed)
            .detail("EKS takes the role for the pod and tags the session: the trust policy has to allow both sts:AssumeRole and sts:TagSession to pods.eks.amazonaws.com.")
            .subject(Subject::new(SubjectKind::Role, name).with_id(one.role_arn.as_str()))
            .subject(account(one))
            .fact(
                Fact::new(Source::Roles, format!("Role {name}"), "trust policy", format!("no {}", lacking.join(", no ")))
                    .expected("sts:AssumeRole and sts:TagSession for pods.eks.amazonaws.com"),
            )
            .fact(Fact::new(Source::PodIdentityAssociations, one.association_id.as_str(), "role of", who(one)))
            .signal("untrusted");
        if place != Place::default() {
            finding = finding.at(place.clone()).reaches(place);
        }
        findings.push(trust_remedy(finding, name));
    }
    findings
}

fn account(one: &PodIdentityAssociation) -> Subject {
    Subject::namespaced(
        SubjectKind::ServiceAccount,
        one.namespace.as_str(),
        one.service_account.as_str(),
    )
}

fn trust_remedy(finding: Finding, role: &str) -> Finding {
    finding
        .confirm(format!("aws iam get-role --role-name {role} --query Role.AssumeRolePolicyDocument"))
        .fix(format!(
            "aws iam update-assume-role-policy --role-name {role} --policy-document '{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":{{\"Service\":\"pods.eks.amazonaws.com\"}},\"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]}}]}}'   # keep its other statements"
        ))
}

/// Pods that were made after their association and were not given it.
fn not_injected(cx: &Cx<'_>, associations: &[PodIdentityAssociation]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for one in associations {
        let bare: Vec<&Pod> = pods_of(cx, one)
            .into_iter()
            .filter(|pod| lacks(pod))
            .collect();
        let Some(first) = bare.first() else {
            continue;
        };
        let is_later = |pod: &&Pod| {
            matches!((pod.metadata.creation_timestamp, one.created_at),
                (Some(pod), Some(association)) if pod.seconds_since(association) > SETTLES_S)
        };
        let confidence = if bare.iter().all(is_later) {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        };
        let (namespace, name) = (&first.metadata.namespace, &first.metadata.name);
        let place = bare
            .iter()
            .fold(Place::default(), |place, pod| place.of(pod.workload()));
        let mut finding = META
            .finding(
                Severity::Error,
                match bare.len() {
                    1 => format!("Pod {namespace}/{name} was not given the association of its service account {}", one.service_account),
                    many => format!("{many} pods of service account {} were not given its association", who(one)),
                },
            )
            .confidence(confidence)
            .detail("EKS's webhook sets AWS_CONTAINER_CREDENTIALS_FULL_URI when a pod is made: older pods have it after a restart, newer ones should have had it.")
            .subject(account(one))
            .fact(
                Fact::new(Source::PodIdentityAssociations, one.association_id.as_str(), "association of", who(one))
                    .at(one.created_at),
            )
            .signal("not-injected")
            .at(place.clone())
            .reaches(place)
            .confirm(format!("kubectl -n {namespace} get pod {name} -o jsonpath='{{.spec.containers[*].env[*].name}}'"))
            .fix(restart(first));
        for pod in bare.iter().take(5) {
            finding = finding.fact(
                Fact::new(
                    Source::Pods,
                    format!("Pod {namespace}/{}", pod.metadata.name),
                    "env",
                    format!("no {INJECTED}"),
                )
                .expected("set")
                .at(pod.metadata.creation_timestamp),
            );
        }
        findings.push(finding);
    }
    findings
}

fn restart(pod: &Pod) -> String {
    let namespace = &pod.metadata.namespace;
    let workload = pod.workload();
    let name = workload.rsplit('/').next().unwrap_or(&pod.metadata.name);
    match pod.owner_kind() {
        Some("DaemonSet") => format!("kubectl -n {namespace} rollout restart daemonset/{name}"),
        Some(_) => format!("kubectl -n {namespace} rollout restart deployment/{name}"),
        None => format!(
            "kubectl -n {namespace} delete pod {}   # and make it anew",
            pod.metadata.name
        ),
    }
}

fn lacks(pod: &Pod) -> bool {
    let shown: Vec<_> = pod
        .spec
        .containers
        .iter()
        .filter(|one| !one.image.is_empty())
        .collect();
    // A role by IRSA comes first in every SDK; keys in the environment do too.
    let has_other = |name: &str| matches!(name, "AWS_ROLE_ARN" | "AWS_ACCESS_KEY_ID" | INJECTED);
    !shown.is_empty()
        && !shown
            .iter()
            .flat_map(|one| &one.env)
            .any(|env| has_other(&env.name))
}

fn by_log(cx: &Cx<'_>, associations: &[PodIdentityAssociation], said: &Speaker<'_>) -> Finding {
    let caller = said.caller();
    let pod = said.pod(cx);
    let own = associations.iter().find(|one| {
        pod.is_some_and(|pod| {
            pod.metadata.namespace == one.namespace
                && pod.spec.service_account_name == one.service_account
        })
    });
    let role = own.map(|one| name_of_arn(&one.role_arn));
    let cluster = cx.cluster_name();
    let finding = if said.has(UNTRUSTED) {
        let title = match role {
            Some(role) => format!("Role {role} does not let Pod Identity take it for {caller}"),
            None => format!(
                "The role of a Pod Identity association does not let EKS take it, for {caller}"
            ),
        };
        let finding = META
            .finding(Severity::Error, title)
            .detail("EKS takes the role for the pod and tags the session: the trust policy has to allow both sts:AssumeRole and sts:TagSession to pods.eks.amazonaws.com.")
            .signal("untrusted")
            .confirm(format!("aws eks list-pod-identity-associations --cluster-name {cluster}"));
        trust_remedy(finding, role.unwrap_or("ROLE"))
    } else {
        let (namespace, name) = said.target();
        META.finding(Severity::Error, format!("EKS has no Pod Identity association for the service account of {caller}"))
            .detail("The pod was given the address of the agent, and EKS knows no association of its service account any more, or not in this cluster.")
            .signal("no-association")
            .confirm(format!("aws eks list-pod-identity-associations --cluster-name {cluster} --namespace {namespace}"))
            .fix(format!("aws eks create-pod-identity-association --cluster-name {cluster} --namespace {namespace} --service-account {name} --role-arn ROLE_ARN"))
    };
    let finding = finding
        .confidence(Confidence::Confirmed)
        .subject(said.subject())
        .facts(said.facts("refused by EKS"));
    if said.place == Place::default() {
        finding
    } else {
        finding.at(said.place.clone()).reaches(said.place.clone())
    }
}
