//! `control-plane/version-skew`: kubelets beyond what the control plane supports.

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Place, Role, Severity, SignatureSet, Source, Stop,
    Subject,
};

use crate::say::{self, Say};

use std::collections::BTreeMap;

use eksnet_model::kubernetes::Node;

const META: Meta = Meta {
    id: "control-plane/version-skew",
    title: "Kubelets are too old or too new for the control plane",
    severity: Severity::Error,
    role: Role::Risk,
    needs: &[Source::Cluster, Source::Nodes],
    helps: &[Source::Logs, Source::Events],
    signals: &["update-blocked", "newer", "too-old", "at-limit"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[Say {
    signatures: &["eks-kubelet-behind"],
    title: "Node groups are behind the control plane, and EKS refuses its update",
    detail: "EKS updates the control plane when the kubelets of node groups and Fargate are of its version.",
    severity: Severity::Error,
    confidence: Confidence::Confirmed,
    signal: "update-blocked",
    confirm: "kubectl get nodes -o custom-columns=NAME:.metadata.name,KUBELET:.status.nodeInfo.kubeletVersion",
    fix: "aws eks update-nodegroup-version --cluster-name {cluster} --nodegroup-name NODEGROUP",
}];

/// Minor versions that a kubelet may be behind, from kubelet 1.25 on.
const BEHIND: u32 = 3;
/// The same for older ones.
const BEHIND_BEFORE_25: u32 = 2;

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let said = say::findings(cx, &META, &SIGNATURES, "A cluster", SAYS, |_| true);
    if !said.is_empty() {
        return Ok(said);
    }
    let nodes = cx.nodes().some();
    let cluster = match (cx.eks_cluster().some(), &nodes) {
        (Ok(cluster), _) => cluster,
        (Err(stop), Ok(nodes)) => {
            // The API server named its version elsewhere, or is no older than the newest kubelet.
            let kubelets = nodes
                .iter()
                .filter_map(|node| minor(&node.status.node_info.kubelet_version));
            let own = kubelets.chain(cx.cluster().minor()).max();
            let found = own.map_or(Vec::new(), |own| of_nodes(cx, own, nodes));
            return if found.is_empty() {
                Err(stop)
            } else {
                Ok(found)
            };
        }
        (Err(stop), Err(_)) => return Err(stop),
    };
    let nodes = nodes?;
    Ok(minor(&cluster.version).map_or(Vec::new(), |own| of_nodes(cx, own, nodes)))
}

fn of_nodes(cx: &Cx<'_>, own: u32, nodes: &[Node]) -> Vec<Finding> {
    let mut groups: BTreeMap<u32, Vec<&Node>> = BTreeMap::new();
    for node in nodes {
        if let Some(minor) = minor(&node.status.node_info.kubelet_version) {
            groups.entry(minor).or_default().push(node);
        }
    }
    groups
        .iter()
        .filter_map(|(kubelet, nodes)| judge(cx, own, *kubelet, nodes))
        .collect()
}

/// The minor version in `v1.29.3-eks-..`.
fn minor(version: &str) -> Option<u32> {
    let mut numbers = version.trim_start_matches('v').split('.');
    (numbers.next()? == "1").then_some(())?;
    let minor = numbers.next()?;
    let end = minor
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(minor.len());
    minor[..end].parse().ok()
}

fn judge(cx: &Cx<'_>, own: u32, kubelet: u32, nodes: &[&Node]) -> Option<Finding> {
    let allowed = if kubelet < 25 {
        BEHIND_BEFORE_25
    } else {
        BEHIND
    };
    let many = match nodes.len() {
        1 => format!("Node {}", nodes.first()?.metadata.name),
        n => format!("{n} nodes"),
    };
    let runs = if nodes.len() == 1 { "runs" } else { "run" };
    let (severity, what, signal) = if kubelet > own {
        (Severity::Error, "newer than the control plane", "newer")
    } else if own - kubelet > allowed {
        (
            Severity::Error,
            "older than the control plane supports",
            "too-old",
        )
    } else if own - kubelet == allowed {
        (
            Severity::Warning,
            "as old as the control plane supports: its next update is blocked",
            "at-limit",
        )
    } else {
        return None;
    };
    let names: Vec<&str> = nodes
        .iter()
        .map(|node| node.metadata.name.as_str())
        .collect();
    let cluster = cx.cluster_name();
    Some(
        META.finding(severity, format!("{many} {runs} kubelet 1.{kubelet}, {what} (1.{own})"))
            .confidence(Confidence::Confirmed)
            .detail("A kubelet may not be newer than the API server, and not more than three minor versions older.")
            .subjects(names.iter().map(|name| Subject::node(*name)))
            .facts(nodes.iter().take(4).map(|node| {
                Fact::new(
                    Source::Nodes,
                    format!("Node {}", node.metadata.name),
                    "kubeletVersion",
                    node.status.node_info.kubelet_version.as_str(),
                )
                .expected(format!("1.{own}"))
            }))
            .fact(Fact::new(Source::Cluster, format!("Cluster {cluster}"), "version", format!("1.{own}")))
            .at(Place::nodes(names.iter().copied()))
            .reaches(Place::nodes(names.iter().copied()))
            .signal(signal)
            .confirm("kubectl get nodes -o custom-columns=NAME:.metadata.name,KUBELET:.status.nodeInfo.kubeletVersion")
            .fix(format!(
                "aws eks update-nodegroup-version --cluster-name {cluster} --nodegroup-name NODEGROUP"
            )),
    )
}
