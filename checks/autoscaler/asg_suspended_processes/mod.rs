//! `autoscaler/asg-suspended-processes`: an Auto Scaling group does not do what it is asked to.

use std::collections::BTreeSet;

use eksnet_model::aws::AutoScalingGroup;
use eksnet_model::{
    Check, ClusterAutoscaler, Component, Confidence, Cx, Deployed, Discovery, Fact, Finding, Meta,
    Place, Role, Severity, Source, Stop, Subject, SubjectKind,
};

const META: Meta = Meta {
    id: "autoscaler/asg-suspended-processes",
    title: "Scaling processes of an Auto Scaling group are suspended",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::AutoScalingGroups],
    helps: &[Source::Deployments, Source::Pods, Source::Nodes],
    signals: &["launch", "terminate", "health", "rebalance", "wants-more"],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// What stops with a process, worst first.
const EFFECTS: [(&str, Severity, &str, &str); 6] = [
    (
        "Launch",
        Severity::Critical,
        "launch",
        "starts no instances",
    ),
    (
        "Terminate",
        Severity::Error,
        "terminate",
        "removes no instances",
    ),
    (
        "HealthCheck",
        Severity::Warning,
        "health",
        "does not notice dead instances",
    ),
    (
        "ReplaceUnhealthy",
        Severity::Warning,
        "health",
        "does not replace dead instances",
    ),
    (
        "AddToLoadBalancer",
        Severity::Warning,
        "health",
        "registers no new instance with its load balancers",
    ),
    (
        "AZRebalance",
        Severity::Info,
        "rebalance",
        "does not even out its zones",
    ),
];

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let groups = cx.auto_scaling_groups().some()?;
    let scalers = scalers(cx);
    let nodes = instances_of_nodes(cx);
    let mine = |group: &&AutoScalingGroup| {
        let selected = scalers
            .as_ref()
            .is_ok_and(|all| all.iter().any(|discovery| discovery.selects(group)));
        // Without an autoscaler's flags all groups of the evidence are taken for the cluster's.
        let unknown = matches!(scalers, Err(Stop::Unknown(_))) && nodes.is_empty();
        selected
            || unknown
            || is_of_cluster(cx, group)
            || group
                .instances
                .iter()
                .any(|one| nodes.contains(one.instance_id.as_str()))
    };
    Ok(groups
        .iter()
        .filter(|group| group.status.is_none())
        .filter(mine)
        .filter_map(|group| finding(cx, group))
        .collect())
}

/// Which groups each cluster-autoscaler manages.
fn scalers(cx: &Cx<'_>) -> Result<Vec<Discovery>, Stop> {
    Ok(Deployed::seen(cx, &[Component::ClusterAutoscaler])?
        .iter()
        .filter_map(ClusterAutoscaler::of)
        .map(|flags| flags.discovery())
        .collect())
}

fn instances_of_nodes<'c>(cx: &'c Cx<'_>) -> BTreeSet<&'c str> {
    let nodes = cx.nodes().optional().into_iter().flatten();
    nodes.filter_map(|node| node.instance_id()).collect()
}

fn is_of_cluster(cx: &Cx<'_>, group: &AutoScalingGroup) -> bool {
    let name = cx.cluster().name.as_deref();
    group.tags.iter().any(
        |tag| match (tag.key.strip_prefix("kubernetes.io/cluster/"), name) {
            (Some(owner), Some(name)) => owner == name,
            (Some(_), None) => true,
            (None, _) => tag.key == "eks:cluster-name" && name.is_none_or(|name| tag.value == name),
        },
    )
}

fn finding(cx: &Cx<'_>, group: &AutoScalingGroup) -> Option<Finding> {
    let name = &group.auto_scaling_group_name;
    let suspended = |process: &str| {
        let mut all = group.suspended_processes.iter();
        all.find(|one| one.process_name == process)
    };
    let met: Vec<_> = EFFECTS
        .iter()
        .filter(|(process, ..)| suspended(process).is_some())
        .collect();
    let (worst, severity, ..) = met.first().copied()?;
    // A group that is off on purpose shall start nothing.
    let is_off = group.max_size == 0;
    let severity = if is_off { Severity::Info } else { *severity };
    let names: Vec<&str> = met.iter().map(|(process, ..)| *process).collect();
    // The effects of what weighs as much as the worst; the rest stands in the facts.
    let effects: Vec<&str> = met
        .iter()
        .filter(|(_, each, ..)| *each >= Severity::Error || met[0].1 < Severity::Error)
        .map(|(.., effect)| *effect)
        .collect();
    let in_service = u32::try_from(group.in_service()).unwrap_or(u32::MAX);
    let wants_more = *worst == "Launch" && group.desired_capacity > in_service;
    let behind = if wants_more {
        format!(
            ": {in_service} of {} instances in service",
            group.desired_capacity
        )
    } else {
        String::new()
    };
    let verb = if names.len() == 1 { "is" } else { "are" };
    let mut finding = META
        .finding(
            severity,
            format!(
                "Auto Scaling group {name} {}, as {} {verb} suspended{behind}",
                effects.join(" and "),
                names.join(", ")
            ),
        )
        .detail(match *worst {
            "Launch" => "The group accepts every new size and leaves it at that; the autoscaler counts on the instances until --max-node-provision-time ends.",
            "Terminate" => "Nodes that shall go are emptied, and their instances stay.",
            "AZRebalance" => "A fact: beside an autoscaler it is often suspended on purpose.",
            _ => "Instances that died keep counting, and new ones are not put to use.",
        })
        .confidence(Confidence::Confirmed)
        .subject(Subject::new(SubjectKind::AutoScalingGroup, name.as_str()))
        .at(Place::nodes(nodes_of(cx, group)));
    for (process, _, signal, _) in &met {
        let reason = suspended(process).map_or("", |one| one.suspension_reason.as_str());
        let reason = if reason.is_empty() {
            "suspended"
        } else {
            reason
        };
        finding = finding
            .fact(
                Fact::new(
                    Source::AutoScalingGroups,
                    format!("Auto Scaling group {name}"),
                    format!("process {process}"),
                    reason,
                )
                .expected("not suspended"),
            )
            .signal(*signal);
    }
    if wants_more {
        finding = finding
            .fact(
                Fact::new(
                    Source::AutoScalingGroups,
                    format!("Auto Scaling group {name}"),
                    "instances in service",
                    in_service.to_string(),
                )
                .expected(group.desired_capacity.to_string()),
            )
            .signal("wants-more");
    }
    Some(
        finding
            .confirm(format!(
                "aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names {name} --query 'AutoScalingGroups[].SuspendedProcesses'"
            ))
            .fix(format!(
                "aws autoscaling resume-processes --auto-scaling-group-name {name} --scaling-processes {}",
                names.join(" ")
            )),
    )
}

fn nodes_of<'c>(cx: &'c Cx<'_>, group: &AutoScalingGroup) -> Vec<&'c str> {
    let nodes = cx.nodes().optional().into_iter().flatten();
    nodes
        .filter(|node| {
            node.instance_id()
                .is_some_and(|id| group.instances.iter().any(|one| one.instance_id == id))
        })
        .map(|node| node.metadata.name.as_str())
        .collect()
}
