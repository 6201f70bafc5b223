//! ipamd's counters of errors, by function. Source: `utils/prometheusmetrics/prometheusmetrics.go` and
//! `pkg/ipamd/ipamd.go` of amazon-vpc-cni-k8s.

use eksnet_model::kubernetes::CniMetrics;
use eksnet_model::{Confidence, Cx, Fact, Finding, Place, Source, Subject};

use super::{Fails, META, with_remedy};

/// While a node is this young, in seconds, waiting for interfaces fails harmlessly.
const STARTING_S: i64 = 300;

pub(super) fn finding(cx: &Cx<'_>, metrics: &CniMetrics) -> Option<Finding> {
    let node = cx.topology().node(&metrics.node);
    let young = match (
        cx.now(),
        node.and_then(|node| node.metadata.creation_timestamp),
    ) {
        (Some(now), Some(since)) => now.seconds_since(since) < STARTING_S,
        _ => false,
    };
    let removed = ["awscni_force_removed_enis", "awscni_force_removed_ips"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), metrics.value(name)?)))
        .filter(|(_, value)| *value > 0.0)
        .map(|(name, value)| (Fails::ForceRemoved, name, value));
    // Without a second sample a count since the start says nothing of today.
    let errors = metrics
        .series("awscni_ipamd_error_count")
        .filter(|(_, grown)| *grown > 0.0 && !metrics.earlier.is_empty())
        .filter_map(|(labels, grown)| {
            let function = CniMetrics::label(labels, "fn")?;
            let fails = fails(function)?;
            (!(young && function.contains("wait"))).then(|| {
                (
                    fails,
                    format!("awscni_ipamd_error_count of {function}"),
                    grown,
                )
            })
        });
    let mut all: Vec<(Fails, String, f64)> = removed.chain(errors).collect();
    all.sort_by_key(|(fails, ..)| *fails);
    let fails = all.first()?.0;
    let place = Place::nodes([metrics.node.as_str()]);
    Some(with_remedy(
        META.finding(
            fails.severity(),
            format!("Node {} {}", metrics.node, fails.words()),
        )
        .confidence(Confidence::Likely)
        .detail(fails.detail())
        .subject(Subject::node(metrics.node.as_str()))
        .facts(all.iter().take(4).map(|(fails, name, value)| {
            let saw = if *fails == Fails::ForceRemoved {
                format!("{value:.0} since its start")
            } else {
                format!("grew by {value:.0}")
            };
            Fact::new(
                Source::CniMetrics,
                format!("Node {}", metrics.node),
                name.clone(),
                saw,
            )
            .expected("none")
            .at(metrics.at)
        }))
        .at(place.clone())
        .reaches(place)
        .signal(fails.signal())
        .signal("by-metric"),
        Some(&metrics.node),
    ))
}

/// What a function does that fails; `None` for those that clean up.
fn fails(function: &str) -> Option<Fails> {
    let has = |text: &str| function.contains(text);
    Some(if has("AttachedMaxRetry") || has("waitENIAttached") {
        Fails::Attachment
    } else if has("setupENI") {
        Fails::Setup
    } else if has("increaseIPPool") || has("Alloc") {
        Fails::Allocation
    } else if has("reconcile") || has("eniReconcile") || has("ipReconcile") {
        Fails::Reconcile
    } else {
        return None;
    })
}
