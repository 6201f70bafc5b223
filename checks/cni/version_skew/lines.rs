//! What logs and Events say of versions that do not fit.

use eksnet_model::{Confidence, Finding, Severity, Told};

use super::{META, with_remedy};

/// The line that tells most, of one place.
pub(super) fn finding(told: &[Told<'_>]) -> Option<Finding> {
    const ORDER: [&str; 7] = [
        "aws-node-old-entry",
        "ipamd-no-family",
        "cni-config-version",
        "aws-node-rbac",
        "aws-node-no-crd",
        "ipamd-panics",
        "ipamd-exit-2",
    ];
    let one = ORDER
        .iter()
        .find_map(|id| told.iter().find(|one| one.signature() == *id))?;
    let on = one.node.as_ref().map_or_else(
        || format!("aws-node ({})", one.place),
        |node| format!("aws-node on node {node}"),
    );
    let value = |field: &str| one.value(field).unwrap_or_default().to_owned();
    let (confidence, title, detail, signal) = match one.signature() {
        "aws-node-old-entry" => (
            Confidence::Confirmed,
            format!(
                "{on} starts {}, which its image does not have",
                value("path")
            ),
            "The image was changed and the manifest was not: the container cannot start.",
            "entry-missing",
        ),
        "ipamd-no-family" => (
            Confidence::Confirmed,
            format!(
                "{on} has neither ENABLE_IPv4 nor ENABLE_IPv6: its image is newer than its manifest"
            ),
            "Versions from 1.10 on need one of them, and the manifest of that version sets it.",
            "no-ip-family",
        ),
        "cni-config-version" => (
            Confidence::Likely,
            format!(
                "{on}: the CNI's binary and its configuration on the node are of different versions"
            ),
            "One of the two was left by another version or another installer: no pod can be set up.",
            "cni-config-version",
        ),
        "aws-node-rbac" => (
            Confidence::Confirmed,
            format!(
                "{on} may not {} {}: its ClusterRole is older than its image",
                value("verb"),
                value("resource")
            ),
            "The image was updated without the manifest of its version.",
            "rbac-older",
        ),
        "aws-node-no-crd" => (
            Confidence::Confirmed,
            format!(
                "{on} reads {} objects, and that kind is not installed",
                value("kind")
            ),
            "The image was updated without the manifest of its version, which brings the kind.",
            "crd-missing",
        ),
        "ipamd-panics" => (
            Confidence::Likely,
            format!("{on} panics in {}", value("where")),
            "A panic is a fault of that version, or of a manifest of another version: settings that the version needs are not there.",
            "panic",
        ),
        _ => (
            Confidence::Possible,
            format!(
                "{on}: its address daemon ends with exit status 2, as a Go program that panics does"
            ),
            "It does not end by an error of its own, which is exit status 1. A version with a fault, or one whose manifest is of another version, does that.",
            "panic",
        ),
    };
    Some(with_remedy(
        one.finding(&META, Severity::Error, title)
            .confidence(confidence)
            .detail(detail)
            .signal(signal)
            .confirm("kubectl -n kube-system logs daemonset/aws-node -c aws-node --previous"),
        "CLUSTER",
    ))
}
