//! `sym/instances-not-nodes`: instances that run and never became nodes.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::aws::{AutoScalingGroup, Instance, Tag};
use eksnet_model::{
    Cx, Fact, Finding, Role, Severity, Source, Stop, Subject, SubjectKind, Symptom,
};

pub(crate) const SYMPTOM: Symptom = Symptom {
    id: "sym/instances-not-nodes",
    observe,
};

/// An instance that is this young, in seconds, may still be joining.
const JOINING_S: i64 = 600;

fn observe(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    // A node that was not listed would make its instance look lost.
    let nodes = cx.nodes().all()?;
    let instances = cx.instances().some()?;
    let groups = cx
        .auto_scaling_groups()
        .optional()
        .map_or(&[][..], Vec::as_slice);
    let ids: BTreeSet<&str> = nodes.iter().filter_map(|node| node.instance_id()).collect();
    let names: BTreeSet<&str> = nodes
        .iter()
        .map(|node| node.metadata.name.as_str())
        .collect();
    let cluster = cx.cluster().name.as_deref();
    let mut lost: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
    for instance in instances {
        let young = match (cx.now(), instance.launch_time) {
            (Some(now), Some(launched)) => now.seconds_since(launched) <= JOINING_S,
            _ => false,
        };
        let joined = ids.contains(instance.instance_id.as_str())
            || names.contains(instance.private_dns_name.as_str());
        if instance.state.name != "running" || young || joined {
            continue;
        }
        if let Some(group) = group_of(instance, groups, cluster) {
            lost.entry(group).or_default().push(instance);
        } else if is_of_cluster(&instance.tags, cluster) {
            lost.entry("").or_default().push(instance);
        }
    }
    Ok(lost
        .iter()
        .map(|(group, instances)| finding(cx, group, instances))
        .collect())
}

/// The cluster's Auto Scaling group that counts on the instance.
fn group_of<'a>(
    instance: &'a Instance,
    groups: &'a [AutoScalingGroup],
    cluster: Option<&str>,
) -> Option<&'a str> {
    let group = groups
        .iter()
        .filter(|group| is_of_cluster(&group.tags, cluster))
        .find(|group| {
            let is_this =
                |one: &&eksnet_model::aws::GroupInstance| one.instance_id == instance.instance_id;
            // Instances of a warm pool, on standby or on their way out are no nodes.
            group.instances.iter().find(is_this).is_some_and(|one| {
                matches!(
                    one.lifecycle_state.as_str(),
                    "InService" | "Pending" | "Pending:Wait"
                )
            })
        })?;
    Some(&group.auto_scaling_group_name)
}

/// Whether tags say that something belongs to the cluster; to any where its name is not known.
fn is_of_cluster(tags: &[Tag], cluster: Option<&str>) -> bool {
    tags.iter().any(|tag| {
        let own = |prefix: &str| {
            tag.key
                .strip_prefix(prefix)
                .is_some_and(|name| cluster.is_none_or(|cluster| cluster == name))
        };
        own("kubernetes.io/cluster/")
            || own("k8s.io/cluster-autoscaler/")
            || (matches!(
                tag.key.as_str(),
                "eks:cluster-name" | "aws:eks:cluster-name"
            ) && cluster.is_none_or(|cluster| cluster == tag.value))
    })
}

fn finding(cx: &Cx<'_>, group: &str, instances: &[&Instance]) -> Finding {
    let many = match instances.len() {
        1 => "1 instance".to_owned(),
        n => format!("{n} instances"),
    };
    let verb = if instances.len() == 1 {
        "runs without becoming a node"
    } else {
        "run without becoming nodes"
    };
    let of = if group.is_empty() {
        String::new()
    } else {
        format!(" of group {group}")
    };
    let mut finding = Finding::new(
        SYMPTOM.id,
        Role::Symptom,
        Severity::Error,
        format!("{many}{of} {verb}"),
    )
    .signal(if group.is_empty() {
        "tagged-only"
    } else {
        "asg-in-service"
    });
    if !group.is_empty() {
        finding = finding.subject(Subject::new(SubjectKind::AutoScalingGroup, group));
    }
    for instance in instances.iter().take(10) {
        let age = match (cx.now(), instance.launch_time) {
            (Some(now), Some(launched)) => {
                format!(", launched {} min ago", now.seconds_since(launched) / 60)
            }
            _ => String::new(),
        };
        finding = finding
            .subject(Subject::new(
                SubjectKind::Instance,
                instance.instance_id.as_str(),
            ))
            .fact(
                Fact::new(
                    Source::Instances,
                    instance.instance_id.as_str(),
                    "state",
                    format!("{} in {}{age}", instance.state.name, instance.subnet_id),
                )
                .expected("a node within 10 min")
                .at(instance.launch_time),
            );
    }
    let first = instances
        .first()
        .map_or("", |instance| &instance.instance_id);
    finding.confirm(format!(
        "aws ec2 get-console-output --instance-id {first} --latest --output text"
    ))
}
