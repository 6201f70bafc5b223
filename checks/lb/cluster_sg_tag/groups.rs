//! Which instances of the cluster have none or several tagged security groups.

use std::collections::BTreeMap;

use eksnet_model::aws::{Instance, SecurityGroup, tag};
use eksnet_model::{
    Component, Confidence, Cx, Fact, Finding, Severity, Source, Subject, SubjectKind,
};

use super::META;

/// Whether anything makes load balancers, or that cannot be told.
pub(super) fn has_load_balancers(cx: &Cx<'_>) -> bool {
    let services = cx.services().optional();
    let pods = cx.pods().optional();
    let known = cx.services().is_complete() && cx.pods().is_complete();
    !known
        || services
            .into_iter()
            .flatten()
            .any(|service| service.spec.kind == "LoadBalancer")
        || pods
            .into_iter()
            .flatten()
            .any(|pod| Component::of_pod(pod) == Component::LoadBalancerController)
}

/// One finding for each set of groups that is wrong.
pub(super) fn wrong(
    cluster: &str,
    groups: &[SecurityGroup],
    instances: &[Instance],
) -> Vec<Finding> {
    let key = format!("kubernetes.io/cluster/{cluster}");
    let tagged: Vec<&str> = groups
        .iter()
        .filter(|group| tag(&group.tags, &key).is_some())
        .map(|group| group.group_id.as_str())
        .collect();
    let mut sets: BTreeMap<Vec<&str>, Vec<&Instance>> = BTreeMap::new();
    for instance in instances {
        let of_cluster = tag(&instance.tags, &key).is_some()
            || tag(&instance.tags, "eks:cluster-name") == Some(cluster);
        if !of_cluster || instance.state.name == "terminated" {
            continue;
        }
        let mut set: Vec<&str> = instance
            .security_groups
            .iter()
            .map(|group| group.group_id.as_str())
            .collect();
        set.sort_unstable();
        // The only group of an interface needs no tag.
        let marked = set.iter().filter(|id| tagged.contains(*id)).count();
        if set.len() > 1 && marked != 1 {
            sets.entry(set).or_default().push(instance);
        }
    }
    sets.iter()
        .map(|(set, instances)| finding(&key, set, &tagged, instances))
        .collect()
}

fn finding(key: &str, set: &[&str], tagged: &[&str], instances: &[&Instance]) -> Finding {
    let marked: Vec<&str> = set
        .iter()
        .filter(|id| tagged.contains(*id))
        .copied()
        .collect();
    let first = instances.first().map_or("", |one| &one.instance_id);
    let nodes = match instances.len() {
        1 => format!("Instance {first} has"),
        many => format!("{many} instances have"),
    };
    let (title, fix) = if marked.is_empty() {
        (
            format!(
                "{nodes} {} security groups and none carries the tag {key}",
                set.len()
            ),
            format!(
                "aws ec2 create-tags --resources {} --tags Key={key},Value=owned",
                set[0]
            ),
        )
    } else {
        (
            format!(
                "{nodes} {} security groups that carry the tag {key}",
                marked.len()
            ),
            format!(
                "aws ec2 delete-tags --resources {} --tags Key={key}   # or another one of {}; keep the cluster security group",
                marked[marked.len() - 1],
                marked.join(", ")
            ),
        )
    };
    let mut finding = META
        .finding(Severity::Error, title)
        .confidence(Confidence::Confirmed)
        .detail("The load balancer controller adds its rule to the one security group that carries the tag; it adds none where several do or none does, and the targets stay unhealthy.")
        .subject(Subject::new(SubjectKind::SecurityGroup, set.join("+")))
        .signal(if marked.is_empty() { "none-tagged" } else { "several-tagged" })
        .confirm(format!(
            "aws ec2 describe-security-groups --group-ids {} --query 'SecurityGroups[].[GroupId,GroupName,Tags]' --output json",
            set.join(" ")
        ))
        .fix(fix);
    for id in set {
        let seen = if tagged.contains(id) {
            "there"
        } else {
            "not there"
        };
        finding = finding.fact(
            Fact::new(Source::SecurityGroups, *id, format!("tag {key}"), seen)
                .expected("on exactly one of the node's groups"),
        );
    }
    finding.fact(Fact::new(
        Source::Instances,
        first,
        "SecurityGroups",
        set.join(", "),
    ))
}
