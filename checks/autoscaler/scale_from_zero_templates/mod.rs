//! `autoscaler/scale-from-zero-templates`: a group at zero is judged by a template that lacks what its
//! nodes have.

use std::collections::BTreeSet;

use eksnet_model::aws::AutoScalingGroup;
use eksnet_model::kubernetes::Pod;
use eksnet_model::{
    Check, ClusterAutoscaler, Component, Confidence, Cx, Deployed, Fact, Finding, Heard, Meta,
    Place, Role, Severity, Source, Stop, Subject, SubjectKind, log_covers,
};

/// Lines older than this, in seconds, are history.
const WINDOW_S: i64 = 3600;
/// First minor release that asks EKS for labels and taints of managed node groups.
const LABELS_BY_EKS_SINCE: u32 = 24;
const TEMPLATE: &str = "k8s.io/cluster-autoscaler/node-template/";

const META: Meta = Meta {
    id: "autoscaler/scale-from-zero-templates",
    title: "A group at zero is judged by a template that lacks what its nodes have",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Logs],
    helps: &[
        Source::Deployments,
        Source::Pods,
        Source::Nodes,
        Source::AutoScalingGroups,
        Source::Nodegroups,
    ],
    signals: &["by-log", "template-lacks-label", "taint-malformed"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut findings: Vec<Finding> = Heard::in_logs(cx, &["ca-template-mismatch"], WINDOW_S)
        .iter()
        .filter_map(|said| by_log(cx, said))
        .collect();
    if findings.is_empty() {
        findings.extend(by_objects(cx));
    }
    findings.extend(malformed(cx));
    if findings.is_empty() {
        log_covers(cx, Component::ClusterAutoscaler, 600)?;
    }
    Ok(findings)
}

fn by_log(cx: &Cx<'_>, said: &Heard<'_>) -> Option<Finding> {
    let has_nodes = |name: &str| {
        let groups = cx.auto_scaling_groups().optional();
        groups
            .into_iter()
            .flatten()
            .any(|group| group.auto_scaling_group_name == name && !group.instances.is_empty())
    };
    let groups: Vec<&str> = said
        .values("group")
        .filter(|name| !has_nodes(name))
        .collect();
    let first = *groups.first()?;
    let pods: BTreeSet<&str> = said.values("pod").collect();
    let resource = said
        .values("why")
        .find_map(|why| why.strip_prefix("Insufficient "));
    let what = match resource {
        Some(resource) => format!("the resource {resource}"),
        None => "the labels that are selected".to_owned(),
    };
    let pod = pods.first().copied().unwrap_or("a pod");
    let who = match pods.len() {
        0 | 1 => format!("Pod {pod} fits"),
        many => format!("{many} pods fit"),
    };
    let key = match resource {
        Some(resource) => format!("{TEMPLATE}resources/{resource},Value=1"),
        None => {
            let selected = selected(cx, pod);
            let (key, value) = selected.unwrap_or_else(|| ("LABEL".to_owned(), "VALUE".to_owned()));
            format!("{TEMPLATE}label/{key},Value={value}")
        }
    };
    let mut finding = META
        .finding(
            Severity::Error,
            format!(
                "{who} no empty group: the template of {first}{} lacks {what}",
                match groups.len() {
                    1 => String::new(),
                    many => format!(" and {} more", many - 1),
                }
            ),
        )
        .detail("The group has no node to learn from. The autoscaler imagines one from the instance type and the tags node-template/... of the Auto Scaling group; what the kubelet adds at its start is not in them.")
        .confidence(Confidence::Confirmed)
        .subjects(
            groups
                .iter()
                .map(|name| Subject::new(SubjectKind::AutoScalingGroup, *name)),
        )
        .fact(said.fact("lines").expected("tags that say what the nodes will have"))
        .at(said.at(cx.topology()))
        .signal("by-log")
        .confirm(format!(
            "aws autoscaling describe-tags --filters Name=auto-scaling-group,Values={first}"
        ));
    if let Some((namespace, name)) = pod.split_once('/') {
        finding = finding.confirm(format!(
            "kubectl -n {namespace} get pod {name} -o jsonpath='{{.spec.nodeSelector}} {{.spec.affinity.nodeAffinity}}'"
        ));
    }
    Some(finding.fix(format!(
        "aws autoscaling create-or-update-tags --tags ResourceId={first},ResourceType=auto-scaling-group,Key={key},PropagateAtLaunch=true"
    )))
}

/// A label that a pod selects and no node has.
fn selected(cx: &Cx<'_>, pod: &str) -> Option<(String, String)> {
    let (namespace, name) = pod.split_once('/')?;
    let pod = cx.topology().pod(namespace, name)?;
    wanted(cx, pod).next()
}

fn wanted<'c>(cx: &'c Cx<'_>, pod: &'c Pod) -> impl Iterator<Item = (String, String)> + use<'c> {
    let pairs = pod.spec.node_selector.iter();
    pairs
        .filter(|(key, value)| {
            !cx.topology()
                .nodes()
                .any(|node| node.label(key) == Some(value.as_str()))
        })
        .map(|(key, value)| (key.clone(), value.clone()))
}

/// Pending pods that select a label which an empty group's name promises, and its template lacks.
fn by_objects(cx: &Cx<'_>) -> Option<Finding> {
    let pods = cx.pods().optional()?;
    let groups = cx.auto_scaling_groups().optional()?;
    cx.nodes().optional()?;
    let pending = pods.iter().filter(|pod| pod.unschedulable().is_some());
    for pod in pending {
        for (key, value) in wanted(cx, pod) {
            let Some(group) = groups.iter().find(|group| {
                group.desired_capacity == 0
                    && group.instances.is_empty()
                    && group.max_size > 0
                    && promises(cx, group, &key, &value)
            }) else {
                continue;
            };
            let name = group.auto_scaling_group_name.as_str();
            return Some(
                META.finding(
                    Severity::Error,
                    format!("Pod {} waits for label {key}={value}: the template of empty group {name} lacks it", pod.key()),
                )
                .detail("The group has no node to learn from, and no tag node-template/label/... says that its nodes will have the label.")
                .confidence(Confidence::Likely)
                .subject(Subject::new(SubjectKind::AutoScalingGroup, name))
                .fact(Fact::new(Source::Pods, format!("Pod {}", pod.key()), "nodeSelector", format!("{key}={value}")))
                .fact(
                    Fact::new(Source::AutoScalingGroups, format!("Auto Scaling group {name}"), "desired, and tags", format!("0, and no {TEMPLATE}label/{key}"))
                        .expected(format!("tag {TEMPLATE}label/{key}={value}")),
                )
                .at(Place::default().of(pod.workload()))
                .signal("template-lacks-label")
                .confirm(format!("aws autoscaling describe-tags --filters Name=auto-scaling-group,Values={name}"))
                .fix(format!("aws autoscaling create-or-update-tags --tags ResourceId={name},ResourceType=auto-scaling-group,Key={TEMPLATE}label/{key},Value={value},PropagateAtLaunch=true")),
            );
        }
    }
    None
}

/// Whether nodes of the group will have the label by all that is known, while its template does not:
/// another tag has the label's value, or the group is called by it.
fn promises(cx: &Cx<'_>, group: &AutoScalingGroup, key: &str, value: &str) -> bool {
    let in_template = format!("{TEMPLATE}label/{key}");
    if group.tags.iter().any(|tag| tag.key == in_template) {
        return false;
    }
    if let Some(name) = group.nodegroup() {
        // EKS knows the labels of its groups, and from 1.24 on the autoscaler asks it.
        let nodegroups = cx.nodegroups().optional();
        let has = nodegroups.into_iter().flatten().any(|one| {
            one.nodegroup_name == name && one.labels.get(key).is_some_and(|own| own == value)
        });
        let old = Deployed::seen(cx, &[Component::ClusterAutoscaler])
            .ok()
            .and_then(|all| ClusterAutoscaler::of(all.first()?)?.minor())
            .is_some_and(|minor| minor < LABELS_BY_EKS_SINCE);
        return has && old;
    }
    value.len() > 2
        && (group
            .tags
            .iter()
            .any(|tag| tag.value == value && tag.key != "kubernetes.io/cluster")
            || group.auto_scaling_group_name.contains(value))
}

/// Taints in a form that the autoscaler drops.
fn malformed(cx: &Cx<'_>) -> Vec<Finding> {
    let groups = cx.auto_scaling_groups().optional();
    let prefix = format!("{TEMPLATE}taint/");
    groups
        .into_iter()
        .flatten()
        .flat_map(|group| group.tags.iter().map(move |tag| (group, tag)))
        .filter(|(group, tag)| {
            let effect = tag.value.rsplit(':').next().unwrap_or("");
            tag.key.starts_with(&prefix)
                && group.instances.is_empty()
                && (!tag.value.contains(':')
                    || !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect))
        })
        .map(|(group, tag)| {
            let name = group.auto_scaling_group_name.as_str();
            META.finding(
                Severity::Warning,
                format!("Auto Scaling group {name} has a taint tag that cluster-autoscaler drops: {}", tag.value),
            )
            .detail("The value of the tag is VALUE:EFFECT. Pods that do not tolerate the taint make the group grow, and then do not run on it.")
            .confidence(Confidence::Confirmed)
            .subject(Subject::new(SubjectKind::AutoScalingGroup, name))
            .fact(
                Fact::new(Source::AutoScalingGroups, format!("Auto Scaling group {name}"), tag.key.as_str(), tag.value.as_str())
                    .expected("VALUE:NoSchedule, VALUE:PreferNoSchedule or VALUE:NoExecute"),
            )
            .signal("taint-malformed")
            .confirm(format!("aws autoscaling describe-tags --filters Name=auto-scaling-group,Values={name}"))
            .fix(format!(
                "aws autoscaling create-or-update-tags --tags ResourceId={name},ResourceType=auto-scaling-group,Key={},Value={}:NoSchedule,PropagateAtLaunch=true",
                tag.key,
                tag.value.split(':').next().unwrap_or("VALUE")
            ))
        })
        .collect()
}
