//! `cni/sgp-sg-rules`: the security groups that pods have of their own keep DNS or the kubelet's probes out.

mod dns;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::Pod;
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Gap, Heard, Meta, Place, Role, Running,
    Severity, Source, Stop, Subject, SubjectKind, Text, Why, logs_and_events,
};

use dns::{Blocked, Rules};

const PROBES: &[&str] = &["pod-probe-timeout"];
const ANNOTATION: &str = "vpc.amazonaws.com/pod-eni";
/// Events that a pod with a branch interface gets.
const REASONS: [&str; 2] = ["ResourceAllocated", "SecurityGroupRequested"];

const META: Meta = Meta {
    id: "cni/sgp-sg-rules",
    title: "Security groups of pods keep DNS or the kubelet's probes out",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[
        Source::Pods,
        Source::SecurityGroupPolicies,
        Source::NetworkInterfaces,
        Source::SecurityGroups,
    ],
    helps: &[
        Source::Services,
        Source::DaemonSets,
        Source::PrefixLists,
        Source::Observations,
        Source::Logs,
        Source::Events,
    ],
    signals: &["dns-denied", "lookups-dead", "probe-timeout", "early-demux"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let policies = cx.security_group_policies().some();
    let pods = cx.pods().some();
    let branch = branch_pods(cx, pods.as_ref().map_or(&[][..], |pods| pods.as_slice()));
    let rules = Rules::of(cx, &branch.objects);
    let mut findings = Vec::new();
    for blocked in rules
        .as_ref()
        .map_or(&[][..], |rules| rules.blocked.as_slice())
    {
        findings.push(dns_denied(blocked));
    }
    if findings.is_empty() {
        findings.extend(lookups_dead(cx, &branch));
    }
    let mut by_pod: BTreeMap<(Text, Text), Vec<Heard<'_>>> = BTreeMap::new();
    for said in Heard::by(&scans, PROBES) {
        let key = (said.scan.namespace.clone(), said.scan.pod.clone());
        if branch.names.contains(&key) {
            by_pod.entry(key).or_default().push(said);
        }
    }
    for ((namespace, name), said) in &by_pod {
        findings.push(probe_dead(cx, namespace, name, said));
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    if policies?.is_empty() && branch.names.is_empty() {
        return Err(Stop::not_applicable("there is no SecurityGroupPolicy"));
    }
    pods?;
    if let Some(missing) = rules?.missing {
        return Err(Stop::unknown(Gap::new(
            Source::SecurityGroups,
            Why::Failed,
            format!("whether these pods reach CoreDNS hangs on {missing}"),
        )));
    }
    Ok(findings)
}

/// Pods that have a branch interface.
struct Branch<'a> {
    objects: Vec<&'a Pod>,
    /// Namespace and name, of those as well whose Events alone were seen.
    names: BTreeSet<(Text, Text)>,
}

fn branch_pods<'a>(cx: &Cx<'_>, pods: &'a [Pod]) -> Branch<'a> {
    let objects: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.metadata.annotations.contains_key(ANNOTATION) && !pod.is_terminal())
        .collect();
    let mut names: BTreeSet<(Text, Text)> = objects
        .iter()
        .map(|pod| {
            (
                (&pod.metadata.namespace).into(),
                (&pod.metadata.name).into(),
            )
        })
        .collect();
    for event in cx.events().optional().into_iter().flatten() {
        if REASONS.contains(&event.reason.as_str()) && event.involved_object.kind == "Pod" {
            let object = &event.involved_object;
            names.insert(((&object.namespace).into(), (&object.name).into()));
        }
    }
    Branch { objects, names }
}

fn dns_denied(blocked: &Blocked<'_>) -> Finding {
    let groups = blocked.groups.join(", ");
    let pod = blocked.pod;
    let mut at = Place::nodes([pod.spec.node_name.as_str()]);
    at.workloads.insert(pod.workload().into());
    let peers = blocked.peers.join(", ");
    let flows = blocked
        .flows
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" and ");
    let group = blocked.groups.first().map_or("SG", String::as_str);
    let peer = blocked.peers.first().map_or("SG", String::as_str);
    let (protocol, port) = blocked
        .flows
        .first()
        .map_or(("udp", 53), |flow| (flow.protocol.name(), flow.port));
    META.finding(
        Severity::Error,
        format!("Pods of {} cannot ask CoreDNS: security groups {groups} let no {flows} {} {peers}", pod.workload(), blocked.way()),
    )
    .confidence(Confidence::Confirmed)
    .detail("Security groups of a pod replace those of its node, they do not add to them: what the node may do the pod may not.")
    .subject(Subject::pod(&pod.metadata.namespace, &pod.metadata.name))
    .subjects(blocked.groups.iter().map(|id| Subject::new(SubjectKind::SecurityGroup, id.as_str())))
    .fact(
        Fact::new(Source::SecurityGroups, groups.as_str(), format!("{} {flows}", blocked.side.name()), format!("no rule admits {peers}"))
            .expected("admitted"),
    )
    .signal("dns-denied")
    .at(at.clone())
    .reaches(at)
    .confirm(format!("aws ec2 describe-security-group-rules --filters Name=group-id,Values={group}"))
    .fix(format!(
        "aws ec2 authorize-security-group-{} --group-id {group} --ip-permissions 'IpProtocol={protocol},FromPort={port},ToPort={port},UserIdGroupPairs=[{{GroupId={peer}}}]'   # and the same for tcp",
        blocked.side.name()
    ))
}

/// A look-up that was tried by hand in such a pod, and got no answer.
fn lookups_dead(cx: &Cx<'_>, branch: &Branch<'_>) -> Option<Finding> {
    let lookups = &cx.observations().optional()?.lookups;
    let (one, (namespace, name)) = lookups.iter().find_map(|one| {
        let pod = branch
            .names
            .iter()
            .find(|(_, name)| *name == one.from.name)?;
        (!one.is_answered()).then_some((one, pod))
    })?;
    let at = Place::default().of(format!("{namespace}/{name}"));
    Some(
        META.finding(
            Severity::Error,
            format!("Pod {namespace}/{name} gets no answer from cluster DNS: its security groups have to let 53 out, and CoreDNS's have to admit it"),
        )
        .confidence(Confidence::Likely)
        .detail("The pod has a branch interface with security groups of its own. They replace those of the node, and those of CoreDNS's node know only the node's.")
        .subject(Subject::pod(namespace.clone(), name.clone()))
        .fact(
            Fact::new(
                Source::Observations,
                format!("Pod {namespace}/{name}"),
                format!("look-up of {}", one.name),
                one.outcome.map_or_else(|| "failed".to_owned(), |how| format!("{how:?}").to_ascii_lowercase()),
            )
            .expected("an answer"),
        )
        .signal("lookups-dead")
        .at(at)
        .confirm(format!("kubectl -n {namespace} get pod {name} -o jsonpath='{{.metadata.annotations.vpc\\.amazonaws\\.com/pod-eni}}'"))
        .fix("aws ec2 authorize-security-group-ingress --group-id CLUSTER_SG --ip-permissions 'IpProtocol=udp,FromPort=53,ToPort=53,UserIdGroupPairs=[{GroupId=POD_SG}]' 'IpProtocol=tcp,FromPort=53,ToPort=53,UserIdGroupPairs=[{GroupId=POD_SG}]'"),
    )
}

/// Whether the init container leaves early demultiplexing on, which strict mode's probes do not get past.
fn early_demux(cx: &Cx<'_>) -> Option<Fact> {
    let set = cx.daemonsets().optional()?.iter().find(|one| {
        let template = &one.spec.template;
        Component::of(&template.spec, &template.metadata.labels) == Component::AwsNode
    })?;
    let running = Running::of(Component::AwsNode, &set.spec.template.spec)?;
    if running.env("POD_SECURITY_GROUP_ENFORCING_MODE") == Some("standard") {
        return None;
    }
    let init = &set.spec.template.spec.init_containers;
    let value = init
        .iter()
        .flat_map(|container| &container.env)
        .find(|env| env.name == "DISABLE_TCP_EARLY_DEMUX")
        .and_then(|env| env.value.as_deref())
        .unwrap_or("not set");
    (!value.eq_ignore_ascii_case("true")).then(|| {
        Fact::new(
            Source::DaemonSets,
            "DaemonSet kube-system/aws-node",
            "DISABLE_TCP_EARLY_DEMUX of the init container",
            value,
        )
        .expected("true")
    })
}

fn probe_dead(cx: &Cx<'_>, namespace: &str, name: &str, said: &[Heard<'_>]) -> Finding {
    let ports: BTreeSet<&str> = said
        .iter()
        .flat_map(|one| one.values("port").chain(one.values("http")))
        .collect();
    let port = ports.first().copied().unwrap_or("PORT");
    let demux = early_demux(cx);
    let workload = cx
        .topology()
        .pod(namespace, name)
        .map_or_else(|| format!("{namespace}/{name}"), Pod::workload);
    let at = Place::default().of(workload.as_str());
    let mut finding = META
        .finding(
            Severity::Error,
            format!("The kubelet's probes of pod {namespace}/{name} on port {port} get no answer: its security groups have to admit the node"),
        )
        .confidence(Confidence::Likely)
        .detail(if demux.is_some() {
            "The pod has security groups of its own. They have to admit the node's on the port of the probe, and in strict mode the CNI has to switch early demultiplexing of TCP off, or the kubelet's connections to branch interfaces fail."
        } else {
            "The pod has security groups of its own. They replace those of the node, and have to admit the node's on the port of the probe."
        })
        .subject(Subject::pod(namespace, name))
        .facts(said.iter().take(3).map(|one| one.fact("failed probes")))
        .signal("probe-timeout")
        .at(at.clone())
        .reaches(at)
        .confirm(format!("kubectl -n {namespace} get pod {name} -o yaml | grep -A8 Probe"));
    if let Some(fact) = demux {
        finding = finding.signal("early-demux").fact(fact).fix(
            "kubectl -n kube-system patch daemonset aws-node -p '{\"spec\":{\"template\":{\"spec\":{\"initContainers\":[{\"name\":\"aws-vpc-cni-init\",\"env\":[{\"name\":\"DISABLE_TCP_EARLY_DEMUX\",\"value\":\"true\"}]}]}}}}'",
        );
    }
    finding.fix(format!("aws ec2 authorize-security-group-ingress --group-id POD_SG --protocol tcp --port {port} --source-group NODE_SG"))
}
