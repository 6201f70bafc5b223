//! `autoscaler/version-mismatch`: cluster-autoscaler is of another release than Kubernetes.

mod by_log;

use eksnet_model::{
    Check, ClusterAutoscaler, Component, Confidence, Cx, Deployed, Fact, Finding, Gap, Meta, Role,
    Severity, Source, Stop, Why,
};

use by_log::Lines;

/// The oldest minor release that any cluster may still need; older ones lack fixes that EKS demands.
const OLD_MINOR: u32 = 24;

const META: Meta = Meta {
    id: "autoscaler/version-mismatch",
    title: "cluster-autoscaler is of another release than Kubernetes",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Deployments],
    helps: &[Source::Pods, Source::Logs],
    signals: &["api-gone", "price-list", "one-minor", "many-minors"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let lines = Lines::of(cx);
    match judge(cx, &lines) {
        Ok(findings) => Ok(findings),
        // A log alone may name both releases, or what the wrong one asks for.
        Err(stop) => match lines.alone(cx) {
            Some(finding) => Ok(vec![finding]),
            None => Err(stop),
        },
    }
}

fn judge(cx: &Cx<'_>, lines: &Lines<'_>) -> Result<Vec<Finding>, Stop> {
    let scalers = Deployed::seen(cx, &[Component::ClusterAutoscaler])?;
    let (mut findings, mut gap) = (Vec::new(), None);
    for deployed in &scalers {
        let by_image = ClusterAutoscaler::of(deployed).and_then(|flags| flags.minor());
        // The log of one of several autoscalers does not name the release of the others.
        let by_log = lines.minor().filter(|_| scalers.len() == 1);
        let own = match (by_image, by_log) {
            (Some(minor), _) | (None, Some(minor)) => Some(minor),
            (None, None) => None,
        };
        match (own, cx.cluster().minor()) {
            (Some(own), Some(cluster)) => {
                findings.extend(finding(cx, deployed, own, cluster, lines))
            }
            (None, _) => gap = Some(unnamed(deployed)),
            (_, None) => {
                gap = Some(Gap::new(
                    Source::Cluster,
                    Why::NotRequested,
                    "the version of Kubernetes is not known",
                ));
            }
        }
    }
    match gap {
        Some(gap) if findings.is_empty() => Err(Stop::unknown(gap)),
        _ if findings.is_empty() => match lines.alone(cx) {
            Some(finding) => Ok(vec![finding]),
            None => Ok(findings),
        },
        _ => Ok(findings),
    }
}

fn unnamed(deployed: &Deployed<'_>) -> Gap {
    Gap::new(
        Source::Deployments,
        Why::Failed,
        format!(
            "the image of {} names no release, and no log shows its start",
            deployed.workload()
        ),
    )
}

fn finding(
    cx: &Cx<'_>,
    deployed: &Deployed<'_>,
    own: u32,
    cluster: u32,
    lines: &Lines<'_>,
) -> Option<Finding> {
    let apart = own.abs_diff(cluster);
    if apart == 0 {
        return None;
    }
    let many = apart >= 2 || own < OLD_MINOR;
    let severity = if many || lines.says_api_gone() {
        Severity::Error
    } else {
        Severity::Warning
    };
    let (namespace, resource) = (deployed.namespace, deployed.resource());
    let running = deployed.running();
    let image = running.map_or("", |running| running.container.image.as_str());
    let container = running.map_or("CONTAINER", |running| running.container.name.as_str());
    let tagged = image.split('@').next().unwrap_or(image);
    let repository = match tagged.rsplit_once(':') {
        // A colon before a slash belongs to the port of a registry.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => tagged,
    };
    let finding = META
        .finding(
            severity,
            format!(
                "cluster-autoscaler ({}) is of release 1.{own}, and Kubernetes is 1.{cluster}",
                deployed.workload()
            ),
        )
        .detail("It carries the scheduler of its own release to foresee where pods would go, and watches the APIs of that release. Upstream tests equal minor releases alone.")
        .confidence(if lines.says_api_gone() {
            Confidence::Confirmed
        } else {
            Confidence::Possible
        })
        .subject(deployed.subject())
        .fact(
            Fact::new(
                Source::Deployments,
                deployed.subject().to_string(),
                "release",
                format!("1.{own} ({image})"),
            )
            .expected(format!("1.{cluster}")),
        )
        .signal(if many { "many-minors" } else { "one-minor" })
        .at(deployed.place())
        .confirm("kubectl version")
        .confirm(format!(
            "kubectl -n {namespace} get {resource} -o jsonpath='{{.spec.template.spec.containers[*].image}}'"
        ))
        .fix(format!(
            "kubectl -n {namespace} set image {resource} {container}={repository}:v1.{cluster}.0   # the newest patch release of 1.{cluster}, with its ClusterRole"
        ));
    Some(lines.added_to(cx, finding))
}
