//! `autoscaler/karpenter-limits`: a limit or a requirement of a NodePool stops Karpenter.

use std::collections::BTreeSet;

use eksnet_model::kubernetes::{NodePool, bytes, milli_cpu};
use eksnet_model::{
    Check, Component, Confidence, Cx, Fact, Finding, Heard, Meta, Role, Severity, Source, Stop,
    Subject, SubjectKind,
};

/// What was said longer ago than this, in seconds, is history.
const WINDOW_S: i64 = 3600;
/// Share of a limit, in percent, from which on a pool is nearly full.
const NEAR_PERCENT: u64 = 90;
const LIMIT_WORDS: [&str; 4] = [
    "exceed limits for",
    "would exceed limit",
    "limits exceeded",
    "exceeds limit",
];
const MISFIT_WORDS: [&str; 5] = [
    "incompatible requirement",
    "not tolerate",
    "no instance type",
    "does not have known values",
    "no nodepools found",
];

const META: Meta = Meta {
    id: "autoscaler/karpenter-limits",
    title: "A limit or a requirement of a NodePool stops Karpenter",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::NodePools],
    helps: &[Source::Logs, Source::Events, Source::Pods],
    signals: &[
        "limit-reached",
        "near-limit",
        "limit-named",
        "incompatible",
        "pool-not-ready",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let said = words(cx);
    let pools = cx.node_pools().some();
    let mut findings = Vec::new();
    let waiting = !said.limits.is_empty()
        || cx
            .pods()
            .optional()
            .into_iter()
            .flatten()
            .any(|pod| pod.unschedulable().is_some());
    for pool in pools.iter().flat_map(|pools| pools.iter()) {
        findings.extend(of_limit(pool, waiting, &said));
        findings.extend(not_ready(pool));
    }
    let named = findings.iter().any(|finding: &Finding| {
        finding
            .signals
            .iter()
            .any(|signal| signal == "limit-reached")
    });
    if !named && let Some(finding) = by_words(&said, true) {
        findings.push(finding);
    }
    if let Some(finding) = by_words(&said, false) {
        findings.push(finding);
    }
    if findings.is_empty() && pools?.is_empty() {
        return Err(Stop::not_applicable("Karpenter has no NodePool here"));
    }
    Ok(findings)
}

/// What Karpenter says to pods that wait.
#[derive(Default)]
struct Words {
    limits: Vec<Fact>,
    misfits: Vec<Fact>,
    pods: BTreeSet<(String, String)>,
    pools: BTreeSet<String>,
    whys: BTreeSet<String>,
}

fn words(cx: &Cx<'_>) -> Words {
    let mut found = Words::default();
    for (signature, is_limit) in [("karpenter-limit", true), ("karpenter-incompatible", false)] {
        for said in Heard::in_logs(cx, &[signature], WINDOW_S) {
            let own = matches!(
                said.scan.component,
                Component::Karpenter | Component::Unknown
            );
            if !own {
                continue;
            }
            found.pools.extend(said.values("pool").map(str::to_owned));
            found
                .whys
                .extend(said.values("why").map(|why| why.replace('\\', "")));
            if is_limit {
                found.limits.push(said.fact("lines"));
            } else {
                found.misfits.push(said.fact("lines"));
            }
        }
    }
    for event in cx.events().optional().into_iter().flatten() {
        if !matches!(
            event.reason.as_str(),
            "FailedScheduling" | "FailedProvisioning"
        ) || !cx.within(event.last_seen(), WINDOW_S)
        {
            continue;
        }
        let has = |words: &[&str]| words.iter().any(|word| event.message.contains(word));
        // The scheduler of Kubernetes speaks of nodes, Karpenter of pools.
        let is_karpenters = has(&["nodepool", "provisioner", "instance type", "known values"]);
        let object = &event.involved_object;
        let fact = Fact::new(
            Source::Events,
            format!("Pod {}/{}", object.namespace, object.name),
            event.reason.as_str(),
            event.message.as_str(),
        )
        .at(event.last_seen());
        if !is_karpenters {
            continue;
        } else if has(&LIMIT_WORDS) {
            found.limits.push(fact);
        } else if has(&MISFIT_WORDS) {
            found.misfits.push(fact);
        } else {
            continue;
        }
        found
            .pods
            .insert((object.namespace.clone(), object.name.clone()));
    }
    found
}

/// A limited resource that is used up, or nearly.
fn of_limit(pool: &NodePool, waiting: bool, said: &Words) -> Vec<Finding> {
    let (kind, name) = (pool.kind(), pool.metadata.name.as_str());
    let resources = pool.resources();
    let mut findings = Vec::new();
    for (resource, limit) in pool.limits() {
        let Some(used) = resources.get(&resource) else {
            continue;
        };
        let read = |text: &str| {
            if resource == "cpu" {
                milli_cpu(text)
            } else {
                bytes(text)
            }
        };
        let (Some(most), Some(now)) = (read(&limit), read(used)) else {
            continue;
        };
        if most == 0 || now.saturating_mul(100) < most.saturating_mul(NEAR_PERCENT) {
            continue;
        }
        let full = now >= most || (!said.limits.is_empty() && waiting);
        let subject = format!("{kind}/{name} {resource}");
        findings.push(
            META.finding(
                if full && waiting {
                    Severity::Error
                } else {
                    Severity::Warning
                },
                if full {
                    format!("{kind} {name} makes no more nodes: {used} of its limit of {limit} {resource} is used")
                } else {
                    format!("{kind} {name} is near its limit: {used} of {limit} {resource} is used")
                },
            )
            .detail("Nodes that are being made count as well. Karpenter leaves pods Pending rather than exceed the limit.")
            .confidence(Confidence::Confirmed)
            .subject(Subject::new(SubjectKind::Other, subject))
            .fact(
                Fact::new(Source::NodePools, format!("{kind} {name}"), format!("{resource} used"), used.as_str())
                    .expected(format!("below 90 % of {limit}")),
            )
            .facts(said.limits.iter().take(2).cloned())
            .signal(if full { "limit-reached" } else { "near-limit" })
            .confirm(format!("kubectl get {} {name} -o jsonpath='{{.spec.limits}} {{.status.resources}}'", kind.to_lowercase()))
            .fix(format!("kubectl patch {} {name} --type=merge -p '{{\"spec\":{{\"limits\":{{\"{resource}\":\"N\"}}}}}}'   # N above {limit}", kind.to_lowercase())),
        );
    }
    findings
}

/// A pool that says itself that it is not ready, for a reason other than its class.
fn not_ready(pool: &NodePool) -> Option<Finding> {
    let (kind, name) = (pool.kind(), pool.metadata.name.as_str());
    let condition = pool.status.conditions.iter().find(|condition| {
        condition.status == "False"
            && matches!(condition.kind.as_str(), "Ready" | "ValidationSucceeded")
            && !condition.reason.contains("NodeClass")
            && !condition.message.contains("NodeClass")
    })?;
    Some(
        META.finding(
            Severity::Error,
            format!(
                "{kind} {name} makes no node: {} is False ({})",
                condition.kind, condition.reason
            ),
        )
        .confidence(Confidence::Confirmed)
        .subject(Subject::new(SubjectKind::Other, format!("{kind}/{name}")))
        .fact(
            Fact::new(
                Source::NodePools,
                format!("{kind} {name}"),
                condition.kind.as_str(),
                format!("False: {}", condition.message),
            )
            .expected("True")
            .at(condition.last_transition_time),
        )
        .signal("pool-not-ready")
        .confirm(format!("kubectl describe {} {name}", kind.to_lowercase()))
        .fix(format!(
            "kubectl edit {} {name}   # what the condition names",
            kind.to_lowercase()
        )),
    )
}

fn by_words(said: &Words, limit: bool) -> Option<Finding> {
    let facts = if limit { &said.limits } else { &said.misfits };
    if facts.is_empty() {
        return None;
    }
    let pool = said.pools.first().map_or("NAME", String::as_str);
    let why = said
        .whys
        .first()
        .map(|why| format!(": {}", why.trim_end_matches(['"', ',', ' '])))
        .unwrap_or_default();
    let title = match (limit, said.pods.first()) {
        (true, _) => "Karpenter makes no node: a NodePool is at its limit".to_owned(),
        (false, Some((namespace, name))) => {
            format!("Pod {namespace}/{name} fits no NodePool of Karpenter{why}")
        }
        (false, None) => format!("A pod fits no NodePool of Karpenter{why}"),
    };
    let mut finding = META
        .finding(Severity::Error, title)
        .detail(if limit {
            "Every instance type that would do exceeds what .spec.limits leaves."
        } else {
            "Labels, taints and sizes that a pool allows do not agree with what the pod asks for."
        })
        .confidence(if limit { Confidence::Confirmed } else { Confidence::Likely })
        .facts(facts.iter().take(3).cloned())
        .signal(if limit { "limit-named" } else { "incompatible" })
        .confirm("kubectl get nodepools -o custom-columns='NAME:.metadata.name,LIMITS:.spec.limits,USED:.status.resources,REQUIREMENTS:.spec.template.spec.requirements'")
        .subject(Subject::new(SubjectKind::Other, if limit { "limits" } else { "requirements" }))
        .subjects(said.pods.iter().take(5).map(|(namespace, name)| Subject::pod(namespace.as_str(), name.as_str())));
    finding = finding.fix(if limit {
        format!("kubectl patch nodepool {pool} --type=merge -p '{{\"spec\":{{\"limits\":{{\"cpu\":\"N\"}}}}}}'")
    } else {
        format!("kubectl edit nodepool {pool}   # add the label to .spec.template.spec.requirements, or tolerate its taint in the pod")
    });
    Some(finding)
}
