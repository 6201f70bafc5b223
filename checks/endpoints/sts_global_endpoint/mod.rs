//! `endpoints/sts-global-endpoint`: a program calls `sts.amazonaws.com` where only the region's endpoint is
//! within reach.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::Pod;
use eksnet_model::path::Egress;
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Gap, Heard, Meta, Place, Role, Running,
    Severity, Source, Stop, Subject, SubjectKind, Why, logs_and_events,
};

const HOST: &str = "sts.amazonaws.com";
const GLOBAL: &[&str] = &["sts-global-unreachable"];
const REGIONAL: &[&str] = &["sts-regional-unreachable"];
/// The last cluster-autoscaler with version 1 of the SDK, whose default is the global endpoint.
/// <https://github.com/kubernetes/autoscaler/releases> (read 2026-11)
const LAST_SDK_V1: (u32, u32) = (1, 34);

const META: Meta = Meta {
    id: "endpoints/sts-global-endpoint",
    title: "A program calls the global endpoint of STS",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Pods],
    helps: &[
        Source::Logs,
        Source::Events,
        Source::Instances,
        Source::Subnets,
        Source::RouteTables,
        Source::VpcEndpoints,
    ],
    signals: &["sts-global", "regional-endpoint-there"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let mut speakers: BTreeMap<String, Vec<Heard<'_>>> = BTreeMap::new();
    let dead_regions: BTreeSet<String> = Heard::by(&scans, REGIONAL)
        .map(|said| said.speaker(cx.topology()))
        .collect();
    for said in Heard::by(&scans, GLOBAL) {
        let speaker = said.speaker(cx.topology());
        // Where the region's endpoint is dead as well, its name does not help.
        if !dead_regions.contains(&speaker) {
            speakers.entry(speaker).or_default().push(said);
        }
    }
    let mut findings: Vec<Finding> = speakers
        .iter()
        .map(|(speaker, said)| by_log(cx, speaker, said))
        .collect();
    let pods = cx.pods().some();
    let (mut undecided, mut callers) = (Vec::new(), 0);
    for pod in pods.as_ref().into_iter().flat_map(|pods| pods.iter()) {
        let Some(setting) = web_identity(pod) else {
            continue;
        };
        callers += 1;
        if setting.is_regional || speakers.contains_key(&pod.workload()) || !setting.is_old {
            continue;
        }
        match egress_of(cx, pod) {
            Some(egress) if egress.is_closed() => findings.push(by_setting(pod, &setting)),
            Some(_) => {}
            None => undecided.push(pod.workload()),
        }
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    pods?;
    if callers == 0 && cx.pods().is_complete() {
        return Err(Stop::not_applicable(
            "no pod gets credentials from STS by a token of its own",
        ));
    }
    if let Some(workload) = undecided.first() {
        return Err(Stop::unknown(Gap::new(
            Source::RouteTables,
            Why::NotRequested,
            format!(
                "{workload} calls the global endpoint, and the way out of its subnet is not known"
            ),
        )));
    }
    Ok(findings)
}

fn by_log(cx: &Cx<'_>, speaker: &str, said: &[Heard<'_>]) -> Finding {
    let past = said.iter().all(|one| one.is_past(cx.now()));
    let endpoint = cx
        .vpc_endpoints()
        .optional()
        .into_iter()
        .flatten()
        .find(|one| one.service_name.ends_with(".sts") && one.state == "available");
    let mut at = Place::default().towards(HOST);
    for one in said {
        let place = one.at(cx.topology());
        at.nodes.extend(place.nodes);
        at.workloads.extend(place.workloads);
    }
    let title = if past {
        format!("{speaker} called the global STS endpoint {HOST}, which did not answer")
    } else {
        format!("{speaker} calls the global STS endpoint {HOST}, which does not answer")
    };
    let mut finding = META
        .finding(if past { Severity::Warning } else { Severity::Error }, title)
        .confidence(if endpoint.is_some() {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail("The SDK asks for credentials at the one global name of STS. A VPC endpoint serves the region's name alone, and proxies and firewalls often admit only that: the call leaves the VPC, or tries to, and gets no connection.")
        .subject(Subject::new(SubjectKind::Host, HOST))
        .subject(Subject::new(SubjectKind::Other, speaker))
        .facts(said.iter().take(3).map(|one| one.fact("failed calls")))
        .signal("sts-global")
        .at(at.clone())
        .reaches(at);
    if let Some(endpoint) = endpoint {
        finding = finding.signal("regional-endpoint-there").fact(Fact::new(
            Source::VpcEndpoints,
            endpoint.vpc_endpoint_id.as_str(),
            "service",
            format!("{}, available", endpoint.service_name),
        ));
    }
    let account = said.iter().find_map(|one| {
        let pod = cx.topology().pod_of_log(one.scan)?;
        Some((
            pod.metadata.namespace.as_str(),
            pod.spec.service_account_name.as_str(),
        ))
    });
    mended(finding, account, speaker)
}

/// What a pod's environment says of STS.
struct Setting {
    is_regional: bool,
    /// Whether its SDK is known to call the global endpoint unless told otherwise.
    is_old: bool,
    value: String,
}

/// The setting of a pod that gets credentials by a token.
fn web_identity(pod: &Pod) -> Option<Setting> {
    let component = Component::of_pod(pod);
    let running = Running::of(component, &pod.spec)?;
    if !running.has_env("AWS_WEB_IDENTITY_TOKEN_FILE") || pod.is_terminal() {
        return None;
    }
    let value = running.env("AWS_STS_REGIONAL_ENDPOINTS").unwrap_or("");
    let is_old = component == Component::ClusterAutoscaler
        && running
            .version()
            .is_some_and(|version| version <= LAST_SDK_V1);
    Some(Setting {
        is_regional: value.eq_ignore_ascii_case("regional"),
        is_old: is_old || value.eq_ignore_ascii_case("legacy"),
        value: value.to_owned(),
    })
}

fn egress_of(cx: &Cx<'_>, pod: &Pod) -> Option<Egress> {
    let _ = (cx.instances().optional(), cx.subnets().optional());
    cx.route_tables().optional()?;
    let topology = cx.topology();
    let node = topology.node(&pod.spec.node_name);
    let subnet = node
        .and_then(|node| topology.subnet_of_node(node))
        .or_else(|| topology.subnet_by_ip(pod.status.pod_ip.parse().ok()?))?;
    topology.route_table_of(subnet).map(Egress::of)
}

fn by_setting(pod: &Pod, setting: &Setting) -> Finding {
    let workload = pod.workload();
    let value = if setting.value.is_empty() {
        "not set"
    } else {
        &setting.value
    };
    let at = Place::nodes([pod.spec.node_name.as_str()])
        .of(workload.as_str())
        .towards(HOST);
    let finding = META
        .finding(
            Severity::Warning,
            format!("{workload} is set to call the global STS endpoint from a subnet without a way out"),
        )
        .confidence(Confidence::Likely)
        .detail("Its SDK asks for credentials at the global name unless told otherwise, and no VPC endpoint serves that name.")
        .subject(Subject::new(SubjectKind::Other, workload.as_str()))
        .fact(
            Fact::new(
                Source::Pods,
                format!("Pod {}", pod.key()),
                "AWS_STS_REGIONAL_ENDPOINTS",
                value,
            )
            .expected("regional"),
        )
        .signal("sts-global")
        .at(at.clone())
        .reaches(at);
    let account = (
        pod.metadata.namespace.as_str(),
        pod.spec.service_account_name.as_str(),
    );
    mended(finding, Some(account), &workload)
}

fn mended(finding: Finding, account: Option<(&str, &str)>, speaker: &str) -> Finding {
    let (namespace, name) = account
        .filter(|(_, name)| !name.is_empty())
        .unwrap_or(("NAMESPACE", "SERVICE_ACCOUNT"));
    finding
        .confirm(format!(
            "kubectl get pods -A -o yaml | grep -A1 AWS_STS_REGIONAL_ENDPOINTS   # the variable of {speaker}"
        ))
        .fix(format!(
            "kubectl -n {namespace} annotate serviceaccount {name} eks.amazonaws.com/sts-regional-endpoints=true --overwrite"
        ))
        .fix(format!("Restart the pods of {speaker}: the variable is set when a pod is made"))
}
