//! `autoscaler/asg-at-max`: groups, or the whole autoscaler, at a configured maximum.

mod refusals;

use eksnet_model::aws::AutoScalingGroup;
use eksnet_model::{
    Check, ClusterAutoscaler, Component, Confidence, Cx, Deployed, Discovery, Fact, Finding, Meta,
    Place, Role, Severity, Source, Stop, Subject, SubjectKind,
};

use refusals::Refusals;

/// Share of the maximum, in percent, from which on a group is reported before it is full.
const NEAR_PERCENT: u32 = 90;

const META: Meta = Meta {
    id: "autoscaler/asg-at-max",
    title: "Node groups are at their maximum",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Deployments, Source::AutoScalingGroups],
    helps: &[
        Source::Pods,
        Source::Events,
        Source::Logs,
        Source::Nodes,
        Source::Nodegroups,
    ],
    signals: &[
        "event-names-max",
        "log-names-max",
        "near-max",
        "all-fixed",
        "max-nodes-total",
        "limits-total",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let scalers = Deployed::seen(cx, &[Component::ClusterAutoscaler])?;
    let groups = cx.auto_scaling_groups().some()?;
    let refusals = Refusals::of(cx);
    let mut findings = Vec::new();
    for deployed in &scalers {
        let Some(flags) = ClusterAutoscaler::of(deployed) else {
            continue;
        };
        let discovery = flags.discovery();
        let managed: Vec<Managed<'_>> = groups
            .iter()
            .filter(|group| group.status.is_none() && discovery.selects(group))
            .map(|group| Managed::of(group, &discovery))
            .collect();
        findings.extend(of_groups(cx, deployed, &managed, &refusals));
        findings.extend(all_fixed(cx, deployed, &managed, &refusals));
        findings.extend(of_cluster(cx, deployed, &flags, &refusals));
    }
    Ok(findings)
}

/// A group with the bounds that hold for it: its own, narrowed by `--nodes`.
struct Managed<'a> {
    group: &'a AutoScalingGroup,
    min: u32,
    max: u32,
}

impl<'a> Managed<'a> {
    fn of(group: &'a AutoScalingGroup, discovery: &Discovery) -> Self {
        let named = discovery.named(group);
        Self {
            group,
            min: named.map_or(group.min_size, |named| named.min),
            max: named.map_or(group.max_size, |named| named.max.min(group.max_size)),
        }
    }

    fn name(&self) -> &'a str {
        &self.group.auto_scaling_group_name
    }

    /// A maximum of zero switches a group off, which is no shortage.
    fn is_off(&self) -> bool {
        self.max == 0
    }

    fn is_fixed(&self) -> bool {
        self.min == self.max
    }

    fn is_full(&self) -> bool {
        !self.is_off() && self.group.desired_capacity >= self.max
    }

    fn is_near(&self) -> bool {
        !self.is_off() && self.group.desired_capacity * 100 >= self.max * NEAR_PERCENT
    }
}

fn of_groups(
    cx: &Cx<'_>,
    deployed: &Deployed<'_>,
    managed: &[Managed<'_>],
    refusals: &Refusals<'_>,
) -> Vec<Finding> {
    // Groups of fixed size are full by design: they count only where no other group is.
    let growing = |one: &&Managed<'_>| !one.is_fixed();
    let full_growing = managed.iter().filter(growing).any(Managed::is_full);
    let all_fixed = managed.iter().all(Managed::is_fixed);
    managed
        .iter()
        .filter(|one| {
            let named = refusals.names_group(one.name());
            match (one.is_fixed(), one.is_full()) {
                (true, full) => {
                    named || (full && refusals.max.is_some() && !full_growing && !all_fixed)
                }
                (false, _) => one.is_near() || named,
            }
        })
        .map(|one| of_group(cx, deployed, one, refusals))
        .collect()
}

fn of_group(
    cx: &Cx<'_>,
    deployed: &Deployed<'_>,
    one: &Managed<'_>,
    refusals: &Refusals<'_>,
) -> Finding {
    let (group, name) = (one.group, one.name());
    let logged = refusals.names_group(name);
    let blocks = one.is_full() && (refusals.max.is_some() || logged);
    let unclear = one.is_full() && refusals.pending > 0 && !cx.events().is_complete();
    let waiting = match refusals.waiting() {
        0 => String::new(),
        1 => ", and 1 pod waits for a node".to_owned(),
        many => format!(", and {many} pods wait for a node"),
    };
    let share = format!("{} of {} nodes", group.desired_capacity, one.max);
    let title = if one.is_full() {
        format!("Auto Scaling group {name} is at its maximum: {share}{waiting}")
    } else {
        format!("Auto Scaling group {name} is near its maximum: {share}")
    };
    let severity = if blocks || unclear {
        Severity::Error
    } else {
        Severity::Warning
    };
    let mut finding = META
        .finding(severity, title)
        .subject(Subject::new(SubjectKind::AutoScalingGroup, name))
        .fact(
            Fact::new(
                Source::AutoScalingGroups,
                format!("Auto Scaling group {name}"),
                "minimum / desired / maximum",
                format!(
                    "{} / {} / {} ({} in service)",
                    one.min,
                    group.desired_capacity,
                    one.max,
                    group.in_service()
                ),
            )
            .expected(format!("desired below {}", one.max)),
        )
        .at(Place::nodes(nodes_of(cx, group)));
    if blocks {
        finding = finding.confidence(Confidence::Confirmed);
    } else if unclear {
        finding = finding.confidence(Confidence::Possible);
    }
    if let Some(event) = &refusals.max {
        finding = finding.fact(event.clone());
        if one.is_full() {
            finding = finding.signal("event-names-max");
        }
    }
    if let Some(fact) = refusals.log_fact(name) {
        finding = finding.fact(fact).signal("log-names-max");
    }
    if !blocks && !unclear {
        finding = finding.signal("near-max");
    }
    finding
        .confirm(format!(
            "aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names {name} --query 'AutoScalingGroups[].[MinSize,DesiredCapacity,MaxSize]'"
        ))
        .fix(grow(cx, deployed, one))
}

/// The command that gives the group room: half as much again. A managed group keeps its sizes in EKS,
/// which overwrites what is set on the Auto Scaling group.
fn grow(cx: &Cx<'_>, deployed: &Deployed<'_>, one: &Managed<'_>) -> String {
    let max = one.max + (one.max / 2).max(1);
    if one.max < one.group.max_size {
        return format!(
            "kubectl -n {} edit {}   # --nodes={}:{}:{}",
            deployed.namespace,
            deployed.resource(),
            one.min,
            max.min(one.group.max_size),
            one.name()
        );
    }
    match nodegroup(cx, one.group) {
        Some(nodegroup) => format!(
            "aws eks update-nodegroup-config --cluster-name {} --nodegroup-name {nodegroup} --scaling-config minSize={},maxSize={max},desiredSize={}",
            cx.cluster_name(),
            one.group.min_size,
            one.group.desired_capacity
        ),
        None => format!(
            "aws autoscaling update-auto-scaling-group --auto-scaling-group-name {} --max-size {max}",
            one.name()
        ),
    }
}

fn nodegroup<'c>(cx: &'c Cx<'_>, group: &'c AutoScalingGroup) -> Option<&'c str> {
    group.nodegroup().or_else(|| {
        let nodegroups = cx.nodegroups().optional()?;
        nodegroups
            .iter()
            .find(|nodegroup| {
                nodegroup
                    .resources
                    .auto_scaling_groups
                    .iter()
                    .any(|name| name.name == group.auto_scaling_group_name)
            })
            .map(|nodegroup| nodegroup.nodegroup_name.as_str())
    })
}

fn nodes_of<'c>(cx: &'c Cx<'_>, group: &AutoScalingGroup) -> Vec<&'c str> {
    let nodes = cx.nodes().optional();
    nodes
        .into_iter()
        .flatten()
        .filter(|node| {
            node.instance_id()
                .is_some_and(|id| group.instances.iter().any(|one| one.instance_id == id))
        })
        .map(|node| node.metadata.name.as_str())
        .collect()
}

fn all_fixed(
    cx: &Cx<'_>,
    deployed: &Deployed<'_>,
    managed: &[Managed<'_>],
    refusals: &Refusals<'_>,
) -> Option<Finding> {
    if managed.is_empty() || !managed.iter().all(Managed::is_fixed) {
        return None;
    }
    let severity = if refusals.pending > 0 {
        Severity::Error
    } else {
        Severity::Warning
    };
    let mut finding = META
        .finding(
            severity,
            format!(
                "cluster-autoscaler ({}) cannot add a node anywhere: {} its minimum as its maximum",
                deployed.workload(),
                match managed.len() {
                    1 => "its only group has".to_owned(),
                    many => format!("each of its {many} groups has"),
                }
            ),
        )
        .confidence(Confidence::Confirmed)
        .subject(deployed.subject())
        .signal("all-fixed")
        .at(deployed.place());
    for one in managed {
        finding = finding.fact(
            Fact::new(
                Source::AutoScalingGroups,
                format!("Auto Scaling group {}", one.name()),
                "minimum = maximum",
                one.max.to_string(),
            )
            .expected("a maximum above the minimum"),
        );
    }
    let finding = finding.facts(refusals.max.clone()).confirm(
        "aws autoscaling describe-auto-scaling-groups --query 'AutoScalingGroups[].[AutoScalingGroupName,MinSize,MaxSize]'",
    );
    Some(
        managed
            .iter()
            .fold(finding, |finding, one| finding.fix(grow(cx, deployed, one))),
    )
}

/// Limits of the autoscaler over all groups: nodes, cores, memory.
fn of_cluster(
    cx: &Cx<'_>,
    deployed: &Deployed<'_>,
    flags: &ClusterAutoscaler<'_>,
    refusals: &Refusals<'_>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let of = |flags: &[&str], title: String, fact: Fact, signal: &str| {
        let flag = flags.join(", ");
        let severity = if refusals.pending > 0 {
            Severity::Error
        } else {
            Severity::Warning
        };
        META.finding(severity, title)
            .confidence(Confidence::Confirmed)
            .subject(deployed.subject())
            .subject(Subject::new(SubjectKind::Other, flag.as_str()))
            .fact(fact)
            .signal(signal)
            .at(deployed.place())
            .confirm(format!(
                "kubectl -n {} get {} -o yaml | grep -E -e '{}'",
                deployed.namespace,
                deployed.resource(),
                flags.join("|")
            ))
            .fix(format!(
                "kubectl -n {} edit {}   # raise {flag}",
                deployed.namespace,
                deployed.resource()
            ))
    };
    let limit = match flags.number("max-nodes-total") {
        0 => refusals.logged_limit.unwrap_or(0),
        limit => limit,
    };
    let nodes = cx.nodes().optional().map_or(0, Vec::len);
    let by_count = limit > 0 && nodes >= limit as usize;
    if by_count || refusals.total.is_some() {
        let mut finding = of(
            &["--max-nodes-total"],
            format!(
                "cluster-autoscaler ({}) adds no node beyond --max-nodes-total ({limit} nodes)",
                deployed.workload()
            ),
            Fact::new(
                Source::Deployments,
                deployed.subject().to_string(),
                "--max-nodes-total",
                limit.to_string(),
            ),
            "max-nodes-total",
        );
        if by_count {
            finding = finding.fact(
                Fact::new(Source::Nodes, "cluster", "nodes", nodes.to_string())
                    .expected(format!("fewer than {limit}")),
            );
        }
        findings.push(finding.facts(refusals.total.clone()));
    }
    if let Some(fact) = &refusals.resources {
        findings.push(of(
            &["--cores-total", "--memory-total"],
            format!(
                "cluster-autoscaler ({}) adds no node beyond its limit of cores or memory",
                deployed.workload()
            ),
            fact.clone(),
            "limits-total",
        ));
    }
    findings
}
