//! `iam/irsa-not-injected`: a service account names a role, and its pods were not given it.

mod by_log;

use std::collections::BTreeMap;

use eksnet_model::kubernetes::{Container, Pod, ServiceAccount};
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Place, Role, Severity, Source, Stop, Subject,
    SubjectKind,
};

const ROLE: &str = "eks.amazonaws.com/role-arn";
const SKIP: &str = "eks.amazonaws.com/skip-containers";
/// What EKS's webhook sets in each container.
const INJECTED: [&str; 2] = ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"];
/// What Pod Identity sets instead.
const INSTEAD: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

const META: Meta = Meta {
    id: "iam/irsa-not-injected",
    title: "A service account names a role, and its pods were not given it",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::ServiceAccounts, Source::Pods],
    helps: &[Source::MutatingWebhooks, Source::Logs],
    signals: &[
        "older-than-account",
        "webhook-missing",
        "wrong-key",
        "uses-node-role",
        "token-not-mounted",
        "webhook-skipped",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let accounts = cx.service_accounts().optional();
    let accounts = accounts.map(Vec::as_slice).unwrap_or_default();
    let mut findings: Vec<Finding> = accounts.iter().filter_map(wrong_key).collect();
    let mut bare: BTreeMap<(&str, &str), Vec<&Pod>> = BTreeMap::new();
    for pod in cx.topology().pods().filter(|pod| lacks_role(pod, accounts)) {
        bare.entry((&pod.metadata.namespace, &pod.spec.service_account_name))
            .or_default()
            .push(pod);
    }
    for pods in bare.values() {
        findings.extend(not_injected(cx, accounts, pods));
    }
    by_log::add(cx, accounts, &mut findings);
    if !findings.is_empty() {
        return Ok(findings);
    }
    let accounts = cx.service_accounts().some()?;
    if accounts
        .iter()
        .all(|one| !one.metadata.annotations.contains_key(ROLE))
    {
        cx.service_accounts().all()?;
        return Err(Stop::not_applicable("no service account names a role"));
    }
    cx.pods().some()?;
    Ok(findings)
}

fn account_of<'a>(pod: &Pod, accounts: &'a [ServiceAccount]) -> Option<&'a ServiceAccount> {
    accounts.iter().find(|account| {
        account.metadata.namespace == pod.metadata.namespace
            && account.metadata.name == pod.spec.service_account_name
            && account.metadata.annotations.contains_key(ROLE)
    })
}

fn lacks_role(pod: &Pod, accounts: &[ServiceAccount]) -> bool {
    // A table of pods shows no containers, and so nothing of what they were given.
    !pod.is_terminal()
        && pod.metadata.deletion_timestamp.is_none()
        && account_of(pod, accounts).is_some()
        && pod
            .spec
            .containers
            .iter()
            .any(|container| !container.image.is_empty() && lacks(pod, container))
}

fn lacks(pod: &Pod, container: &Container) -> bool {
    let skipped = pod.metadata.annotations.get(SKIP);
    let is_skipped =
        skipped.is_some_and(|names| names.split(',').any(|name| name.trim() == container.name));
    let has = |name: &str| container.env.iter().any(|one| one.name == name);
    !is_skipped && !has(INSTEAD) && !INJECTED.iter().all(|name| has(name))
}

fn not_injected(cx: &Cx<'_>, accounts: &[ServiceAccount], pods: &[&Pod]) -> Option<Finding> {
    let first = pods.first()?;
    let account = account_of(first, accounts)?;
    let meta = &account.metadata;
    let role = meta.annotations.get(ROLE)?;
    let is_older = pods.iter().all(|pod| {
        matches!((pod.metadata.creation_timestamp, meta.creation_timestamp),
            (Some(pod), Some(account)) if account.seconds_since(pod) > 0)
    });
    let webhooks = cx.mutating_webhooks().optional();
    let is_missing = cx.mutating_webhooks().is_complete()
        && webhooks.is_some_and(|all| {
            !all.iter().any(|one| {
                one.metadata.name.contains("pod-identity-webhook")
                    || one
                        .webhooks
                        .iter()
                        .any(|hook| hook.name.contains("iam-for-pods"))
            })
        });
    let who = format!("{}/{}", meta.namespace, meta.name);
    let nodes = pods
        .iter()
        .map(|pod| pod.spec.node_name.as_str())
        .filter(|node| !node.is_empty());
    let place = pods
        .iter()
        .fold(Place::nodes(nodes), |place, pod| place.of(pod.workload()));
    let mut finding = META
        .finding(
            Severity::Error,
            match pods.len() {
                1 => format!("Pod {} was not given the role that its service account {who} names", first.metadata.name),
                many => format!("Service account {who} names a role, and {many} pods were not given it"),
            },
        )
        .confidence(Confidence::Confirmed)
        .detail("EKS's webhook sets AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE when a pod is made; without them programs fall back to the node's role. The webhook fails open: when it is not reached, pods start without.")
        .subject(Subject::namespaced(
            SubjectKind::ServiceAccount,
            meta.namespace.as_str(),
            meta.name.as_str(),
        ))
        .fact(Fact::new(
            Source::ServiceAccounts,
            format!("ServiceAccount {who}"),
            ROLE,
            role.as_str(),
        ))
        .at(place.clone())
        .reaches(place);
    for pod in pods.iter().take(5) {
        let name = format!("Pod {}/{}", pod.metadata.namespace, pod.metadata.name);
        finding = finding.subject(Subject::pod(
            pod.metadata.namespace.as_str(),
            pod.metadata.name.as_str(),
        ));
        finding = finding.fact(
            Fact::new(
                Source::Pods,
                name,
                "env",
                "no AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE",
            )
            .expected("both")
            .at(pod.metadata.creation_timestamp),
        );
    }
    if is_older {
        finding = finding.signal("older-than-account").fact(
            Fact::new(
                Source::ServiceAccounts,
                format!("ServiceAccount {who}"),
                "creationTimestamp",
                "later than its pods",
            )
            .at(meta.creation_timestamp),
        );
    }
    if is_missing {
        finding = finding.signal("webhook-missing").fact(
            Fact::new(
                Source::MutatingWebhooks,
                "cluster",
                "pod-identity-webhook",
                "not there",
            )
            .expected("a webhook iam-for-pods.amazonaws.com"),
        );
    }
    Some(remedy(finding, first, is_missing))
}

fn remedy(finding: Finding, pod: &Pod, is_missing: bool) -> Finding {
    let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
    let workload = pod.workload();
    let kind = pod.owner_kind().unwrap_or("pod").to_ascii_lowercase();
    let kind = if kind == "replicaset" {
        "deployment".to_owned()
    } else {
        kind
    };
    let short = workload.rsplit('/').next().unwrap_or(name).to_owned();
    let finding = finding.confirm(format!(
        "kubectl -n {namespace} get pod {name} -o jsonpath='{{.spec.containers[*].env[*].name}}'"
    )).confirm("kubectl get mutatingwebhookconfigurations pod-identity-webhook");
    let finding = if is_missing {
        finding.fix("Make the webhook configuration pod-identity-webhook anew, as the EKS control plane has it; EKS puts it back when the cluster is next updated")
    } else {
        finding
    };
    finding.fix(if kind == "pod" {
        format!("kubectl -n {namespace} delete pod {name}   # and make it anew")
    } else {
        format!("kubectl -n {namespace} rollout restart {kind}/{short}")
    })
}

/// A role under a key that the webhook does not read.
fn wrong_key(account: &ServiceAccount) -> Option<Finding> {
    let meta = &account.metadata;
    if meta.annotations.contains_key(ROLE) {
        return None;
    }
    let (key, role) = meta
        .annotations
        .iter()
        .find(|(_, value)| value.starts_with("arn:") && value.contains(":role/"))?;
    let who = format!("{}/{}", meta.namespace, meta.name);
    Some(
        META.finding(
            Severity::Error,
            format!("Service account {who} has its role under {key}, which EKS does not read"),
        )
        .confidence(Confidence::Confirmed)
        .detail("Only the annotation eks.amazonaws.com/role-arn makes EKS's webhook give a role to pods.")
        .subject(Subject::namespaced(
            SubjectKind::ServiceAccount,
            meta.namespace.as_str(),
            meta.name.as_str(),
        ))
        .fact(
            Fact::new(
                Source::ServiceAccounts,
                format!("ServiceAccount {who}"),
                key.as_str(),
                role.as_str(),
            )
            .expected(format!("under {ROLE}")),
        )
        .signal("wrong-key")
        .confirm(format!(
            "kubectl -n {} get serviceaccount {} -o jsonpath='{{.metadata.annotations}}'",
            meta.namespace, meta.name
        ))
        .fix(format!(
            "kubectl -n {} annotate serviceaccount {} {ROLE}={role}   # then restart its pods",
            meta.namespace, meta.name
        )),
    )
}
