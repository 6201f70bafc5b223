//! `lb/controller-iam`: AWS refuses the calls of the load balancer controller.

use std::sync::LazyLock;

use eksnet_model::{
    Check, Component, Confidence, Cx, Finding, Meta, Role, Severity, SignatureSet, Source, Stop,
    Told,
};

use crate::say::{self, Say};

const META: Meta = Meta {
    id: "lb/controller-iam",
    title: "The load balancer controller may not call AWS",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Logs],
    helps: &[Source::Events],
    signals: &["action-denied", "no-credentials"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[
    Say {
        signatures: &["lbc-denied"],
        title: "The load balancer controller may not call {action}: role {role}",
        detail: "The policy of the controller grows with its versions; a controller with an older policy stops at the first new call, and load balancers are neither made nor changed.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "action-denied",
        confirm: "aws iam list-attached-role-policies --role-name {role}",
        fix: "aws iam create-policy-version --policy-arn POLICY_ARN --set-as-default --policy-document file://iam_policy.json   # docs/install/iam_policy.json of the version that runs",
    },
    Say {
        signatures: &["lbc-denied-ec2"],
        title: "The load balancer controller may not call {action}: role {role}",
        detail: "EC2 refuses calls of the controller; load balancers are neither made nor changed.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "action-denied",
        confirm: "kubectl get serviceaccounts -A -o yaml | grep -B8 role-arn   # the role of the controller",
        fix: "aws iam create-policy-version --policy-arn POLICY_ARN --set-as-default --policy-document file://iam_policy.json   # docs/install/iam_policy.json of the version that runs",
    },
    Say {
        signatures: &["lbc-no-credentials"],
        title: "The load balancer controller has no credentials",
        detail: "Neither its service account nor its node gives it a role: no call of AWS succeeds.",
        severity: Severity::Error,
        confidence: Confidence::Possible,
        signal: "no-credentials",
        confirm: "kubectl -n kube-system get serviceaccount aws-load-balancer-controller -o yaml",
        fix: "kubectl -n kube-system annotate serviceaccount aws-load-balancer-controller eks.amazonaws.com/role-arn=ROLE_ARN && kubectl -n kube-system rollout restart deployment aws-load-balancer-controller",
    },
];

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let found = say::findings(
        cx,
        &META,
        &SIGNATURES,
        "A Service or Ingress",
        SAYS,
        is_controllers,
    );
    if found.is_empty() {
        cx.logs().some()?;
    }
    Ok(found)
}

/// Whether the controller says it: in its own log, on an object that it keeps, or by an action that it
/// alone needs. The service controller of Kubernetes works with the role of the cluster.
fn is_controllers(told: &Told<'_>) -> bool {
    if let Some(object) = told.object {
        let by_service_controller = ["LoadBalancerFailed", "EnsuringLoadBalancer"]
            .iter()
            .any(|word| told.line().contains(word));
        return matches!(
            object.kind.as_str(),
            "" | "Ingress" | "Service" | "TargetGroupBinding" | "Gateway"
        ) && !by_service_controller;
    }
    match told.scan.map(|scan| scan.component) {
        Some(Component::LoadBalancerController) => true,
        Some(Component::Unknown) => {
            told.signature() == "lbc-denied" && !told.line().contains("syncing load balancer")
        }
        _ => false,
    }
}
