//! `cni/sgp-trunk-missing`: nodes without the trunk interface that security groups for pods need.

use std::sync::LazyLock;

use eksnet_model::capacity::Limits;
use eksnet_model::kubernetes::Node;
use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Fact, Finding, Meta, Place, Role, Severity, SignatureSet,
    Source, Stop, Subject, SubjectKind, Told, told, told_by_place,
};

const META: Meta = Meta {
    id: "cni/sgp-trunk-missing",
    title: "A node has no trunk interface although security groups for pods are on",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::DaemonSets, Source::Nodes],
    helps: &[Source::Events, Source::Logs],
    signals: &[
        "no-slot",
        "creation-failed",
        "type-without-trunk",
        "no-trunk",
        "feature-not-set",
        "cluster-role",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

/// A node keeps what its start gave it: a day.
const RECENT_S: i64 = 86_400;
/// A trunk interface is there after so long, in seconds.
const STARTING_S: i64 = 300;
const BRANCH: &str = "vpc.amazonaws.com/pod-eni";

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let settings = CniSettings::here(cx)?;
    let mut findings: Vec<Finding> = told_by_place(told(cx, META.id, &SIGNATURES, RECENT_S))
        .values()
        .filter_map(|told| of_lines(told))
        .collect();
    let Some(settings) = settings else {
        if findings.is_empty() {
            cx.daemonsets().all_in("kube-system")?;
        }
        return Ok(findings);
    };
    if !settings.pod_eni {
        if findings.is_empty() {
            return Err(Stop::not_applicable(
                "security groups for pods are off (ENABLE_POD_ENI)",
            ));
        }
        return Ok(findings);
    }
    let nodes = cx.nodes().some();
    if let Ok(nodes) = &nodes {
        let without: Vec<&Node> = nodes.iter().filter(|node| lacks_trunk(cx, node)).collect();
        for node in without {
            let told = findings.iter().any(|finding| {
                finding
                    .at
                    .nodes
                    .iter()
                    .any(|name| **name == *node.metadata.name)
            });
            if !told {
                findings.push(of_node(node));
            }
        }
    }
    if findings.is_empty() {
        nodes?;
    }
    Ok(findings)
}

/// Whether a node whose type takes a trunk interface offers no branch interface, and is no longer starting.
fn lacks_trunk(cx: &Cx<'_>, node: &Node) -> bool {
    let takes_one = node
        .instance_type()
        .and_then(|kind| Limits::of(kind, &[]))
        .is_some_and(|limits| limits.trunk == Some(true));
    let young = match (cx.now(), node.metadata.creation_timestamp) {
        (Some(now), Some(since)) => now.seconds_since(since) < STARTING_S,
        _ => false,
    };
    let offered = node
        .status
        .allocatable
        .get(BRANCH)
        .and_then(|number| number.parse::<u32>().ok())
        .unwrap_or(0);
    // A node of which only a table shows something tells nothing of what it offers.
    let known = !node.status.allocatable.is_empty();
    node.has_cni_pod() && takes_one && !young && known && offered == 0
}

fn of_lines(told: &[Told<'_>]) -> Option<Finding> {
    const ORDER: [&str; 5] = [
        "trunk-type",
        "ipamd-trunk-no-slot",
        "trunk-creation-failed",
        "ipamd-sgp-feature",
        "ipamd-no-trunk",
    ];
    let one = ORDER
        .iter()
        .find_map(|id| told.iter().find(|one| one.signature() == *id))?;
    let node = one.node_words();
    let code = told.iter().find_map(|one| one.value("code")).unwrap_or("");
    let denied = code.contains("Unauthorized") || code.contains("AccessDenied");
    let (title, detail, signal, fix) = match one.signature() {
        "trunk-type" => (
            format!(
                "{node}: instance type {} takes no trunk interface",
                one.value("type").unwrap_or_default()
            ),
            "Pods with security groups of their own cannot run there.",
            "type-without-trunk",
            "Run such pods on an instance type that takes a trunk interface: none of the t family does".to_owned(),
        ),
        "ipamd-trunk-no-slot" => (
            format!("{node} has no slot left for a trunk interface"),
            "All its interfaces were taken when security groups for pods were switched on: it gets a trunk only when it is made anew.",
            "no-slot",
            match &one.node {
                Some(node) => format!("kubectl drain {node} --ignore-daemonsets --delete-emptydir-data   # and replace it"),
                None => "Replace the nodes that are older than ENABLE_POD_ENI".to_owned(),
            },
        ),
        "trunk-creation-failed" if denied => (
            format!("{node} gets no trunk interface: the cluster's role may not make one ({code})"),
            "The controller in the control plane makes trunk and branch interfaces by the cluster's role.",
            "cluster-role",
            "aws iam attach-role-policy --role-name CLUSTER_ROLE --policy-arn arn:aws:iam::aws:policy/AmazonEKSVPCResourceController".to_owned(),
        ),
        "trunk-creation-failed" => (
            match code {
                "" => format!("{node} gets no trunk interface: making it failed"),
                code => format!("{node} gets no trunk interface: {code}"),
            },
            "EC2's reason stands in the Event TrunkENICreationFailed.",
            "creation-failed",
            "Mend what EC2's code names, then replace the node".to_owned(),
        ),
        "ipamd-sgp-feature" => (
            format!("{node}: ipamd cannot ask for a trunk interface by its CNINode"),
            "It may not write the CNINode, or the kind is not installed: aws-node's manifest is older than its image.",
            "feature-not-set",
            "aws eks update-addon --cluster-name CLUSTER --addon-name vpc-cni --addon-version VERSION --resolve-conflicts PRESERVE".to_owned(),
        ),
        _ => (
            format!("{node} has no trunk interface, and a pod with security groups of its own was placed on it"),
            "The pod waits in ContainerCreating.",
            "no-trunk",
            "Replace the nodes that are older than ENABLE_POD_ENI, and check the cluster role's policy AmazonEKSVPCResourceController".to_owned(),
        ),
    };
    Some(with_confirm(
        one.finding(&META, Severity::Error, title)
            .confidence(Confidence::Confirmed)
            .detail(detail)
            .signal(signal)
            .fix(fix),
    ))
}

fn of_node(node: &Node) -> Finding {
    let name = &node.metadata.name;
    let kind = node.instance_type().unwrap_or_default();
    with_confirm(
        META.finding(
            Severity::Error,
            format!("Node {name} offers no branch interfaces, although {kind} takes a trunk interface"),
        )
        .detail("It is older than the setting and had no slot left, or the controller could not make the trunk: pods with security groups of their own find no place there.")
        .subject(Subject::node(name))
        .subject(Subject::new(SubjectKind::InstanceType, kind))
        .fact(
            Fact::new(
                Source::Nodes,
                format!("Node {name}"),
                format!("status.allocatable[{BRANCH}]"),
                node.status
                    .allocatable
                    .get(BRANCH)
                    .map_or("not there", String::as_str),
            )
            .expected("1 or more"),
        )
        .at(Place::nodes([name.as_str()]))
        .reaches(Place::nodes([name.as_str()]))
        .signal("no-trunk")
        .fix(format!(
            "kubectl drain {name} --ignore-daemonsets --delete-emptydir-data   # and replace it"
        )),
    )
}

fn with_confirm(finding: Finding) -> Finding {
    finding
        .confirm("kubectl get nodes -o custom-columns='NAME:.metadata.name,TYPE:.metadata.labels.node\\.kubernetes\\.io/instance-type,BRANCH:.status.allocatable.vpc\\.amazonaws\\.com/pod-eni'")
        .confirm("kubectl get cninodes -o yaml")
        .confirm("kubectl get events -A --field-selector involvedObject.kind=Node | grep -i trunk")
}
