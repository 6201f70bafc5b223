//! `cni/sgp-strict-nodelocaldns`: pods with security groups of their own, in strict mode, use something on
//! their node that strict mode cuts off.

use std::collections::BTreeSet;

use eksnet_model::kubernetes::{DaemonSet, Pod};
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Gap, Heard, Meta, Place, Role, Running,
    Severity, Source, Stop, Subject, Text, Why, logs_and_events,
};

const TIMEOUTS: &[&str] = &["node-local-dns-timeout"];
const ANNOTATION: &str = "vpc.amazonaws.com/pod-eni";
/// Most pods that are named.
const MAX_PODS: usize = 5;

const META: Meta = Meta {
    id: "cni/sgp-strict-nodelocaldns",
    title: "Strict security groups for pods cut pods off from services of their node",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::DaemonSets, Source::Pods],
    helps: &[
        Source::PodIdentityAssociations,
        Source::SecurityGroupPolicies,
        Source::Logs,
        Source::Events,
    ],
    signals: &["node-local-dns", "pod-identity-agent", "lookups-dead"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// A service on the node that strict mode cuts off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Local {
    Dns,
    Identity,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let scans = logs_and_events(cx, &set);
    let dead: Vec<Heard<'_>> = Heard::by(&scans, TIMEOUTS).collect();
    let sets = cx.daemonsets().some();
    let policies = cx.security_group_policies().optional().map_or(0, Vec::len);
    let pods = cx.pods().some();
    let all = sets.as_ref().map_or(&[][..], |all| all.as_slice());
    let mode = Mode::of(all);
    if mode == Mode::Off {
        return Err(Stop::not_applicable("security groups for pods are off"));
    }
    let branch: Vec<&Pod> = pods
        .as_ref()
        .into_iter()
        .flat_map(|pods| pods.iter())
        .filter(|pod| pod.metadata.annotations.contains_key(ANNOTATION) && !pod.is_terminal())
        .collect();
    let mut findings = Vec::new();
    if mode == Mode::Strict {
        let cache = all.iter().find(|one| is(one, Component::NodeLocalDns));
        if let Some(cache) = cache.filter(|_| !branch.is_empty() || policies > 0) {
            findings.push(cut_off(cx, Local::Dns, cache, &branch, &dead));
        }
        let agent = all.iter().find(|one| is(one, Component::PodIdentityAgent));
        let users = users(cx, &branch);
        if let Some(agent) = agent.filter(|_| !users.is_empty()) {
            findings.push(cut_off(cx, Local::Identity, agent, &users, &[]));
        }
    } else if mode == Mode::Unknown && !dead.is_empty() && (policies > 0 || !branch.is_empty()) {
        findings.push(by_log(&dead));
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    sets?;
    if mode == Mode::Unknown {
        return Err(Stop::unknown(Gap::new(
            Source::DaemonSets,
            Why::Failed,
            "the settings of aws-node are not known",
        )));
    }
    if pods?
        .iter()
        .all(|pod| !pod.metadata.annotations.contains_key(ANNOTATION))
        && cx.pods().is_complete()
    {
        return Err(Stop::not_applicable(
            "no pod has security groups of its own",
        ));
    }
    Ok(findings)
}

/// How security groups for pods are enforced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Off,
    Strict,
    Standard,
    Unknown,
}

impl Mode {
    /// By aws-node's settings; strict unless set otherwise, and always before 1.11.
    fn of(sets: &[DaemonSet]) -> Self {
        let Some(set) = sets.iter().find(|one| is(one, Component::AwsNode)) else {
            return Self::Unknown;
        };
        let Some(running) = Running::of(Component::AwsNode, &set.spec.template.spec) else {
            return Self::Unknown;
        };
        let is_on = |name: &str| {
            running
                .env(name)
                .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        };
        let old = running.version().is_some_and(|version| version < (1, 11));
        match running.env("POD_SECURITY_GROUP_ENFORCING_MODE") {
            _ if !is_on("ENABLE_POD_ENI") => Self::Off,
            Some(mode) if mode.eq_ignore_ascii_case("standard") && !old => Self::Standard,
            _ => Self::Strict,
        }
    }
}

fn is(set: &DaemonSet, component: Component) -> bool {
    let template = &set.spec.template;
    Component::of(&template.spec, &template.metadata.labels) == component
}

/// Pods that get credentials from the agent on their node.
fn users<'p>(cx: &Cx<'_>, branch: &[&'p Pod]) -> Vec<&'p Pod> {
    let associations = cx.pod_identity_associations().optional();
    let known: BTreeSet<(&str, &str)> = associations
        .into_iter()
        .flatten()
        .map(|one| (one.namespace.as_str(), one.service_account.as_str()))
        .collect();
    let uses = |pod: &&&Pod| {
        known.contains(&(
            pod.metadata.namespace.as_str(),
            pod.spec.service_account_name.as_str(),
        ))
    };
    branch.iter().filter(uses).copied().collect()
}

fn mended(finding: Finding) -> Finding {
    finding
        .confirm("kubectl -n kube-system get daemonset aws-node -o yaml | grep -A1 -E 'ENABLE_POD_ENI|POD_SECURITY_GROUP_ENFORCING_MODE'")
        .fix("kubectl -n kube-system set env daemonset/aws-node POD_SECURITY_GROUP_ENFORCING_MODE=standard")
        .fix("Recreate the pods that have security groups of their own: the mode is fixed when a pod is made")
}

fn cut_off(
    cx: &Cx<'_>,
    local: Local,
    set: &DaemonSet,
    pods: &[&Pod],
    dead: &[Heard<'_>],
) -> Finding {
    let _ = cx;
    let count = match pods.len() {
        0 => "Pods with security groups of their own".to_owned(),
        1 => format!("Pod {}", pods[0].key()),
        many => format!("{many} pods with security groups of their own"),
    };
    let (what, detail, signal) = match local {
        Local::Dns => (
            "cannot reach the node-local DNS cache",
            "In strict mode every packet of such a pod leaves by its branch interface, those for its own node too. The cache listens on an address that exists on the node alone.",
            "node-local-dns",
        ),
        Local::Identity => (
            "cannot reach the Pod Identity agent",
            "In strict mode every packet of such a pod leaves by its branch interface, those for its own node too. The agent listens on 169.254.170.23 of the node: these pods get no credentials.",
            "pod-identity-agent",
        ),
    };
    let mut at = Place::nodes(
        pods.iter()
            .map(|pod| pod.spec.node_name.as_str())
            .filter(|node| !node.is_empty()),
    );
    at.workloads
        .extend(pods.iter().map(|pod| Text::from(pod.workload())));
    let mut finding = META
        .finding(
            Severity::Critical,
            format!("{count} {what}: security groups for pods are strict"),
        )
        .confidence(if dead.is_empty() {
            Confidence::Likely
        } else {
            Confidence::Confirmed
        })
        .detail(detail)
        .subject(Subject::namespaced(
            eksnet_model::SubjectKind::DaemonSet,
            set.metadata.namespace.as_str(),
            set.metadata.name.as_str(),
        ))
        .subjects(
            pods.iter()
                .take(MAX_PODS)
                .map(|pod| Subject::pod(&pod.metadata.namespace, &pod.metadata.name)),
        )
        .fact(
            Fact::new(
                Source::DaemonSets,
                "DaemonSet kube-system/aws-node",
                "POD_SECURITY_GROUP_ENFORCING_MODE",
                "strict, or not set",
            )
            .expected("standard"),
        )
        .facts(dead.iter().take(2).map(|one| one.fact("failed look-ups")))
        .signal(signal)
        .at(at.clone());
    if at != Place::default() {
        finding = finding.reaches(at);
    }
    if !dead.is_empty() {
        finding = finding.signal("lookups-dead");
    }
    mended(finding)
}

fn by_log(dead: &[Heard<'_>]) -> Finding {
    mended(
        META.finding(
            Severity::Error,
            "Pods get no answer from the node-local DNS cache, where pods have security groups of their own",
        )
        .confidence(Confidence::Likely)
        .detail("Strict mode, the one that holds unless another is set, cuts such pods off from addresses that exist on their node alone.")
        .subject(dead[0].subject())
        .facts(dead.iter().take(3).map(|one| one.fact("failed look-ups")))
        .signal("lookups-dead"),
    )
}
