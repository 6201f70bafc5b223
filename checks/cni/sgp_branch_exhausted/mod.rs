//! `cni/sgp-branch-exhausted`: branch interfaces that cannot be had for pods with security groups.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Fact, Finding, Meta, NodeUse, Role, Severity, SignatureSet,
    Source, Stop, Subject, SubjectKind, Told, told,
};

const META: Meta = Meta {
    id: "cni/sgp-branch-exhausted",
    title: "No branch interface can be had for a pod with security groups of its own",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Events],
    helps: &[
        Source::Pods,
        Source::Nodes,
        Source::DaemonSets,
        Source::Logs,
    ],
    signals: &[
        "insufficient-pod-eni",
        "branch-failed",
        "at-capacity",
        "by-subnet",
        "not-on-pod",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

/// Events older than this, in seconds, are history.
const RECENT_S: i64 = 600;
/// The resource of branch interfaces.
const BRANCH: &str = "vpc.amazonaws.com/pod-eni";

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let settings = CniSettings::here(cx)?;
    let _ = (cx.pods().optional(), cx.nodes().optional());
    let told: Vec<Told<'_>> = told(cx, META.id, &SIGNATURES, RECENT_S)
        .into_iter()
        .filter(still_waits)
        .collect();
    if told.is_empty() {
        if settings.is_some_and(|settings| !settings.pod_eni) {
            return Err(Stop::not_applicable(
                "security groups for pods are off (ENABLE_POD_ENI)",
            ));
        }
        cx.events().some()?;
        return Ok(Vec::new());
    }
    Ok(vec![finding(cx, &told)])
}

/// Neither placed nor told its interface by now; an interface that was never told to its pod is another
/// matter.
fn still_waits(told: &Told<'_>) -> bool {
    let placed = told.signature() == "pod-eni-insufficient"
        && told.pod.is_some_and(|pod| !pod.spec.node_name.is_empty());
    let has_it = told.pod.is_some_and(|pod| {
        pod.metadata
            .annotations
            .contains_key("vpc.amazonaws.com/pod-eni")
    });
    let never_told = told
        .values("why")
        .any(|why| why.contains("eni entry already exist"));
    !placed && !has_it && !never_told
}

fn finding(cx: &Cx<'_>, told: &[Told<'_>]) -> Finding {
    let of = |id: &str| told.iter().find(|one| one.signature() == id);
    let why = of("branch-failed").and_then(|one| one.value("why"));
    let pods: BTreeSet<String> = told
        .iter()
        .filter_map(|one| one.object)
        .filter(|object| object.kind == "Pod")
        .map(|object| format!("{}/{}", object.namespace, object.name))
        .collect();
    let waits = match pods.len() {
        0 => String::new(),
        1 => ": 1 pod waits".to_owned(),
        many => format!(": {many} pods wait"),
    };
    let by_subnet = why.is_some_and(|why| {
        why.contains("InsufficientFreeAddresses") || why.contains("sufficient free")
    });
    let (title, detail, signal) = if of("pod-eni-insufficient").is_some() {
        (
            format!(
                "Nodes have no branch interface left for pods with security groups of their own{waits}"
            ),
            "Each node takes as many such pods as its instance type has branch interfaces; those of pods that ended count for the cooldown (60 s unless set).",
            "insufficient-pod-eni",
        )
    } else if by_subnet {
        (
            format!("The subnet has no free address for the branch interface of a pod{waits}"),
            "Branch interfaces take addresses of the node's subnet, or of its ENIConfig's.",
            "by-subnet",
        )
    } else if why.is_some() {
        (
            format!("The VPC resource controller cannot make a branch interface for a pod{waits}"),
            "EC2's reason stands in the Event.",
            "branch-failed",
        )
    } else {
        (
            format!("A pod with security groups of its own has no branch interface yet{waits}"),
            "The CNI plugin asked before the controller had written the interface to the pod. Once that is how such a pod starts; again and again it is a lack.",
            "not-on-pod",
        )
    };
    let only_asked = signal == "not-on-pod";
    let mut finding = META
        .finding(
            if only_asked {
                Severity::Warning
            } else {
                Severity::Error
            },
            title,
        )
        .confidence(match (only_asked, why) {
            (true, _) => Confidence::Possible,
            (false, _) => Confidence::Confirmed,
        })
        .detail(detail)
        .subjects(
            pods.iter()
                .take(3)
                .filter_map(|pod| pod.split_once('/'))
                .map(|(namespace, name)| Subject::pod(namespace, name)),
        )
        .subject(Subject::new(SubjectKind::Cluster, cx.cluster_name()))
        .facts(told.iter().take(3).map(Told::fact))
        .signal(signal)
        .confirm("kubectl get nodes -o custom-columns='NAME:.metadata.name,BRANCH:.status.allocatable.vpc\\.amazonaws\\.com/pod-eni'")
        .confirm("kubectl get events -A --field-selector reason=BranchAllocationFailed");
    let full = full_nodes(cx);
    if !full.is_empty() {
        finding = finding.facts(full).signal("at-capacity");
    }
    finding
        .fix("Add nodes, or use a larger instance type: the number of branch interfaces hangs on the type")
        .fix("kubectl -n kube-system patch configmap amazon-vpc-cni --type merge -p '{\"data\":{\"branch-eni-cooldown\":\"30\"}}'   # where pods come and go fast")
}

/// Nodes whose branch interfaces are all given.
fn full_nodes(cx: &Cx<'_>) -> Vec<Fact> {
    let uses = NodeUse::of_nodes(cx.topology());
    cx.topology()
        .nodes()
        .filter_map(|node| {
            let most: u32 = node.status.allocatable.get(BRANCH)?.parse().ok()?;
            let used = uses.get(node.metadata.name.as_str())?.branch;
            (most > 0 && used >= most).then(|| {
                Fact::new(
                    Source::Nodes,
                    format!("Node {}", node.metadata.name),
                    format!("branch interfaces of {BRANCH}"),
                    format!("{used} of {most} given"),
                )
            })
        })
        .take(3)
        .collect()
}
