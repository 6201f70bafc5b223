//! `cni/ipamd-errors`: errors that ipamd counts or logs, whose cause nothing else names.

mod counters;

use std::sync::LazyLock;

use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Finding, Meta, Role, Severity, SignatureSet, Source, Stop,
    Told, told, told_by_place,
};

const META: Meta = Meta {
    id: "cni/ipamd-errors",
    title: "ipamd fails to get, attach or compare interfaces and addresses",
    severity: Severity::Error,
    role: Role::Mechanism,
    needs: &[Source::CniMetrics],
    helps: &[
        Source::Logs,
        Source::Events,
        Source::DaemonSets,
        Source::Nodes,
    ],
    signals: &[
        "allocation",
        "attachment",
        "reconcile",
        "setup",
        "force-removed",
        "by-metric",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

/// Lines older than this, in seconds, are history.
const RECENT_S: i64 = 3600;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fails {
    ForceRemoved,
    Allocation,
    Attachment,
    Setup,
    Reconcile,
}

impl Fails {
    fn signal(self) -> &'static str {
        match self {
            Self::ForceRemoved => "force-removed",
            Self::Allocation => "allocation",
            Self::Attachment => "attachment",
            Self::Setup => "setup",
            Self::Reconcile => "reconcile",
        }
    }

    fn severity(self) -> Severity {
        if self == Self::Reconcile {
            Severity::Warning
        } else {
            Severity::Error
        }
    }

    /// Follows the node in a title.
    fn words(self) -> &'static str {
        match self {
            Self::ForceRemoved => "lost an interface or addresses under running pods",
            Self::Allocation => "gets no further interface or address from EC2",
            Self::Attachment => "cannot attach an interface",
            Self::Setup => "cannot set up an interface in its system",
            Self::Reconcile => "cannot compare its stock of addresses with its interfaces",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::ForceRemoved => {
                "Someone else detached the interface or took addresses from it: pods that had them are cut off until they are made anew."
            }
            Self::Allocation | Self::Attachment => {
                "The stock of addresses does not grow: pods wait once it is used. EC2's reason stands in ipamd's log."
            }
            Self::Setup => {
                "Routes or rules of the interface are not there: pods on it reach nobody."
            }
            Self::Reconcile => {
                "What changes without ipamd stays unseen. Instance metadata or EC2 does not answer it."
            }
        }
    }
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let settings = CniSettings::here(cx)?;
    let mut findings: Vec<Finding> = told_by_place(told(cx, META.id, &SIGNATURES, RECENT_S))
        .values()
        .filter_map(|told| of_lines(told))
        .collect();
    let metrics = cx.cni_metrics().some();
    let _ = cx.nodes().optional();
    // In IPv6 mode counters of the stock stand still.
    if let Ok(metrics) = &metrics
        && !settings.is_some_and(|settings| settings.ipv6)
    {
        for one in *metrics {
            let told = findings
                .iter()
                .any(|finding| finding.at.nodes.iter().any(|name| **name == *one.node));
            if !told {
                findings.extend(counters::finding(cx, one));
            }
        }
    }
    if findings.is_empty() {
        metrics?;
    }
    Ok(findings)
}

fn of_lines(told: &[Told<'_>]) -> Option<Finding> {
    let of = |one: &Told<'_>| match one.signature() {
        "ipamd-force-removed" => Fails::ForceRemoved,
        "ipamd-eni-alloc-failed" => Fails::Allocation,
        "ipamd-attach-failed" => Fails::Attachment,
        "ipamd-setup-failed" => Fails::Setup,
        _ => Fails::Reconcile,
    };
    let one = told.iter().min_by_key(|one| of(one))?;
    let fails = of(one);
    let why = one
        .value("why")
        .map(|why| why.trim_end_matches(['\\', ' ', ':']))
        .filter(|why| !why.is_empty());
    let title = match why {
        Some(why) => format!("{} {}: {why}", one.node_words(), fails.words()),
        None => format!("{} {}", one.node_words(), fails.words()),
    };
    Some(with_remedy(
        one.finding(&META, fails.severity(), title)
            .confidence(if fails == Fails::ForceRemoved {
                Confidence::Confirmed
            } else {
                Confidence::Likely
            })
            .detail(fails.detail())
            .signal(fails.signal()),
        one.node.as_deref(),
    ))
}

fn with_remedy(finding: Finding, node: Option<&str>) -> Finding {
    let node = node.unwrap_or("NODE");
    finding
        .confirm("grep '\"level\":\"error\"' /var/log/aws-routed-eni/ipamd.log | tail   # on the node")
        .confirm(format!(
            "kubectl get --raw \"/api/v1/namespaces/kube-system/pods/$(kubectl -n kube-system get pod -l k8s-app=aws-node --field-selector spec.nodeName={node} -o name | cut -d/ -f2):61678/proxy/metrics\" | grep -E 'awscni_.*_error_count|force_removed'"
        ))
        .fix("Mend what EC2's code in ipamd's log names; where it names none, restart aws-node on the node")
}
