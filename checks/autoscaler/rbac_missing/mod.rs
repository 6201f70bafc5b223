//! `autoscaler/rbac-missing`: cluster-autoscaler may not read what its release watches.

use std::collections::BTreeSet;

use eksnet_model::{
    Check, Component, Confidence, Cx, Finding, Heard, Meta, Role, Severity, Source, Stop, Subject,
    SubjectKind, log_covers,
};

const SIGNATURE: &str = "ca-rbac-forbidden";
/// Refusals older than this, in seconds, are history.
const WINDOW_S: i64 = 3600;

const META: Meta = Meta {
    id: "autoscaler/rbac-missing",
    title: "cluster-autoscaler may not read what its release watches",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Logs],
    helps: &[Source::Deployments, Source::Pods],
    signals: &["cannot-list", "cannot-lead", "cannot-write"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let findings: Vec<Finding> = Heard::in_logs(cx, &[SIGNATURE], WINDOW_S)
        .iter()
        .filter_map(|said| finding(cx, said))
        .collect();
    if findings.is_empty() {
        log_covers(cx, Component::ClusterAutoscaler, 600)?;
    }
    Ok(findings)
}

fn finding(cx: &Cx<'_>, said: &Heard<'_>) -> Option<Finding> {
    // A log of nobody known may hold the refusals of other programs.
    let is_own = |account: &&str| {
        said.scan.component == Component::ClusterAutoscaler || account.contains("autoscaler")
    };
    let account = said.values("account").find(is_own)?;
    let (namespace, name) = account.split_once(':').unwrap_or(("kube-system", account));
    let resources: BTreeSet<&str> = said.values("resource").collect();
    let verbs: BTreeSet<&str> = said.values("verb").collect();
    let leads = resources.contains("leases") || resources.contains("endpoints");
    let lists = verbs.contains("list") || verbs.contains("watch");
    let what: Vec<&str> = resources.iter().copied().collect();
    let mut finding = META
        .finding(
            if lists || leads {
                Severity::Critical
            } else {
                Severity::Error
            },
            format!(
                "ServiceAccount {namespace}/{name} of cluster-autoscaler may not {} {}",
                verbs.iter().copied().collect::<Vec<_>>().join(" or "),
                what.join(", ")
            ),
        )
        .detail(if lists {
            "Its ClusterRole is older than its release: it waits for ever to list these objects, or decides without them."
        } else {
            "Its roles lack what it does at its start or after a decision."
        })
        .confidence(Confidence::Confirmed)
        .subject(Subject::namespaced(SubjectKind::ServiceAccount, namespace, name))
        .fact(said.fact("lines").expected("no refusal"))
        .at(said.at(cx.topology()));
    for (seen, signal) in [
        (lists, "cannot-list"),
        (leads, "cannot-lead"),
        (!lists && !leads, "cannot-write"),
    ] {
        if seen {
            finding = finding.signal(signal);
        }
    }
    let sole = said.values("group").collect::<Vec<_>>();
    for resource in what {
        let group = known_group(resource)
            .or_else(|| sole.first().copied().filter(|_| sole.len() == 1))
            .unwrap_or("");
        let full = if group.is_empty() {
            resource.to_owned()
        } else {
            format!("{resource}.{group}")
        };
        let mut wanted: Vec<&str> = verbs.iter().copied().collect();
        if lists {
            wanted = vec!["get", "list", "watch"];
        }
        let quoted: Vec<String> = wanted.iter().map(|verb| format!("\"{verb}\"")).collect();
        finding = finding
            .confirm(format!(
                "kubectl auth can-i {} {full} --as=system:serviceaccount:{namespace}:{name}",
                verbs.first().copied().unwrap_or("list")
            ))
            .fix(format!(
                "kubectl patch clusterrole cluster-autoscaler --type=json -p '[{{\"op\":\"add\",\"path\":\"/rules/-\",\"value\":{{\"apiGroups\":[\"{group}\"],\"resources\":[\"{resource}\"],\"verbs\":[{}]}}}}]'",
                quoted.join(",")
            ));
    }
    Some(finding)
}

/// The API group of what cluster-autoscaler reads. Source: the informers in
/// `cluster-autoscaler/utils/kubernetes` and client-go's of the scheduler framework.
fn known_group(resource: &str) -> Option<&'static str> {
    Some(match resource {
        "csinodes"
        | "csidrivers"
        | "csistoragecapacities"
        | "volumeattachments"
        | "storageclasses" => "storage.k8s.io",
        "leases" => "coordination.k8s.io",
        "poddisruptionbudgets" => "policy",
        "replicasets" | "daemonsets" | "statefulsets" | "deployments" => "apps",
        "jobs" | "cronjobs" => "batch",
        "resourceslices" | "resourceclaims" | "deviceclasses" | "resourceclaimtemplates" => {
            "resource.k8s.io"
        }
        "nodes"
        | "pods"
        | "services"
        | "namespaces"
        | "persistentvolumes"
        | "persistentvolumeclaims"
        | "replicationcontrollers"
        | "configmaps"
        | "endpoints"
        | "events" => "",
        _ => return None,
    })
}
