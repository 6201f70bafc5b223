//! `autoscaler/evicts-coredns`: scale-down drains nodes of CoreDNS, and nothing limits it.

mod guard;

use std::collections::BTreeSet;

use eksnet_model::{
    Check, ClusterAutoscaler, Component, Confidence, Cx, Deployed, Fact, Finding, Gap, Meta, Place,
    Role, Severity, Source, Stop, Subject, SubjectKind, SystemPods, Why,
};

/// Fewer replicas than this, and losing one is felt.
const FEW_REPLICAS: usize = 3;
/// A system pod that keeps its node for longer than this, in seconds, is as good as protected: nodes
/// are replaced before.
const LONG_S: i64 = 30 * 86_400;

const META: Meta = Meta {
    id: "autoscaler/evicts-coredns",
    title: "Scale-down may drain the nodes of CoreDNS without protection",
    severity: Severity::Error,
    role: Role::Risk,
    needs: &[Source::Deployments, Source::PodDisruptionBudgets],
    helps: &[Source::Pods, Source::Logs],
    signals: &[
        "no-pdb",
        "system-pods-not-skipped",
        "default-from-1.33",
        "few-replicas",
        "one-node",
        "drained-coredns-node",
        "karpenter",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// Why an autoscaler drains a node of CoreDNS.
#[derive(Clone, Copy, Debug)]
enum Drains {
    /// `--skip-nodes-with-system-pods=false`.
    ByFlag,
    /// The default from 1.33 on: a system pod keeps its node for so many seconds.
    ByAge(i64),
    /// Karpenter makes no difference between namespaces.
    Karpenter,
}

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let drained = guard::drained(cx);
    match judge(cx, &drained) {
        // A log alone still tells since when CoreDNS runs where it runs.
        Err(Stop::Unknown(_)) if !drained.is_empty() => Ok(vec![moved(None, &drained)]),
        other => other,
    }
}

fn judge(cx: &Cx<'_>, drained: &[guard::Drain]) -> Result<Vec<Finding>, Stop> {
    let scalers = Deployed::seen(cx, &[Component::ClusterAutoscaler, Component::Karpenter])?;
    let dns = Deployed::seen(cx, &[Component::CoreDns])?;
    let mut findings = Vec::new();
    for dns in &dns {
        let budgets = cx.pod_disruption_budgets().all_in(dns.namespace)?;
        let guarded = guard::has_budget(dns, budgets);
        let mut unclear = None;
        let mut found = false;
        for scaler in &scalers {
            match drains(scaler) {
                Ok(Some(why)) if !guarded && !guard::is_pinned(dns, scaler.component) => {
                    findings.push(unguarded(dns, scaler, why, drained));
                    found = true;
                }
                Ok(_) => {}
                Err(gap) if !guarded => unclear = Some(gap),
                Err(_) => {}
            }
        }
        if !found && !drained.is_empty() {
            findings.push(moved(Some(dns), drained));
        } else if let Some(gap) = unclear.filter(|_| !found) {
            return Err(Stop::unknown(gap));
        }
    }
    Ok(findings)
}

/// Whether and why the autoscaler drains nodes with pods of kube-system.
fn drains(scaler: &Deployed<'_>) -> Result<Option<Drains>, Gap> {
    if scaler.component == Component::Karpenter {
        return Ok(Some(Drains::Karpenter));
    }
    let Some(flags) = ClusterAutoscaler::of(scaler) else {
        return Ok(None);
    };
    if !flags.is_on("scale-down-enabled", true) {
        return Ok(None);
    }
    match flags.system_pods() {
        Some(SystemPods::Drained) => Ok(Some(Drains::ByFlag)),
        Some(SystemPods::KeptFor(seconds)) if seconds < LONG_S => Ok(Some(Drains::ByAge(seconds))),
        Some(SystemPods::Kept | SystemPods::KeptFor(_)) => Ok(None),
        None => Err(Gap::new(
            Source::Deployments,
            Why::Failed,
            format!(
                "the image of {} names no release, and the default changed with 1.33",
                scaler.workload()
            ),
        )),
    }
}

fn unguarded(
    dns: &Deployed<'_>,
    scaler: &Deployed<'_>,
    why: Drains,
    drained: &[guard::Drain],
) -> Finding {
    let nodes = nodes_of(dns);
    let replicas = dns.wanted();
    let one_node = nodes.len() == 1 && dns.live_pods().count() > 1;
    let few = replicas < FEW_REPLICAS;
    let severity = if few || one_node {
        Severity::Error
    } else {
        Severity::Warning
    };
    let spread = match nodes.len() {
        0 => String::new(),
        1 => " on 1 node".to_owned(),
        many => format!(" on {many} nodes"),
    };
    let cause = match why {
        Drains::ByFlag => "drains its nodes (--skip-nodes-with-system-pods=false)".to_owned(),
        Drains::ByAge(seconds) => {
            format!(
                "keeps its nodes only until its pods are {} min old",
                seconds / 60
            )
        }
        Drains::Karpenter => "drains its nodes like any other".to_owned(),
    };
    let replica_word = if replicas == 1 { "replica" } else { "replicas" };
    let mut finding = META
        .finding(
            severity,
            format!(
                "CoreDNS ({replicas} {replica_word}{spread}) has no PodDisruptionBudget, and {} {cause}",
                scaler.component.name()
            ),
        )
        .detail(
            "All of its pods can be evicted at once. What they served before, and from which nodes, is lost until new ones are Ready elsewhere.",
        )
        .subject(dns.subject())
        .subject(scaler.subject())
        .fact(
            Fact::new(
                Source::PodDisruptionBudgets,
                dns.subject().to_string(),
                "PodDisruptionBudgets that protect it",
                "0",
            )
            .expected("1"),
        )
        .fact(flag_fact(scaler, why))
        .signal("no-pdb")
        .signal(match why {
            Drains::ByFlag => "system-pods-not-skipped",
            Drains::ByAge(_) => "default-from-1.33",
            Drains::Karpenter => "karpenter",
        });
    if !nodes.is_empty() {
        finding = finding.fact(
            Fact::new(
                Source::Pods,
                dns.subject().to_string(),
                "nodes",
                nodes.iter().copied().collect::<Vec<_>>().join(", "),
            )
            .expected("at least 2"),
        );
    }
    if few {
        finding = finding.signal("few-replicas");
    }
    if one_node {
        finding = finding.signal("one-node");
    }
    // Configuration and a drain that happened are two independent proofs.
    if !drained.is_empty() {
        finding = finding.confidence(Confidence::Confirmed);
    }
    finding = with_drains(finding, Some(dns), drained)
        .confirm(format!(
            "kubectl -n {} get poddisruptionbudget -o wide",
            dns.namespace
        ))
        .fix(guard::budget_command(dns));
    match why {
        Drains::ByFlag => finding.fix(format!(
            "kubectl -n {} edit {}   # remove --skip-nodes-with-system-pods=false",
            scaler.namespace,
            scaler.resource()
        )),
        Drains::ByAge(_) | Drains::Karpenter => finding,
    }
}

fn flag_fact(scaler: &Deployed<'_>, why: Drains) -> Fact {
    let subject = scaler.subject().to_string();
    let release = scaler.running().and_then(|running| running.version());
    match why {
        Drains::ByFlag => Fact::new(
            Source::Deployments,
            subject,
            "--skip-nodes-with-system-pods",
            "false",
        )
        .expected("true"),
        Drains::ByAge(seconds) => Fact::new(
            Source::Deployments,
            subject,
            "--blocking-system-pod-distruption-timeout",
            format!(
                "{seconds} s at release {}",
                release.map_or_else(|| "1.33 or later".to_owned(), |(a, b)| format!("{a}.{b}"))
            ),
        ),
        Drains::Karpenter => Fact::new(
            Source::Deployments,
            subject,
            "disruption",
            "no exception for kube-system",
        ),
    }
}

/// What scale-down did to CoreDNS although it is protected now, or is not known to be in danger.
fn moved(dns: Option<&Deployed<'_>>, drained: &[guard::Drain]) -> Finding {
    let nodes: BTreeSet<&str> = drained.iter().map(|one| one.node.as_str()).collect();
    let many = nodes.len();
    let title = match nodes.first() {
        Some(node) if many == 1 => format!("Scale-down moved CoreDNS off node {node}"),
        _ => format!("Scale-down moved CoreDNS off {many} nodes"),
    };
    let subject = dns.map_or_else(
        || Subject::namespaced(SubjectKind::Deployment, "kube-system", "coredns"),
        Deployed::subject,
    );
    let finding = META
        .finding(Severity::Info, title)
        .detail("Where its pods run has changed since then; nodes that reached them before may not reach them now.")
        .subject(subject);
    with_drains(finding, dns, drained)
        .confirm("kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide")
        .fix("kubectl -n kube-system rollout restart deployment/coredns   # lets the scheduler spread it over the nodes of today")
}

/// Adds the drains that the log shows, and where CoreDNS was and is.
fn with_drains(
    mut finding: Finding,
    dns: Option<&Deployed<'_>>,
    drained: &[guard::Drain],
) -> Finding {
    let mut place = match dns {
        Some(dns) => Place::nodes(nodes_of(dns)).of(dns.workload()),
        None => Place::default(),
    };
    for drain in drained {
        place = place.on([drain.node.as_str()]);
        finding = finding
            .fact(
                Fact::new(
                    Source::Logs,
                    drain.log.as_str(),
                    "scale-down",
                    format!("removed node {} with {}", drain.node, drain.pod),
                )
                .at(drain.at),
            )
            .signal("drained-coredns-node");
    }
    finding.at(place)
}

fn nodes_of<'a>(dns: &Deployed<'a>) -> BTreeSet<&'a str> {
    dns.live_pods()
        .map(|pod| pod.spec.node_name.as_str())
        .filter(|node| !node.is_empty())
        .collect()
}
