//! `cni/conntrack-allowance`: limits on connections, packets or bandwidth drop packets of a node.

mod counters;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::Event;
use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Place, Role, Severity, Source, Speaker, Stop,
    Subject, SubjectKind,
};

/// How far back an Event or a line counts, in seconds.
const RECENT_S: i64 = 3600;
const KERNEL_LINE: &str = "kernel-conntrack-full";

const META: Meta = Meta {
    id: "cni/conntrack-allowance",
    title: "Limits on connections, packets or bandwidth drop packets",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Events],
    helps: &[Source::Observations, Source::Logs],
    signals: &[
        "kernel-table",
        "instance-connections",
        "packets",
        "bandwidth",
        "near-limit",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// Which limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    /// The kernel's connection table.
    Kernel,
    /// The instance's tracked connections.
    Connections,
    Packets,
    Bandwidth,
}

/// What was seen on one node, or on one that nobody names.
struct Seen {
    facts: Vec<Fact>,
    limits: BTreeSet<Limit>,
    confidence: Confidence,
    /// Only near a limit, not above it.
    near: bool,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut by_node: BTreeMap<String, Seen> = BTreeMap::new();
    for event in cx.events().optional().into_iter().flatten() {
        if let Some(limit) = limit_of(event).filter(|_| cx.within(event.last_seen(), RECENT_S)) {
            let name = event.involved_object.name.clone();
            let fact = Fact::new(
                Source::Events,
                format!("Node {name}"),
                event.reason.as_str(),
                event.message.as_str(),
            )
            .expected("none")
            .at(event.last_seen());
            add(
                &mut by_node,
                name,
                limit,
                fact,
                Confidence::Confirmed,
                false,
            );
        }
    }
    for said in Speaker::in_logs(cx, &[KERNEL_LINE], RECENT_S) {
        let node = said
            .place
            .nodes
            .iter()
            .next()
            .map(ToString::to_string)
            .unwrap_or_default();
        for fact in said.facts("kernel") {
            add(
                &mut by_node,
                node.clone(),
                Limit::Kernel,
                fact,
                Confidence::Confirmed,
                false,
            );
        }
    }
    for one in counters::read(cx) {
        add(
            &mut by_node,
            one.node,
            one.limit,
            one.fact,
            one.confidence,
            one.near,
        );
    }
    if by_node.is_empty() {
        cx.events().some()?;
    }
    Ok(by_node
        .iter()
        .map(|(node, seen)| finding(node, seen))
        .collect())
}

fn limit_of(event: &Event) -> Option<Limit> {
    Some(match event.reason.as_str() {
        "ConntrackExceededKernel" => Limit::Kernel,
        "ConntrackExceeded" => Limit::Connections,
        "PPSExceeded" => Limit::Packets,
        "BandwidthInExceeded" | "BandwidthOutExceeded" => Limit::Bandwidth,
        _ => return None,
    })
}

fn add(
    by_node: &mut BTreeMap<String, Seen>,
    node: String,
    limit: Limit,
    fact: Fact,
    confidence: Confidence,
    near: bool,
) {
    let seen = by_node.entry(node).or_insert_with(|| Seen {
        facts: Vec::new(),
        limits: BTreeSet::new(),
        confidence,
        near: true,
    });
    seen.facts.push(fact);
    seen.limits.insert(limit);
    seen.confidence = seen.confidence.max(confidence);
    seen.near &= near;
}

fn words(limit: Limit) -> (&'static str, &'static str) {
    match limit {
        Limit::Kernel => ("the kernel's connection table", "kernel-table"),
        Limit::Connections => ("the instance's tracked connections", "instance-connections"),
        Limit::Packets => ("the instance's packets per second", "packets"),
        Limit::Bandwidth => ("the instance's bandwidth", "bandwidth"),
    }
}

fn finding(node: &str, seen: &Seen) -> Finding {
    let what: Vec<&str> = seen.limits.iter().map(|limit| words(*limit).0).collect();
    let who = if node.is_empty() {
        "A node".to_owned()
    } else {
        format!("Node {node}")
    };
    let what = what.join(" and ");
    let (severity, title) = if seen.near {
        (
            Severity::Warning,
            format!("{who} is near the limit of {what}"),
        )
    } else {
        (
            Severity::Error,
            format!("{who} drops packets at the limit of {what}"),
        )
    };
    let mut finding = META
        .finding(severity, title)
        .confidence(seen.confidence)
        .detail("What is above the limit is dropped without a trace in the programs: new connections and short exchanges as those of DNS suffer first, established ones go on.")
        .facts(seen.facts.iter().cloned());
    finding = if node.is_empty() {
        finding.subject(Subject::new(SubjectKind::Other, "node"))
    } else {
        let place = Place::nodes([node]);
        finding
            .subject(Subject::node(node))
            .at(place.clone())
            .reaches(place)
    };
    if seen.near {
        finding = finding.signal("near-limit");
    }
    for limit in &seen.limits {
        finding = finding.signal(words(*limit).1);
        finding = match limit {
            Limit::Kernel => finding
                .confirm("sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max   # on the node")
                .fix("aws eks update-addon --cluster-name CLUSTER --addon-name kube-proxy --configuration-values '{\"conntrack\":{\"maxPerCore\":131072}}'"),
            Limit::Connections => finding
                .confirm("ethtool -S eth0 | grep conntrack_allowance   # on the node")
                .fix("A larger instance type, or fewer tracked flows: NodeLocal DNSCache, pods spread over more nodes, a shorter idle timeout on the interface"),
            Limit::Packets | Limit::Bandwidth => finding
                .confirm("ethtool -S eth0 | grep allowance_exceeded   # on the node")
                .fix("A larger instance type, or one with more network; spread the pods that send most"),
        };
    }
    finding
}
