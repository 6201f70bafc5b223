//! `autoscaler/asg-discovery-tags`: groups that cluster-autoscaler does not manage.

mod advice;
mod by_log;
mod groups;

use eksnet_model::aws::AutoScalingGroup;
use eksnet_model::{
    Check, ClusterAutoscaler, Component, Confidence, Cx, DISCOVERY_PREFIX, Deployed, Discovery,
    Fact, Finding, Gap, Instead, Lack, Meta, Place, Role, Severity, Source, Stop, Subject,
    SubjectKind, Why,
};

use groups::Owned;

const META: Meta = Meta {
    id: "autoscaler/asg-discovery-tags",
    title: "cluster-autoscaler does not manage every group of nodes",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[
        Source::Deployments,
        Source::AutoScalingGroups,
        Source::Nodes,
    ],
    helps: &[Source::Pods, Source::Instances, Source::Logs],
    signals: &[
        "zero-groups",
        "some-groups-selected",
        "tag-missing",
        "tag-misspelt",
        "tag-value-differs",
        "other-cluster",
        "placeholder",
        "flags-anded",
        "flags-refused",
        "by-log",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// An autoscaler with what its flags select.
struct Scaler<'a> {
    deployed: Deployed<'a>,
    discovery: Discovery,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let scalers = scalers(cx);
    let groups = cx.auto_scaling_groups().some();
    let (scalers, groups) = match (scalers, groups) {
        (Ok(scalers), Ok(groups)) => (scalers, groups),
        (scalers, groups) => {
            if matches!(scalers, Err(Stop::NotApplicable(_))) {
                return scalers.map(|_| Vec::new());
            }
            let known = scalers.as_ref().map(Vec::as_slice).unwrap_or_default();
            if let Some(finding) = by_log::finding(cx, known) {
                return Ok(vec![finding]);
            }
            scalers?;
            groups?;
            return Ok(Vec::new());
        }
    };
    for scaler in &scalers {
        if let Some(name) = scaler.discovery.unresolved.first() {
            return Err(Stop::unknown(Gap::new(
                Source::Deployments,
                Why::Failed,
                format!("the discovery flag uses the variable {name}, whose value is not kept"),
            )));
        }
    }
    let owned = groups::owned(cx, groups, cx.nodes().some()?);
    let mut findings = Vec::new();
    let mut has_working = false;
    for scaler in &scalers {
        if groups.iter().any(|group| scaler.discovery.selects(group)) {
            has_working = true;
        } else if cx.auto_scaling_groups().is_complete() {
            findings.push(none_selected(cx, scaler, &owned));
        }
    }
    // With no group at all, the one finding names what each lacks.
    if findings.is_empty() {
        for one in owned.iter().filter(|one| !one.is_fixed()) {
            if scalers
                .iter()
                .all(|scaler| !scaler.discovery.selects(one.group))
                && let Some(scaler) = scalers.first()
            {
                findings.push(not_selected(cx, scaler, one, has_working));
            }
        }
    }
    Ok(findings)
}

fn scalers<'c>(cx: &'c Cx<'_>) -> Result<Vec<Scaler<'c>>, Stop> {
    let mut found = Vec::new();
    let mut other = None;
    for deployed in Deployed::seen(cx, &[Component::ClusterAutoscaler])? {
        let Some(flags) = ClusterAutoscaler::of(&deployed) else {
            continue;
        };
        match flags.value("cloud-provider") {
            Some(provider) if provider != "aws" => other = Some(provider),
            _ => found.push(Scaler {
                discovery: flags.discovery(),
                deployed,
            }),
        }
    }
    match other {
        Some(provider) if found.is_empty() => Err(Stop::not_applicable(format!(
            "cluster-autoscaler runs with --cloud-provider={provider}, not aws"
        ))),
        _ => Ok(found),
    }
}

fn none_selected(cx: &Cx<'_>, scaler: &Scaler<'_>, owned: &[Owned<'_>]) -> Finding {
    let discovery = &scaler.discovery;
    let why = if let Some(refused) = discovery.refused.first() {
        format!("it refuses a flag: {refused}")
    } else if discovery.is_empty() {
        "neither --node-group-auto-discovery nor --nodes is set".to_owned()
    } else if discovery.alternatives.is_empty() {
        "the groups that --nodes names do not exist".to_owned()
    } else {
        asked_for(scaler, owned)
    };
    let mut finding = META
        .finding(
            Severity::Critical,
            format!(
                "cluster-autoscaler ({}) manages no Auto Scaling group: {why}",
                scaler.deployed.workload()
            ),
        )
        .confidence(Confidence::Confirmed)
        .detail(
            "It adds no node to any group and removes none, and says so nowhere but in its log.",
        )
        .subject(scaler.deployed.subject())
        .subjects(owned.iter().map(Owned::subject))
        .fact(flags_fact(scaler))
        .signal("zero-groups")
        .at(scaler.deployed.place());
    if !discovery.refused.is_empty() {
        finding = finding.signal("flags-refused");
    }
    for one in owned {
        finding = explain(cx, finding, scaler, one);
    }
    let owned: Vec<&Owned<'_>> = owned.iter().collect();
    advice::remedy(cx, explain_anded(finding, scaler, &owned), scaler, &owned)
}

/// Why no group has the tags: the flag's own fault where it has one.
fn asked_for(scaler: &Scaler<'_>, owned: &[Owned<'_>]) -> String {
    let discovery = &scaler.discovery;
    if let Some(filter) = discovery.filters().find(|filter| filter.is_placeholder()) {
        format!("its flag still asks for the example's {:?}", filter.key)
    } else if let Some(filter) = discovery.filters().find(|filter| filter.is_spaced()) {
        format!("its flag asks for {:?}, with white space", filter.key)
    } else if owned.iter().any(|one| is_anded(discovery, one.group)) {
        format!(
            "its {} discovery flags are needed together from 1.24",
            discovery.written.len()
        )
    } else {
        "no group has every tag that its flags ask for".to_owned()
    }
}

fn not_selected(cx: &Cx<'_>, scaler: &Scaler<'_>, one: &Owned<'_>, has_working: bool) -> Finding {
    let lacks = scaler.discovery.lacks(one.group);
    let name = &one.group.auto_scaling_group_name;
    let why = if lacks.is_empty() {
        "--nodes does not name it".to_owned()
    } else {
        lacks.iter().map(clause).collect::<Vec<_>>().join(", ")
    };
    let logged = by_log::skipped(cx);
    let seen = one.nodes.iter().find(|node| logged.contains_key(**node));
    let mut finding = META
        .finding(
            Severity::Error,
            format!(
                "Auto Scaling group {name} ({} {}) is not managed by cluster-autoscaler: {why}",
                one.nodes.len(),
                if one.nodes.len() == 1 {
                    "node"
                } else {
                    "nodes"
                }
            ),
        )
        .detail("Pods that fit only this group stay Pending, and its idle nodes are never removed.")
        .subject(one.subject())
        .fact(flags_fact(scaler))
        .at(Place::nodes(one.nodes.iter().copied()).of(scaler.deployed.workload()));
    if let Some(node) = seen {
        finding = finding.confidence(Confidence::Confirmed).fact(
            Fact::new(
                Source::Logs,
                scaler.deployed.workload(),
                "log",
                format!("skips node {node}: it has no group"),
            )
            .at(logged.get(node).copied().flatten()),
        );
    }
    if has_working {
        finding = finding.signal("some-groups-selected");
    }
    finding = explain(cx, finding, scaler, one);
    advice::remedy(cx, explain_anded(finding, scaler, &[one]), scaler, &[one])
}

fn flags_fact(scaler: &Scaler<'_>) -> Fact {
    let flags = &scaler.discovery.flags;
    let named = scaler
        .discovery
        .named
        .iter()
        .map(|group| format!("--nodes={}:{}:{}", group.min, group.max, group.name));
    let saw: Vec<String> = flags
        .iter()
        .map(|flag| format!("--node-group-auto-discovery={flag}"))
        .chain(named)
        .collect();
    Fact::new(
        Source::Deployments,
        scaler.deployed.subject().to_string(),
        "flags",
        if saw.is_empty() {
            "neither --node-group-auto-discovery nor --nodes".to_owned()
        } else {
            saw.join(" ")
        },
    )
}

/// Adds what a group lacks, as facts and signals.
fn explain(cx: &Cx<'_>, mut finding: Finding, scaler: &Scaler<'_>, one: &Owned<'_>) -> Finding {
    let lacks = scaler.discovery.lacks(one.group);
    for lack in &lacks {
        let wanted = match &lack.filter.value {
            Some(value) => format!("the value {value:?}"),
            None => "the tag, with any value".to_owned(),
        };
        finding = finding
            .fact(
                Fact::new(
                    Source::AutoScalingGroups,
                    format!("Auto Scaling group {}", one.group.auto_scaling_group_name),
                    format!("tag {:?}", lack.filter.key),
                    saw(cx, lack),
                )
                .expected(wanted),
            )
            .signal(if lack.filter.is_placeholder() {
                "placeholder"
            } else {
                signal(lack)
            });
        if let Some(instance) = one.tagged_instance(cx, &lack.filter) {
            finding = finding.fact(Fact::new(
                Source::Instances,
                format!("Instance {instance}"),
                format!("tag {:?}", lack.filter.key),
                "present: tags of instances do not count, only those of the group",
            ));
        }
    }
    finding
}

/// Adds that flags which once were alternatives are now needed together.
fn explain_anded(finding: Finding, scaler: &Scaler<'_>, groups: &[&Owned<'_>]) -> Finding {
    if !groups
        .iter()
        .any(|one| is_anded(&scaler.discovery, one.group))
    {
        return finding;
    }
    finding.signal("flags-anded").fact(
        Fact::new(
            Source::Deployments,
            scaler.deployed.subject().to_string(),
            "--node-group-auto-discovery",
            format!(
                "given {} times: from 1.24 a group needs the tags of all of them",
                scaler.discovery.written.len()
            ),
        )
        .expected("once"),
    )
}

/// Whether one flag alone would select the group, which all of them together do not.
fn is_anded(discovery: &Discovery, group: &AutoScalingGroup) -> bool {
    discovery.merged
        && discovery
            .written
            .iter()
            .any(|filters| filters.iter().all(|filter| filter.holds(group)))
}

fn signal(lack: &Lack) -> &'static str {
    match lack.instead {
        Instead::Nothing => "tag-missing",
        Instead::Value(_) => "tag-value-differs",
        Instead::Misspelt(_) | Instead::Unspaced(_) => "tag-misspelt",
        Instead::OtherCluster(_) => "other-cluster",
    }
}

fn saw(cx: &Cx<'_>, lack: &Lack) -> String {
    let own = format!("{DISCOVERY_PREFIX}{}", cx.cluster_name());
    match &lack.instead {
        Instead::Nothing => "missing".to_owned(),
        Instead::Value(value) => format!("the value {value:?}"),
        Instead::OtherCluster(key) if *key == own => {
            format!("missing; it has {key:?}, this cluster's")
        }
        Instead::Misspelt(key) => format!("missing; it has {key:?}"),
        Instead::OtherCluster(key) => format!("missing; it has {key:?}, of another cluster"),
        Instead::Unspaced(key) => {
            format!("missing; it has {key:?}: the flag has white space before the key")
        }
    }
}

fn clause(lack: &Lack) -> String {
    let key = &lack.filter.key;
    match &lack.instead {
        _ if lack.filter.is_placeholder() => {
            format!("the flag still asks for the example's {key:?}")
        }
        Instead::Nothing => format!("it lacks the tag {key}"),
        Instead::Value(value) => format!("its tag {key} has the value {value:?}"),
        Instead::Misspelt(saw) => format!("it has the tag {saw} in place of {key}"),
        Instead::OtherCluster(saw) => format!("it has the tag {saw} in place of {key}"),
        Instead::Unspaced(saw) => format!("the flag asks for {key:?}, with white space, not {saw}"),
    }
}

impl Owned<'_> {
    fn subject(&self) -> Subject {
        Subject::new(
            SubjectKind::AutoScalingGroup,
            self.group.auto_scaling_group_name.as_str(),
        )
    }
}
