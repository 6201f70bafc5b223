//! Versions by images, the add-on, and what kube-proxy itself says at its start.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::PodSpec;
use eksnet_model::{
    Component, Confidence, Cx, Fact, Finding, Heard, Running, Severity, Source, Subject,
    SubjectKind,
};

use super::{META, NAMESPACE, minor};

/// Minor versions that kube-proxy may be behind the API server, from 1.25 on; and apart from the kubelet.
/// Source: <https://kubernetes.io/releases/version-skew-policy/#kube-proxy>.
const BEHIND: u32 = 3;
/// The same for older ones.
const BEHIND_BEFORE_25: u32 = 2;

/// One version of kube-proxy, and how it is known.
pub(super) struct Proxy {
    pub(super) minor: Option<u32>,
    /// Image, version of the add-on, or line.
    pub(super) saw: String,
    source: Source,
    what: String,
    field: &'static str,
    /// Whether it is started through a shell.
    shell: bool,
}

impl Proxy {
    /// Every version that is known, one each: of the DaemonSet; without one, of its pods, of its own log, of the
    /// add-on.
    pub(super) fn all(cx: &Cx<'_>) -> Vec<Self> {
        let sets = cx.topology().daemonsets().filter_map(|set| {
            let template = &set.spec.template;
            let is_proxy =
                Component::of(&template.spec, &template.metadata.labels) == Component::KubeProxy;
            is_proxy.then(|| {
                let what = format!("DaemonSet {}/{}", set.metadata.namespace, set.metadata.name);
                Self::of(Source::DaemonSets, what, &template.spec)
            })
        });
        let mut found: Vec<Self> = sets.flatten().collect();
        if found.is_empty() {
            let pods = cx.topology().pods_of(Component::KubeProxy);
            let all = pods
                .filter_map(|pod| Self::of(Source::Pods, format!("Pod {}", pod.key()), &pod.spec));
            let by_image: BTreeMap<String, Self> =
                all.map(|proxy| (proxy.saw.clone(), proxy)).collect();
            found.extend(by_image.into_values());
        }
        if found.iter().all(|proxy| proxy.minor.is_none()) {
            let said = Heard::in_logs(cx, &["kproxy-own-version"], i64::MAX);
            let own = said
                .iter()
                .filter(|one| one.scan.component == Component::KubeProxy)
                .find_map(|one| Some((one, one.value("minor")?.parse().ok()?)));
            if let Some((one, minor)) = own {
                found.push(Self {
                    minor: Some(minor),
                    saw: one.line().to_owned(),
                    source: Source::Logs,
                    what: one.scan.place(),
                    field: "version",
                    shell: false,
                });
            }
        }
        let addons = cx.addons().optional().into_iter().flatten();
        let addon = addons
            .filter(|addon| addon.addon_name == "kube-proxy")
            .find_map(|addon| Some((addon, minor(&addon.addon_version)?)));
        if let Some((addon, minor)) = addon
            && found.iter().all(|proxy| proxy.minor.is_none())
        {
            found.push(Self {
                minor: Some(minor),
                saw: addon.addon_version.clone(),
                source: Source::Addons,
                what: "Add-on kube-proxy".to_owned(),
                field: "addonVersion",
                shell: false,
            });
        }
        found
    }

    fn of(source: Source, what: String, spec: &PodSpec) -> Option<Self> {
        let running = Running::of(Component::KubeProxy, spec)?;
        let image = running.container.image.as_str();
        // A piece of configuration may show flags alone.
        (!image.is_empty()).then(|| Self {
            minor: running
                .version()
                .and_then(|(major, minor)| (major == 1).then_some(minor)),
            saw: image.to_owned(),
            source,
            what,
            field: "image",
            shell: running
                .container
                .command
                .first()
                .is_some_and(|first| first.ends_with("sh")),
        })
    }

    pub(super) fn fact(&self) -> Fact {
        Fact::new(self.source, self.what.clone(), self.field, self.saw.clone())
    }
}

/// The finding that all of this check begin with.
pub(super) fn about(severity: Severity, title: String, signal: &'static str) -> Finding {
    META.finding(severity, title)
        .subject(Subject::namespaced(
            SubjectKind::DaemonSet,
            NAMESPACE,
            "kube-proxy",
        ))
        .subject(Subject::new(SubjectKind::Other, signal))
        .signal(signal)
        .confirm("kubectl -n kube-system get daemonset kube-proxy -o jsonpath='{.spec.template.spec.containers[0].image}{\"\\n\"}{.spec.template.spec.containers[0].command}{\"\\n\"}'")
        .confirm("kubectl version")
}

/// How it is brought to the version of the cluster.
pub(super) fn updated(finding: Finding, cx: &Cx<'_>, server: Option<u32>) -> Finding {
    let cluster = cx.cluster_name();
    let version = server.map_or_else(
        || {
            format!(
                "$(aws eks describe-cluster --name {cluster} --query cluster.version --output text)"
            )
        },
        |minor| format!("1.{minor}"),
    );
    finding
        .fix(format!(
            "aws eks describe-addon-versions --addon-name kube-proxy --kubernetes-version {version} --query 'addons[].addonVersions[].addonVersion' --output text"
        ))
        .fix(format!(
            "aws eks update-addon --cluster-name {cluster} --addon-name kube-proxy --addon-version VERSION --resolve-conflicts OVERWRITE   # create-addon where kube-proxy is self-managed: EKS upgrades do not touch that one"
        ))
}

pub(super) fn judge(
    cx: &Cx<'_>,
    proxy: &Proxy,
    server: Option<u32>,
    kubelets: &BTreeSet<u32>,
) -> Option<Finding> {
    let own = proxy.minor?;
    let allowed = if own < 25 { BEHIND_BEFORE_25 } else { BEHIND };
    let oldest = kubelets.first().copied();
    let newest = kubelets.last().copied();
    let (severity, title, signal, fact) = match server {
        Some(server) if own > server => (
            Severity::Error,
            format!("kube-proxy 1.{own} is newer than the API server (1.{server})"),
            "newer",
            server_fact(cx, server),
        ),
        Some(server) if server - own > allowed => (
            Severity::Error,
            format!(
                "kube-proxy 1.{own} is {} minor versions older than the API server (1.{server})",
                server - own
            ),
            "too-old",
            server_fact(cx, server),
        ),
        _ => {
            let (oldest, newest) = (oldest?, newest?);
            let (severity, word) = if own.abs_diff(newest).max(own.abs_diff(oldest)) > allowed {
                (Severity::Error, "further apart than supported")
            } else if own < oldest {
                (Severity::Warning, "it was left behind")
            } else {
                return None;
            };
            let range = if oldest == newest {
                format!("1.{oldest}")
            } else {
                format!("1.{oldest} to 1.{newest}")
            };
            (
                severity,
                format!("kube-proxy 1.{own} stands beside kubelets {range}: {word}"),
                "behind-kubelets",
                Fact::new(Source::Nodes, "Nodes", "kubeletVersion", range),
            )
        }
    };
    let expected = server.map_or_else(
        || "the cluster's minor version".to_owned(),
        |s| format!("1.{s}"),
    );
    let finding = about(severity, title, signal)
        .confidence(Confidence::Confirmed)
        .detail("kube-proxy may not be newer than the API server, and not more than three minor versions (two before 1.25) apart from it or from the kubelet of its node. An EKS upgrade leaves a kube-proxy that is not an add-on as it is.")
        .fact(proxy.fact().expected(expected))
        .fact(fact);
    Some(updated(finding, cx, server))
}

fn server_fact(cx: &Cx<'_>, server: u32) -> Fact {
    Fact::new(
        Source::Cluster,
        format!("Cluster {}", cx.cluster_name()),
        "version",
        format!("1.{server}"),
    )
}

/// A minimal image holds kube-proxy alone: a manifest of before, which starts it through a shell, does not fit.
pub(super) fn no_shell(cx: &Cx<'_>, proxy: &Proxy) -> Option<Finding> {
    if !proxy.shell || !proxy.saw.contains("minimal") {
        return None;
    }
    let finding = about(
        Severity::Error,
        "kube-proxy is started through a shell, which its minimal image does not have".to_owned(),
        "no-shell",
    )
    .confidence(Confidence::Confirmed)
    .detail("Manifests for the default image and for the minimal one are not interchangeable: the container cannot start.")
    .fact(proxy.fact().expected("a default image, or a command without a shell"));
    Some(updated(finding, cx, None))
}
