//! `cni/subnet-low-ips`: subnets that run out of addresses for nodes and pods.

mod pools;
mod told;
mod wording;

use eksnet_model::kubernetes::Event;
use eksnet_model::{
    Check, CniSettings, Confidence, Cx, Finding, Gap, Meta, Place, Role, Severity, Source, Stop,
    Why,
};

use pools::{OWN_ADDRESS, Pool, Setup, pools};
use told::{Line, by_logs, event_fact, lines, waiting};
use wording::{detail, facts, fix, subjects, subnets_of, title};

/// Below this many free addresses the next scaling step fails, whatever it asks for.
const FEW: u32 = 16;
/// Share of a subnet, in percent, below which it runs out soon.
const LOW_PERCENT: u32 = 10;

const META: Meta = Meta {
    id: "cni/subnet-low-ips",
    title: "Subnets are short of free addresses",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Nodes, Source::Instances, Source::Subnets],
    helps: &[
        Source::DaemonSets,
        Source::EniConfigs,
        Source::InstanceTypes,
        Source::AutoScalingGroups,
        Source::NetworkInterfaces,
        Source::Events,
        Source::Logs,
    ],
    signals: &[
        "subnet-empty",
        "under-one-eni",
        "under-one-node",
        "under-two-nodes",
        "excluded",
        "log-insufficient-free",
        "pods-waiting",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let logs = cx.logs().optional().map_or(&[][..], Vec::as_slice);
    let mut lines = lines(cx, logs);
    let sets = cx.daemonsets().optional();
    let settings = sets.and_then(|sets| CniSettings::of(sets));
    if sets.is_some() && settings.is_none() && cx.daemonsets().is_complete() {
        return Err(Stop::not_applicable(
            "there is no DaemonSet kube-system/aws-node: pods do not take addresses from subnets",
        ));
    }
    let judged = by_count(cx, settings.as_ref(), &mut lines);
    let mut findings = match &judged {
        Ok(findings) => findings.clone(),
        Err(_) => Vec::new(),
    };
    // Lines that no counted subnet accounts for speak for themselves.
    findings.extend(by_logs(cx, &lines));
    if findings.is_empty() {
        judged
    } else {
        Ok(findings)
    }
}

/// Judges EC2's count of free addresses; takes the lines that fit a pool.
fn by_count(
    cx: &Cx<'_>,
    settings: Option<&CniSettings>,
    lines: &mut Vec<Line<'_>>,
) -> Result<Vec<Finding>, Stop> {
    let subnets = cx.subnets().some()?;
    let nodes = cx.nodes().some()?;
    if !nodes.is_empty() && !nodes.iter().any(|node| node.has_cni_pod()) {
        return Err(Stop::not_applicable(
            "no node takes addresses through the VPC CNI",
        ));
    }
    let _ = cx.instances().some();
    let _ = cx.network_interfaces().optional();
    let events = cx.events().optional().map_or(&[][..], Vec::as_slice);
    let custom = settings.is_some_and(|settings| settings.custom_networking);
    let setup = Setup {
        settings,
        eni_configs: match custom {
            true => cx.eni_configs().optional().map_or(&[], Vec::as_slice),
            false => &[],
        },
        instance_types: cx.instance_types().optional().map_or(&[], Vec::as_slice),
        groups: cx
            .auto_scaling_groups()
            .optional()
            .map_or(&[], Vec::as_slice),
    };
    let (pools, unknown) = pools(cx.topology(), subnets, &setup);
    let mut findings = Vec::new();
    let mut gaps: Vec<Gap> = unknown
        .iter()
        .take(3)
        .map(|node| {
            let source = if custom {
                Source::EniConfigs
            } else {
                Source::Instances
            };
            let what = format!("the subnet of node {} is not known", node.metadata.name);
            Gap::new(source, Why::Failed, what)
        })
        .collect();
    for pool in &pools {
        let on_pool = |line: &Line<'_>| {
            let node = cx.topology().node_of_log(line.scan);
            let names = line
                .subnet()
                .map(|id| pool.subnets.iter().any(|s| s.subnet_id == id));
            names.unwrap_or_else(|| {
                node.is_some_and(|node| pool.nodes.iter().any(|own| *own.metadata.name == *node))
            })
        };
        let told: Vec<Line<'_>> = lines.iter().copied().filter(|line| on_pool(line)).collect();
        let waiting = waiting(cx, events, &pool.nodes);
        match pool.free() {
            Ok(free) => {
                if let Some(finding) = judge(cx, pool, free, &told, &waiting, custom) {
                    findings.push(finding);
                    lines.retain(|line| !on_pool(line));
                }
            }
            Err(id) => gaps.push(Gap::new(
                Source::Subnets,
                Why::Malformed,
                format!("subnet {id} has no count of free addresses"),
            )),
        }
    }
    if findings.is_empty() && !gaps.is_empty() {
        return Err(Stop::Unknown(gaps));
    }
    Ok(findings)
}

fn judge(
    cx: &Cx<'_>,
    pool: &Pool<'_>,
    free: u32,
    told: &[Line<'_>],
    waiting: &[&Event],
    custom_networking: bool,
) -> Option<Finding> {
    let excluded = pool.subnets.is_empty();
    let size = pool.size();
    let one = pool.need.node.unwrap_or(FEW);
    let own_only = pool.need == OWN_ADDRESS;
    let error = if own_only { 1 } else { one.max(FEW) };
    let low = if own_only {
        2
    } else {
        (2 * one).max(size * LOW_PERCENT / 100)
    };
    // A subnet in which nothing stands yet is a risk at most.
    let severity = if pool.nodes.is_empty() {
        (free < error).then_some(Severity::Warning)?
    } else if excluded {
        Severity::Error
    } else if free == 0 && !waiting.is_empty() {
        Severity::Critical
    } else if free < error {
        Severity::Error
    } else if free < low {
        Severity::Warning
    } else {
        return None;
    };
    let names: Vec<&str> = pool
        .nodes
        .iter()
        .map(|node| node.metadata.name.as_str())
        .collect();
    let confirmed = severity > Severity::Warning && !(told.is_empty() && waiting.is_empty());
    let mut finding = META
        .finding(severity, title(pool, free, size))
        .confidence(if confirmed {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail(detail(pool, free))
        .subjects(subjects(pool))
        .facts(facts(cx, pool));
    if !names.is_empty() {
        let place = Place::nodes(names.iter().copied());
        finding = finding.at(place.clone()).reaches(place);
    }
    for line in told.iter().take(2) {
        finding = finding.fact(line.fact());
    }
    for event in waiting.iter().take(2) {
        finding = finding.fact(event_fact(event));
    }
    for (seen, signal) in [
        (excluded, "excluded"),
        (!excluded && free == 0, "subnet-empty"),
        (
            !excluded && free < pool.need.step.unwrap_or(1),
            "under-one-eni",
        ),
        (!excluded && free < one, "under-one-node"),
        (!excluded && free >= one, "under-two-nodes"),
        (!told.is_empty(), "log-insufficient-free"),
        (!waiting.is_empty(), "pods-waiting"),
    ] {
        if seen {
            finding = finding.signal(signal);
        }
    }
    let ids: Vec<&str> = subnets_of(pool);
    Some(
        finding
            .confirm(format!(
                "aws ec2 describe-subnets --subnet-ids {} --query 'Subnets[].[SubnetId,CidrBlock,AvailableIpAddressCount]' --output table",
                ids.join(" ")
            ))
            .fix(fix(pool, custom_networking)),
    )
}
