//! `kube-proxy/mode-conflict`: kube-proxy's mode does not go together with something else of the node.

mod lines;
mod settings;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Gap, Meta, Role, Severity, Source, Stop, Subject,
    SubjectKind, Why,
};
use settings::{Mode, Settings};

const NAMESPACE: &str = "kube-system";
/// nftables is there without a feature gate from this minor version on.
const NFTABLES_SINCE: u32 = 31;
/// The first kernel that has what the nftables mode needs.
const NFTABLES_KERNEL: (u32, u32) = (5, 13);

const META: Meta = Meta {
    id: "kube-proxy/mode-conflict",
    title: "kube-proxy's mode conflicts with security groups for pods, the node's DNS cache or the kernel",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::ConfigMaps, Source::DaemonSets],
    helps: &[
        Source::Addons,
        Source::Nodes,
        Source::Services,
        Source::Logs,
        Source::Events,
    ],
    signals: &[
        "strict-sgp",
        "node-local",
        "fell-back",
        "cannot-run",
        "old-for-nftables",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let maps = cx.config_maps().all_in(NAMESPACE);
    let sets = cx.daemonsets().all_in(NAMESPACE);
    let _ = (cx.services().optional(), cx.nodes().optional());
    let settings = Settings::of(cx);
    let mut findings = lines::findings(cx);
    if let Some(mode) = &settings.mode {
        match mode.name.as_str() {
            "ipvs" => {
                findings.extend(strict(&settings, mode));
                findings.extend(bound(&settings, mode));
            }
            "nftables" => findings.extend(old(&settings, mode)),
            _ => {}
        }
    }
    if findings.is_empty() {
        maps?;
        sets?;
        if !settings.is_installed {
            return Err(Stop::not_applicable(
                "there is no DaemonSet of kube-proxy: something else takes its place",
            ));
        }
        if settings.mode.is_none() {
            return Err(Stop::unknown(Gap::new(
                Source::ConfigMaps,
                Why::Sampled,
                "neither kube-proxy's configuration nor its command line names where its mode is set",
            )));
        }
    }
    Ok(findings)
}

fn about(severity: Severity, title: &str, signal: &'static str) -> Finding {
    META.finding(severity, title)
        .confidence(Confidence::Confirmed)
        .subject(Subject::namespaced(
            SubjectKind::ConfigMap,
            NAMESPACE,
            "kube-proxy-config",
        ))
        .subject(Subject::new(SubjectKind::Other, signal))
        .signal(signal)
        .confirm(
            "kubectl -n kube-system get configmap kube-proxy-config -o jsonpath='{.data.config}'",
        )
}

/// Back to the mode that goes with everything.
fn to_iptables(finding: Finding, cluster: &str) -> Finding {
    finding
        .fix("kubectl -n kube-system edit configmap kube-proxy-config   # mode: \"iptables\"")
        .fix(format!(
            "aws eks update-addon --cluster-name {cluster} --addon-name kube-proxy --configuration-values '{{\"mode\":\"iptables\"}}' --resolve-conflicts PRESERVE   # where EKS manages kube-proxy"
        ))
        .fix("Replace or reboot the nodes afterwards: rules of the old mode stay until then")
}

/// In strict mode packets of pods with security groups leave by their branch interface before IPVS sees them.
fn strict(settings: &Settings<'_>, mode: &Mode) -> Option<Finding> {
    if !settings.strict_sgp {
        return None;
    }
    let finding = about(
        Severity::Error,
        "kube-proxy runs in IPVS mode, and security groups for pods are strict: such pods reach no Service",
        "strict-sgp",
    )
    .detail("Strict mode sends every packet of such a pod out by its branch interface; IPVS turns Service addresses into those of pods on the node, which those packets do not pass.")
    .fact(mode.fact().expected("iptables"))
    .fact(
        Fact::new(
            Source::DaemonSets,
            "DaemonSet kube-system/aws-node",
            "ENABLE_POD_ENI, POD_SECURITY_GROUP_ENFORCING_MODE",
            "true, strict or not set",
        )
        .expected("standard"),
    )
    .fix("kubectl -n kube-system set env daemonset/aws-node POD_SECURITY_GROUP_ENFORCING_MODE=standard   # or change kube-proxy's mode, below; then recreate the pods");
    Some(to_iptables(finding, settings.cluster))
}

/// IPVS binds Service addresses to an interface of its own: nobody else on the node can listen on them.
fn bound(settings: &Settings<'_>, mode: &Mode) -> Option<Finding> {
    let (cache, address) = settings.cache_on_service.as_ref()?;
    let finding = about(
        Severity::Error,
        "NodeLocal DNSCache is to listen on the address of cluster DNS, which IPVS has taken",
        "node-local",
    )
    .detail("In IPVS mode every Service address stands on the node's interface kube-ipvs0. The cache does not get it: it fails, or pods bypass it. There it can listen on its link-local address alone, and the kubelets have to hand that one out.")
    .subject(Subject::namespaced(SubjectKind::DaemonSet, NAMESPACE, cache.as_str()))
    .fact(mode.fact())
    .fact(
        Fact::new(
            Source::DaemonSets,
            format!("DaemonSet {NAMESPACE}/{cache}"),
            "-localip",
            address.clone(),
        )
        .expected("169.254.20.10 alone"),
    )
    .fix(format!(
        "kubectl -n kube-system edit daemonset {cache}   # -localip 169.254.20.10, the same in `bind` of its ConfigMap"
    ))
    .fix("Set clusterDNS of the kubelets to 169.254.20.10 (NodeConfig: spec.kubelet.config.clusterDNS) and replace the nodes");
    Some(to_iptables(finding, settings.cluster))
}

fn old(settings: &Settings<'_>, mode: &Mode) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(minor) = settings.version.filter(|minor| *minor < NFTABLES_SINCE) {
        found.push(
            Fact::new(
                Source::DaemonSets,
                "DaemonSet kube-system/kube-proxy",
                "version",
                format!("1.{minor}"),
            )
            .expected(format!("1.{NFTABLES_SINCE} or newer")),
        );
    }
    let kernels = settings.kernels.iter();
    let old =
        kernels.filter(|(_, kernel)| kernel_of(kernel).is_some_and(|own| own < NFTABLES_KERNEL));
    found.extend(old.take(4).map(|(node, kernel)| {
        Fact::new(
            Source::Nodes,
            format!("Node {node}"),
            "kernelVersion",
            *kernel,
        )
        .expected("5.13 or newer")
    }));
    if found.is_empty() {
        return Vec::new();
    }
    vec![to_iptables(
        about(
            Severity::Warning,
            "kube-proxy is set to nftables, which its version or the nodes' kernel does not have",
            "old-for-nftables",
        )
        .detail("Before 1.31 the mode stands behind a feature gate, and it needs Linux 5.13: kube-proxy does not start there, or programmes nothing.")
        .fact(mode.fact().expected("iptables"))
        .facts(found),
        settings.cluster,
    )]
}

/// Major and minor version of a kernel such as `5.10.226-214.880.amzn2.x86_64`.
fn kernel_of(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
