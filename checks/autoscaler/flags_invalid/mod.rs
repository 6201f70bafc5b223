//! `autoscaler/flags-invalid`: flags of cluster-autoscaler that it refuses, or that work against it.

mod by_flags;
mod by_log;
mod words;

use eksnet_model::{
    Check, ClusterAutoscaler, Component, Cx, Deployed, Finding, Meta, Role, Severity, Source, Stop,
};

const META: Meta = Meta {
    id: "autoscaler/flags-invalid",
    title: "Flags of cluster-autoscaler are refused, or contradict each other or the cluster",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::Deployments],
    helps: &[
        Source::Pods,
        Source::Logs,
        Source::AutoScalingGroups,
        Source::ConfigMaps,
    ],
    signals: &[
        "exits",
        "provider",
        "expander",
        "instance-types",
        "bounds",
        "named-twice",
        "priority-map",
        "scale-down-off",
        "bool-word",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

/// Providers with which it may well work on EKS: they ask something else than AWS for nodes.
const INDIRECT: [&str; 4] = ["clusterapi", "externalgrpc", "rancher", "kwok"];

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let heard = by_log::findings(cx);
    match judge(cx, heard.is_empty()) {
        Ok(mut findings) => {
            // The log says what the flags do already.
            findings.retain(|one| {
                !heard
                    .iter()
                    .any(|said| said.signals.intersection(&one.signals).next().is_some())
            });
            findings.extend(heard);
            Ok(findings)
        }
        Err(_) if !heard.is_empty() => Ok(heard),
        Err(stop) => Err(stop),
    }
}

fn judge(cx: &Cx<'_>, strict: bool) -> Result<Vec<Finding>, Stop> {
    let mut findings = Vec::new();
    let (mut gap, mut other, mut own) = (None, None, false);
    for deployed in &Deployed::seen(cx, &[Component::ClusterAutoscaler])? {
        let Some(flags) = ClusterAutoscaler::of(deployed) else {
            continue;
        };
        match flags.value("cloud-provider") {
            Some(provider) if INDIRECT.contains(&provider) => {
                other = Some(provider.to_owned());
                continue;
            }
            _ => own = true,
        }
        match by_flags::findings(cx, deployed, &flags) {
            Ok(found) => findings.extend(found),
            Err(stop) => gap = Some(stop),
        }
    }
    match (gap, other) {
        (Some(stop), _) if strict && findings.is_empty() => Err(stop),
        (None, Some(provider)) if !own && strict => Err(Stop::not_applicable(format!(
            "cluster-autoscaler runs with --cloud-provider={provider}, which asks something else than AWS for nodes"
        ))),
        _ => Ok(findings),
    }
}
