//! `node/provider-id`: a node names no instance, one that is gone, or one of another zone.

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Place, Role, Severity, SignatureSet, Source, Stop,
    Subject,
};

use crate::say::{self, Say};

use eksnet_model::kubernetes::Node;

const META: Meta = Meta {
    id: "node/provider-id",
    title: "Node objects and EC2 instances do not match",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Nodes],
    helps: &[Source::Instances, Source::Logs, Source::Events],
    signals: &[
        "no-provider-id",
        "no-instance",
        "other-zone",
        "uninitialized",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[
    Say {
        signatures: &["ca-wrong-provider-id", "lbc-no-provider-id"],
        title: "A node has no provider id of EC2: {nodename}",
        detail: "Controllers find the instance of a node by its provider id. Without one the autoscaler neither counts nor removes the node, and load balancers cannot register it.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "no-provider-id",
        confirm: "kubectl get nodes -o custom-columns=NAME:.metadata.name,PROVIDER:.spec.providerID",
        fix: "kubectl delete node {nodename}   # it registers again; the kubelet needs --provider-id=aws:///ZONE/INSTANCE or a cloud provider",
    },
    Say {
        signatures: &["ca-no-instance"],
        title: "Node {nodename} matches no instance that the autoscaler knows",
        detail: "The node object outlived its instance, or its provider id is that of another one.",
        severity: Severity::Error,
        confidence: Confidence::Possible,
        signal: "no-instance",
        confirm: "kubectl get nodes -o custom-columns=NAME:.metadata.name,PROVIDER:.spec.providerID",
        fix: "kubectl delete node {nodename}   # when its instance is gone",
    },
];

/// A node that is this young, in seconds, may still be registering.
const STARTING_S: i64 = 300;

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let said = say::findings(cx, &META, &SIGNATURES, "A node", SAYS, |_| true);
    let nodes = cx.nodes().some();
    let listed = nodes
        .as_ref()
        .map(|nodes| nodes.as_slice())
        .unwrap_or_default();
    let _ = cx.instances().optional();
    let found: Vec<Finding> = listed
        .iter()
        .filter(|node| is_of_ec2(node) && !is_young(cx, node))
        .filter_map(|node| mismatch(cx, node))
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if !said.is_empty() {
        return Ok(said);
    }
    if nodes?.is_empty() {
        return Err(Stop::not_applicable("the cluster has no nodes"));
    }
    Ok(Vec::new())
}

fn is_of_ec2(node: &Node) -> bool {
    let id = node.spec.provider_id.as_deref().unwrap_or_default();
    !matches!(node.compute_type(), Some("fargate" | "hybrid"))
        && !id.contains("/fargate-")
        && !id.starts_with("eks-hybrid:")
        && node.metadata.deletion_timestamp.is_none()
}

fn is_young(cx: &Cx<'_>, node: &Node) -> bool {
    match (cx.now(), node.metadata.creation_timestamp) {
        (Some(now), Some(made)) => now.seconds_since(made) <= STARTING_S,
        _ => false,
    }
}

/// What is wrong: title, detail, field, what was seen, what would be right, signal.
type Wrong = (
    String,
    &'static str,
    &'static str,
    String,
    String,
    &'static str,
);

fn mismatch(cx: &Cx<'_>, node: &Node) -> Option<Finding> {
    let name = node.metadata.name.as_str();
    let id = node.spec.provider_id.as_deref().unwrap_or_default();
    let (title, detail, field, saw, expected, signal) = wrong(cx, node, name, id)?;
    let place = Place::nodes([name]);
    Some(
        META.finding(Severity::Error, title)
            .confidence(Confidence::Confirmed)
            .detail(detail)
            .subject(Subject::node(name))
            .fact(Fact::new(Source::Nodes, format!("Node {name}"), field, saw).expected(expected))
            .at(place.clone())
            .reaches(place)
            .signal(signal)
            .confirm("kubectl get nodes -o custom-columns=NAME:.metadata.name,PROVIDER:.spec.providerID,TAINTS:.spec.taints[*].key")
            .fix(if signal == "uninitialized" {
                format!("kubectl describe node {name}   # the cloud controller of EKS takes the taint off when it finds the instance by the node's name")
            } else {
                format!("kubectl delete node {name}   # the kubelet registers it again, if its instance is there")
            }),
    )
}

fn wrong(cx: &Cx<'_>, node: &Node, name: &str, id: &str) -> Option<Wrong> {
    const CONTROLLERS: &str = "Controllers find the instance of a node by its provider id: without it the autoscaler neither counts nor removes the node, and load balancers cannot register it.";
    let uninitialized = node
        .spec
        .taints
        .iter()
        .any(|taint| taint.key == "node.cloudprovider.kubernetes.io/uninitialized");
    if uninitialized {
        return Some((
            format!(
                "Node {name} was never matched with an instance: it keeps the taint uninitialized"
            ),
            "The cloud controller of EKS finds an instance by the private DNS name that the node has as its name. No pod that does not tolerate the taint runs there.",
            "taint",
            "node.cloudprovider.kubernetes.io/uninitialized".to_owned(),
            "gone within a minute".to_owned(),
            "uninitialized",
        ));
    }
    let instance_id = node.instance_id().filter(|id| id.starts_with("i-"));
    let Some(instance_id) = instance_id else {
        // A table of nodes does not show it.
        node.spec.provider_id.as_ref()?;
        return Some((
            format!("Node {name} has no provider id of EC2"),
            CONTROLLERS,
            "spec.providerID",
            if id.is_empty() {
                "empty".to_owned()
            } else {
                id.to_owned()
            },
            "aws:///ZONE/INSTANCE".to_owned(),
            "no-provider-id",
        ));
    };
    let known = cx.topology().instance_of(node);
    let gone = match known {
        Some(instance) => matches!(instance.state.name.as_str(), "terminated" | "shutting-down"),
        None => cx.instances().is_complete(),
    };
    if gone {
        return Some((
            format!("Node {name} is left over: its instance {instance_id} is gone"),
            "Its pods are counted and its endpoints may be, and nothing runs there.",
            "spec.providerID",
            id.to_owned(),
            "an instance that runs".to_owned(),
            "no-instance",
        ));
    }
    let zone = known.map(|instance| instance.placement.availability_zone.as_str());
    let labelled = node.zone().unwrap_or_default();
    match zone {
        Some(zone) if !zone.is_empty() && !labelled.is_empty() && zone != labelled => Some((
            format!("Node {name} says zone {labelled}, its instance is in {zone}"),
            "Volumes and topology spread go by the label.",
            "label topology.kubernetes.io/zone",
            labelled.to_owned(),
            zone.to_owned(),
            "other-zone",
        )),
        _ => None,
    }
}
