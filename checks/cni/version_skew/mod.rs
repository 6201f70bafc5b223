//! `cni/version-skew`: parts of the VPC CNI whose versions do not fit each other or the cluster.

mod images;
mod lines;

use std::sync::LazyLock;

use eksnet_model::{
    Check, CniSettings, Cx, Finding, Meta, Role, Severity, SignatureSet, Source, Stop, told,
    told_by_place,
};

const META: Meta = Meta {
    id: "cni/version-skew",
    title: "Versions of the VPC CNI, its parts and its manifest do not fit each other or the cluster",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::DaemonSets],
    helps: &[Source::Nodes, Source::Logs, Source::Events],
    signals: &[
        "panic",
        "no-ip-family",
        "rbac-older",
        "crd-missing",
        "cni-config-version",
        "entry-missing",
        "init-differs",
        "agent-differs",
        "old-for-image",
        "old-for-cluster",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

/// Lines and Events older than this, in seconds, are history.
const RECENT_S: i64 = 3600;

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let settings = CniSettings::here(cx)?;
    let mut findings: Vec<Finding> = told_by_place(told(cx, META.id, &SIGNATURES, RECENT_S))
        .values()
        .filter_map(|told| lines::finding(told))
        .collect();
    let sets = cx.daemonsets().all_in("kube-system");
    if let (Ok(sets), Some(_)) = (&sets, &settings) {
        let nodes = cx.nodes().optional().map_or(&[][..], Vec::as_slice);
        findings.extend(images::findings(cx, sets, nodes));
    }
    if findings.is_empty() {
        let sets = sets?;
        images::readable(sets)?;
    }
    Ok(findings)
}

/// How the add-on is brought to a version that fits.
fn with_remedy(finding: Finding, cluster: &str) -> Finding {
    finding
        .confirm("kubectl -n kube-system get daemonset aws-node -o jsonpath='{range .spec.template.spec.initContainers[*]}{.image}{\"\\n\"}{end}{range .spec.template.spec.containers[*]}{.image}{\"\\n\"}{end}'")
        .confirm(format!(
            "aws eks describe-addon-versions --addon-name vpc-cni --kubernetes-version $(aws eks describe-cluster --name {cluster} --query cluster.version --output text) --query 'addons[].addonVersions[].addonVersion' --output text"
        ))
        .fix(format!(
            "aws eks update-addon --cluster-name {cluster} --addon-name vpc-cni --addon-version VERSION --resolve-conflicts PRESERVE   # the whole manifest, never the image alone"
        ))
}
