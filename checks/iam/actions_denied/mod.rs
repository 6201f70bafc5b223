//! `iam/actions-denied`: a component's role may not do what the component does.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::iam::{Action, EvaluationResult, Need, SimulatedRole};
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Gap, Meta, Place, Role, Running, Severity,
    Source, Stop, Subject, SubjectKind, Why,
};

const META: Meta = Meta {
    id: "iam/actions-denied",
    title: "A component's role is denied actions that the component needs",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::SimulatedPolicies],
    helps: &[Source::Pods],
    signals: &[
        "required-denied",
        "feature-denied",
        "explicit-deny",
        "implicit-deny",
        "boundary",
        "scp",
        "denied-autoscaling-describe",
        "denied-autoscaling-write",
        "denied-cni-write",
        "denied-lb",
    ],
    signatures: "",
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let roles = cx.simulated_policies().some()?;
    if roles.is_empty() {
        return Err(Stop::not_applicable(
            "no component that calls AWS has a role that could be simulated",
        ));
    }
    let mut findings = Vec::new();
    let mut undecided = BTreeSet::new();
    for role in roles {
        let denied = denied(cx, role, &mut undecided);
        if !denied.is_empty() {
            findings.push(finding(cx, role, &denied));
        }
    }
    // What hangs on a condition whose value is not known may be allowed: neither a fault nor a pass.
    if findings.is_empty() && !undecided.is_empty() {
        let list: Vec<&str> = undecided.iter().map(String::as_str).collect();
        let detail = format!(
            "conditions on values that the simulation does not know: {}",
            list.join(", ")
        );
        return Err(Stop::unknown(Gap::new(
            Source::SimulatedPolicies,
            Why::Sampled,
            detail,
        )));
    }
    Ok(findings)
}

/// One denied action with its decision.
struct Denied<'a> {
    action: &'static Action,
    result: &'a EvaluationResult,
}

/// Which layer denies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Scp,
    Boundary,
    Explicit,
    Implicit,
}

impl Layer {
    fn of(result: &EvaluationResult) -> Self {
        let organizations = result.organizations_decision_detail.as_ref();
        let boundary = result.permissions_boundary_decision_detail.as_ref();
        if organizations.is_some_and(|decision| !decision.allowed_by_organizations) {
            Self::Scp
        } else if boundary.is_some_and(|decision| !decision.allowed_by_permissions_boundary) {
            Self::Boundary
        } else if result.eval_decision == "explicitDeny" {
            Self::Explicit
        } else {
            Self::Implicit
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Scp => "a service control policy does not allow it",
            Self::Boundary => "the permissions boundary does not allow it",
            Self::Explicit => "a statement denies it",
            Self::Implicit => "no statement allows it",
        }
    }

    fn signal(self) -> &'static str {
        match self {
            Self::Scp => "scp",
            Self::Boundary => "boundary",
            Self::Explicit => "explicit-deny",
            Self::Implicit => "implicit-deny",
        }
    }
}

fn denied<'a>(
    cx: &Cx<'_>,
    role: &'a SimulatedRole,
    undecided: &mut BTreeSet<String>,
) -> Vec<Denied<'a>> {
    let minor = minor(cx, role.component);
    let mut denied = Vec::new();
    for action in role.component.actions(minor) {
        let results = role
            .results
            .iter()
            .filter(|result| result.eval_action_name == action.name);
        for result in results.filter(|result| result.eval_decision != "allowed") {
            let open =
                result.eval_decision == "implicitDeny" && !result.missing_context_values.is_empty();
            if open {
                undecided.insert(format!(
                    "{} ({})",
                    action.name,
                    result.missing_context_values.join(", ")
                ));
            } else {
                denied.push(Denied { action, result });
                break;
            }
        }
    }
    denied
}

/// Minor version of a component, by its image.
fn minor(cx: &Cx<'_>, component: Component) -> Option<u32> {
    let pods = cx.pods().optional()?;
    let pod = pods
        .iter()
        .find(|pod| Component::of_pod(pod) == component)?;
    Running::of(component, &pod.spec)?
        .version()
        .map(|(_, minor)| minor)
}

fn severity(role: &SimulatedRole, denied: &[Denied<'_>]) -> Severity {
    let required = |one: &&Denied<'_>| one.action.need == Need::Required;
    let cni_write = |one: &Denied<'_>| role.component == Component::AwsNode && one.action.writes;
    match denied.iter().filter(required).any(cni_write) {
        true => Severity::Critical,
        false if denied.iter().any(|one| one.action.need == Need::Required) => Severity::Error,
        false => Severity::Warning,
    }
}

fn finding(cx: &Cx<'_>, role: &SimulatedRole, denied: &[Denied<'_>]) -> Finding {
    let component = role.component.name();
    let role_name = role.role_arn.rsplit('/').next().unwrap_or(&role.role_arn);
    let first = denied[0].action.name;
    let others = match denied.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more actions"),
    };
    let pods: Vec<_> = cx.topology().pods_of(role.component).collect();
    let place = pods.iter().fold(
        Place::nodes(
            pods.iter()
                .map(|pod| pod.spec.node_name.as_str())
                .filter(|node| !node.is_empty()),
        ),
        |place, pod| place.of(pod.workload()),
    );
    let mut finding = META
        .finding(
            severity(role, denied),
            format!("Role {role_name} of {component} may not call {first}{others}"),
        )
        // A simulation is AWS's own judgement of the policies as they are.
        .confidence(Confidence::Confirmed)
        .detail(format!(
            "{component} comes to this role by {}; calls that it makes with it are refused.",
            via(&role.via)
        ))
        .subject(Subject::new(SubjectKind::Role, role_name).with_id(role.role_arn.as_str()))
        .at(place.clone())
        .reaches(place);
    let mut layers: BTreeMap<Layer, Vec<&'static str>> = BTreeMap::new();
    for one in denied {
        let layer = Layer::of(one.result);
        layers.entry(layer).or_default().push(one.action.name);
        let by = one
            .result
            .matched_statements
            .first()
            .map(|statement| format!(", policy {}", statement.source_policy_id));
        finding = finding
            .fact(
                Fact::new(
                    Source::SimulatedPolicies,
                    role.role_arn.as_str(),
                    one.action.name,
                    format!(
                        "{}: {}{}",
                        one.result.eval_decision,
                        layer.words(),
                        by.unwrap_or_default()
                    ),
                )
                .expected("allowed"),
            )
            .signal(layer.signal())
            .signal(match one.action.need {
                Need::Required => "required-denied",
                Need::Feature => "feature-denied",
            });
        if let Some(signal) = consequence(role.component, one.action) {
            finding = finding.signal(signal);
        }
    }
    let actions: Vec<&str> = denied.iter().map(|one| one.action.name).collect();
    finding = finding.confirm(format!(
        "aws iam simulate-principal-policy --policy-source-arn {} --action-names {} --query 'EvaluationResults[].[EvalActionName,EvalDecision]' --output text",
        role.role_arn,
        actions.join(" ")
    ));
    for (layer, actions) in layers {
        finding = finding.fix(fix(layer, role_name, component, &actions));
    }
    finding
}

fn via(via: &str) -> &'static str {
    match via {
        "irsa" => "its service account's annotation (IRSA)",
        "pod-identity" => "a Pod Identity association",
        _ => "the node that it runs on",
    }
}

fn fix(layer: Layer, role: &str, component: &str, actions: &[&str]) -> String {
    match layer {
        Layer::Implicit => {
            let actions: Vec<String> = actions
                .iter()
                .map(|action| format!("\"{action}\""))
                .collect();
            format!(
                "aws iam put-role-policy --role-name {role} --policy-name {component} --policy-document '{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":[{}],\"Resource\":\"*\"}}]}}'",
                actions.join(",")
            )
        }
        Layer::Explicit => format!(
            "Take {} out of the statement that denies it for role {role}",
            actions.join(", ")
        ),
        Layer::Boundary => format!(
            "Allow {} in the permissions boundary of role {role}",
            actions.join(", ")
        ),
        Layer::Scp => format!(
            "Allow {} in the organization's service control policies for this account",
            actions.join(", ")
        ),
    }
}

/// What the component fails to do, as the causal graph names it.
fn consequence(component: Component, action: &Action) -> Option<&'static str> {
    match component {
        Component::ClusterAutoscaler if action.name.starts_with("autoscaling:Describe") => {
            Some("denied-autoscaling-describe")
        }
        Component::ClusterAutoscaler if action.writes => Some("denied-autoscaling-write"),
        Component::AwsNode if action.writes => Some("denied-cni-write"),
        Component::LoadBalancerController => Some("denied-lb"),
        _ => None,
    }
}
