//! What the autoscaler's log alone says, where the groups themselves were not seen.

use std::collections::BTreeMap;

use eksnet_model::{Component, Cx, Fact, Finding, LogScan, Place, Severity, Source, Subject, Time};

use super::groups::is_karpenters;
use super::{META, Scaler, advice};

const SIGNATURE: &str = "ca-no-node-group-config";
/// Lines older than this, in seconds, may be of groups that were tagged since.
const WINDOW_S: i64 = 600;

/// Nodes that the autoscaler skipped in the last ten minutes because it knows no group of theirs,
/// and when it last did.
pub(super) fn skipped<'c>(cx: &'c Cx<'_>) -> BTreeMap<&'c str, Option<Time>> {
    scans(cx)
        .filter_map(|scan| scan.hits(SIGNATURE))
        .filter(|hits| cx.within(hits.last, WINDOW_S))
        .flat_map(|hits| {
            let nodes = hits.fields.get("node").into_iter().flatten();
            nodes.map(|(node, _)| (node.as_str(), hits.last))
        })
        .filter(|(node, _)| {
            let known = cx.topology().node(node);
            known.is_none_or(|node| !is_karpenters(node) && node.compute_type().is_none())
        })
        .collect()
}

fn scans<'c>(cx: &'c Cx<'_>) -> impl Iterator<Item = &'c LogScan> {
    let logs = cx.logs().optional();
    logs.into_iter().flatten().filter(|scan| {
        matches!(
            scan.component,
            Component::ClusterAutoscaler | Component::Unknown
        )
    })
}

pub(super) fn finding(cx: &Cx<'_>, scalers: &[Scaler<'_>]) -> Option<Finding> {
    let skipped = skipped(cx);
    let (first, _) = skipped.first_key_value()?;
    let more = match skipped.len() {
        1 => format!("Node {first} belongs"),
        count => format!("Node {first} and {} more belong", count - 1),
    };
    let mut finding = META
        .finding(
            Severity::Error,
            format!("{more} to no Auto Scaling group that cluster-autoscaler manages"),
        )
        .detail(
            "Its log skips them for want of a group: discovery does not find the group that they came from, so it is neither enlarged nor shrunk.",
        )
        .subjects(skipped.keys().map(|node| Subject::node(*node)))
        .signal("by-log")
        .at(Place::nodes(skipped.keys().copied()));
    for scan in scans(cx) {
        if let Some(hits) = scan.hits(SIGNATURE) {
            finding = finding.fact(
                Fact::new(
                    Source::Logs,
                    scan.place(),
                    "\"no node group config\"",
                    format!("{} records", hits.count),
                )
                .expected("none")
                .at(hits.last),
            );
        }
    }
    if let Some(scaler) = scalers.first() {
        finding = finding.fact(super::flags_fact(scaler));
        finding
            .at
            .workloads
            .insert(scaler.deployed.workload().into());
    }
    Some(advice::without_groups(
        cx,
        finding,
        scalers.first().map(|scaler| &scaler.discovery),
    ))
}
