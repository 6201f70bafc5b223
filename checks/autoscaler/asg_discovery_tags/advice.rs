//! How a group comes to be discovered: by its tags, or by another flag.

use eksnet_model::{Cx, DISCOVERY_PREFIX, Discovery, Finding, Instead, Lack, TagFilter};

use super::groups::Owned;
use super::{Scaler, is_anded};

pub(super) fn remedy(
    cx: &Cx<'_>,
    finding: Finding,
    scaler: &Scaler<'_>,
    groups: &[&Owned<'_>],
) -> Finding {
    let discovery = &scaler.discovery;
    let (namespace, resource) = (scaler.deployed.namespace, scaler.deployed.resource());
    let mut finding = match groups.first() {
        Some(one) => finding.confirm(format!(
            "aws autoscaling describe-tags --filters Name=auto-scaling-group,Values={}",
            one.group.auto_scaling_group_name
        )),
        None => finding,
    };
    finding = finding.confirm(format!(
        "kubectl -n {namespace} get {resource} -o yaml | grep -E 'node-group-auto-discovery|--nodes'"
    ));
    let lacks: Vec<Lack> = groups
        .iter()
        .flat_map(|one| discovery.lacks(one.group))
        .collect();
    let anded = groups.iter().any(|one| is_anded(discovery, one.group));
    let flag_is_wrong = !discovery.refused.is_empty()
        || discovery.alternatives.is_empty()
        || anded
        || lacks.iter().any(|lack| is_flags_fault(cx, lack))
        || discovery.filters().any(TagFilter::is_placeholder);
    if flag_is_wrong {
        finding = finding.fix(format!(
            "kubectl -n {namespace} edit {resource}   # {}",
            right_flag(cx, discovery, groups)
        ));
        if names_groups(discovery) {
            return finding;
        }
    }
    let usual = usual_filters(cx);
    let wanted: Vec<&TagFilter> = if flag_is_wrong {
        usual.iter().collect()
    } else {
        discovery.filters().collect()
    };
    for one in groups {
        let name = &one.group.auto_scaling_group_name;
        let tags: Vec<String> = wanted
            .iter()
            .filter(|filter| !filter.holds(one.group))
            .map(|filter| tag_argument(name, filter))
            .collect();
        if !tags.is_empty() {
            finding = finding.fix(format!(
                "aws autoscaling create-or-update-tags --tags {}",
                tags.join(" ")
            ));
        }
    }
    if groups.is_empty() && !flag_is_wrong {
        let tags: Vec<String> = wanted
            .iter()
            .map(|filter| tag_argument("ASG", filter))
            .collect();
        finding = finding.fix(format!(
            "aws autoscaling create-or-update-tags --tags {}",
            tags.join(" ")
        ));
    }
    finding
}

/// The remedy where no group was seen: its name is to be filled in.
pub(super) fn without_groups(
    cx: &Cx<'_>,
    finding: Finding,
    discovery: Option<&Discovery>,
) -> Finding {
    let usual = usual_filters(cx);
    let filters: Vec<&TagFilter> = match discovery {
        Some(discovery) if !discovery.alternatives.is_empty() => discovery.filters().collect(),
        _ => usual.iter().collect(),
    };
    let tags: Vec<String> = filters
        .into_iter()
        .map(|filter| tag_argument("ASG", filter))
        .collect();
    finding
        .confirm("aws autoscaling describe-auto-scaling-groups --query 'AutoScalingGroups[].[AutoScalingGroupName,Tags[].Key]'")
        .fix(format!(
            "aws autoscaling create-or-update-tags --tags {}",
            tags.join(" ")
        ))
}

fn tag_argument(group: &str, filter: &TagFilter) -> String {
    let value = match &filter.value {
        Some(value) => value.as_str(),
        None if filter.key.ends_with("/enabled") => "true",
        None => "owned",
    };
    let argument = format!(
        "ResourceId={group},ResourceType=auto-scaling-group,Key={},Value={value},PropagateAtLaunch=true",
        filter.key
    );
    if argument.contains([' ', '<', '>', '$', '{', '(']) {
        format!("'{argument}'")
    } else {
        argument
    }
}

/// The flag asks for what no group of this cluster should carry.
fn is_flags_fault(cx: &Cx<'_>, lack: &Lack) -> bool {
    let own = cx.cluster().name.as_deref();
    let names_other =
        matches!((lack.filter.cluster(), own), (Some(asked), Some(own)) if asked != own);
    let unspaced = matches!(lack.instead, Instead::Unspaced(_));
    names_other || unspaced || lack.filter.is_placeholder()
}

fn usual_filters(cx: &Cx<'_>) -> [TagFilter; 2] {
    ["enabled", cx.cluster_name()].map(|last| TagFilter {
        key: format!("{DISCOVERY_PREFIX}{last}"),
        value: None,
    })
}

/// Whether the groups are told by name alone.
fn names_groups(discovery: &Discovery) -> bool {
    discovery.alternatives.is_empty() && !discovery.named.is_empty()
}

/// What the flag should say: the usual keys, or the same groups by name where they were so named.
fn right_flag(cx: &Cx<'_>, discovery: &Discovery, groups: &[&Owned<'_>]) -> String {
    if names_groups(discovery) {
        let named: Vec<String> = groups
            .iter()
            .map(|one| {
                format!(
                    "--nodes={}:{}:{}",
                    one.group.min_size, one.group.max_size, one.group.auto_scaling_group_name
                )
            })
            .collect();
        if !named.is_empty() {
            return named.join(" ");
        }
    }
    let keys: Vec<String> = usual_filters(cx)
        .into_iter()
        .map(|filter| filter.key)
        .collect();
    format!(
        "--node-group-auto-discovery=asg:tag={}, once, without white space",
        keys.join(",")
    )
}
