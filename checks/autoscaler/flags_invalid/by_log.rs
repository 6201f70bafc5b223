//! What cluster-autoscaler itself says of its flags.

use eksnet_model::{Component, Confidence, Cx, Finding, Heard, Severity, Subject, SubjectKind};

use super::{META, words};

/// Lines older than this, in seconds, are history.
const WINDOW_S: i64 = 3600;

/// What a line proves.
struct Fault {
    severity: Severity,
    confidence: Confidence,
    signal: &'static str,
    title: String,
    detail: &'static str,
    fix: String,
}

pub(super) fn findings(cx: &Cx<'_>) -> Vec<Finding> {
    const LINES: [&str; 8] = [
        "ca-flag-unknown",
        "ca-flag-value",
        "ca-flag-spec",
        "ca-flag-expander",
        "ca-flag-provider",
        "ca-flag-priority-map",
        "ca-types-unloadable",
        "ca-type-unknown",
    ];
    let mut findings: Vec<Finding> = Vec::new();
    for signature in LINES {
        for said in Heard::in_logs(cx, &[signature], WINDOW_S) {
            if !is_own(&said) || said.is_past(cx.now()) {
                continue;
            }
            let fault = fault(cx, &said);
            let finding = finding(cx, &said, fault);
            match findings.iter_mut().find(|one| one.id == finding.id) {
                Some(known) => known.facts.extend(finding.facts),
                None => findings.push(finding),
            }
        }
    }
    findings
}

/// A log of nobody known may hold the complaints of any program that has flags.
fn is_own(said: &Heard<'_>) -> bool {
    match said.scan.component {
        Component::ClusterAutoscaler => true,
        Component::Unknown => match said.hits.signature.as_str() {
            "ca-flag-unknown" | "ca-flag-value" => {
                said.values("flag").any(words::is_own) || said.scan.hits("ca-usage").is_some()
            }
            _ => true,
        },
        _ => false,
    }
}

fn fault(cx: &Cx<'_>, said: &Heard<'_>) -> Fault {
    let edit = |what: &str| {
        format!("kubectl -n kube-system edit deployment/cluster-autoscaler   # {what}")
    };
    let exits = |signal, title, fix| Fault {
        severity: Severity::Critical,
        confidence: Confidence::Confirmed,
        signal,
        title,
        detail: "It exits each time that it is started, so no group grows or shrinks.",
        fix,
    };
    let value = |field: &str| said.value(field).unwrap_or("").to_owned();
    match said.hits.signature.as_str() {
        "ca-flag-unknown" => {
            let flag = value("flag");
            exits(
                "exits",
                format!("cluster-autoscaler exits at once: its release has no flag {flag}"),
                edit(&format!("remove or correct {flag}: cluster-autoscaler --help of the same release lists what there is")),
            )
        }
        "ca-flag-value" => {
            let flag = format!("--{}", value("flag").trim_start_matches('-'));
            exits(
                "exits",
                format!("cluster-autoscaler exits at once: {flag} does not take the value \"{}\"", value("value")),
                edit(&format!("correct the value of {flag}")),
            )
        }
        "ca-flag-spec" => exits(
            "exits",
            format!("cluster-autoscaler exits at once over a flag: {}", value("why")),
            edit("--node-group-auto-discovery=asg:tag=KEY[=VALUE][,KEY[=VALUE]] or --nodes=MIN:MAX:GROUP"),
        ),
        "ca-flag-expander" => exits(
            "expander",
            format!("cluster-autoscaler exits at once: {}", value("why")),
            edit(&format!("--expander is one or more of {}", words::EXPANDERS.join(", "))),
        ),
        "ca-flag-provider" => {
            let cloud = said.value("name").or_else(|| said.value("manager"));
            let shown = Heard::in_logs(cx, &["ca-flag-shown-provider"], WINDOW_S);
            let flag = shown.first().and_then(|one| one.value("provider"));
            let name = cloud.or(flag).unwrap_or("another cloud");
            exits(
                "provider",
                format!("cluster-autoscaler was started for {name}, not for AWS, and exits"),
                edit("--cloud-provider=aws; without the flag it is built to take gce"),
            )
        }
        "ca-flag-priority-map" => Fault {
            severity: Severity::Warning,
            confidence: Confidence::Confirmed,
            signal: "priority-map",
            title: "cluster-autoscaler's priority expander has no usable ConfigMap cluster-autoscaler-priority-expander".to_owned(),
            detail: "Without priorities it picks among the groups by chance. The ConfigMap belongs into the namespace that --namespace names, with the key `priorities`.",
            fix: "kubectl -n kube-system create configmap cluster-autoscaler-priority-expander --from-literal=priorities='10: [\".*\"]'".to_owned(),
        },
        "ca-types-unloadable" => Fault {
            severity: Severity::Critical,
            confidence: Confidence::Likely,
            signal: "instance-types",
            title: "cluster-autoscaler exits: it cannot load the list of EC2 instance types, and --aws-use-static-instance-list is not set".to_owned(),
            detail: "At its start it asks EC2 (releases before 1.23: the public price list, over the internet) for all instance types. A VPC without that way out needs the list that it was built with.",
            fix: edit("add --aws-use-static-instance-list=true, or let it reach the EC2 API"),
        },
        _ => {
            let (group, kind) = (value("group"), value("type"));
            let is_static = !Heard::in_logs(cx, &["ca-static-list"], WINDOW_S).is_empty();
            Fault {
                severity: Severity::Error,
                confidence: if is_static { Confidence::Confirmed } else { Confidence::Likely },
                signal: "instance-types",
                title: format!("Auto Scaling group {group} is of instance type {kind}, which cluster-autoscaler's list of types lacks"),
                detail: "It cannot imagine a node of that group, and never enlarges it from zero. A list that was built in is as old as the release.",
                fix: edit(if is_static {
                    "remove --aws-use-static-instance-list=true, or take a newer release"
                } else {
                    "set --aws-use-static-instance-list=false and allow ec2:DescribeInstanceTypes, or take a newer release"
                }),
            }
        }
    }
}

fn finding(cx: &Cx<'_>, said: &Heard<'_>, fault: Fault) -> Finding {
    let subject = match cx.topology().workload_of_log(said.scan) {
        Some(workload) => match workload.split_once('/') {
            Some((namespace, name)) => {
                Subject::namespaced(SubjectKind::Deployment, namespace, name)
            }
            None => Subject::new(SubjectKind::Other, workload),
        },
        None => Subject::new(SubjectKind::Other, "cluster-autoscaler"),
    };
    let also: Vec<Heard<'_>> =
        Heard::in_logs(cx, &["ca-static-list", "ca-flag-shown-provider"], WINDOW_S);
    let fits = |one: &&Heard<'_>| match fault.signal {
        "instance-types" => one.hits.signature == "ca-static-list",
        "provider" => one.hits.signature == "ca-flag-shown-provider",
        _ => false,
    };
    META.finding(fault.severity, fault.title)
        .detail(fault.detail)
        .confidence(fault.confidence)
        .subject(subject)
        .subject(Subject::new(SubjectKind::Other, named(said)))
        .fact(said.fact("lines"))
        .facts(also.iter().filter(fits).map(|one| one.fact("lines")))
        .signal(fault.signal)
        .at(said.at(cx.topology()))
        .confirm("kubectl -n kube-system logs deployment/cluster-autoscaler --previous --tail=50")
        .fix(fault.fix)
}

/// What the line is about, for a reader.
fn named(said: &Heard<'_>) -> String {
    let flag = |flag: &str| format!("--{}", flag.trim_start_matches('-'));
    match said.hits.signature.as_str() {
        "ca-flag-unknown" | "ca-flag-value" => said.value("flag").map_or("a flag".to_owned(), flag),
        "ca-flag-expander" => "--expander".to_owned(),
        "ca-flag-provider" => "--cloud-provider".to_owned(),
        "ca-flag-priority-map" => "ConfigMap cluster-autoscaler-priority-expander".to_owned(),
        "ca-flag-spec" => "a flag that names groups or limits".to_owned(),
        "ca-types-unloadable" => "--aws-use-static-instance-list".to_owned(),
        _ => said
            .value("group")
            .unwrap_or("an Auto Scaling group")
            .to_owned(),
    }
}
