//! `kube-proxy/version-skew`: kube-proxy is of a version that does not fit the API server, the kubelets or its
//! own manifest.

mod images;
mod lines;

use std::collections::BTreeSet;

use eksnet_model::{Check, Cx, Finding, Gap, Meta, Role, Severity, Source, Stop, Why};
use images::Proxy;

const NAMESPACE: &str = "kube-system";

const META: Meta = Meta {
    id: "kube-proxy/version-skew",
    title: "kube-proxy's version does not fit the API server, the kubelets or its manifest",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::DaemonSets, Source::Nodes],
    helps: &[
        Source::Pods,
        Source::Cluster,
        Source::Addons,
        Source::Logs,
        Source::Events,
    ],
    signals: &[
        "newer",
        "too-old",
        "behind-kubelets",
        "removed-api",
        "manifest",
        "no-shell",
        "image-missing",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let sets = cx.daemonsets().all_in(NAMESPACE);
    let nodes = cx.nodes().some();
    let _ = (cx.pods().optional(), cx.eks_cluster().optional());
    let proxies = Proxy::all(cx);
    let mut findings = lines::findings(cx, &proxies);
    let server = server(cx);
    for proxy in &proxies {
        findings.extend(images::no_shell(cx, proxy));
        if let Some(finding) = images::judge(cx, proxy, server, &kubelets(cx)) {
            findings.push(finding);
        }
    }
    if findings.is_empty() {
        let (_, nodes) = (sets?, nodes?);
        if proxies.is_empty() {
            return Err(Stop::not_applicable(
                "there is no DaemonSet of kube-proxy: something else takes its place",
            ));
        }
        if let Some(proxy) = proxies.iter().find(|proxy| proxy.minor.is_none()) {
            return Err(unknown(
                Source::DaemonSets,
                &format!("the tag of image {:?} names no version", proxy.saw),
            ));
        }
        if server.is_none() && nodes.is_empty() {
            return Err(unknown(
                Source::Cluster,
                "neither the version of the API server nor that of a kubelet is known",
            ));
        }
    }
    Ok(findings)
}

fn unknown(source: Source, why: &str) -> Stop {
    Stop::unknown(Gap::new(source, Why::Sampled, why))
}

/// Minor version of the API server: EKS's word, else that of `kubectl version`.
fn server(cx: &Cx<'_>) -> Option<u32> {
    let eks = cx.eks_cluster().optional();
    eks.and_then(|cluster| minor(&cluster.version)).or_else(|| {
        cx.cluster()
            .minor()
            .filter(|_| !cx.cluster().version_of_nodes)
    })
}

/// Minor versions of the kubelets beside which kube-proxy runs.
fn kubelets(cx: &Cx<'_>) -> BTreeSet<u32> {
    cx.topology()
        .nodes()
        .filter(|node| node.has_cni_pod())
        .filter_map(|node| minor(&node.status.node_info.kubelet_version))
        .collect()
}

/// The minor version in `v1.29.3-eks-..` or `1.29`.
fn minor(version: &str) -> Option<u32> {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']);
    (numbers.next()? == "1").then_some(())?;
    numbers.next()?.parse().ok()
}
