//! `autoscaler/safe-to-evict-missing`: an autoscaler may remove the node that it stands on.

mod evicted;
mod pinned;

use eksnet_model::kubernetes::{Node, Pod};
use eksnet_model::{
    Check, ClusterAutoscaler, Component, Confidence, Cx, Deployed, Fact, Finding, Meta, Role,
    Severity, Source, Stop, SystemPods,
};

const META: Meta = Meta {
    id: "autoscaler/safe-to-evict-missing",
    title: "An autoscaler may remove the node that it stands on, or pods keep nodes for ever",
    severity: Severity::Warning,
    role: Role::Risk,
    needs: &[Source::Deployments, Source::Pods],
    helps: &[
        Source::Nodes,
        Source::AutoScalingGroups,
        Source::Events,
        Source::Logs,
    ],
    signals: &["unpinned", "on-deployment", "evicted-itself", "pins-nodes"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

const SAFE: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
const KARPENTER: &str = "karpenter.sh/do-not-disrupt";
const KARPENTER_OLD: &str = "karpenter.sh/do-not-evict";

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let evicted = evicted::seen(cx);
    match judge(cx, &evicted) {
        Err(_) if !evicted.is_empty() => Ok(vec![evicted::finding(cx, &evicted)]),
        other => other,
    }
}

fn judge(cx: &Cx<'_>, evicted: &[evicted::Evicted]) -> Result<Vec<Finding>, Stop> {
    let scalers = Deployed::seen(cx, &[Component::ClusterAutoscaler, Component::Karpenter])?;
    let mut findings = Vec::new();
    let mut gap = None;
    for scaler in &scalers {
        if is_pinned(scaler) || removes_nothing(scaler) || is_on_fargate(cx, scaler) {
            continue;
        }
        match own_node(cx, scaler) {
            Ok(Some(node)) => findings.push(unpinned(cx, scaler, Some(node))),
            Ok(None) if annotated_on_deployment(scaler) => {
                findings.push(unpinned(cx, scaler, None));
            }
            Ok(None) => {}
            Err(_) if annotated_on_deployment(scaler) => findings.push(unpinned(cx, scaler, None)),
            Err(stop) => gap = Some(stop),
        }
    }
    if !evicted.is_empty() {
        match findings.first_mut() {
            Some(first) => evicted::add_to(first, evicted),
            None => findings.push(evicted::finding(cx, evicted)),
        }
    }
    if let Some(finding) = pinned::finding(cx, &scalers) {
        findings.push(finding);
    }
    match gap {
        Some(stop) if findings.is_empty() => Err(stop),
        _ if findings.is_empty() => {
            for scaler in &scalers {
                cx.deployments().all_in(scaler.namespace)?;
                cx.pods().all_in(scaler.namespace)?;
            }
            Ok(findings)
        }
        _ => Ok(findings),
    }
}

fn annotations<'a>(
    scaler: &Deployed<'a>,
) -> Option<&'a std::collections::BTreeMap<String, String>> {
    let template = scaler
        .deployment
        .map(|deployment| &deployment.spec.template.metadata.annotations);
    template.or_else(|| scaler.pods.first().map(|pod| &pod.metadata.annotations))
}

fn is_pinned(scaler: &Deployed<'_>) -> bool {
    let is = |key: &str, wanted: &str| {
        annotations(scaler).is_some_and(|all| all.get(key).is_some_and(|value| value == wanted))
    };
    match scaler.component {
        Component::Karpenter => is(KARPENTER, "true") || is(KARPENTER_OLD, "true"),
        _ => is(SAFE, "false"),
    }
}

/// Nothing is removed, or nothing of kube-system: then the default keeps the autoscaler's node.
fn removes_nothing(scaler: &Deployed<'_>) -> bool {
    let Some(flags) = ClusterAutoscaler::of(scaler) else {
        return false;
    };
    if scaler.component == Component::Karpenter {
        return false;
    }
    let says_safe = annotations(scaler).is_some_and(|all| all.contains_key(SAFE));
    let kept = scaler.namespace == "kube-system"
        && flags.system_pods() == Some(SystemPods::Kept)
        && !says_safe;
    kept || !flags.is_on("scale-down-enabled", true)
}

fn is_on_fargate(cx: &Cx<'_>, scaler: &Deployed<'_>) -> bool {
    let is_fargate = |pod: &&Pod| {
        let name = pod.spec.node_name.as_str();
        let node = cx.topology().node(name);
        name.starts_with("fargate-")
            || node.is_some_and(|node| node.compute_type() == Some("fargate"))
    };
    let mut pods = scaler.live_pods().peekable();
    pods.peek().is_some() && pods.all(|pod| is_fargate(&pod))
}

fn annotated_on_deployment(scaler: &Deployed<'_>) -> bool {
    let key = match scaler.component {
        Component::Karpenter => KARPENTER,
        _ => SAFE,
    };
    scaler
        .deployment
        .is_some_and(|deployment| deployment.metadata.annotations.contains_key(key))
}

/// The node of the autoscaler that it may remove itself.
fn own_node<'c>(cx: &'c Cx<'_>, scaler: &Deployed<'_>) -> Result<Option<&'c Node>, Stop> {
    cx.pods().all_in(scaler.namespace)?;
    let nodes = cx.nodes().some()?;
    let of_pods = |node: &&Node| {
        scaler
            .live_pods()
            .any(|pod| pod.spec.node_name == node.metadata.name)
    };
    let mut own = nodes.iter().filter(of_pods);
    if scaler.component == Component::Karpenter {
        const LABELS: [&str; 2] = ["karpenter.sh/nodepool", "karpenter.sh/provisioner-name"];
        return Ok(own.find(|node| LABELS.iter().any(|label| node.label(label).is_some())));
    }
    let Some(flags) = ClusterAutoscaler::of(scaler) else {
        return Ok(None);
    };
    let discovery = flags.discovery();
    let groups = cx.auto_scaling_groups().some()?;
    Ok(own.find(|node| {
        let group = groups.iter().find(|group| {
            let ids = group.instances.iter().map(|one| one.instance_id.as_str());
            node.instance_id()
                .is_some_and(|id| ids.into_iter().any(|one| one == id))
        });
        // A group of fixed size gives no node away.
        group.is_some_and(|group| group.min_size < group.max_size && discovery.selects(group))
    }))
}

fn unpinned(cx: &Cx<'_>, scaler: &Deployed<'_>, node: Option<&Node>) -> Finding {
    let (key, value) = match scaler.component {
        Component::Karpenter => (KARPENTER, "true"),
        _ => (SAFE, "false"),
    };
    let misplaced = annotated_on_deployment(scaler);
    let saw = annotations(scaler).and_then(|all| all.get(key));
    let who = format!("{} ({})", scaler.component.name(), scaler.workload());
    let title = match (node, misplaced) {
        (_, true) => format!(
            "{who} carries {key} on its Deployment, where nobody reads it: its pods lack it"
        ),
        (Some(node), false) => format!(
            "{who} stands on node {}, which it may remove itself: its pods lack {key}={value}",
            node.metadata.name
        ),
        (None, false) => format!("{who} may remove its own node: its pods lack {key}={value}"),
    };
    let (namespace, resource) = (scaler.namespace, scaler.resource());
    let mut finding = META
        .finding(Severity::Warning, title)
        .detail("When it drains its own node it stops in the middle of its work, and nothing scales until it runs elsewhere; with no room elsewhere it does not come back.")
        .confidence(Confidence::Confirmed)
        .subject(scaler.subject())
        .fact(
            Fact::new(
                if scaler.deployment.is_some() { Source::Deployments } else { Source::Pods },
                scaler.subject().to_string(),
                format!("annotation {key} of its pods"),
                saw.map_or("none", String::as_str),
            )
            .expected(format!("\"{value}\"")),
        )
        .signal("unpinned")
        .at(scaler.place());
    if misplaced {
        finding = finding.signal("on-deployment");
    }
    if let Some(node) = node {
        let group = cx.topology().group_of(node);
        finding = finding.fact(Fact::new(
            Source::Nodes,
            format!("Node {}", node.metadata.name),
            "group",
            group.as_str(),
        ));
    }
    finding
        .confirm(format!(
            "kubectl -n {namespace} get {resource} -o jsonpath='{{.spec.template.metadata.annotations}}'"
        ))
        .fix(format!(
            "kubectl -n {namespace} patch {resource} -p '{{\"spec\":{{\"template\":{{\"metadata\":{{\"annotations\":{{\"{key}\":\"{value}\"}}}}}}}}}}'"
        ))
}
