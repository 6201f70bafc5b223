//! `cni/snat-egress`: source NAT of the VPC CNI that does not fit the routing of pods' subnets.

mod routes;
mod rules;

use std::sync::LazyLock;

use eksnet_model::{
    Check, CniSettings, Cx, Finding, Meta, Role, Severity, SignatureSet, Source, Stop, told,
};

const META: Meta = Meta {
    id: "cni/snat-egress",
    title: "The CNI's source NAT does not fit the routing of the pods' subnets",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::DaemonSets, Source::Subnets, Source::RouteTables],
    helps: &[
        Source::Nodes,
        Source::Instances,
        Source::EniConfigs,
        Source::Observations,
        Source::Logs,
        Source::Events,
    ],
    signals: &["pods-to-internet-gateway", "answers-by-primary"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let settings = CniSettings::here(cx)?;
    if settings.as_ref().is_some_and(|settings| settings.ipv6) {
        return Err(Stop::not_applicable(
            "pods have IPv6 addresses: they are not translated",
        ));
    }
    let told = told(cx, META.id, &SIGNATURES, i64::MAX);
    let observed = cx.observations().optional();
    let mut findings: Vec<Finding> = observed
        .and_then(|observed| rules::answers_elsewhere(settings.as_ref(), observed, &told))
        .into_iter()
        .collect();
    let Some(settings) = settings else {
        if findings.is_empty() {
            cx.daemonsets().all_in("kube-system")?;
        }
        return Ok(findings);
    };
    let (subnets, tables) = (cx.subnets().some(), cx.route_tables().all());
    let _ = (cx.nodes().optional(), cx.instances().optional());
    let configs = cx.eni_configs().optional().map_or(&[][..], Vec::as_slice);
    if settings.external_snat && subnets.is_ok() && tables.is_ok() {
        findings.extend(routes::to_internet_gateways(
            cx.topology(),
            &settings,
            configs,
        ));
    }
    if findings.is_empty() {
        subnets?;
        tables?;
    }
    Ok(findings)
}
