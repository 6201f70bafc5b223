//! `autoscaler/karpenter-selectors`: a template of Karpenter selects nothing, or is not ready.

use eksnet_model::kubernetes::{NodeClass, SelectorTerm};
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Heard, Meta, Role, Severity, Source, Stop,
    Subject, SubjectKind,
};

/// What was said longer ago than this, in seconds, is history.
const WINDOW_S: i64 = 3600;
/// Signature, signal, and what finds nothing.
const SIGNATURES: [(&str, &str, &str); 4] = [
    (
        "karpenter-no-subnets",
        "no-subnets",
        "its selector finds no subnet",
    ),
    (
        "karpenter-no-security-groups",
        "no-security-groups",
        "its selector finds no security group",
    ),
    (
        "karpenter-no-images",
        "no-images",
        "its selector finds no image",
    ),
    (
        "karpenter-class-not-ready",
        "not-ready",
        "its class is not ready or not there",
    ),
];

const META: Meta = Meta {
    id: "autoscaler/karpenter-selectors",
    title: "A template of Karpenter selects nothing, or is not ready",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::NodeClasses],
    helps: &[
        Source::Logs,
        Source::Events,
        Source::Subnets,
        Source::SecurityGroups,
    ],
    signals: &["no-subnets", "no-security-groups", "no-images", "not-ready"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// One thing that is wrong with a class.
struct Wrong {
    signal: &'static str,
    words: String,
    fact: Fact,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let classes = cx.node_classes().some();
    let mut findings = Vec::new();
    if let Ok(classes) = &classes {
        let wrong: Vec<(&NodeClass, Vec<Wrong>)> = classes
            .iter()
            .map(|class| (class, of_class(cx, class)))
            .filter(|(_, wrong)| !wrong.is_empty())
            .collect();
        let none_is_left = wrong.len() == classes.len();
        for (class, wrong) in wrong {
            findings.push(of_object(cx, class, wrong, none_is_left));
        }
    }
    if findings.is_empty() {
        findings.extend(by_words(cx));
    }
    if findings.is_empty() && classes?.is_empty() {
        return Err(Stop::not_applicable(
            "Karpenter has no template of instances here",
        ));
    }
    Ok(findings)
}

fn of_class(cx: &Cx<'_>, class: &NodeClass) -> Vec<Wrong> {
    let subject = format!("{} {}", class.kind(), class.metadata.name);
    let mut found: Vec<Wrong> = class
        .status
        .conditions
        .iter()
        .filter(|condition| condition.status == "False")
        .map(|condition| {
            let (signal, what) = match condition.kind.as_str() {
                "SubnetsReady" => ("no-subnets", "its selector finds no subnet".to_owned()),
                "SecurityGroupsReady" => (
                    "no-security-groups",
                    "its selector finds no security group".to_owned(),
                ),
                "AMIsReady" => ("no-images", "its selector finds no image".to_owned()),
                "InstanceProfileReady" => ("not-ready", "it has no instance profile".to_owned()),
                _ => ("not-ready", format!("{} is False", condition.kind)),
            };
            Wrong {
                signal,
                words: what,
                fact: Fact::new(
                    Source::NodeClasses,
                    subject.as_str(),
                    condition.kind.as_str(),
                    format!("False, {}: {}", condition.reason, condition.message),
                )
                .expected("True")
                .at(condition.last_transition_time),
            }
        })
        .collect();
    // `Ready` sums up the others.
    if found.len() > 1 {
        found.retain(|one| !one.words.starts_with("Ready "));
    }
    if found.is_empty() {
        found.extend(empty_selectors(cx, class, &subject));
    }
    found
}

/// Selectors that hold for nothing that there is.
fn empty_selectors(cx: &Cx<'_>, class: &NodeClass, subject: &str) -> Vec<Wrong> {
    let mut found = Vec::new();
    let subnets = class.subnet_terms();
    if class.status.subnets.is_empty()
        && !subnets.is_empty()
        && let Ok(all) = cx.subnets().all()
        && !all.is_empty()
        && !all.iter().any(|subnet| {
            let holds = |term: &SelectorTerm| term.holds(&subnet.subnet_id, "", &subnet.tags);
            subnets.iter().any(holds)
        })
    {
        found.push(Wrong {
            signal: "no-subnets",
            words: "its selector finds no subnet".to_owned(),
            fact: unmatched(subject, "subnet selector", &subnets, all.len(), "subnets"),
        });
    }
    let groups = class.security_group_terms();
    if class.status.security_groups.is_empty()
        && !groups.is_empty()
        && let Ok(all) = cx.security_groups().all()
        && !all.is_empty()
        && !all.iter().any(|group| {
            let holds =
                |term: &SelectorTerm| term.holds(&group.group_id, &group.group_name, &group.tags);
            groups.iter().any(holds)
        })
    {
        found.push(Wrong {
            signal: "no-security-groups",
            words: "its selector finds no security group".to_owned(),
            fact: unmatched(
                subject,
                "security group selector",
                &groups,
                all.len(),
                "security groups",
            ),
        });
    }
    found
}

fn unmatched(subject: &str, field: &str, terms: &[SelectorTerm], of: usize, what: &str) -> Fact {
    Fact::new(
        Source::NodeClasses,
        subject,
        field,
        format!("{} holds for none of {of} {what}", written(terms)),
    )
    .expected("holds for at least one")
}

fn written(terms: &[SelectorTerm]) -> String {
    let one = |term: &SelectorTerm| {
        let mut parts: Vec<String> = term
            .tags
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        parts.extend(
            [&term.id, &term.name]
                .into_iter()
                .filter(|part| !part.is_empty())
                .cloned(),
        );
        parts.join(" and ")
    };
    terms.iter().map(one).collect::<Vec<_>>().join(", or ")
}

fn of_object(cx: &Cx<'_>, class: &NodeClass, wrong: Vec<Wrong>, none_is_left: bool) -> Finding {
    let (kind, name) = (class.kind(), class.metadata.name.as_str());
    let words: Vec<&str> = wrong.iter().map(|one| one.words.as_str()).collect();
    let title = format!("{kind} {name} makes no node: {}", words.join("; "));
    let severity = if none_is_left {
        Severity::Critical
    } else {
        Severity::Error
    };
    let mut finding = META
        .finding(severity, title)
        .detail("No pool that uses it launches an instance until its selectors find something.")
        .confidence(Confidence::Confirmed)
        .subject(Subject::new(SubjectKind::Other, format!("{kind}/{name}")))
        .confirm(format!("kubectl describe {} {name}", kind.to_lowercase()));
    let signals: Vec<&'static str> = wrong.iter().map(|one| one.signal).collect();
    for one in wrong {
        finding = finding.signal(one.signal).fact(one.fact);
    }
    let tags = |terms: Vec<SelectorTerm>| {
        let pairs: Vec<String> = terms
            .first()
            .into_iter()
            .flat_map(|term| &term.tags)
            .map(|(key, value)| format!("Key={key},Value={value}"))
            .collect();
        if pairs.is_empty() {
            format!("Key=karpenter.sh/discovery,Value={}", cx.cluster_name())
        } else {
            pairs.join(" ")
        }
    };
    for signal in signals {
        finding = finding.fix(match signal {
            "no-subnets" => format!(
                "aws ec2 create-tags --resources SUBNET_ID --tags {}",
                tags(class.subnet_terms())
            ),
            "no-security-groups" => format!(
                "aws ec2 create-tags --resources SECURITY_GROUP_ID --tags {}",
                tags(class.security_group_terms())
            ),
            _ => format!(
                "kubectl edit {} {name}   # what the condition names",
                kind.to_lowercase()
            ),
        });
    }
    finding
}

/// What Karpenter's log or an Event says, where the class itself was not seen.
fn by_words(cx: &Cx<'_>) -> Option<Finding> {
    let mut finding: Option<Finding> = None;
    let mut begin = |signal: &'static str, words: &str, selector: &str, fact: Fact| {
        let base = finding.take().unwrap_or_else(|| {
            META.finding(
                Severity::Critical,
                format!("Karpenter makes no node: {words}{selector}"),
            )
            .detail("No pool that uses the template launches an instance until its selectors find something.")
            .confidence(Confidence::Confirmed)
            .subject(Subject::new(SubjectKind::Other, "karpenter"))
            .confirm("kubectl get ec2nodeclasses,nodepools -o yaml | grep -A12 -iE 'selector|conditions:'")
            .fix(match signal {
                "no-subnets" => format!("aws ec2 create-tags --resources SUBNET_ID --tags Key=karpenter.sh/discovery,Value={}   # the tags that the selector asks for", cx.cluster_name()),
                "no-security-groups" => format!("aws ec2 create-tags --resources SECURITY_GROUP_ID --tags Key=karpenter.sh/discovery,Value={}   # the tags that the selector asks for", cx.cluster_name()),
                _ => "kubectl edit ec2nodeclass NAME   # until its condition Ready is True".to_owned(),
            })
        });
        finding = Some(base.signal(signal).fact(fact));
    };
    for (signature, signal, words) in SIGNATURES {
        for said in Heard::in_logs(cx, &[signature], WINDOW_S) {
            let known = matches!(
                said.scan.component,
                Component::Karpenter | Component::Unknown
            );
            if known {
                let selector = said
                    .values("selector")
                    .next()
                    .map(|selector| format!(" with {}", selector.trim_start_matches("map")))
                    .unwrap_or_default();
                begin(signal, words, &selector, said.fact("lines"));
            }
        }
    }
    for event in cx.events().optional().into_iter().flatten() {
        let text = format!("{} {}", event.reason, event.message);
        let found = SIGNATURES.into_iter().find(|(_, signal, _)| match *signal {
            "no-subnets" => text.contains("SubnetsNotFound") || text.contains("no subnets"),
            "no-security-groups" => {
                text.contains("SecurityGroupsNotFound") || text.contains("no security groups")
            }
            "no-images" => text.contains("AMINotFound") || text.contains("no amis"),
            _ => text.contains("NodeClassNotReady") || text.contains("Failed resolving NodeClass"),
        });
        if let Some((_, signal, words)) = found
            && cx.within(event.last_seen(), WINDOW_S)
        {
            let object = &event.involved_object;
            let fact = Fact::new(
                Source::Events,
                format!("{} {}", object.kind, object.name),
                event.reason.as_str(),
                event.message.as_str(),
            );
            begin(signal, words, "", fact.at(event.last_seen()));
        }
    }
    finding
}
