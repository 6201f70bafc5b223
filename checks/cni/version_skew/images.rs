//! Versions by the images of aws-node's DaemonSet.
//!
//! Rules: release notes of <https://github.com/aws/amazon-vpc-cni-k8s/blob/master/CHANGELOG.md> and the
//! versions recommended at least by its README (read 2026-08).

use eksnet_model::kubernetes::{Container, DaemonSet, Node};
use eksnet_model::{
    Confidence, Cx, Fact, Finding, Gap, Severity, Source, Stop, Subject, SubjectKind, Why,
};

use super::{META, with_remedy};

/// Major, minor, patch.
type Version = (u32, u32, u32);

/// From this version on ipamd and the network policy agent talk over a Unix socket.
const SOCKET_SINCE: Version = (1, 23, 0);
/// The first agent that does.
const SOCKET_AGENT: Version = (1, 4, 1);
/// The first version for Amazon Linux 2023: <https://docs.aws.amazon.com/eks/latest/userguide/al2023.html>.
const AL2023_SINCE: Version = (1, 16, 2);

fn aws_node(sets: &[DaemonSet]) -> Option<&DaemonSet> {
    sets.iter()
        .find(|set| set.metadata.namespace == "kube-system" && set.metadata.name == "aws-node")
}

/// Version in the tag of an image: `..:v1.20.1-eksbuild.3` is (1, 20, 1).
fn version(image: &str) -> Option<Version> {
    let tag = image
        .split('@')
        .next()?
        .rsplit('/')
        .next()?
        .split_once(':')?
        .1;
    let mut numbers = tag.trim_start_matches('v').split(['.', '-', '+']);
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?, next()?))
}

fn of<'a>(containers: &'a [Container], image: &str) -> Option<&'a Container> {
    containers.iter().find(|one| {
        let name = one.image.split('@').next().unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or_default();
        name.split(':').next() == Some(image)
    })
}

/// Whether the tag tells a version: a mirror's own tags do not.
pub(super) fn readable(sets: &[DaemonSet]) -> Result<(), Stop> {
    let main = aws_node(sets).and_then(|set| {
        let containers = &set.spec.template.spec.containers;
        of(containers, "amazon-k8s-cni").or(containers.first())
    });
    match main {
        Some(main) if version(&main.image).is_none() => Err(Stop::unknown(Gap::new(
            Source::DaemonSets,
            Why::Sampled,
            format!("the tag of image {:?} names no version", main.image),
        ))),
        _ => Ok(()),
    }
}

pub(super) fn findings(cx: &Cx<'_>, sets: &[DaemonSet], nodes: &[Node]) -> Vec<Finding> {
    let Some(set) = aws_node(sets) else {
        return Vec::new();
    };
    let spec = &set.spec.template.spec;
    let Some(main) = of(&spec.containers, "amazon-k8s-cni").or(spec.containers.first()) else {
        return Vec::new();
    };
    let Some(own) = version(&main.image) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut add =
        |severity, title: String, detail: &str, signal: &'static str, facts: Vec<Fact>| {
            found.push(with_remedy(
                META.finding(severity, title)
                    .confidence(Confidence::Confirmed)
                    .detail(detail)
                    .subject(Subject::namespaced(
                        SubjectKind::DaemonSet,
                        "kube-system",
                        "aws-node",
                    ))
                    .subject(Subject::new(SubjectKind::Other, signal))
                    .facts(facts)
                    .signal(signal),
                cx.cluster_name(),
            ));
        };
    if let Some(init) = of(&spec.init_containers, "amazon-k8s-cni-init")
        && let Some(other) = version(&init.image)
        && other != own
    {
        add(
            Severity::Error,
            format!(
                "aws-node is of version {} and its init container of {}",
                text(own),
                text(other)
            ),
            "They are released together: the init container prepares the node for its own version.",
            "init-differs",
            vec![image_fact(init).expected(text(own))],
        );
    }
    if let Some(agent) = of(&spec.containers, "aws-network-policy-agent")
        && let Some(other) = version(&agent.image)
        && own >= SOCKET_SINCE
        && other < SOCKET_AGENT
    {
        add(
            Severity::Error,
            format!(
                "aws-node {} and its network policy agent {} do not find each other",
                text(own),
                text(other)
            ),
            "From 1.23.0 on they talk over a Unix socket, which agents before 1.4.1 do not know: pods with policies are not set up.",
            "agent-differs",
            vec![image_fact(agent).expected(format!("{} or newer", text(SOCKET_AGENT)))],
        );
    }
    let families = ["ENABLE_IPv4", "ENABLE_IPv6"];
    if own >= (1, 10, 0)
        && main.env.len() > 3
        && !main
            .env
            .iter()
            .any(|env| families.contains(&env.name.as_str()))
    {
        add(
            Severity::Error,
            format!(
                "aws-node {} has neither ENABLE_IPv4 nor ENABLE_IPv6: its image is newer than its manifest",
                text(own)
            ),
            "Versions from 1.10 on end at their start without one of them.",
            "no-ip-family",
            vec![
                Fact::new(
                    Source::DaemonSets,
                    "DaemonSet kube-system/aws-node",
                    "env ENABLE_IPv4, ENABLE_IPv6",
                    "neither set",
                )
                .expected("one of them true"),
            ],
        );
    }
    let al2023 = nodes
        .iter()
        .find(|node| node.status.node_info.os_image.contains("Amazon Linux 2023"));
    if let Some(node) = al2023.filter(|_| own < AL2023_SINCE) {
        add(
            Severity::Error,
            format!(
                "aws-node {} is too old for nodes of Amazon Linux 2023",
                text(own)
            ),
            "Versions before 1.16.2 do not set up the network of that image.",
            "old-for-image",
            vec![
                image_fact(main).expected(format!("{} or newer", text(AL2023_SINCE))),
                Fact::new(
                    Source::Nodes,
                    format!("Node {}", node.metadata.name),
                    "osImage",
                    node.status.node_info.os_image.as_str(),
                ),
            ],
        );
    }
    let minor = cx
        .cluster()
        .version
        .as_deref()
        .and_then(|version| version.split('.').nth(1)?.parse().ok());
    if let Some((minor, least)) = minor.and_then(|minor| Some((minor, least(minor)?)))
        && own < least
    {
        add(
            Severity::Warning,
            format!(
                "aws-node {} is older than recommended for Kubernetes 1.{minor}",
                text(own)
            ),
            "Faults that are mended since are still in it.",
            "old-for-cluster",
            vec![image_fact(main).expected(format!("{} or newer", text(least)))],
        );
    }
    found
}

/// The version recommended at least for a minor version of Kubernetes.
fn least(minor: u32) -> Option<Version> {
    Some(match minor {
        ..28 => return None,
        28 => (1, 13, 4),
        29 => (1, 14, 1),
        30 => (1, 16, 0),
        31 => (1, 16, 4),
        _ => (1, 17, 1),
    })
}

fn image_fact(container: &Container) -> Fact {
    Fact::new(
        Source::DaemonSets,
        "DaemonSet kube-system/aws-node",
        format!("image of {}", container.name),
        container.image.as_str(),
    )
}

fn text((major, minor, patch): Version) -> String {
    format!("{major}.{minor}.{patch}")
}
