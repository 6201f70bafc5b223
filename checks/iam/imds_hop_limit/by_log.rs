//! What a component's own log says of the metadata service, where settings do not decide.

use std::collections::BTreeMap;

use eksnet_model::{
    Component, Confidence, Cx, Fact, Finding, Hits, LogScan, Place, Severity, Source,
};

use super::{Fault, HOPS_TO_A_POD, META, fault, has_own_credentials, options, probed, subject};

/// Lines older than this, in seconds, are history.
const RECENT_S: i64 = 3600;

/// One finding per workload whose log blames the metadata service, unless its settings, a probe or
/// the pod itself rule that out, or it is among `known` already.
pub(super) fn findings(cx: &Cx<'_>, known: &[Finding]) -> Vec<Finding> {
    let mut by_workload: BTreeMap<String, Vec<(&LogScan, &Hits)>> = BTreeMap::new();
    for scan in cx.logs().optional().into_iter().flatten() {
        for hits in &scan.hits {
            if hits.check == META.id
                && cx.within(hits.last, RECENT_S)
                && !is_ruled_out(cx, scan, hits)
            {
                let who = cx
                    .topology()
                    .workload_of_log(scan)
                    .unwrap_or_else(|| scan.place());
                by_workload.entry(who).or_default().push((scan, hits));
            }
        }
    }
    by_workload.retain(|workload, _| {
        let named = |finding: &Finding| {
            finding
                .at
                .workloads
                .iter()
                .any(|one| *one == workload.as_str())
        };
        !known.iter().any(named)
    });
    by_workload
        .iter()
        .map(|(workload, seen)| finding(cx, workload, seen))
        .collect()
}

/// Lines that ask for facts of the instance, not for credentials: a role of one's own does not help.
fn asks_for_facts(hits: &Hits) -> bool {
    matches!(
        hits.signature.as_str(),
        "lbc-imds-vpcid" | "ec2-metadata-error"
    )
}

/// Lines by which the same log says that there is no metadata service at all, or that it was told not
/// to ask it: no number of hops helps.
const NO_SERVICE: [&str; 3] = [
    "imds-unreachable",
    "imds-refused",
    "imds-disabled-by-setting",
];

fn is_ruled_out(cx: &Cx<'_>, scan: &LogScan, hits: &Hits) -> bool {
    let node = cx.topology().node_of_log(scan);
    if NO_SERVICE.iter().any(|line| scan.hits(line).is_some())
        || node.is_some_and(|node| node.starts_with("fargate-ip-"))
    {
        return true;
    }
    let Some(pod) = cx.topology().pod_of_log(scan) else {
        return false;
    };
    let has_role = has_own_credentials(pod) && !asks_for_facts(hits);
    // The settings let answers reach the pod: something else drops them.
    let reachable = options(cx, pod).is_some() && fault(cx, pod).is_none();
    let node = pod.spec.node_name.as_str();
    let answered = probed(cx, &[node].into())
        .iter()
        .any(|(_, state)| *state == "ok");
    has_role || reachable || answered
}

fn finding(cx: &Cx<'_>, workload: &str, seen: &[(&LogScan, &Hits)]) -> Finding {
    let facts_only = seen.iter().all(|(_, hits)| asks_for_facts(hits));
    // The old SDK names no source: any link of its chain may be the one that should have answered.
    let names_service = seen
        .iter()
        .any(|(_, hits)| hits.signature != "aws-no-credentials-v1");
    let scan = seen.first().map(|(scan, _)| *scan);
    let pod = scan.and_then(|scan| cx.topology().pod_of_log(scan));
    let fault = pod.and_then(|pod| fault(cx, pod));
    let (title, detail) = if facts_only {
        (
            format!("{workload} cannot ask the metadata service for its VPC or region"),
            "A pod is two hops from the service, which answers as many hops as the instance allows; where tokens are required, a request without one is refused with 401.",
        )
    } else {
        (
            format!("{workload} finds no AWS credentials, and the metadata service gives none"),
            "It has no role of its own that works, so it falls back to the node's role, which only the instance metadata service hands out.",
        )
    };
    let confidence = match (fault, names_service) {
        (Some(_), _) => Confidence::Confirmed,
        (None, true) => Confidence::Likely,
        (None, false) => Confidence::Possible,
    };
    let mut place = Place::default();
    let mut finding = META
        .finding(Severity::Error, title)
        .confidence(confidence)
        .detail(detail)
        .subject(subject(workload, pod))
        .signal("log-no-credentials");
    for (scan, hits) in seen {
        place.nodes.extend(cx.topology().node_of_log(scan));
        place
            .workloads
            .extend(cx.topology().workload_of_log(scan).map(Into::into));
        let sample = hits.samples.last().map(|sample| sample.text.to_string());
        finding = finding.fact(
            Fact::new(
                Source::Logs,
                scan.place(),
                "metadata service",
                format!("{}: {}", hits.times(), sample.unwrap_or_default()),
            )
            .at(hits.last),
        );
    }
    if let Some((id, _)) = pod.and_then(|pod| options(cx, pod)) {
        finding = finding
            .signal(match fault {
                Some(Fault::Disabled) => "imds-disabled",
                _ => "hop-limit-1",
            })
            .fix(match fault {
                Some(Fault::Disabled) => format!(
                    "aws ec2 modify-instance-metadata-options --instance-id {id} --http-endpoint enabled"
                ),
                _ => format!(
                    "aws ec2 modify-instance-metadata-options --instance-id {id} --http-put-response-hop-limit {HOPS_TO_A_POD}"
                ),
            });
    }
    if place != Place::default() {
        finding = finding.at(place.clone()).reaches(place);
    }
    remedy(cx, finding, workload, scan, facts_only)
}

fn remedy(
    cx: &Cx<'_>,
    finding: Finding,
    workload: &str,
    scan: Option<&LogScan>,
    facts_only: bool,
) -> Finding {
    let component = scan.map_or(Component::Unknown, |scan| scan.component);
    let (namespace, name) = workload
        .split_once('/')
        .unwrap_or(("kube-system", component.name()));
    let finding = finding.confirm(
        "aws ec2 describe-instances --query 'Reservations[].Instances[].[InstanceId,MetadataOptions.HttpTokens,MetadataOptions.HttpPutResponseHopLimit,MetadataOptions.HttpEndpoint]' --output text",
    );
    if facts_only {
        return finding.fix(format!(
            "kubectl -n {namespace} edit deployment {name}   # --aws-vpc-id={} --aws-region={}",
            cx.topology().vpc_id().unwrap_or("VPC_ID"),
            cx.cluster().region.as_deref().unwrap_or("REGION")
        ));
    }
    let account = scan
        .and_then(|scan| cx.topology().pod_of_log(scan))
        .map(|pod| pod.spec.service_account_name.as_str())
        .filter(|account| !account.is_empty())
        .unwrap_or(name);
    finding.fix(format!(
        "aws eks create-pod-identity-association --cluster-name {} --namespace {namespace} --service-account {account} --role-arn ROLE_OF_THIS_COMPONENT",
        cx.cluster_name()
    ))
}
