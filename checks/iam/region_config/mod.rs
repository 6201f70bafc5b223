//! `iam/region-config`: a component has no region, or a value that is none of its own.

use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Meta, Place, Role, Running, Severity, Source,
    Speaker, Stop, Subject, SubjectKind,
};

/// How far back a line counts, in seconds.
const RECENT_S: i64 = 3600;
const MISSING: &str = "region-missing";
const INVALID: &str = "region-invalid";
const ZONE: &str = "region-is-zone";
const OTHER: &str = "region-differs";
const AUTOSCALER: &str = "ca-asg-cache-region";
const VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// Components that work on the cluster's own instances and subnets, and so in its region alone.
const BOUND: [Component; 5] = [
    Component::AwsNode,
    Component::ClusterAutoscaler,
    Component::Karpenter,
    Component::LoadBalancerController,
    Component::EbsCsi,
];

const META: Meta = Meta {
    id: "iam/region-config",
    title: "A component has no region, or a value that is not its region",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Pods],
    helps: &[Source::Deployments, Source::DaemonSets, Source::Logs],
    signals: &[
        "missing",
        "zone",
        "other-region",
        "invalid",
        "from-log",
        "from-env",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut findings = by_env(cx);
    for said in Speaker::in_logs(cx, &[MISSING, INVALID, ZONE, OTHER, AUTOSCALER], RECENT_S) {
        let same = |finding: &Finding| {
            finding
                .at
                .workloads
                .iter()
                .any(|one| said.place.workloads.contains(one))
                || (said.place.workloads.is_empty() && finding.subjects.contains(&said.subject()))
        };
        match findings.iter().position(same) {
            Some(at) => {
                let finding = findings.remove(at);
                findings.insert(at, finding.facts(said.facts("region")).signal("from-log"));
            }
            None => findings.push(by_log(cx, &said)),
        }
    }
    if findings.is_empty() {
        cx.pods().some()?;
    }
    Ok(findings)
}

/// Whether a text is the name of an availability zone: a region with a letter behind it.
fn is_zone(text: &str) -> bool {
    let mut characters = text.chars().rev();
    let letter = characters.next().is_some_and(|c| c.is_ascii_lowercase());
    let digit = characters.next().is_some_and(|c| c.is_ascii_digit());
    letter && digit && text.matches('-').count() >= 2
}

fn by_env(cx: &Cx<'_>) -> Vec<Finding> {
    let deployments = cx.deployments().optional().into_iter().flatten();
    let daemonsets = cx.daemonsets().optional().into_iter().flatten();
    let pods = cx.pods().optional().into_iter().flatten();
    let specs = deployments
        .map(|one| {
            (
                SubjectKind::Deployment,
                &one.metadata,
                &one.spec.template.spec,
                &one.spec.template.metadata.labels,
            )
        })
        .chain(daemonsets.map(|one| {
            (
                SubjectKind::DaemonSet,
                &one.metadata,
                &one.spec.template.spec,
                &one.spec.template.metadata.labels,
            )
        }))
        .map(|(kind, meta, spec, labels)| {
            (
                kind,
                format!("{}/{}", meta.namespace, meta.name),
                spec,
                labels,
            )
        })
        .chain(pods.filter(|pod| !pod.is_terminal()).map(|pod| {
            let kind = match pod.owner_kind() {
                Some("DaemonSet") => SubjectKind::DaemonSet,
                Some(_) => SubjectKind::Deployment,
                None => SubjectKind::Pod,
            };
            (kind, pod.workload(), &pod.spec, &pod.metadata.labels)
        }));
    let own = cx.cluster().region.as_deref();
    let mut findings: Vec<Finding> = Vec::new();
    for (kind, workload, spec, labels) in specs {
        let component = Component::of(spec, labels);
        let Some(running) = Running::of(component, spec) else {
            continue;
        };
        for name in VARIABLES {
            let Some(value) = running
                .env(name)
                .map(str::trim)
                .filter(|value| !value.is_empty())
            else {
                continue;
            };
            let signal = if is_zone(value) {
                "zone"
            } else if own.is_some_and(|own| own != value) && BOUND.contains(&component) {
                "other-region"
            } else {
                continue;
            };
            let place = Place::default().of(workload.as_str());
            if findings.iter().any(|known| known.at == place) {
                continue;
            }
            let (namespace, short) = workload
                .split_once('/')
                .unwrap_or(("kube-system", &workload));
            let wanted = own
                .or(value.get(..value.len() - 1).filter(|_| signal == "zone"))
                .unwrap_or("REGION");
            let what = if signal == "zone" {
                "an availability zone"
            } else {
                "another region than the cluster's"
            };
            let source = match kind {
                SubjectKind::Deployment if cx.pods().optional().is_none() => Source::Deployments,
                SubjectKind::DaemonSet if cx.pods().optional().is_none() => Source::DaemonSets,
                _ => Source::Pods,
            };
            let finding = META
                .finding(Severity::Error, format!("{workload} has {what}, {value}, for its region"))
                .confidence(Confidence::Confirmed)
                .detail("Host names of AWS and signatures are made from the region: with a zone no such host exists, in another region the cluster's objects do not.")
                .subject(Subject::namespaced(kind, namespace, short))
                .fact(Fact::new(source, workload.as_str(), name, value).expected(wanted))
                .signal(signal)
                .signal("from-env")
                .at(place.clone())
                .reaches(place);
            findings.push(remedy(finding, namespace, short, kind, wanted));
        }
    }
    findings
}

fn by_log(cx: &Cx<'_>, said: &Speaker<'_>) -> Finding {
    let caller = said.caller();
    let value = ["zone", "region", "region2"]
        .iter()
        .find_map(|field| said.values(field).into_iter().next());
    let named_zone = value.filter(|value| is_zone(value));
    let (title, signal) = match (named_zone, said.has(INVALID), said.has(OTHER), value) {
        (Some(zone), ..) => (
            format!("{caller} has an availability zone, {zone}, for its region"),
            "zone",
        ),
        (None, _, true, Some(other)) => (
            format!(
                "{caller} signs for region {other}, and the endpoint that it calls is of another"
            ),
            "other-region",
        ),
        (None, _, true, None) => (
            format!("{caller} signs for another region than that of the endpoint that it calls"),
            "other-region",
        ),
        (None, true, _, Some(value)) => (
            format!("{caller} has {value} for its region, and there is no such region"),
            "invalid",
        ),
        (None, true, _, None) => (
            format!("{caller} has a region that there is not"),
            "invalid",
        ),
        _ => (format!("{caller} has no region"), "missing"),
    };
    let own = cx.cluster().region.as_deref();
    let by_zone = named_zone.and_then(|zone| zone.get(..zone.len() - 1));
    let wanted = own.or(by_zone).unwrap_or("REGION");
    let mut finding = META
        .finding(Severity::Error, title)
        .confidence(Confidence::Confirmed)
        .detail("Host names of AWS and signatures are made from the region; the program's SDK finds no right one in its environment, its flags or the metadata service.")
        .subject(said.subject())
        .facts(said.facts("region"))
        .signal(signal)
        .signal("from-log");
    if said.place != Place::default() {
        finding = finding.at(said.place.clone()).reaches(said.place.clone());
    }
    let (namespace, name) = said.target();
    remedy(finding, namespace, name, said.subject().kind, wanted)
}

fn remedy(
    finding: Finding,
    namespace: &str,
    name: &str,
    kind: SubjectKind,
    region: &str,
) -> Finding {
    let kind = match kind {
        SubjectKind::DaemonSet => "daemonset",
        _ => "deployment",
    };
    finding
        .confirm(format!(
            "kubectl -n {namespace} set env {kind}/{name} --list | grep -i region"
        ))
        .fix(format!(
            "kubectl -n {namespace} set env {kind}/{name} AWS_REGION={region}"
        ))
}
