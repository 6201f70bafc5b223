//! `cni/iam-missing`: calls of EC2 that aws-node's role may not make.

mod refusals;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Finding, Meta, Place, Role, Severity, SignatureSet, Source,
    Stop, Subject, SubjectKind,
};

use refusals::{Refusals, Weight};

const META: Meta = Meta {
    id: "cni/iam-missing",
    title: "aws-node's role lacks permissions that the VPC CNI needs",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Logs, Source::Events],
    helps: &[Source::DaemonSets, Source::CniMetrics],
    signals: &[
        "denied-write",
        "denied-describe",
        "denied-optional",
        "metric-unauthorized",
        "init-stops",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let settings = CniSettings::here(cx)?;
    if settings.is_some_and(|settings| settings.imds_only) {
        return Err(Stop::not_applicable(
            "aws-node takes what it needs from instance metadata: it calls nothing of EC2",
        ));
    }
    let seen = refusals::seen(cx, META.id, &SIGNATURES);
    if seen.facts.is_empty() {
        cx.logs().some()?;
        cx.events().some()?;
        return Ok(Vec::new());
    }
    Ok(vec![finding(cx, seen)])
}

fn finding(cx: &Cx<'_>, seen: Refusals) -> Finding {
    let actions: Vec<&str> = seen.actions.iter().map(String::as_str).collect();
    let who = seen.role.as_ref().map_or_else(
        || "The role of aws-node".to_owned(),
        |role| format!("Role {role} of aws-node"),
    );
    let weight = seen.weight();
    let (severity, confidence) = match weight {
        Weight::Writes => (Severity::Critical, Confidence::Confirmed),
        Weight::Reads => (Severity::Error, Confidence::Confirmed),
        Weight::Optional => (Severity::Warning, Confidence::Confirmed),
        Weight::Unsaid => (Severity::Error, Confidence::Possible),
    };
    let title = match actions.as_slice() {
        [] if weight == Weight::Unsaid => {
            "aws-node ends at its start: it cannot read its node's interfaces from EC2".to_owned()
        }
        [] => format!("{who} may not make a call of EC2"),
        [one] => format!("{who} may not call {one}"),
        [one, rest @ ..] => {
            let many = if rest.len() == 1 { "action" } else { "actions" };
            format!("{who} may not call {one} and {} more {many}", rest.len())
        }
    };
    let mut finding = META
        .finding(severity, title)
        .confidence(confidence)
        .detail(detail(weight))
        .subject(Subject::namespaced(
            SubjectKind::DaemonSet,
            "kube-system",
            "aws-node",
        ))
        .facts(seen.facts.iter().take(6).cloned())
        .at(Place::nodes(seen.nodes.clone()).of("kube-system/aws-node"))
        .signal(weight.signal());
    if seen.by_metric {
        finding = finding.signal("metric-unauthorized");
    }
    if let Some(role) = &seen.role {
        finding = finding
            .subject(Subject::new(SubjectKind::Role, role.clone()))
            .confirm(format!(
                "aws iam list-attached-role-policies --role-name {role}"
            ));
    }
    let role = seen.role.as_deref().unwrap_or("ROLE_OF_AWS_NODE");
    let partition = cx.cluster().partition.as_deref().unwrap_or("aws");
    finding
        .confirm("kubectl -n kube-system get serviceaccount aws-node -o jsonpath='{.metadata.annotations}'   # none: the node's role counts")
        .confirm("kubectl get events -n kube-system --field-selector reason=MissingIAMPermissions")
        .fix(fix(role, partition, &seen.actions))
        .fix("kubectl -n kube-system rollout restart daemonset/aws-node")
}

fn detail(weight: Weight) -> &'static str {
    match weight {
        Weight::Writes => {
            "The address daemon cannot get interfaces or addresses: pods that start wait in ContainerCreating once its stock is used."
        }
        Weight::Reads => {
            "The address daemon cannot read its interfaces: it may not start, and does not mend what changed."
        }
        Weight::Optional => {
            "A feature that hangs on the call is off; addresses are given all the same."
        }
        Weight::Unsaid => {
            "The log does not say why. Missing permissions for ec2:DescribeNetworkInterfaces, and credentials that do not come, are the usual reasons; instance metadata that is out of step is another."
        }
    }
}

/// The managed policy, or a policy of one's own where it does not hold what is missing.
fn fix(role: &str, partition: &str, actions: &BTreeSet<String>) -> String {
    let own: Vec<String> = actions
        .iter()
        .filter(|action| !refusals::in_managed_policy(action))
        .map(|action| format!("\"{action}\""))
        .collect();
    if own.is_empty() {
        format!(
            "aws iam attach-role-policy --policy-arn arn:{partition}:iam::aws:policy/AmazonEKS_CNI_Policy --role-name {role}"
        )
    } else {
        format!(
            "aws iam put-role-policy --role-name {role} --policy-name vpc-cni --policy-document '{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":[{}],\"Resource\":\"*\"}}]}}'",
            own.join(",")
        )
    }
}
