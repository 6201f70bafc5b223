//! `iam/token-unreadable`: a token is mounted, and the container's user may not read it.

use eksnet_model::kubernetes::Pod;
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Meta, Place, Role, Running, Severity, Source,
    Speaker, Stop, Subject,
};

/// First minor version of Kubernetes whose kubelet makes mounted tokens readable by the container's
/// user. Source: kubernetes/enhancements, KEP 1205 (bound service account tokens), read November 2026.
const READABLE_SINCE: u32 = 19;
/// How far back a line counts, in seconds.
const RECENT_S: i64 = 3600;
const LINES: [&str; 2] = ["sts-token-unreadable", "token-permission-denied"];

const META: Meta = Meta {
    id: "iam/token-unreadable",
    title: "A token is mounted and the container's user may not read it",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Pods],
    helps: &[Source::Logs],
    signals: &["from-log", "no-fs-group"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let findings: Vec<Finding> = Speaker::in_logs(cx, &LINES, RECENT_S)
        .iter()
        .map(|said| by_log(cx, said))
        .collect();
    if !findings.is_empty() {
        return Ok(findings);
    }
    let pods = cx.pods().some()?;
    // From that version on the kubelet sees to it, whatever the pod says.
    if cx
        .cluster()
        .minor()
        .is_none_or(|minor| minor >= READABLE_SINCE)
    {
        return Ok(Vec::new());
    }
    let unreadable = |pod: &&Pod| {
        has_token(pod)
            && !pod.is_terminal()
            && runs_as_other(pod)
            && pod.spec.security_context.fs_group.is_none()
    };
    Ok(pods.iter().filter(unreadable).map(by_spec).collect())
}

fn has_token(pod: &Pod) -> bool {
    Running::of(Component::of_pod(pod), &pod.spec)
        .is_some_and(|running| running.has_env("AWS_WEB_IDENTITY_TOKEN_FILE"))
}

/// Whether it says that it does not run as root.
fn runs_as_other(pod: &Pod) -> bool {
    let own = pod.spec.containers.iter().map(|one| &one.security_context);
    std::iter::once(&pod.spec.security_context)
        .chain(own)
        .any(|one| one.run_as_non_root == Some(true) || one.run_as_user.is_some_and(|id| id != 0))
}

fn by_log(cx: &Cx<'_>, said: &Speaker<'_>) -> Finding {
    let (namespace, name) = said.target();
    let mut finding = META
        .finding(
            Severity::Error,
            format!("{} may not read the token that is mounted for it", said.caller()),
        )
        .confidence(Confidence::Confirmed)
        .detail("The token is mounted for root; without fsGroup the container's own user gets permission denied, and its SDK finds no credentials.")
        .subject(said.subject())
        .facts(said.facts("permission denied"))
        .signal("from-log")
        .confirm(format!(
            "kubectl -n {namespace} get deployment {name} -o jsonpath='{{.spec.template.spec.securityContext}}'"
        ))
        .fix(fix(namespace, name));
    if let Some(pod) = said.pod(cx)
        && pod.spec.security_context.fs_group.is_none()
    {
        finding = finding.signal("no-fs-group").fact(fs_group(pod));
    }
    if said.place == Place::default() {
        finding
    } else {
        finding.at(said.place.clone()).reaches(said.place.clone())
    }
}

fn fs_group(pod: &Pod) -> Fact {
    let name = format!("Pod {}/{}", pod.metadata.namespace, pod.metadata.name);
    Fact::new(Source::Pods, name, "securityContext.fsGroup", "not set").expected("a group")
}

fn by_spec(pod: &Pod) -> Finding {
    let workload = pod.workload();
    let (namespace, name) = workload.split_once('/').unwrap_or(("default", &workload));
    META.finding(
        Severity::Warning,
        format!("{workload} runs as another user than root and sets no fsGroup for its token"),
    )
    .confidence(Confidence::Possible)
    .detail("Before Kubernetes 1.19 a mounted token is readable by root alone unless the pod names a group for its volumes.")
    .subject(Subject::pod(
        pod.metadata.namespace.as_str(),
        pod.metadata.name.as_str(),
    ))
    .fact(fs_group(pod))
    .signal("no-fs-group")
    .at(Place::default().of(workload.as_str()))
    .reaches(Place::default().of(workload.as_str()))
    .confirm(format!(
        "kubectl -n {namespace} exec {} -- sh -c 'cat $AWS_WEB_IDENTITY_TOKEN_FILE >/dev/null && echo readable'",
        pod.metadata.name
    ))
    .fix(fix(namespace, name))
}

fn fix(namespace: &str, name: &str) -> String {
    format!(
        "kubectl -n {namespace} patch deployment {name} -p '{{\"spec\":{{\"template\":{{\"spec\":{{\"securityContext\":{{\"fsGroup\":65534}}}}}}}}}}'"
    )
}
