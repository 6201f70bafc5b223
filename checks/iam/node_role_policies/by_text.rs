//! What logs and Events say: calls of a node that were refused, images that could not be pulled.

use eksnet_model::kubernetes::Event;
use eksnet_model::{Confidence, Cx, Fact, Finding, Place, Severity, Source, Speaker};

use super::finding;

/// How far back a line counts, in seconds.
const RECENT_S: i64 = 3600;
const REFUSED: &str = "aws-action-denied";
const PULL: &str = "ecr-pull-refused";
/// What every node does itself, whatever runs on it.
const OF_NODES: [&str; 5] = [
    "eks:DescribeCluster",
    "ecr:GetAuthorizationToken",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchCheckLayerAvailability",
];

pub(super) fn findings(cx: &Cx<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for said in Speaker::in_logs(cx, &[REFUSED], RECENT_S) {
        let actions = said.values("action");
        let Some(action) = actions
            .iter()
            .copied()
            .find(|action| OF_NODES.contains(action))
        else {
            continue;
        };
        if let Some(role) = said.values("user").into_iter().find_map(role_of_node) {
            let policy = policy_of(action);
            let one = finding(
                severity_of(action),
                format!("Role {role} of the nodes may not call {action}"),
                role,
                policy,
            )
            .confidence(Confidence::Confirmed)
            .facts(said.facts("refused"))
            .signal("denied-by-log");
            found.push(at(one, said.place.clone()));
        }
    }
    if !found.is_empty() {
        return found;
    }
    for said in Speaker::in_logs(cx, &[PULL], RECENT_S) {
        let one = pull(
            "An image of ECR may not be pulled with the nodes' role".to_owned(),
            confidence(
                &said
                    .facts("")
                    .iter()
                    .map(|fact| fact.saw.to_string())
                    .collect::<String>(),
            ),
        )
        .facts(said.facts("pull refused"));
        found.push(at(one, said.place.clone()));
    }
    let events = cx.events().optional().into_iter().flatten();
    let refused: Vec<&Event> = events
        .filter(|event| is_refused_pull(&event.message) && cx.within(event.last_seen(), RECENT_S))
        .collect();
    if let (Some(first), true) = (refused.first(), found.is_empty()) {
        let pods = refused.len();
        let what = if pods == 1 {
            "an image of ECR".to_owned()
        } else {
            format!("images of ECR, {pods} Events say")
        };
        let mut one = pull(
            format!("The nodes' role may not pull {what}"),
            confidence(&first.message),
        );
        for event in refused.iter().take(5) {
            let object = &event.involved_object;
            one = one.fact(
                Fact::new(
                    Source::Events,
                    format!("{} {}/{}", object.kind, object.namespace, object.name),
                    event.reason.as_str(),
                    event.message.as_str(),
                )
                .at(event.last_seen()),
            );
        }
        found.push(one);
    }
    found
}

/// Role of a session of an instance, which EC2 calls by the instance's id.
fn role_of_node(user: &str) -> Option<&str> {
    let (role, session) = user.split_once(":assumed-role/")?.1.split_once('/')?;
    session.starts_with("i-").then_some(role)
}

fn policy_of(action: &str) -> &'static str {
    if action.starts_with("ecr:") {
        super::PULL[0]
    } else {
        super::WORKER[0]
    }
}

fn severity_of(action: &str) -> Severity {
    if action.starts_with("ecr:") {
        Severity::Error
    } else {
        Severity::Critical
    }
}

fn is_refused_pull(message: &str) -> bool {
    message.contains(".dkr.ecr.")
        && (message.contains("no basic auth credentials")
            || message.contains("403 Forbidden")
            || message.contains("pull access denied")
            || message.contains("not authorized to perform: ecr:"))
}

/// That a repository of another account does not let this one in looks the same, unless the action is named.
fn confidence(text: &str) -> Confidence {
    if text.contains("not authorized to perform: ecr:") && text.contains("identity-based policy") {
        Confidence::Confirmed
    } else {
        Confidence::Likely
    }
}

fn pull(title: String, confidence: Confidence) -> Finding {
    finding(Severity::Error, title, "NODE_ROLE", super::PULL[0])
        .confidence(confidence)
        .signal("pull-refused")
}

fn at(finding: Finding, place: Place) -> Finding {
    if place == Place::default() {
        finding
    } else {
        finding.at(place)
    }
}
