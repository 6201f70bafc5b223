//! `iam/actions-denied`: a component's role may not do what the component does.

mod denied;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::iam::Need;
use eksnet_model::{
    Check, Component, Confidence, Cx, Finding, Gap, Meta, Place, Role, Severity, Source, Stop, Why,
};

use denied::{Denied, Layer, Refused};

const META: Meta = Meta {
    id: "iam/actions-denied",
    title: "A component's role is denied actions that the component needs",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::SimulatedPolicies],
    helps: &[Source::Pods, Source::Logs],
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
        "from-log",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let roles = cx.simulated_policies().some();
    let simulated = roles
        .as_ref()
        .map(|roles| roles.as_slice())
        .unwrap_or_default();
    let mut undecided = Vec::new();
    let mut all: Vec<Refused> = simulated
        .iter()
        .map(|role| denied::by_simulation(cx, role, &mut undecided))
        .collect();
    denied::add_logs(cx, simulated, &mut all);
    let findings: Vec<Finding> = all
        .iter()
        .filter(|refused| !refused.denied.is_empty())
        .map(finding)
        .collect();
    if !findings.is_empty() {
        return Ok(findings);
    }
    if roles?.is_empty() {
        return Err(Stop::not_applicable(
            "no component that calls AWS has a role that could be simulated",
        ));
    }
    // What hangs on a condition whose value is not known may be allowed: neither a fault nor a pass.
    if !undecided.is_empty() {
        let list: BTreeSet<String> = undecided.into_iter().collect();
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
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

fn severity(refused: &Refused) -> Severity {
    let required = |one: &&Denied| one.need == Need::Required;
    let is_cni = refused.component == Component::AwsNode;
    if is_cni && refused.denied.iter().filter(required).any(|one| one.writes) {
        Severity::Critical
    } else if refused.denied.iter().any(|one| required(&one)) {
        Severity::Error
    } else {
        Severity::Warning
    }
}

fn finding(refused: &Refused) -> Finding {
    let actions = refused.actions();
    let first = actions.first().copied().unwrap_or_default();
    let others = match actions.len() {
        0 | 1 => String::new(),
        2 => " and 1 more action".to_owned(),
        many => format!(" and {} more actions", many - 1),
    };
    let who = refused.who();
    let role = refused.role.as_ref().map(|(name, _)| name.as_str());
    let title = match role {
        Some(role) => format!("Role {role} of {who} may not call {first}{others}"),
        None => format!("The role of {who} may not call {first}{others}"),
    };
    let detail = match refused.via.as_str() {
        "" => format!("Calls that {who} makes are refused by AWS."),
        via => format!(
            "{who} comes to this role by {}; calls that it makes with it are refused.",
            by(via)
        ),
    };
    let mut finding = META
        .finding(severity(refused), title)
        // A simulation is AWS's own judgement of the policies, a refusal its explicit code.
        .confidence(if refused.disputed.is_empty() {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail(detail)
        .subjects(refused.subjects())
        .at(refused.place.clone());
    // Without its pods there is no place to bound it by.
    if refused.place != Place::default() {
        finding = finding.reaches(refused.place.clone());
    }
    let mut layers: BTreeMap<Layer, Vec<&str>> = BTreeMap::new();
    for one in &refused.denied {
        let named = layers.entry(one.layer).or_default();
        if !named.contains(&one.action.as_str()) {
            named.push(&one.action);
        }
        finding = finding
            .fact(one.fact.clone())
            .signal(one.layer.signal())
            .signal(match one.need {
                Need::Required => "required-denied",
                Need::Feature => "feature-denied",
            });
        if let Some(signal) = consequence(refused.component, one) {
            finding = finding.signal(signal);
        }
    }
    if refused.by_log {
        finding = finding.signal("from-log");
    }
    finding = finding.facts(refused.disputed.iter().cloned());
    finding = finding.confirm(match &refused.role {
        Some((_, arn)) if refused.by_simulation => format!(
            "aws iam simulate-principal-policy --policy-source-arn {arn} --action-names {} --query 'EvaluationResults[].[EvalActionName,EvalDecision]' --output text",
            actions.join(" ")
        ),
        Some((name, _)) => format!("aws iam list-attached-role-policies --role-name {name}"),
        None => format!("kubectl get serviceaccounts -A -o yaml | grep -B8 role-arn   # the role of {who}"),
    });
    for (layer, actions) in layers {
        finding = finding.fix(fix(layer, role.unwrap_or("ROLE"), who, &actions));
    }
    finding
}

fn by(via: &str) -> &'static str {
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
fn consequence(component: Component, one: &Denied) -> Option<&'static str> {
    match component {
        // Without the calls of a feature the groups are still read.
        Component::ClusterAutoscaler
            if one.need == Need::Required && one.action.starts_with("autoscaling:Describe") =>
        {
            Some("denied-autoscaling-describe")
        }
        Component::ClusterAutoscaler if one.writes => Some("denied-autoscaling-write"),
        Component::AwsNode if one.writes => Some("denied-cni-write"),
        Component::LoadBalancerController => Some("denied-lb"),
        Component::Unknown if is_of_load_balancers(one) => Some("denied-lb"),
        _ => None,
    }
}

/// Whether the record is the load balancer controller's, in a text that names no author: by the action, which
/// it alone needs, or by its words. The service controller of Kubernetes works with another role.
fn is_of_load_balancers(one: &Denied) -> bool {
    let saw = one.fact.saw.as_str();
    let by_service_controller =
        saw.contains("yncing load balancer") || saw.contains("nsure load balancer");
    let by_words = [
        "ailed build model",
        "ailed deploy model",
        "FailedBuildModel",
        "FailedDeployModel",
    ]
    .iter()
    .any(|words| saw.contains(words));
    let own = [
        "elasticloadbalancing:",
        "wafv2:",
        "waf-regional:",
        "shield:",
    ];
    !by_service_controller && (by_words || own.iter().any(|prefix| one.action.starts_with(prefix)))
}
