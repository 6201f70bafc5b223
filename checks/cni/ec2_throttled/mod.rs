//! `cni/ec2-throttled`: calls of EC2 that are throttled.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use eksnet_model::kubernetes::CniMetrics;
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Meta, Place, Role, Severity, SignatureSet,
    Source, Stop, Subject, SubjectKind, Text, Told, told,
};

const META: Meta = Meta {
    id: "cni/ec2-throttled",
    title: "EC2 throttles calls for interfaces and addresses",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Logs],
    helps: &[Source::Events, Source::CniMetrics],
    signals: &["cni-throttled", "others-throttled", "by-metric"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

/// Lines older than this, in seconds, are history.
const RECENT_S: i64 = 3600;
/// One refusal is what retries are for.
const OFTEN: u64 = 3;

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let told = told(cx, META.id, &SIGNATURES, RECENT_S);
    let (of_ec2, of_others): (Vec<&Told<'_>>, Vec<&Told<'_>>) = told
        .iter()
        .partition(|one| one.signature() == "ec2-request-limit");
    let metrics: Vec<Fact> = cx
        .cni_metrics()
        .optional()
        .into_iter()
        .flatten()
        .flat_map(throttled)
        .collect();
    let mut findings = Vec::new();
    let thin = cx.logs().gap().is_some() || !cx.events().is_complete();
    let count: u64 = of_ec2.iter().map(|one| one.hits.count).sum();
    // In a piece that somebody pasted one line stands for many.
    if !metrics.is_empty() || count >= OFTEN || (count > 0 && thin) {
        findings.push(of_cni(cx, &of_ec2, metrics));
    }
    let count: u64 = of_others.iter().map(|one| one.hits.count).sum();
    if findings.is_empty() && (count >= OFTEN || (count > 0 && thin)) {
        findings.push(of_controllers(cx, &of_others));
    }
    if findings.is_empty() {
        cx.logs().some()?;
    }
    Ok(findings)
}

fn of_cni(cx: &Cx<'_>, told: &[&Told<'_>], metrics: Vec<Fact>) -> Finding {
    let nodes: BTreeSet<Text> = told.iter().filter_map(|one| one.node.clone()).collect();
    let by_metric = !metrics.is_empty();
    let callers = callers(told);
    let who = if callers.is_empty() {
        "aws-node".to_owned()
    } else {
        callers.join(", ")
    };
    let mut finding = META
        .finding(
            Severity::Error,
            format!("EC2 throttles calls of {who}: the account's request limit in this Region is reached"),
        )
        .confidence(Confidence::Confirmed)
        .detail("Interfaces and addresses come late or not at all. The limit is the account's: another cluster, an exporter or a script may be what uses it up.")
        .subject(Subject::new(SubjectKind::Cluster, cx.cluster_name()))
        .facts(told.iter().take(3).map(|one| one.fact()))
        .facts(metrics.into_iter().take(3))
        .at(Place::nodes(nodes))
        .signal("cni-throttled");
    if by_metric {
        finding = finding.signal("by-metric");
    }
    with_remedy(finding, "ec2.amazonaws.com")
        .fix("kubectl -n kube-system set env daemonset/aws-node MINIMUM_IP_TARGET=PODS_PER_NODE WARM_IP_TARGET=5   # fewer, larger calls; or prefix delegation")
        .fix("Find who calls most by CloudTrail, then ask for a higher limit of the action in Service Quotas")
}

fn of_controllers(cx: &Cx<'_>, told: &[&Told<'_>]) -> Finding {
    let callers = callers(told);
    let who = if callers.is_empty() {
        "a component".to_owned()
    } else {
        callers.join(", ")
    };
    with_remedy(
        META.finding(
            Severity::Warning,
            format!("AWS throttles calls of {who}: the account's request limit in this Region is reached"),
        )
        .detail("Calls are tried again and come late. The limit is the account's, not the cluster's.")
        .subject(Subject::new(SubjectKind::Cluster, cx.cluster_name()))
        .facts(told.iter().take(3).map(|one| one.fact()))
        .signal("others-throttled"),
        "autoscaling.amazonaws.com",
    )
    .fix("Let the component ask less often (cluster-autoscaler: --scan-interval=30s), and find who calls most by CloudTrail")
}

fn with_remedy(finding: Finding, service: &str) -> Finding {
    finding.confirm(format!(
        "aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventSource,AttributeValue={service} --max-results 50 --query 'Events[].[EventName,Username]' --output text | sort | uniq -c | sort -rn"
    ))
}

/// Components that are throttled, by name.
fn callers(told: &[&Told<'_>]) -> Vec<&'static str> {
    let names: BTreeSet<&str> = told
        .iter()
        .filter_map(|one| one.scan)
        .map(|scan| match scan.component {
            Component::Ipamd => Component::AwsNode.name(),
            other => other.name(),
        })
        .filter(|name| *name != Component::Unknown.name())
        .collect();
    names.into_iter().collect()
}

/// Counters of throttled calls that grow.
fn throttled(metrics: &CniMetrics) -> Vec<Fact> {
    metrics
        .series("awscni_aws_api_error_count")
        .filter(|(labels, grown)| {
            let code = CniMetrics::label(labels, "error").unwrap_or_default();
            *grown > 0.0 && (code.contains("RequestLimitExceeded") || code.contains("Throttl"))
        })
        .map(|(labels, grown)| {
            Fact::new(
                Source::CniMetrics,
                format!("Node {}", metrics.node),
                format!("awscni_aws_api_error_count{{{labels}}}"),
                if metrics.earlier.is_empty() {
                    format!("{grown:.0} since its start")
                } else {
                    format!("grew by {grown:.0}")
                },
            )
            .expected("none")
            .at(metrics.at)
        })
        .collect()
}
