//! How kube-proxy is set up, and what stands beside it.

use eksnet_model::kubernetes::DaemonSet;
use eksnet_model::{ClusterDns, Component, Cx, Fact, Heard, Running, Source};

use super::NAMESPACE;

/// A mode, and where it is set.
pub(super) struct Mode {
    pub(super) name: String,
    source: Source,
    place: String,
    field: &'static str,
}

impl Mode {
    pub(super) fn fact(&self) -> Fact {
        Fact::new(
            self.source,
            self.place.clone(),
            self.field,
            self.name.clone(),
        )
    }
}

pub(super) struct Settings<'a> {
    /// Empty is iptables.
    pub(super) mode: Option<Mode>,
    pub(super) is_installed: bool,
    /// Whether security groups for pods are on, and strict.
    pub(super) strict_sgp: bool,
    /// A node-local cache that is to listen on an address of cluster DNS, and its addresses.
    pub(super) cache_on_service: Option<(String, String)>,
    /// Minor version of kube-proxy.
    pub(super) version: Option<u32>,
    /// Linux nodes with their kernels, as far as they are known.
    pub(super) kernels: Vec<(&'a str, &'a str)>,
    pub(super) cluster: &'a str,
}

impl<'a> Settings<'a> {
    pub(super) fn of(cx: &Cx<'a>) -> Self {
        let topology = cx.topology();
        let find = |component| {
            topology.daemonsets().find(|set| {
                let template = &set.spec.template;
                Component::of(&template.spec, &template.metadata.labels) == component
            })
        };
        let running = |component, set: Option<&'a DaemonSet>| {
            set.and_then(|set| Running::of(component, &set.spec.template.spec))
        };
        let set = find(Component::KubeProxy);
        let proxy = running(Component::KubeProxy, set);
        let cni = running(Component::AwsNode, find(Component::AwsNode));
        Self {
            mode: mode(cx, proxy.as_ref()),
            is_installed: set.is_some(),
            strict_sgp: cni.as_ref().is_some_and(is_strict),
            cache_on_service: find(Component::NodeLocalDns).and_then(|set| on_service(cx, set)),
            version: proxy
                .and_then(|proxy| proxy.version())
                .map(|(_, minor)| minor),
            kernels: topology
                .nodes()
                .filter(|node| node.has_cni_pod())
                .map(|node| {
                    (
                        node.metadata.name.as_str(),
                        node.status.node_info.kernel_version.as_str(),
                    )
                })
                .filter(|(_, kernel)| !kernel.is_empty())
                .collect(),
            cluster: cx.cluster_name(),
        }
    }
}

/// Strict unless set otherwise, and always before 1.11.
fn is_strict(cni: &Running<'_>) -> bool {
    let is_on = cni
        .env("ENABLE_POD_ENI")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let standard = cni
        .env("POD_SECURITY_GROUP_ENFORCING_MODE")
        .is_some_and(|value| value.eq_ignore_ascii_case("standard"));
    let old = cni.version().is_some_and(|version| version < (1, 11));
    is_on && (!standard || old)
}

/// The configuration file decides where one is given, else the flag; without both the add-on's values, and what
/// kube-proxy says.
fn mode(cx: &Cx<'_>, proxy: Option<&Running<'_>>) -> Option<Mode> {
    let maps = cx.config_maps().optional().into_iter().flatten();
    let in_map = maps
        .filter(|map| {
            map.metadata.namespace == NAMESPACE && map.metadata.name.starts_with("kube-proxy")
        })
        .find_map(|map| {
            let (key, text) = map.data.iter().find(|(key, _)| key.starts_with("config"))?;
            Some(Mode {
                name: in_file(text),
                source: Source::ConfigMaps,
                place: format!("ConfigMap {NAMESPACE}/{}", map.metadata.name),
                field: if key == "config" {
                    "config: mode"
                } else {
                    "config.conf: mode"
                },
            })
        });
    let by_flag = proxy
        .and_then(|proxy| proxy.flag("proxy-mode"))
        .map(|mode| Mode {
            name: usual(mode),
            source: Source::DaemonSets,
            place: format!("DaemonSet {NAMESPACE}/kube-proxy"),
            field: "--proxy-mode",
        });
    let reads_file = proxy.is_none_or(|proxy| proxy.flag("config").is_some());
    let first = if reads_file {
        in_map.or(by_flag)
    } else {
        by_flag
    };
    let without_both = proxy.filter(|proxy| {
        proxy.flag("config").is_none()
            && proxy.flag("proxy-mode").is_none()
            && proxy.words().count() > 0
    });
    first
        .or_else(|| by_addon(cx))
        .or_else(|| by_log(cx))
        .or_else(|| {
            without_both.map(|_| Mode {
                name: usual(""),
                source: Source::DaemonSets,
                place: format!("DaemonSet {NAMESPACE}/kube-proxy"),
                field: "--proxy-mode",
            })
        })
}

fn by_addon(cx: &Cx<'_>) -> Option<Mode> {
    let mut addons = cx.addons().optional().into_iter().flatten();
    let addon = addons.find(|addon| addon.addon_name == "kube-proxy")?;
    let values = addon.configuration_values.as_deref()?;
    let (_, rest) = values.split_once("mode")?;
    let name = rest
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(|word| !word.is_empty())?;
    Some(Mode {
        name: usual(name),
        source: Source::Addons,
        place: "Add-on kube-proxy".to_owned(),
        field: "configurationValues",
    })
}

fn by_log(cx: &Cx<'_>) -> Option<Mode> {
    let said = Heard::in_logs(cx, &["kproxy-uses-mode"], i64::MAX);
    let one = said.iter().find(|one| one.value("mode").is_some())?;
    Some(Mode {
        name: usual(one.hits.newest("mode").or(one.value("mode"))?),
        source: Source::Logs,
        place: one.scan.place(),
        field: "mode",
    })
}

/// `mode` of a KubeProxyConfiguration in YAML: a key of the top.
fn in_file(text: &str) -> String {
    let value = text.lines().find_map(|line| line.strip_prefix("mode:"));
    usual(value.unwrap_or_default())
}

/// Empty, as kube-proxy's own default, is iptables.
fn usual(mode: &str) -> String {
    let mode = mode.split('#').next().unwrap_or_default();
    match mode.trim().trim_matches(['"', '\'']) {
        "" => "iptables".to_owned(),
        other => other.to_ascii_lowercase(),
    }
}

/// A cache whose addresses are those of cluster DNS: by the Service, else by not being link-local.
fn on_service(cx: &Cx<'_>, set: &DaemonSet) -> Option<(String, String)> {
    let running = Running::of(Component::NodeLocalDns, &set.spec.template.spec)?;
    let addresses = running.flag("localip")?;
    let service = ClusterDns::of(cx.topology()).cluster_ips();
    let mut own = addresses
        .split(',')
        .filter_map(|ip| ip.trim().parse::<std::net::IpAddr>().ok());
    own.any(|ip| {
        service.contains(&ip)
            || service.is_empty()
                && match ip {
                    std::net::IpAddr::V4(v4) => !v4.is_link_local(),
                    std::net::IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 != 0xfe80,
                }
    })
    .then(|| (set.metadata.name.clone(), addresses.to_owned()))
}
