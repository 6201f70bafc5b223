//! `cni/warm-targets`: the warm pool's targets are invalid, freeze the pool, or waste addresses.

use eksnet_model::{
    Check, CniSettings, Component, Confidence, Cx, Fact, Finding, Meta, Role, Running, Severity,
    Source, Speaker, Stop, Subject, SubjectKind,
};

/// From so many nodes on, topping pools up address by address calls EC2 too often. An engineering
/// default.
const MANY_NODES: usize = 200;
/// Share of the subnets' addresses, in percent, that may lie unused in warm pools.
const WASTE_PERCENT: f64 = 40.0;
/// How far back a line counts, in seconds.
const RECENT_S: i64 = 3600;
const LINE: &str = "cni-env-warm-prefix";
const TARGETS: [&str; 4] = [
    "WARM_ENI_TARGET",
    "WARM_IP_TARGET",
    "MINIMUM_IP_TARGET",
    "WARM_PREFIX_TARGET",
];

const META: Meta = Meta {
    id: "cni/warm-targets",
    title: "The warm pool's targets are invalid, freeze the pool, or waste addresses",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::DaemonSets],
    helps: &[
        Source::Nodes,
        Source::CniMetrics,
        Source::Subnets,
        Source::Logs,
    ],
    signals: &[
        "none-with-prefixes",
        "not-a-number",
        "frozen",
        "many-calls",
        "wasteful",
        "from-log",
    ],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let said = Speaker::in_logs(cx, &[LINE], RECENT_S);
    let judged = by_settings(cx);
    let Some(first) = said.first() else {
        return judged;
    };
    let mut findings = judged.unwrap_or_default();
    let known = findings
        .iter()
        .position(|one| one.signals.contains("none-with-prefixes"));
    let finding = match known {
        Some(at) => findings.remove(at),
        None => none_with_prefixes(),
    };
    findings.insert(
        0,
        finding
            .facts(first.facts("aws-node exits"))
            .signal("from-log"),
    );
    Ok(findings)
}

fn by_settings(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let daemonsets = cx.daemonsets().some()?;
    let Some(settings) = CniSettings::of(daemonsets) else {
        cx.daemonsets().all_in("kube-system")?;
        return Err(Stop::not_applicable("no aws-node runs"));
    };
    if settings.ipv6 {
        return Err(Stop::not_applicable(
            "with IPv6 the warm targets are not used",
        ));
    }
    let values = values(cx);
    let mut findings = Vec::new();
    for (name, value) in &values {
        if value.trim().parse::<u32>().is_err() {
            findings.push(not_a_number(name, value));
        }
    }
    // The start script takes a target that is not set, or 0, for none.
    let target = |name: &str| {
        let value = values.iter().find(|(known, _)| known == name)?;
        value
            .1
            .trim()
            .parse::<u32>()
            .ok()
            .filter(|number| *number > 0)
    };
    let (warm, minimum) = (target("WARM_IP_TARGET"), target("MINIMUM_IP_TARGET"));
    let facts = values.iter().map(|(name, value)| fact(name, value));
    // The manifest sets it to 1: in a piece of one it may stand where the piece does not reach.
    let is_written = values.iter().any(|(name, _)| name == "WARM_PREFIX_TARGET");
    if settings.prefix_delegation
        && is_written
        && warm.is_none()
        && minimum.is_none()
        && target("WARM_PREFIX_TARGET").is_none()
    {
        findings.push(none_with_prefixes().facts(facts));
        return Ok(findings);
    }
    if let (None, Some(minimum), false) = (warm, minimum, settings.prefix_delegation) {
        findings.push(frozen(minimum).facts(facts));
        return Ok(findings);
    }
    let nodes = cx.nodes().optional().map_or(0, Vec::len);
    if let (Some(warm), None) = (warm, minimum)
        && nodes > MANY_NODES
    {
        findings.push(many_calls(warm, nodes).facts(facts));
        return Ok(findings);
    }
    if warm.is_none() && minimum.is_none() {
        findings.extend(wasteful(cx, settings.warm_enis).map(|one| one.facts(facts)));
    }
    Ok(findings)
}

/// The targets as they are written.
fn values(cx: &Cx<'_>) -> Vec<(String, String)> {
    let daemonsets = cx.daemonsets().optional().into_iter().flatten();
    let aws_node = daemonsets.filter(|one| one.metadata.name == "aws-node");
    let mut found = Vec::new();
    for one in aws_node {
        if let Some(running) = Running::of(Component::AwsNode, &one.spec.template.spec) {
            for name in TARGETS {
                if let Some(value) = running.env(name).filter(|value| !value.is_empty()) {
                    found.push((name.to_owned(), value.to_owned()));
                }
            }
        }
    }
    found
}

fn fact(name: &str, value: &str) -> Fact {
    Fact::new(
        Source::DaemonSets,
        "DaemonSet kube-system/aws-node",
        name,
        value,
    )
}

fn base(severity: Severity, title: String) -> Finding {
    META.finding(severity, title)
        .confidence(Confidence::Confirmed)
        .subject(Subject::namespaced(SubjectKind::DaemonSet, "kube-system", "aws-node"))
        .confirm("kubectl -n kube-system set env daemonset/aws-node --list | grep -E 'WARM|MINIMUM|PREFIX'")
}

fn none_with_prefixes() -> Finding {
    base(Severity::Error, "aws-node has prefixes on and no warm target, and exits at its start".to_owned())
        .detail("With ENABLE_PREFIX_DELEGATION one of WARM_PREFIX_TARGET, WARM_IP_TARGET and MINIMUM_IP_TARGET has to be above 0; the start script refuses otherwise, on every node that starts.")
        .fact(Fact::new(Source::DaemonSets, "DaemonSet kube-system/aws-node", "warm targets above 0", "none").expected("one"))
        .signal("none-with-prefixes")
        .fix("kubectl -n kube-system set env daemonset/aws-node WARM_PREFIX_TARGET=1")
}

fn not_a_number(name: &str, value: &str) -> Finding {
    base(
        Severity::Error,
        format!("aws-node has {name}={value}, which is no number"),
    )
    .detail("A target that cannot be read is dropped, and the pool follows the default instead.")
    .subject(Subject::new(SubjectKind::Other, name))
    .fact(fact(name, value).expected("a whole number"))
    .signal("not-a-number")
    .fix(format!(
        "kubectl -n kube-system set env daemonset/aws-node {name}=5"
    ))
}

fn frozen(minimum: u32) -> Finding {
    base(Severity::Warning, format!("aws-node keeps {minimum} addresses per node and tops none up beyond them"))
        .detail("MINIMUM_IP_TARGET without WARM_IP_TARGET: once so many pods run, each further one waits for an address.")
        .signal("frozen")
        .fix("kubectl -n kube-system set env daemonset/aws-node WARM_IP_TARGET=2")
}

fn many_calls(warm: u32, nodes: usize) -> Finding {
    base(Severity::Warning, format!("aws-node tops up address by address (WARM_IP_TARGET={warm}) on {nodes} nodes"))
        .detail("Without MINIMUM_IP_TARGET each pod that starts or stops makes a call of EC2; on so many nodes they are throttled.")
        .signal("many-calls")
        .fix("kubectl -n kube-system set env daemonset/aws-node MINIMUM_IP_TARGET=TYPICAL_PODS_PER_NODE")
}

/// Whole interfaces in reserve that hold much of the subnets.
fn wasteful(cx: &Cx<'_>, warm_enis: u32) -> Option<Finding> {
    let metrics = cx.cni_metrics().optional()?;
    let subnets = cx.subnets().optional()?;
    let value = |name: &str| -> f64 { metrics.iter().filter_map(|one| one.values.get(name)).sum() };
    let spare = value("awscni_total_ip_addresses") - value("awscni_assigned_ip_addresses");
    let nodes = cx.topology().nodes();
    let own: std::collections::BTreeSet<&str> = nodes
        .filter_map(|node| Some(cx.topology().subnet_of_node(node)?.subnet_id.as_str()))
        .collect();
    let size: f64 = subnets
        .iter()
        .filter(|subnet| own.contains(subnet.subnet_id.as_str()))
        .filter_map(|subnet| subnet.cidr_block.split_once('/')?.1.parse::<i32>().ok())
        .map(|prefix| 2_f64.powi(32 - prefix) - 5.0)
        .sum();
    if size <= 0.0 || spare * 100.0 / size <= WASTE_PERCENT {
        return None;
    }
    Some(
        base(Severity::Warning, format!("aws-node keeps {spare:.0} unused addresses, {:.0} % of the nodes' subnets", spare * 100.0 / size))
            .detail("A whole interface in reserve on every node holds as many addresses as the instance type allows.")
            .fact(Fact::new(Source::CniMetrics, "all nodes", "total less assigned addresses", format!("{spare:.0} of {size:.0} (WARM_ENI_TARGET {warm_enis})")).expected("below 40 %"))
            .signal("wasteful")
            .fix("kubectl -n kube-system set env daemonset/aws-node WARM_IP_TARGET=5 MINIMUM_IP_TARGET=TYPICAL_PODS_PER_NODE"),
    )
}
