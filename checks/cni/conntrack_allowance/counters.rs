//! Counters that people read by hand: `ethtool -S`, `sysctl`, samples of node-exporter and of CloudWatch's
//! agent.

use std::collections::BTreeMap;

use eksnet_model::observed::{Counter, Ground};
use eksnet_model::{Confidence, Cx, Fact, Source};

use super::Limit;

/// Share of the kernel's table, in percent, from which on it is near its limit.
const NEAR_PERCENT: f64 = 80.0;

/// What a counter says.
pub(super) struct Read {
    pub(super) node: String,
    pub(super) limit: Limit,
    pub(super) fact: Fact,
    pub(super) confidence: Confidence,
    pub(super) near: bool,
}

pub(super) fn read(cx: &Cx<'_>) -> Vec<Read> {
    let observations = cx.observations().optional();
    let counters = observations
        .map(|all| all.counters.as_slice())
        .unwrap_or_default();
    let mut found = Vec::new();
    let mut tables: BTreeMap<String, (Option<f64>, Option<f64>)> = BTreeMap::new();
    let mut grown: BTreeMap<(String, &str, &str), Vec<&Counter>> = BTreeMap::new();
    for counter in counters {
        if let Some(part) = table_part(&counter.name) {
            // In a pod this is the table of its own network namespace.
            if counter.from.ground != Ground::Pod {
                let entry = tables.entry(node(counter)).or_default();
                match part {
                    Part::Entries => entry.0 = Some(counter.value),
                    Part::Limit => entry.1 = Some(counter.value),
                }
            }
        } else if limit_of(&counter.name).is_some() {
            grown
                .entry((node(counter), &counter.name, &counter.labels))
                .or_default()
                .push(counter);
        }
    }
    for ((node, name, labels), samples) in grown {
        let (Some(limit), Some(last)) = (limit_of(name), samples.last()) else {
            continue;
        };
        let first = samples.first().map_or(0.0, |one| one.value);
        let growth = last.value - first;
        // A counter counts since boot: without a second sample it does not tell when.
        let (saw, confidence) = match samples.len() {
            1 if last.value > 0.0 => (format!("{} since boot", last.value), Confidence::Possible),
            2.. if growth > 0.0 => (
                format!("{first}, then {}", last.value),
                Confidence::Confirmed,
            ),
            _ => continue,
        };
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!(" {labels}")
        };
        found.push(Read {
            fact: Fact::new(
                Source::Observations,
                format!("{}{labels}", subject(&node)),
                name,
                saw,
            )
            .expected("0")
            .at(last.at),
            node,
            limit,
            confidence,
            near: false,
        });
    }
    for (node, table) in tables {
        let (Some(entries), Some(limit)) = table else {
            continue;
        };
        let percent = entries * 100.0 / limit.max(1.0);
        if percent >= NEAR_PERCENT {
            found.push(Read {
                fact: Fact::new(
                    Source::Observations,
                    subject(&node),
                    "connection table",
                    format!("{entries} of {limit} entries"),
                )
                .expected("below 80 %"),
                node,
                limit: Limit::Kernel,
                confidence: Confidence::Confirmed,
                near: percent < 100.0,
            });
        }
    }
    found
}

fn node(counter: &Counter) -> String {
    counter.from.name.to_string()
}

fn subject(node: &str) -> String {
    if node.is_empty() {
        "a node".to_owned()
    } else {
        format!("Node {node}")
    }
}

enum Part {
    Entries,
    Limit,
}

fn table_part(name: &str) -> Option<Part> {
    match name {
        "node_nf_conntrack_entries" | "net.netfilter.nf_conntrack_count" => Some(Part::Entries),
        "node_nf_conntrack_entries_limit" | "net.netfilter.nf_conntrack_max" => Some(Part::Limit),
        _ => None,
    }
}

/// The limit that a counter of the ENA driver is about, whatever an exporter put around its name.
fn limit_of(name: &str) -> Option<Limit> {
    let name = name.trim_end_matches("_total");
    if name.ends_with("conntrack_allowance_exceeded") {
        Some(Limit::Connections)
    } else if name.ends_with("pps_allowance_exceeded") {
        Some(Limit::Packets)
    } else if name.ends_with("bw_in_allowance_exceeded")
        || name.ends_with("bw_out_allowance_exceeded")
    {
        Some(Limit::Bandwidth)
    } else {
        None
    }
}
