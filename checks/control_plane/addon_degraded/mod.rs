//! `control-plane/addon-degraded`: EKS itself says that an add-on does not work.

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Role, Severity, SignatureSet, Source, Stop,
    Subject, SubjectKind,
};

use crate::say::{self, Say};

use eksnet_model::aws::Addon;

const META: Meta = Meta {
    id: "control-plane/addon-degraded",
    title: "EKS reports an add-on as degraded or failed",
    severity: Severity::Error,
    role: Role::Mechanism,
    needs: &[Source::Addons],
    helps: &[Source::Nodes, Source::Logs, Source::Events],
    signals: &["conflict", "not-active", "replicas", "degraded"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[
    Say {
        signatures: &["addon-conflict"],
        title: "An add-on of EKS was not applied: fields of it are owned by someone else",
        detail: "Helm, kubectl or an operator changed or made the objects before; EKS does not overwrite them unless it is told to.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "conflict",
        confirm: "aws eks list-addons --cluster-name {cluster}",
        fix: "aws eks update-addon --cluster-name {cluster} --addon-name ADDON --resolve-conflicts OVERWRITE   # PRESERVE keeps the changed values",
    },
    Say {
        signatures: &["addon-wait-failed"],
        title: "Add-on {addon} did not become active",
        detail: "Its pods do not get ready, or EKS could not apply it; the issues of the add-on say which.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "not-active",
        confirm: "aws eks describe-addon --cluster-name {cluster} --addon-name {addon} --query 'addon.health'",
        fix: "kubectl -n kube-system get pods -o wide   # those of {addon}: without nodes they cannot run",
    },
    Say {
        signatures: &["addon-replicas"],
        title: "An add-on of EKS has too few ready pods",
        detail: "The pods of its Deployment do not run; without nodes they cannot.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "replicas",
        confirm: "kubectl -n kube-system get deployments,pods -o wide",
        fix: "kubectl -n kube-system describe pods   # why they are not ready",
    },
];

/// Add-ons that the network of pods hangs on.
const NETWORKING: [&str; 3] = ["vpc-cni", "coredns", "kube-proxy"];

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let addons = cx.addons().some();
    let mut found = Vec::new();
    if let Ok(addons) = &addons {
        let no_nodes = cx.nodes().optional().is_some_and(Vec::is_empty);
        found.extend(
            addons
                .iter()
                .filter_map(|addon| degraded(cx, addon, no_nodes)),
        );
    }
    if found.is_empty() {
        found = say::findings(cx, &META, &SIGNATURES, "An add-on", SAYS, |_| true);
    }
    if found.is_empty() {
        addons?;
    }
    Ok(found)
}

fn degraded(cx: &Cx<'_>, addon: &Addon, no_nodes: bool) -> Option<Finding> {
    let name = addon.addon_name.as_str();
    let failed = matches!(
        addon.status.as_str(),
        "DEGRADED" | "CREATE_FAILED" | "UPDATE_FAILED" | "DELETE_FAILED"
    );
    let issues = &addon.health.issues;
    // Replicas without nodes are no fault of the add-on.
    let only_replicas = issues
        .iter()
        .all(|issue| issue.code == "InsufficientNumberOfReplicas");
    if (!failed && issues.is_empty()) || (no_nodes && only_replicas) {
        return None;
    }
    let cluster = cx.cluster_name();
    let conflict = issues
        .iter()
        .any(|issue| issue.code == "ConfigurationConflict");
    let state = if addon.status.is_empty() {
        "unhealthy"
    } else {
        addon.status.as_str()
    };
    let codes: Vec<&str> = issues.iter().map(|issue| issue.code.as_str()).collect();
    let why = if codes.is_empty() {
        String::new()
    } else {
        format!(": {}", codes.join(", "))
    };
    let mut finding = META
        .finding(
            if NETWORKING.contains(&name) { Severity::Error } else { Severity::Warning },
            format!("Add-on {name} is {state}{why}"),
        )
        .confidence(Confidence::Confirmed)
        .detail("EKS says so; the issue names what it counted or could not apply.")
        .subject(Subject::new(SubjectKind::Other, format!("add-on {name}")))
        .fact(
            Fact::new(Source::Addons, format!("add-on {name}"), "status", state).expected("ACTIVE"),
        )
        .facts(issues.iter().map(|issue| {
            Fact::new(
                Source::Addons,
                format!("add-on {name}"),
                issue.code.as_str(),
                issue.message.as_str(),
            )
        }))
        .signal(if conflict { "conflict" } else { "degraded" })
        .confirm(format!(
            "aws eks describe-addon --cluster-name {cluster} --addon-name {name} --query 'addon.[status,health]'"
        ));
    finding = if conflict {
        finding.fix(format!(
            "aws eks update-addon --cluster-name {cluster} --addon-name {name} --resolve-conflicts OVERWRITE   # PRESERVE keeps the changed values"
        ))
    } else {
        finding.fix(format!(
            "kubectl -n kube-system get pods -o wide   # those of {name}; then aws eks update-addon --cluster-name {cluster} --addon-name {name}"
        ))
    };
    Some(match name {
        "coredns" => finding.subject(Subject::namespaced(
            SubjectKind::Deployment,
            "kube-system",
            "coredns",
        )),
        _ => finding,
    })
}
