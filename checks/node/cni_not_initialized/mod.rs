//! `node/cni-not-initialized`: a node has no network configuration, so that no pod starts on it.

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Place, Role, Severity, SignatureSet, Source, Stop,
    Subject, Told,
};

use crate::say::{self, Say};

use eksnet_model::kubernetes::Node;

const META: Meta = Meta {
    id: "node/cni-not-initialized",
    title: "A node waits for the configuration of its container network",
    severity: Severity::Critical,
    role: Role::Mechanism,
    needs: &[Source::Nodes],
    helps: &[Source::Logs, Source::Events],
    signals: &["no-config"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[Say {
    signatures: &[
        "kubelet-cni-uninitialized",
        "kubelet-no-cni-config",
        "event-network-not-ready",
    ],
    title: "{who} waits for its container network: the CNI has written no configuration",
    detail: "aws-node writes /etc/cni/net.d/10-aws.conflist when ipamd answers, and not before. Pods with a network of their own do not start on the node; why aws-node does not get there is the question.",
    severity: Severity::Critical,
    confidence: Confidence::Likely,
    signal: "no-config",
    confirm: "kubectl -n kube-system get pods -l k8s-app=aws-node -o wide",
    fix: "kubectl -n kube-system rollout restart daemonset aws-node   # where it is not there at all: aws eks create-addon --cluster-name {cluster} --addon-name vpc-cni",
}];

/// A node that is this young, in seconds, is still starting.
const STARTING_S: i64 = 180;

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let nodes = cx.nodes().some();
    let listed = nodes
        .as_ref()
        .map(|nodes| nodes.as_slice())
        .unwrap_or_default();
    let found: Vec<Finding> = listed.iter().filter_map(|node| waiting(cx, node)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let said = say::findings(cx, &META, &SIGNATURES, "A node", SAYS, |told| {
        !is_past(cx, told)
    });
    if !said.is_empty() {
        return Ok(said);
    }
    if nodes?.is_empty() {
        return Err(Stop::not_applicable("the cluster has no nodes"));
    }
    Ok(Vec::new())
}

/// Whether the node that a line is about has its network by now, or is still starting.
fn is_past(cx: &Cx<'_>, told: &Told<'_>) -> bool {
    let Some(node) = told.node.as_ref().and_then(|name| cx.topology().node(name)) else {
        return false;
    };
    node.is_ready() == Some(true) || is_young(cx, node)
}

fn is_young(cx: &Cx<'_>, node: &Node) -> bool {
    match (cx.now(), node.metadata.creation_timestamp) {
        (Some(now), Some(made)) => now.seconds_since(made) <= STARTING_S,
        _ => false,
    }
}

fn waiting(cx: &Cx<'_>, node: &Node) -> Option<Finding> {
    let ready = node.condition("Ready")?;
    let message = ready.message.to_ascii_lowercase();
    let names_cni = [
        "cni plugin not initialized",
        "cni config uninitialized",
        "network plugin not initialized",
        "networkpluginnotready",
    ]
    .iter()
    .any(|words| message.contains(words));
    if ready.status == "True" || !names_cni || is_young(cx, node) || !node.is_linux() {
        return None;
    }
    let name = node.metadata.name.as_str();
    let place = Place::nodes([name]);
    Some(
        META.finding(
            Severity::Critical,
            format!("Node {name} waits for its container network: the CNI has written no configuration"),
        )
        .confidence(Confidence::Confirmed)
        .detail("aws-node writes /etc/cni/net.d/10-aws.conflist when ipamd answers, and not before. Pods with a network of their own do not start on the node; why aws-node does not get there is the question.")
        .subject(Subject::node(name))
        .fact(
            Fact::new(
                Source::Nodes,
                format!("Node {name}"),
                "condition Ready",
                format!("{} ({}: {})", ready.status, ready.reason, ready.message),
            )
            .expected("True")
            .at(ready.last_transition_time),
        )
        .at(place.clone())
        .reaches(place)
        .signal("no-config")
        .confirm(format!(
            "kubectl -n kube-system get pods -l k8s-app=aws-node --field-selector spec.nodeName={name} -o wide"
        ))
        .fix(format!(
            "kubectl -n kube-system logs -l k8s-app=aws-node --all-containers --tail=50   # why it does not get ready on {name}"
        )),
    )
}
