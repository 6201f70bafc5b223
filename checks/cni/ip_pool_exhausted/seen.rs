//! What shows on which node that a pod asked for an address in vain.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::{CniMetrics, Event};
use eksnet_model::{Cx, Fact, Hits, LogScan, SandboxFailure, Source, Text};

/// Events older than this, in seconds, are history.
const EVENTS_S: i64 = 600;
/// The same for lines of logs.
const LOGS_S: i64 = 3600;

/// What was seen on one node.
#[derive(Default)]
pub(super) struct Seen {
    /// Pods that still wait.
    pub waiting: BTreeSet<String>,
    /// Pods that waited and run by now.
    pub waited: BTreeSet<String>,
    pub node_event: bool,
    pub counter: Option<f64>,
    pub log: bool,
    /// Lines that give the stock: had, and given to pods, at the fullest.
    pub stats: Option<(u32, u32)>,
    pub facts: Vec<Fact>,
}

impl Seen {
    /// Whether a pod asked in vain, by any account.
    pub(super) fn refused(&self) -> bool {
        !self.waiting.is_empty()
            || !self.waited.is_empty()
            || self.node_event
            || self.log
            || self.counter.is_some()
    }

    /// Number of kinds of evidence.
    pub(super) fn kinds(&self) -> usize {
        [
            !(self.waiting.is_empty() && self.waited.is_empty()),
            self.node_event,
            self.log,
            self.counter.is_some(),
        ]
        .into_iter()
        .filter(|kind| *kind)
        .count()
    }
}

/// By node; under an empty name where the node is not known.
pub(super) type ByNode = BTreeMap<Text, Seen>;

pub(super) fn in_events(cx: &Cx<'_>, events: &[Event], seen: &mut ByNode) {
    for event in events
        .iter()
        .filter(|event| cx.within(event.last_seen(), EVENTS_S))
    {
        let object = &event.involved_object;
        if event.reason == "IPAMDNoIPs" && object.kind == "Node" {
            let one = seen.entry(object.name.as_str().into()).or_default();
            one.node_event = true;
            one.facts
                .push(fact_of(event, format!("Node {}", object.name)));
            continue;
        }
        if SandboxFailure::of(event) != Some(SandboxFailure::NoAddress) {
            continue;
        }
        let pod = cx.topology().pod(&object.namespace, &object.name);
        // A pod that is gone waits for nothing.
        if pod.is_none() && cx.pods().is_complete() {
            continue;
        }
        let node = pod.map_or("", |pod| pod.spec.node_name.as_str());
        let one = seen.entry(node.into()).or_default();
        let name = format!("{}/{}", object.namespace, object.name);
        if pod.is_some_and(|pod| pod.ips().next().is_some()) {
            one.waited.insert(name.clone());
        } else {
            one.waiting.insert(name.clone());
        }
        if one.facts.len() < 3 {
            one.facts.push(fact_of(event, format!("Pod {name}")));
        }
    }
}

fn fact_of(event: &Event, subject: String) -> Fact {
    Fact::new(
        Source::Events,
        subject,
        event.reason.clone(),
        format!("{} ({}x)", event.message, event.times()),
    )
    .at(event.last_seen())
}

pub(super) fn in_metrics(metrics: &[CniMetrics], seen: &mut ByNode) {
    const COUNTER: &str = "awscni_no_available_ip_addresses";
    for one in metrics {
        let Some(grown) = one.growth(COUNTER).filter(|grown| *grown > 0.0) else {
            continue;
        };
        let interval = one
            .interval_s
            .map_or(String::new(), |s| format!(" within {s:.0} s"));
        let entry = seen.entry(one.node.as_str().into()).or_default();
        entry.counter = Some(grown);
        entry.facts.push(
            Fact::new(
                Source::CniMetrics,
                format!("Node {}", one.node),
                COUNTER,
                format!("grew by {grown:.0}{interval}"),
            )
            .expected("no growth")
            .at(one.at),
        );
    }
}

pub(super) fn in_logs(cx: &Cx<'_>, scans: &[LogScan], seen: &mut ByNode) {
    for scan in scans {
        for hits in scan.hits.iter().filter(|hits| cx.within(hits.last, LOGS_S)) {
            let stats = match hits.signature.as_str() {
                "ipamd-no-available-ip" | "sandbox-no-ip" | "plugin-no-ip" => None,
                "ipamd-pool-stats" => match fullest(hits) {
                    Some(stats) => Some(stats),
                    None => continue,
                },
                _ => continue,
            };
            let node = cx.topology().node_of_log(scan).unwrap_or_default();
            let one = seen.entry(node).or_default();
            match stats {
                Some(stats) => one.stats = one.stats.max(Some(stats)),
                None => one.log = true,
            }
            let line = hits
                .samples
                .last()
                .map_or("", |sample| sample.text.as_str());
            one.facts.push(
                Fact::new(
                    Source::Logs,
                    scan.place(),
                    format!("{} log", scan.component.name()),
                    format!("{}x '{line}'", hits.count),
                )
                .at(hits.last),
            );
        }
    }
}

/// The most addresses that lines speak of, and the most of them that were given; where all but one were.
fn fullest(hits: &Hits) -> Option<(u32, u32)> {
    let most = |names: [&str; 3]| {
        names
            .iter()
            .filter_map(|name| hits.fields.get(*name))
            .flat_map(|values| values.keys())
            .filter_map(|value| value.parse::<u32>().ok())
            .max()
    };
    let total = most(["total", "total_card", "total_new"])?;
    let used = most(["used", "used_card", "used_new"])?;
    (total > 0 && used + 1 >= total).then_some((total, used))
}
