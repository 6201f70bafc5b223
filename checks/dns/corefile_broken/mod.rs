//! `dns/corefile-broken`: CoreDNS's configuration loops, does not parse, or leads nowhere.

mod judge;
mod lines;

use eksnet_model::{
    Check, Confidence, Corefile, Cx, Finding, Meta, Role, Severity, Source, Stop, Subject,
    SubjectKind,
};

const META: Meta = Meta {
    id: "dns/corefile-broken",
    title: "CoreDNS's configuration does not work",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::ConfigMaps],
    helps: &[Source::Logs, Source::Services, Source::VpcEndpoints],
    signals: &[
        "loop",
        "does-not-parse",
        "reload-failed",
        "bad-upstream",
        "zone-missing",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let _ = (cx.services().optional(), cx.vpc_endpoints().optional());
    let mut findings = lines::findings(cx);
    let maps = cx.config_maps().some();
    let file = maps.as_ref().ok().and_then(|maps| Corefile::of(maps));
    if let Some(file) = &file {
        let told: Vec<String> = findings
            .iter()
            .flat_map(|finding| finding.signals.iter().map(ToString::to_string))
            .collect();
        findings.extend(
            judge::faults(cx, file)
                .into_iter()
                // A log that names the fault says it better.
                .filter(|fault| !told.iter().any(|signal| fault.is(signal)))
                .map(|fault| fault.finding()),
        );
    }
    if findings.is_empty() && file.is_none() {
        maps?;
        cx.config_maps().all_in("kube-system")?;
        return Err(Stop::not_applicable(
            "there is no ConfigMap kube-system/coredns: CoreDNS is not configured there",
        ));
    }
    let by_addon = by_addon(cx.cluster_name());
    Ok(findings
        .into_iter()
        .map(|finding| finding.fix(by_addon.clone()))
        .collect())
}

/// A finding about the Corefile, with the commands that hold for every one.
fn about(severity: Severity, title: String) -> Finding {
    META.finding(severity, title)
        .confidence(Confidence::Confirmed)
        .subject(Subject::namespaced(
            SubjectKind::ConfigMap,
            "kube-system",
            "coredns",
        ))
        .confirm("kubectl -n kube-system get configmap coredns -o jsonpath='{.data.Corefile}'")
}

/// How to change it by hand.
fn edit(what: &str) -> String {
    format!("kubectl -n kube-system edit configmap coredns   # {what}")
}

/// How to change it for good where the add-on manages it: it reverts what is edited by hand.
fn by_addon(cluster: &str) -> String {
    format!(
        "aws eks update-addon --cluster-name {cluster} --addon-name coredns --configuration-values file://corefile.json --resolve-conflicts PRESERVE   # where the EKS add-on manages CoreDNS"
    )
}
