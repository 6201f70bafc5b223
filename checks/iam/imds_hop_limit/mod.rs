//! `iam/imds-hop-limit`: pods that live on the node's role, on instances whose metadata service does
//! not answer pods.

mod by_log;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::aws::MetadataOptions;
use eksnet_model::kubernetes::Pod;
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Meta, Place, Role, Running, Severity, Source,
    Stop, Subject, SubjectKind,
};
use eksnet_probe::Outcome;

/// Hops that an answer needs to reach a pod: the pod's network namespace is one more than the node.
/// Source: AL2023 page of the EKS user guide, read November 2026.
const HOPS_TO_A_POD: u32 = 2;
/// Environment variables that give a container credentials of its own, as the SDKs read them.
const OWN_CREDENTIALS: [&str; 3] = [
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_ACCESS_KEY_ID",
];

const META: Meta = Meta {
    id: "iam/imds-hop-limit",
    title: "Pods that rely on the node role cannot reach the metadata service",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Pods, Source::Instances],
    helps: &[Source::Probes, Source::Logs],
    signals: &[
        "hop-limit-1",
        "imds-disabled",
        "pod-without-role",
        "token-timeout",
        "log-no-credentials",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// Why the metadata service does not answer a pod.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    HopLimit(u32),
    Disabled,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let judged = by_options(cx);
    let known = judged.as_deref().unwrap_or_default();
    let logged = by_log::findings(cx, known);
    match judged {
        Ok(findings) => Ok([findings, logged].concat()),
        Err(stop) if logged.is_empty() => Err(stop),
        Err(_) => Ok(logged),
    }
}

/// What the settings of instances say, for the pods that rely on them.
fn by_options(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let pods = cx.pods().some()?;
    let callers: Vec<&Pod> = pods
        .iter()
        .filter(|pod| Component::CALLING_AWS.contains(&Component::of_pod(pod)))
        .filter(|pod| !pod.is_terminal())
        .collect();
    let relying: Vec<&Pod> = callers
        .iter()
        .copied()
        .filter(|pod| !has_own_credentials(pod))
        .collect();
    if relying.is_empty() && cx.pods().is_complete() {
        return Err(Stop::not_applicable(if callers.is_empty() {
            "no component that calls AWS runs as a pod"
        } else {
            "every component that calls AWS has a role of its own"
        }));
    }
    cx.instances().some()?;
    let mut by_workload: BTreeMap<(String, Fault), Vec<&Pod>> = BTreeMap::new();
    for pod in relying {
        if let Some(fault) = fault(cx, pod) {
            by_workload
                .entry((pod.workload(), fault))
                .or_default()
                .push(pod);
        }
    }
    Ok(by_workload
        .iter()
        .filter_map(|((workload, fault), pods)| finding(cx, workload, *fault, pods))
        .collect())
}

fn has_own_credentials(pod: &Pod) -> bool {
    Running::of(Component::of_pod(pod), &pod.spec)
        .is_some_and(|running| OWN_CREDENTIALS.iter().any(|name| running.has_env(name)))
}

fn options<'a>(cx: &Cx<'a>, pod: &Pod) -> Option<(&'a str, &'a MetadataOptions)> {
    let instance = cx
        .topology()
        .instance_of(cx.topology().node(&pod.spec.node_name)?)?;
    Some((&instance.instance_id, &instance.metadata_options))
}

fn fault(cx: &Cx<'_>, pod: &Pod) -> Option<Fault> {
    let (_, options) = options(cx, pod)?;
    if options.http_endpoint.as_deref() == Some("disabled") {
        return Some(Fault::Disabled);
    }
    let limit = options.http_put_response_hop_limit?;
    let wants_token = options.http_tokens.as_deref() == Some("required");
    // A pod on the node's network is as near as the node.
    (wants_token && limit < HOPS_TO_A_POD && !pod.on_host_network())
        .then_some(Fault::HopLimit(limit))
}

fn finding(cx: &Cx<'_>, workload: &str, fault: Fault, pods: &[&Pod]) -> Option<Finding> {
    let nodes: BTreeSet<&str> = pods.iter().map(|pod| pod.spec.node_name.as_str()).collect();
    let probed = probed(cx, &nodes);
    // A pod of that node was answered: whatever the setting says, it is not what stands in the way.
    if fault != Fault::Disabled && probed.iter().any(|(_, state)| *state == "ok") {
        return None;
    }
    let why = match fault {
        Fault::HopLimit(limit) => {
            format!("answers travel {limit} hop, a pod is {HOPS_TO_A_POD} away")
        }
        Fault::Disabled => "it is switched off".to_owned(),
    };
    let mut finding = META
        .finding(
            Severity::Error,
            format!("{workload} lives on the node role, and the metadata service does not answer it: {why}"),
        )
        .detail("The pod has neither IRSA nor Pod Identity, so its credentials can only come from the instance metadata service.")
        .subject(subject(workload, pods.first().copied()))
        // The nodes of one workload may differ in what is wrong with them.
        .subject(Subject::new(SubjectKind::Other, match fault {
            Fault::HopLimit(_) => "HttpPutResponseHopLimit",
            Fault::Disabled => "HttpEndpoint",
        }))
        .at(Place::nodes(nodes.iter().copied()).of(workload))
        .reaches(Place::nodes(nodes.iter().copied()).of(workload))
        .signal("pod-without-role")
        .signal(match fault {
            Fault::HopLimit(_) => "hop-limit-1",
            Fault::Disabled => "imds-disabled",
        });
    for pod in pods {
        let Some((id, options)) = options(cx, pod) else {
            continue;
        };
        let tokens = options.http_tokens.as_deref().unwrap_or("unknown");
        let endpoint = options.http_endpoint.as_deref().unwrap_or("enabled");
        let limit = options
            .http_put_response_hop_limit
            .map_or("unknown".to_owned(), |n| n.to_string());
        finding = finding.fact(
            Fact::new(
                Source::Instances,
                id,
                "metadata options",
                format!(
                    "HttpEndpoint {endpoint}, HttpTokens {tokens}, HttpPutResponseHopLimit {limit}"
                ),
            )
            .expected(format!(
                "a hop limit of {HOPS_TO_A_POD}, or a role of the pod's own"
            )),
        );
    }
    finding = with_probes(finding, &probed);
    finding = with_logs(cx, finding, workload);
    Some(advice(cx, finding, pods, fault))
}

/// The workload as a subject; pods come and go under other names.
fn subject(workload: &str, pod: Option<&Pod>) -> Subject {
    let kind = match pod.and_then(Pod::owner_kind) {
        Some("DaemonSet") => SubjectKind::DaemonSet,
        None if pod.is_some() => SubjectKind::Pod,
        _ => SubjectKind::Deployment,
    };
    match workload.split_once('/') {
        Some((namespace, name)) => Subject::namespaced(kind, namespace, name),
        None => Subject::new(SubjectKind::Other, workload),
    }
}

/// What the metadata service said to probe pods on these nodes.
fn probed<'a>(cx: &'a Cx<'_>, nodes: &BTreeSet<&str>) -> Vec<(&'a str, &'a str)> {
    let Some(run) = cx.probes().optional() else {
        return Vec::new();
    };
    run.pods
        .iter()
        .filter(|pod| nodes.contains(&*pod.at.node))
        .flat_map(|pod| pod.answers().map(move |(_, outcome)| (pod, outcome)))
        .filter_map(|(pod, outcome)| match outcome {
            Outcome::Imds(imds) => Some((pod.at.node.as_str(), imds.state.as_str())),
            _ => None,
        })
        .collect()
}

fn with_probes(mut finding: Finding, probed: &[(&str, &str)]) -> Finding {
    for (node, state) in probed {
        finding = finding.fact(
            Fact::new(
                Source::Probes,
                format!("Node {node}"),
                "metadata token, asked from a pod",
                *state,
            )
            .expected("ok"),
        );
        if *state == "token-timeout" {
            finding = finding
                .signal("token-timeout")
                .confidence(Confidence::Confirmed);
        }
    }
    finding
}

fn with_logs(cx: &Cx<'_>, mut finding: Finding, workload: &str) -> Finding {
    for scan in cx.logs().optional().into_iter().flatten() {
        if cx.topology().workload_of_log(scan).as_deref() != Some(workload) {
            continue;
        }
        for hits in scan.hits.iter().filter(|hits| hits.check == META.id) {
            let sample = hits
                .samples
                .first()
                .map(|sample| sample.text.to_string())
                .unwrap_or_default();
            finding = finding
                .fact(
                    Fact::new(
                        Source::Logs,
                        scan.place(),
                        "no credentials",
                        format!("{}: {sample}", hits.times()),
                    )
                    .at(hits.last),
                )
                .signal("log-no-credentials")
                .confidence(Confidence::Confirmed);
        }
    }
    finding
}

fn advice(cx: &Cx<'_>, mut finding: Finding, pods: &[&Pod], fault: Fault) -> Finding {
    let cluster = cx.cluster_name();
    for pod in pods {
        let account = if pod.spec.service_account_name.is_empty() {
            "default"
        } else {
            &pod.spec.service_account_name
        };
        let namespace = &pod.metadata.namespace;
        let fix = format!(
            "aws eks create-pod-identity-association --cluster-name {cluster} --namespace {namespace} --service-account {account} --role-arn ROLE_OF_THIS_COMPONENT"
        );
        if !finding
            .remedy
            .fix
            .iter()
            .any(|known| *known == fix.as_str())
        {
            finding = finding.fix(fix);
        }
        if let Some((id, _)) = options(cx, pod) {
            finding = finding.confirm(format!(
                "aws ec2 describe-instances --instance-ids {id} --query 'Reservations[].Instances[].MetadataOptions'"
            ));
            finding = finding.fix(match fault {
                Fault::HopLimit(_) => format!(
                    "aws ec2 modify-instance-metadata-options --instance-id {id} --http-put-response-hop-limit {HOPS_TO_A_POD} # and in the launch template, or new nodes have it again"
                ),
                Fault::Disabled => format!(
                    "aws ec2 modify-instance-metadata-options --instance-id {id} --http-endpoint enabled # and in the launch template, or new nodes have it again"
                ),
            });
        }
    }
    finding
}
