//! `autoscaler/policy-actions`: cluster-autoscaler's role lacks actions that its release calls.

use std::collections::BTreeMap;

use eksnet_model::iam::{Action, Decision, Need};
use eksnet_model::{
    Check, ClusterAutoscaler, Component, Confidence, Cx, Deployed, Fact, Finding, Heard, Meta,
    Place, Role, Severity, Source, Stop, Subject, SubjectKind,
};

/// Refusals older than this, in seconds, are history; write actions are rare.
const WINDOW_S: i64 = 3600;
/// A grant without an action here is that of another program.
const OWN: &str = "autoscaling:SetDesiredCapacity";

const META: Meta = Meta {
    id: "autoscaler/policy-actions",
    title: "cluster-autoscaler's role lacks actions that its release calls",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::SimulatedPolicies],
    helps: &[
        Source::Logs,
        Source::Deployments,
        Source::Pods,
        Source::Policies,
    ],
    signals: &[
        "from-log",
        "from-simulation",
        "from-policy",
        "denied-describe",
        "denied-write",
        "denied-feature",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// All that is refused, by action.
#[derive(Default)]
struct Refused {
    actions: BTreeMap<String, Vec<Fact>>,
    role: Option<String>,
    place: Place,
    signals: Vec<&'static str>,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let deployed = Deployed::seen(cx, &[Component::ClusterAutoscaler]);
    let minor = deployed
        .as_ref()
        .ok()
        .and_then(|all| ClusterAutoscaler::of(all.first()?)?.minor());
    let mut refused = Refused::default();
    by_logs(cx, &mut refused);
    let roles = cx.simulated_policies().some();
    for role in roles.iter().flat_map(|roles| roles.iter()) {
        if role.component != Component::ClusterAutoscaler {
            continue;
        }
        for action in Component::ClusterAutoscaler.actions(minor) {
            let denied = role.results.iter().find(|result| {
                result.eval_action_name == action.name
                    && result.eval_decision != "allowed"
                    && result.missing_context_values.is_empty()
            });
            if let Some(result) = denied {
                refused.role = Some(role.role_arn.clone());
                refused.add(
                    action.name,
                    Fact::new(
                        Source::SimulatedPolicies,
                        role.role_arn.as_str(),
                        action.name,
                        result.eval_decision.as_str(),
                    )
                    .expected("allowed"),
                    "from-simulation",
                );
            }
        }
    }
    by_policies(cx, minor, &mut refused);
    if refused.actions.is_empty() {
        deployed?;
        roles?;
        return Ok(Vec::new());
    }
    Ok(vec![finding(&refused)])
}

impl Refused {
    fn add(&mut self, action: &str, fact: Fact, signal: &'static str) {
        self.actions
            .entry(action.to_owned())
            .or_default()
            .push(fact);
        if !self.signals.contains(&signal) {
            self.signals.push(signal);
        }
    }
}

fn by_logs(cx: &Cx<'_>, refused: &mut Refused) {
    for said in Heard::in_logs(cx, &["aws-action-denied"], WINDOW_S) {
        for action in said.values("action") {
            let own = match said.scan.component {
                Component::ClusterAutoscaler => !action.starts_with("sts:"),
                // Nobody else in a cluster calls Auto Scaling.
                Component::Unknown => action.starts_with("autoscaling:"),
                _ => false,
            };
            // An endpoint's policy refuses whatever the role allows.
            if own && !said.values("why").any(|why| why.contains("endpoint")) {
                refused.role = refused
                    .role
                    .take()
                    .or_else(|| said.values("user").find_map(role_of));
                refused
                    .place
                    .workloads
                    .extend(said.at(cx.topology()).workloads);
                refused.add(action, said.fact("lines"), "from-log");
            }
        }
    }
    for (signature, action) in [
        ("ca-instance-types-denied", "ec2:DescribeInstanceTypes"),
        ("ca-describe-nodegroup-denied", "eks:DescribeNodegroup"),
    ] {
        for said in Heard::in_logs(cx, &[signature], WINDOW_S) {
            refused
                .place
                .workloads
                .extend(said.at(cx.topology()).workloads);
            refused.add(action, said.fact("lines"), "from-log");
        }
    }
    for said in Heard::in_logs(cx, &["ca-action-unnamed"], WINDOW_S) {
        let what = said.values("what").chain(said.values("object"));
        for action in what.filter_map(|what| match what {
            "launch template" => Some("ec2:DescribeLaunchTemplateVersions"),
            "launch configuration" => Some("autoscaling:DescribeLaunchConfigurations"),
            "image" => Some("ec2:DescribeImages"),
            _ => None,
        }) {
            refused.add(action, said.fact("lines"), "from-log");
        }
    }
}

/// The name of the role in the ARN of a session.
fn role_of(user: &str) -> Option<String> {
    Some(
        user.split_once(":assumed-role/")?
            .1
            .split('/')
            .next()?
            .to_owned(),
    )
}

/// Policies that speak of Auto Scaling, and that all together do not speak of an action.
fn by_policies(cx: &Cx<'_>, minor: Option<u32>, refused: &mut Refused) {
    let Some(policies) = cx.policies().optional() else {
        return;
    };
    let own: Vec<_> = policies
        .iter()
        .filter(|policy| {
            !policy.policy_document.is_trust()
                && [OWN, "autoscaling:DescribeAutoScalingGroups"]
                    .iter()
                    .any(|action| policy.policy_document.decision(action) != Decision::Silent)
                && policy.policy_document.decision("ec2:CreateFleet") == Decision::Silent
        })
        .collect();
    let Some(first) = own.first() else {
        return;
    };
    // Without a known release only what every release calls is missed.
    let calls = |action: &&Action| {
        action.need == Need::Required
            && (minor.is_some() || (action.since == 0 && action.until == u32::MAX))
    };
    for action in Component::ClusterAutoscaler.actions(minor).filter(calls) {
        let silent = policies.iter().all(|policy| {
            matches!(
                policy.policy_document.decision(action.name),
                Decision::Silent | Decision::Denied
            )
        });
        if silent && !refused.actions.contains_key(action.name) {
            refused.add(
                action.name,
                Fact::new(
                    Source::Policies,
                    format!("policy {}", first.policy_name),
                    action.name,
                    "no statement allows it",
                )
                .expected("Allow"),
                "from-policy",
            );
        }
    }
}

fn finding(refused: &Refused) -> Finding {
    let known: Vec<&Action> = Component::ClusterAutoscaler.actions(None).collect();
    let of = |name: &str| known.iter().find(|action| action.name == name);
    let required = |name: &str| of(name).is_none_or(|action| action.need == Need::Required);
    let names: Vec<&str> = refused.actions.keys().map(String::as_str).collect();
    let severity = if names.iter().any(|name| required(name)) {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let by_policy_alone = refused.signals == ["from-policy"];
    let role = refused
        .role
        .as_deref()
        .map_or("of cluster-autoscaler", |role| {
            role.rsplit('/').next().unwrap_or(role)
        });
    let title = match names.as_slice() {
        [one] => format!("Role {role} may not call {one}, which cluster-autoscaler does"),
        [one, rest @ ..] => format!(
            "Role {role} may not call {one} and {} more that cluster-autoscaler calls",
            rest.len()
        ),
        [] => String::new(),
    };
    let mut finding = META
        .finding(severity, title)
        .detail(
            if names
                .iter()
                .any(|name| name.contains("Describe") && required(name))
            {
                "Without what it reads the autoscaler does not start, or knows no group."
            } else {
                "It decides to change a group, and AWS refuses the change."
            },
        )
        .confidence(if by_policy_alone {
            Confidence::Likely
        } else {
            Confidence::Confirmed
        })
        .subject(Subject::new(SubjectKind::Role, role))
        .at(refused.place.clone());
    for (name, facts) in &refused.actions {
        finding = finding.facts(facts.iter().take(2).cloned());
        finding = finding.signal(match of(name) {
            Some(action) if action.need == Need::Feature => "denied-feature",
            Some(action) if action.writes => "denied-write",
            _ => "denied-describe",
        });
    }
    for signal in &refused.signals {
        finding = finding.signal(*signal);
    }
    let arn = refused
        .role
        .as_deref()
        .filter(|role| role.starts_with("arn:"));
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    finding
        .confirm(format!(
            "aws iam simulate-principal-policy --policy-source-arn {} --action-names {}",
            arn.unwrap_or("ROLE_ARN"),
            names.join(" ")
        ))
        .fix(format!(
            "aws iam put-role-policy --role-name {} --policy-name cluster-autoscaler-missing --policy-document '{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":[{}],\"Resource\":\"*\"}}]}}'",
            if refused.role.is_some() { role } else { "ROLE" },
            quoted.join(",")
        ))
}
