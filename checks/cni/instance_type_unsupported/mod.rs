//! `cni/instance-type-unsupported`: instance types that the CNI or its controller does not know.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Finding, Meta, Role, Severity, SignatureSet, Source, Stop,
    Subject, SubjectKind, Text, Told, capacity::Limits, told,
};

const META: Meta = Meta {
    id: "cni/instance-type-unsupported",
    title: "The CNI, its controller or the node image does not know an instance type",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Logs, Source::Events],
    helps: &[Source::DaemonSets, Source::InstanceTypes],
    signals: &["cni-unknown", "controller-unknown", "image-unknown"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

/// A node that started with it keeps it for its life: a day.
const RECENT_S: i64 = 86_400;

/// Who does not know the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Cni,
    Controller,
    Image,
}

impl By {
    fn of(signature: &str) -> Self {
        match signature {
            "controller-type-unknown" => Self::Controller,
            "max-pods-type-unknown" => Self::Image,
            _ => Self::Cni,
        }
    }
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    CniSettings::here(cx)?;
    let ec2 = cx
        .instance_types()
        .optional()
        .map_or(&[][..], Vec::as_slice);
    let mut found: BTreeMap<(By, Text), Vec<Told<'_>>> = BTreeMap::new();
    for one in told(cx, META.id, &SIGNATURES, RECENT_S) {
        let kind = one.value("type").or(one.value("other")).unwrap_or_default();
        found
            .entry((By::of(one.signature()), kind.into()))
            .or_default()
            .push(one);
    }
    // A line that names the type tells more than one of the same program that does not.
    let named: Vec<By> = found
        .keys()
        .filter(|(_, kind)| !kind.is_empty())
        .map(|(by, _)| *by)
        .collect();
    found.retain(|(by, kind), _| !kind.is_empty() || !named.contains(by));
    let findings: Vec<Finding> = found
        .iter()
        .map(|((by, kind), told)| {
            let known = !kind.is_empty() && Limits::of(kind, ec2).is_some();
            finding(*by, kind, told, known)
        })
        .collect();
    if findings.is_empty() {
        cx.logs().some()?;
        cx.events().some()?;
    }
    Ok(findings)
}

fn finding(by: By, kind: &str, told: &[Told<'_>], known: bool) -> Finding {
    let which = if kind.is_empty() {
        "its node's instance type".to_owned()
    } else {
        format!("instance type {kind}")
    };
    let (severity, title, detail, signal, fix) = match by {
        By::Cni => (
            Severity::Critical,
            format!("The VPC CNI does not know {which}"),
            "ipamd does not start on such nodes, or gives too few addresses: they stay NotReady.",
            "cni-unknown",
            "aws eks update-addon --cluster-name CLUSTER --addon-name vpc-cni --addon-version NEWEST --resolve-conflicts PRESERVE   # and allow ec2:DescribeInstanceTypes to its role",
        ),
        By::Controller => (
            Severity::Error,
            format!("The VPC resource controller does not know {which}"),
            "Nodes of that type get no trunk interface: pods with security groups of their own find no place there, and Windows pods no address.",
            "controller-unknown",
            "Run pods that need security groups of their own on an older type; EKS adds types to the controller, which runs in the control plane",
        ),
        By::Image => (
            Severity::Warning,
            format!("The node image does not know {which}"),
            "The kubelet's maximum of pods is not that of the type: it admits pods for which the CNI has no address, or too few.",
            "image-unknown",
            "Use a newer node image, or set the kubelet's maximum of pods in the node configuration",
        ),
    };
    let Some(first) = told.first() else {
        return META.finding(severity, title);
    };
    let mut finding = META
        .finding(severity, title)
        .confidence(Confidence::Confirmed)
        .detail(if known {
            format!("{detail} The type exists, and its limits are known since.")
        } else {
            detail.to_owned()
        })
        .facts(told.iter().take(3).map(Told::fact))
        .signal(signal);
    for one in told {
        finding.at.nodes.extend(one.node.clone());
    }
    finding = if kind.is_empty() {
        finding.subject(first.subject())
    } else {
        finding.subject(Subject::new(SubjectKind::InstanceType, kind))
    };
    finding
        .confirm(if kind.is_empty() {
            "kubectl get nodes -L node.kubernetes.io/instance-type".to_owned()
        } else {
            format!("kubectl get nodes -l node.kubernetes.io/instance-type={kind}")
        })
        .confirm("kubectl -n kube-system get daemonset aws-node -o jsonpath='{.spec.template.spec.containers[0].image}'")
        .fix(fix)
}
