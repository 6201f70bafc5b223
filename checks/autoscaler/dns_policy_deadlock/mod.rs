//! `autoscaler/dns-policy-deadlock`: the autoscaler asks cluster DNS, which waits for the autoscaler.

mod hosts;
mod lookups;

use eksnet_model::kubernetes::PodSpec;
use eksnet_model::{
    Check, ClusterDns, Component, Confidence, Cx, Deployed, Fact, Finding, Meta, Role, Severity,
    Source, Stop,
};

use lookups::Lookups;

const META: Meta = Meta {
    id: "autoscaler/dns-policy-deadlock",
    title: "The autoscaler needs cluster DNS, and cluster DNS needs the autoscaler",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Deployments],
    helps: &[
        Source::Pods,
        Source::Nodes,
        Source::AutoScalingGroups,
        Source::EndpointSlices,
        Source::Logs,
    ],
    signals: &["locked-now", "locked-by-log", "could-lock"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let lookups = Lookups::of(cx);
    match judge(cx, &lookups) {
        Err(stop) => match lookups.alone(cx) {
            Some(finding) => Ok(vec![finding]),
            None => Err(stop),
        },
        ok => ok,
    }
}

fn judge(cx: &Cx<'_>, lookups: &Lookups<'_>) -> Result<Vec<Finding>, Stop> {
    let scalers = Deployed::seen(cx, &[Component::ClusterAutoscaler, Component::Karpenter])?;
    let asking: Vec<&Deployed<'_>> = scalers
        .iter()
        .filter(|one| spec_of(one).is_some_and(asks_cluster_dns))
        .collect();
    if asking.is_empty() {
        return Ok(Vec::new());
    }
    let dns = ClusterDns::of(cx.topology());
    let endpoints = cx.endpoint_slices().optional();
    let serves = dns.serving_pods().next().is_some()
        || (endpoints.is_some() && dns.ready_endpoints().next().is_some());
    let waiting: Vec<_> = dns
        .pods
        .iter()
        .filter(|pod| pod.unschedulable().is_some())
        .collect();
    let mut findings = Vec::new();
    if !serves && !waiting.is_empty() {
        for scaler in &asking {
            let mut finding = locked(scaler, waiting.len());
            for pod in waiting.iter().take(2) {
                let why = pod.unschedulable().map_or("", |one| one.message.as_str());
                finding = finding.fact(
                    Fact::new(
                        Source::Pods,
                        format!("Pod {}", pod.key()),
                        "PodScheduled",
                        format!("False ({why})"),
                    )
                    .expected("True"),
                );
            }
            let dead = lookups.facts_of(cx, scaler);
            if !dead.is_empty() {
                finding = finding.confidence(Confidence::Confirmed).facts(dead);
            }
            findings.push(finding);
        }
        return Ok(findings);
    }
    cx.pods().all_in(ClusterDns::NAMESPACE)?;
    if !serves && let Some(finding) = lookups.alone(cx) {
        return Ok(vec![finding]);
    }
    for scaler in &asking {
        if let Some(nodes) = hosts::fleeting(cx, scaler, &dns)? {
            findings.push(could_lock(scaler, &nodes));
        }
    }
    Ok(findings)
}

fn spec_of<'a>(scaler: &Deployed<'a>) -> Option<&'a PodSpec> {
    match scaler.deployment {
        Some(deployment) => Some(&deployment.spec.template.spec),
        None => scaler.pods.first().map(|pod| &pod.spec),
    }
}

/// `ClusterFirst` is the default; on the node's network it means the node's own resolver.
fn asks_cluster_dns(spec: &PodSpec) -> bool {
    match spec.dns_policy.as_str() {
        "" | "ClusterFirst" => !spec.host_network,
        "ClusterFirstWithHostNet" => true,
        _ => false,
    }
}

fn policy_fact(scaler: &Deployed<'_>) -> Fact {
    let policy = spec_of(scaler).map_or("", |spec| spec.dns_policy.as_str());
    let source = if scaler.deployment.is_some() {
        Source::Deployments
    } else {
        Source::Pods
    };
    Fact::new(
        source,
        scaler.subject().to_string(),
        "dnsPolicy",
        if policy.is_empty() {
            "ClusterFirst, as it is not set"
        } else {
            policy
        },
    )
    .expected("Default")
}

fn remedied(finding: Finding, scaler: &Deployed<'_>) -> Finding {
    let (namespace, resource) = (scaler.namespace, scaler.resource());
    let finding = finding.confirm("kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide");
    if scaler.deployment.is_none() {
        // The policy of a pod that runs cannot be changed.
        return finding
            .confirm(format!(
                "kubectl -n {namespace} get {resource} -o jsonpath='{{.spec.dnsPolicy}}'"
            ))
            .fix(format!(
                "kubectl -n {namespace} get {resource} -o jsonpath='{{.metadata.ownerReferences}}'   # set dnsPolicy: Default in the pod template of its owner"
            ));
    }
    finding
        .confirm(format!(
            "kubectl -n {namespace} get {resource} -o jsonpath='{{.spec.template.spec.dnsPolicy}}'"
        ))
        .fix(format!(
            "kubectl -n {namespace} patch {resource} -p '{{\"spec\":{{\"template\":{{\"spec\":{{\"dnsPolicy\":\"Default\"}}}}}}}}'   # lasting: dnsPolicy=Default in the values of its chart"
        ))
}

fn locked(scaler: &Deployed<'_>, waiting: usize) -> Finding {
    let name = scaler.component.name();
    let pods = match waiting {
        1 => "1 CoreDNS pod waits".to_owned(),
        many => format!("{many} CoreDNS pods wait"),
    };
    let finding = META
        .finding(
            Severity::Critical,
            format!(
                "{name} ({}) asks cluster DNS for the names of AWS, and {pods} for a node that only {name} can bring",
                scaler.workload()
            ),
        )
        .detail("Neither can go first. With dnsPolicy Default the autoscaler asks the VPC resolver, and needs no pod of the cluster; it looks up no names of the cluster.")
        .confidence(Confidence::Likely)
        .subject(scaler.subject())
        .fact(policy_fact(scaler))
        .signal("locked-now")
        .at(scaler.place());
    remedied(finding, scaler).fix(
        "kubectl -n kube-system describe pods -l k8s-app=kube-dns   # or a small static group (or a Fargate profile) on which CoreDNS fits",
    )
}

fn could_lock(scaler: &Deployed<'_>, nodes: &[&str]) -> Finding {
    let name = scaler.component.name();
    let finding = META
        .finding(
            Severity::Warning,
            format!(
                "{name} ({}) asks cluster DNS, and CoreDNS can run on no node but {} that {name} may remove",
                scaler.workload(),
                nodes.len()
            ),
        )
        .detail("Once no such node is left, CoreDNS has no place, the autoscaler resolves no name of AWS, and no node comes back by itself.")
        .confidence(Confidence::Confirmed)
        .subject(scaler.subject())
        .fact(policy_fact(scaler))
        .fact(
            Fact::new(
                Source::Nodes,
                "nodes",
                "made by the autoscaler, in groups or pools that may go to zero",
                format!("{} of {}", nodes.len(), nodes.len()),
            )
            .expected("at least 1 node that stays"),
        )
        .signal("could-lock")
        .at(scaler.place());
    remedied(finding, scaler)
}
