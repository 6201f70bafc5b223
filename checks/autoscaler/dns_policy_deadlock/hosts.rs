//! Nodes on which CoreDNS can run, and whether any of them stays.

use eksnet_model::kubernetes::Node;
use eksnet_model::{ClusterAutoscaler, ClusterDns, Component, Cx, Deployed, Stop};

/// The nodes on which CoreDNS can run, when the autoscaler may remove each of them.
pub(super) fn fleeting<'c>(
    cx: &'c Cx<'_>,
    scaler: &Deployed<'_>,
    dns: &ClusterDns<'_>,
) -> Result<Option<Vec<&'c str>>, Stop> {
    let nodes = cx.nodes().all()?;
    let is_fargate = |node: &Node| {
        node.compute_type() == Some("fargate") || node.metadata.name.starts_with("fargate-")
    };
    let stays = dns.pods.iter().any(|pod| {
        let node = nodes
            .iter()
            .find(|node| node.metadata.name == pod.spec.node_name);
        node.is_some_and(is_fargate)
    });
    let hosts: Vec<&Node> = nodes
        .iter()
        .filter(|node| node.is_linux() && !is_fargate(node) && node.compute_type() != Some("auto"))
        .collect();
    if stays || hosts.is_empty() {
        return Ok(None);
    }
    if scaler.component == Component::Karpenter {
        const LABELS: [&str; 2] = ["karpenter.sh/nodepool", "karpenter.sh/provisioner-name"];
        let made = |node: &&Node| LABELS.iter().any(|label| node.label(label).is_some());
        return Ok(hosts.iter().all(made).then(|| names(&hosts)));
    }
    let Some(flags) = ClusterAutoscaler::of(scaler) else {
        return Ok(None);
    };
    let discovery = flags.discovery();
    let groups = cx.auto_scaling_groups().some()?;
    let may_go = |node: &&Node| {
        groups
            .iter()
            .filter(|group| {
                let mut ids = group.instances.iter().map(|one| one.instance_id.as_str());
                node.instance_id()
                    .is_some_and(|id| ids.any(|one| one == id))
            })
            .any(|group| {
                let min = discovery
                    .named(group)
                    .map_or(group.min_size, |named| named.min);
                min == 0 && discovery.selects(group)
            })
    };
    Ok(hosts.iter().all(may_go).then(|| names(&hosts)))
}

fn names<'c>(nodes: &[&'c Node]) -> Vec<&'c str> {
    nodes
        .iter()
        .map(|node| node.metadata.name.as_str())
        .collect()
}
