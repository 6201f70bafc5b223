//! `autoscaler/asg-launch-failures`: a group asks for instances, and their launch fails.

mod class;

use std::collections::BTreeMap;

use eksnet_model::aws::ScalingActivity;
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Heard, Meta, Place, Role, Severity, Source,
    Stop, Subject, SubjectKind,
};

use class::Class;

/// What was said longer ago than this, in seconds, is history.
const WINDOW_S: i64 = 3600;

const META: Meta = Meta {
    id: "autoscaler/asg-launch-failures",
    title: "A group asks for instances, and their launch fails",
    severity: Severity::Error,
    role: Role::Mechanism,
    needs: &[Source::ScalingActivities],
    helps: &[Source::Nodegroups, Source::Logs, Source::Events],
    signals: &[
        "capacity",
        "quota",
        "addresses",
        "template",
        "access",
        "timed-out",
        "backoff",
        "other-failure",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// Failures of one class.
#[derive(Default)]
struct Failed {
    groups: Vec<String>,
    facts: Vec<Fact>,
    place: Place,
    proven: bool,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut failed: BTreeMap<Class, Failed> = BTreeMap::new();
    let activities = cx.scaling_activities().some();
    if let Ok(activities) = &activities {
        by_activities(activities, &mut failed);
    }
    for nodegroup in cx.nodegroups().optional().into_iter().flatten() {
        for issue in &nodegroup.health.issues {
            if let Some(class) = Class::of_issue(&issue.code, &issue.message) {
                let one = failed.entry(class).or_default();
                one.proven = true;
                one.groups.push(nodegroup.nodegroup_name.clone());
                one.facts.push(Fact::new(
                    Source::Nodegroups,
                    format!("node group {}", nodegroup.nodegroup_name),
                    issue.code.as_str(),
                    issue.message.as_str(),
                ));
            }
        }
    }
    by_logs(cx, &mut failed);
    by_events(cx, &mut failed);
    // A backoff follows from what is known already.
    if failed.len() > 1 {
        failed.remove(&Class::Backoff);
    }
    if failed.is_empty() {
        activities?;
    }
    Ok(failed
        .into_iter()
        .map(|(class, one)| finding(class, one))
        .collect())
}

/// The newest activity of each group.
fn by_activities(activities: &[ScalingActivity], failed: &mut BTreeMap<Class, Failed>) {
    let mut newest: BTreeMap<&str, &ScalingActivity> = BTreeMap::new();
    let launches = |one: &&ScalingActivity| {
        !one.description.starts_with("Terminating") && one.status_code != "InProgress"
    };
    for activity in activities.iter().filter(launches) {
        let known = newest
            .entry(activity.auto_scaling_group_name.as_str())
            .or_insert(activity);
        if activity.start_time > known.start_time {
            *known = activity;
        }
    }
    for (group, activity) in newest {
        if !matches!(activity.status_code.as_str(), "Failed" | "Cancelled") {
            continue;
        }
        let class = Class::of(&activity.status_message).unwrap_or(Class::Other);
        let one = failed.entry(class).or_default();
        one.proven = true;
        one.groups
            .push(if group.is_empty() { "ASG" } else { group }.to_owned());
        one.facts.push(
            Fact::new(
                Source::ScalingActivities,
                format!("Auto Scaling group {group}"),
                activity.status_code.as_str(),
                activity.status_message.as_str(),
            )
            .expected("Successful")
            .at(activity.start_time),
        );
    }
}

fn by_logs(cx: &Cx<'_>, failed: &mut BTreeMap<Class, Failed>) {
    let mut keep = |class: Class, said: &Heard<'_>, groups: Vec<String>| {
        let one = failed.entry(class).or_default();
        one.proven |= !matches!(class, Class::TimedOut | Class::Backoff);
        one.groups.extend(groups);
        one.facts.push(said.fact("lines"));
        one.place.workloads.extend(said.at(cx.topology()).workloads);
    };
    for said in Heard::in_logs(cx, &["launch-refused"], WINDOW_S) {
        let own = matches!(
            said.scan.component,
            Component::ClusterAutoscaler | Component::Karpenter | Component::Unknown
        );
        if own {
            let mut classes: Vec<Class> = said.values("code").filter_map(Class::of).collect();
            // The issue of a node group, whose message names no code that is known.
            if classes.is_empty() && said.values("issue").next().is_some() {
                classes.push(Class::of(said.line()).unwrap_or(Class::Other));
            }
            for class in classes {
                keep(class, &said, Vec::new());
            }
        }
    }
    for said in Heard::in_logs(cx, &["ca-scale-up-failed"], WINDOW_S) {
        for why in said.values("why") {
            // A refusal by IAM is no failed launch, and has checks of its own.
            let denied = why.contains("not authorized") || why.contains("AccessDenied");
            if !denied {
                keep(Class::of(why).unwrap_or(Class::Other), &said, Vec::new());
            }
        }
    }
    for (signature, class) in [
        ("ca-scale-up-timed-out", Class::TimedOut),
        ("ca-group-backoff", Class::Backoff),
    ] {
        for said in Heard::in_logs(cx, &[signature], WINDOW_S) {
            let groups = ["group", "backed", "placeholder"]
                .into_iter()
                .flat_map(|field| said.values(field))
                .map(str::to_owned)
                .collect();
            keep(class, &said, groups);
        }
    }
}

fn by_events(cx: &Cx<'_>, failed: &mut BTreeMap<Class, Failed>) {
    const REASONS: [&str; 4] = [
        "FailedToScaleUpGroup",
        "InsufficientCapacityError",
        "FailedLaunch",
        "LaunchFailed",
    ];
    for event in cx.events().optional().into_iter().flatten() {
        if !REASONS.contains(&event.reason.as_str()) || !cx.within(event.last_seen(), WINDOW_S) {
            continue;
        }
        if event.message.contains("not authorized") || event.message.contains("AccessDenied") {
            continue;
        }
        let class = match event.reason.as_str() {
            "InsufficientCapacityError" => Class::Capacity,
            _ => Class::of(&event.message).unwrap_or(Class::Other),
        };
        let object = &event.involved_object;
        let one = failed.entry(class).or_default();
        one.proven = true;
        one.facts.push(
            Fact::new(
                Source::Events,
                format!("{} {}", object.kind, object.name),
                event.reason.as_str(),
                event.message.as_str(),
            )
            .at(event.last_seen()),
        );
    }
}

fn finding(class: Class, mut one: Failed) -> Finding {
    one.groups.sort();
    one.groups.dedup();
    let group = one.groups.first().map_or("ASG", String::as_str);
    let subject = match one.groups.as_slice() {
        [] => "The autoscaler".to_owned(),
        [one] => format!("Group {one}"),
        [one, rest @ ..] => format!("Group {one} and {} more", rest.len()),
    };
    let mut finding = META
        .finding(Severity::Error, format!("{subject} {}", class.words()))
        .detail(class.detail())
        .confidence(if one.proven {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .facts(one.facts.into_iter().take(6))
        .at(one.place)
        .signal(class.signal())
        .confirm("aws autoscaling describe-scaling-activities --max-items 10 --query 'Activities[].[AutoScalingGroupName,StatusCode,StatusMessage]'")
        .fix(class.fix(group));
    finding = finding.subject(Subject::new(SubjectKind::Other, class.signal()));
    finding.subjects(
        one.groups
            .iter()
            .map(|group| Subject::new(SubjectKind::AutoScalingGroup, group.as_str())),
    )
}
