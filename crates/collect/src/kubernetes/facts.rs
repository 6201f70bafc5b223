//! What is known of the cluster as a whole.

use eksnet_model::kubernetes::Node;
use eksnet_model::{ClusterFacts, Component, Snapshot, Text};

use super::connect::Connection;

/// Fills the facts of the cluster from the kubeconfig, the API server's version and the objects of
/// the snapshot. What is known already stays.
pub(crate) fn learn(snapshot: &mut Snapshot, connection: &Connection) {
    let hints = connection.hints();
    let set = |slot: &mut Option<Text>, value: Option<&String>| {
        if slot.is_none() {
            *slot = value.map(Text::from);
        }
    };
    let mut facts = std::mem::take(&mut snapshot.cluster);
    set(&mut facts.name, hints.cluster_name.as_ref());
    set(&mut facts.region, hints.region.as_ref());
    set(&mut facts.account, hints.account.as_ref());
    set(&mut facts.partition, hints.partition.as_ref());
    let git_version = connection
        .version()
        .map(|version| version.git_version.as_str());
    if facts.version.is_none() {
        facts.version = git_version.and_then(major_minor);
    }
    let host = connection.hints().api_host.as_str();
    learn_objects(&mut facts, snapshot, git_version, host);
    snapshot.cluster = facts;
}

/// `1.33` of `v1.33.5-eks-113cf36`.
fn major_minor(git_version: &str) -> Option<Text> {
    let mut parts = git_version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(major) && digits(minor)).then(|| format!("{major}.{minor}").into())
}

fn learn_objects(
    facts: &mut ClusterFacts,
    snapshot: &Snapshot,
    git_version: Option<&str>,
    host: &str,
) {
    let kubernetes = &snapshot.kubernetes;
    let nodes = kubernetes.nodes.value().map_or(&[][..], Vec::as_slice);
    if facts.region.is_none() {
        let labelled = nodes.iter().find_map(Node::region).map(str::to_owned);
        let zone = || nodes.iter().find_map(zone_of_provider_id);
        facts.region = labelled
            .or_else(|| zone().map(|zone| region_of_zone(&zone)))
            .map(Text::from);
    }
    if facts.name.is_none() {
        const LABEL: &str = "alpha.eksctl.io/cluster-name";
        facts.name = nodes
            .iter()
            .find_map(|node| node.label(LABEL))
            .map(Text::from);
    }
    if facts.eks.is_none() {
        facts.eks = is_eks(snapshot, nodes, git_version, host);
    }
    if facts.domain.is_none() {
        facts.domain = kubernetes
            .configmaps
            .value()
            .and_then(|maps| maps.iter().find(|map| map.metadata.name == "coredns"))
            .and_then(|map| domain_of_corefile(map.data.get("Corefile")?))
            .map(Text::from);
    }
}

/// Whether it is an EKS cluster: by the version of server or kubelets, by the API's host, or by
/// nodes of EC2 that run the VPC CNI. `Some(false)` only on nodes that are seen to be elsewhere.
fn is_eks(
    snapshot: &Snapshot,
    nodes: &[Node],
    git_version: Option<&str>,
    host: &str,
) -> Option<bool> {
    if git_version.is_some_and(|version| version.contains("-eks-"))
        || host.contains(".eks.amazonaws.com")
    {
        return Some(true);
    }
    let says_eks = |node: &Node| {
        node.status.node_info.kubelet_version.contains("-eks-")
            || node
                .metadata
                .labels
                .keys()
                .any(|key| key.starts_with("eks.amazonaws.com/"))
    };
    let on_ec2 = |node: &Node| {
        node.spec
            .provider_id
            .as_deref()
            .is_some_and(|id| id.starts_with("aws://"))
    };
    let has_cni = snapshot.kubernetes.pods.value().is_some_and(|pods| {
        pods.iter()
            .any(|pod| Component::of_pod(pod) == Component::AwsNode)
    });
    if nodes.iter().any(says_eks) || (nodes.iter().any(on_ec2) && has_cni) {
        return Some(true);
    }
    let is_complete = snapshot.kubernetes.nodes.is_complete();
    (is_complete && !nodes.is_empty() && !nodes.iter().any(on_ec2)).then_some(false)
}

/// The zone of `aws:///us-west-2a/i-0abc`.
fn zone_of_provider_id(node: &Node) -> Option<String> {
    let rest = node.spec.provider_id.as_deref()?.strip_prefix("aws://")?;
    rest.trim_start_matches('/')
        .split('/')
        .next()
        .filter(|zone| zone.len() > 4)
        .map(str::to_owned)
}

/// `us-west-2` of `us-west-2a`, also of `us-west-2-lax-1a`, a local zone.
fn region_of_zone(zone: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in zone.split('-') {
        let number = part.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            parts.push(number);
            break;
        }
        parts.push(part);
    }
    parts.join("-")
}

/// The first zone of the Corefile's `kubernetes` plugin that is no reverse zone.
fn domain_of_corefile(corefile: &str) -> Option<String> {
    let line = corefile.lines().map(str::trim).find(|line| {
        line.strip_prefix("kubernetes")
            .is_some_and(|rest| rest.starts_with([' ', '\t']))
    })?;
    line.split_whitespace()
        .skip(1)
        .map(|zone| zone.trim_matches(['{', '}']).trim_end_matches('.'))
        .find(|zone| !zone.is_empty() && !zone.ends_with(".arpa") && zone.contains('.'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(provider: &str, kubelet: &str) -> Node {
        let mut node = Node::default();
        node.spec.provider_id = Some(provider.to_owned());
        kubelet.clone_into(&mut node.status.node_info.kubelet_version);
        node
    }

    fn judged(nodes: Vec<Node>, version: &str) -> Option<bool> {
        let mut snapshot = Snapshot::default();
        snapshot.kubernetes.nodes = eksnet_model::Evidence::Present(nodes.clone());
        is_eks(&snapshot, &nodes, Some(version), "127.0.0.1")
    }

    #[test]
    fn eks_is_known_by_versions_and_never_denied_without_looking() {
        assert_eq!(judged(vec![], "v1.33.5-eks-113cf36"), Some(true));
        let bare = node("aws:///us-west-2a/i-1", "v1.21.0-eks-1");
        assert_eq!(judged(vec![bare], "v1.21.0"), Some(true));
        assert_eq!(
            judged(vec![node("kind://x", "v1.33.0")], "v1.33.0"),
            Some(false)
        );
        // EC2 without a sign of EKS may be kops, or EKS behind a renamed everything.
        assert_eq!(
            judged(vec![node("aws:///us-west-2a/i-1", "v1.33.0")], "v1.33.0"),
            None
        );
        assert_eq!(judged(vec![], "v1.33.0"), None);
    }

    #[test]
    fn zones_tell_their_region() {
        assert_eq!(region_of_zone("us-west-2a"), "us-west-2");
        assert_eq!(region_of_zone("us-gov-east-1b"), "us-gov-east-1");
        assert_eq!(region_of_zone("us-west-2-lax-1a"), "us-west-2");
        let with = |id| zone_of_provider_id(&node(id, ""));
        assert_eq!(with("aws:///eu-west-1c/i-0").as_deref(), Some("eu-west-1c"));
        assert_eq!(with("gce://project/zone/x"), None);
    }

    #[test]
    fn the_domain_is_the_zone_of_the_kubernetes_plugin() {
        let corefile = ".:53 {\n  errors\n  kubernetes in-addr.arpa corp.internal. ip6.arpa {\n    pods insecure\n  }\n}";
        assert_eq!(
            domain_of_corefile(corefile).as_deref(),
            Some("corp.internal")
        );
        assert_eq!(
            domain_of_corefile(".:53 {\n forward . /etc/resolv.conf\n}"),
            None
        );
    }

    #[test]
    fn versions_are_cut_to_major_and_minor() {
        assert_eq!(major_minor("v1.33.5-eks-113cf36").as_deref(), Some("1.33"));
        assert_eq!(major_minor("v1.21+"), None);
        assert_eq!(major_minor("garbage"), None);
    }
}
