//! `cni/imds-out-of-sync`: ipamd, instance metadata and EC2 disagree about a node's interfaces.

mod views;

use std::sync::LazyLock;

use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Finding, Meta, Role, Severity, SignatureSet, Source, Stop,
    Subject, SubjectKind, told, told_by_place,
};

use views::{Disagreement, Kind, disagreement};

const META: Meta = Meta {
    id: "cni/imds-out-of-sync",
    title: "ipamd, instance metadata and EC2 disagree about a node's interfaces",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Logs],
    helps: &[Source::Events, Source::DaemonSets],
    signals: &[
        "eni-back",
        "not-in-ec2",
        "not-in-metadata",
        "addresses-differ",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

/// Lines older than this, in seconds, are history.
const RECENT_S: i64 = 3600;

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    CniSettings::here(cx)?;
    let findings: Vec<Finding> = told_by_place(told(cx, META.id, &SIGNATURES, RECENT_S))
        .values()
        .filter_map(|told| disagreement(told))
        .map(finding)
        .collect();
    if findings.is_empty() {
        cx.logs().some()?;
    }
    Ok(findings)
}

fn finding(seen: Disagreement<'_>) -> Finding {
    let Disagreement {
        kind, eni, first, ..
    } = &seen;
    let node = first.node_words();
    let interface = eni.as_deref().map_or_else(
        || "an interface".to_owned(),
        |eni| format!("interface {eni}"),
    );
    let (severity, title, detail) = match kind {
        Kind::Back { after_s } => (
            Severity::Error,
            format!(
                "{node}: instance metadata still lists {interface} {after_s} s after ipamd gave it back"
            ),
            "ipamd takes the interface for its own again: it hands out addresses that reach nobody, or counts slots that are free.",
        ),
        Kind::NotInEc2 => (
            Severity::Error,
            format!("{node}: instance metadata lists {interface}, which EC2 does not know"),
            "ipamd asks EC2 for what metadata lists and is refused: it may not start, or not mend its stock.",
        ),
        Kind::NotInMetadata => (
            Severity::Error,
            format!("{node}: instance metadata does not show {interface} that EC2 attached"),
            "ipamd waits for the interface to show in metadata and gives it up: the stock of addresses does not grow.",
        ),
        Kind::Addresses => (
            Severity::Error,
            format!("{node}: ipamd and EC2 count different addresses on {interface}"),
            "Addresses were given or taken without ipamd: it may hand out some that are not the node's, or not see some that are.",
        ),
    };
    let id = eni.as_deref().unwrap_or("ENI");
    let mut finding = META
        .finding(severity, title)
        .confidence(seen.confidence)
        .detail(detail)
        .subject(first.subject())
        .facts(seen.facts.iter().cloned())
        .at(first.at_place())
        .signal(kind.signal())
        .confirm(format!(
            "aws ec2 describe-network-interfaces --network-interface-ids {id} --query 'NetworkInterfaces[].[NetworkInterfaceId,Status,Attachment.InstanceId]' --output text"
        ))
        .confirm("curl -s http://169.254.169.254/latest/meta-data/network/interfaces/macs/   # on the node, with a token where IMDSv2 is required");
    if let Some(eni) = eni {
        finding = finding.subject(Subject::new(SubjectKind::NetworkInterface, eni.as_str()));
    }
    match &first.node {
        Some(node) => finding
            .reaches(first.at_place())
            .fix(format!(
                "kubectl -n kube-system delete pod $(kubectl -n kube-system get pods -l k8s-app=aws-node --field-selector spec.nodeName={node} -o name | cut -d/ -f2)"
            ))
            .fix(format!(
                "kubectl drain {node} --ignore-daemonsets --delete-emptydir-data   # and replace it, where it comes back"
            )),
        None => finding
            .fix("kubectl -n kube-system delete pod AWS_NODE_POD")
            .fix("Replace the node where it comes back, and update the VPC CNI"),
    }
}

impl Kind {
    fn signal(&self) -> &'static str {
        match self {
            Self::Back { .. } => "eni-back",
            Self::NotInEc2 => "not-in-ec2",
            Self::NotInMetadata => "not-in-metadata",
            Self::Addresses => "addresses-differ",
        }
    }
}

/// One view alone, or two that contradict each other.
fn sure(two_views: bool) -> Confidence {
    if two_views {
        Confidence::Confirmed
    } else {
        Confidence::Likely
    }
}
