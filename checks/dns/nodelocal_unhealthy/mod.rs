//! `dns/nodelocal-unhealthy`: NodeLocal DNSCache is installed, and does not answer on a node.

mod asked;
mod config;
mod lines;
mod nodes;

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_model::dns::NODE_LOCAL;
use eksnet_model::kubernetes::DaemonSet;
use eksnet_model::{
    Check, ClusterDns, Component, Confidence, Cx, Finding, Meta, Role, Running, Severity, Source,
    Stop, Subject, SubjectKind,
};

const NAMESPACE: &str = "kube-system";

const META: Meta = Meta {
    id: "dns/nodelocal-unhealthy",
    title: "NodeLocal DNSCache does not answer on a node",
    severity: Severity::Critical,
    role: Role::Cause,
    needs: &[Source::DaemonSets, Source::Pods, Source::Nodes],
    helps: &[
        Source::ConfigMaps,
        Source::Services,
        Source::EndpointSlices,
        Source::Probes,
        Source::Observations,
        Source::Logs,
        Source::Events,
    ],
    signals: &[
        "pod-missing",
        "silent",
        "upstream-tcp",
        "upstream-silent",
        "upstream-missing",
        "placeholder",
        "bind-missing",
        "cannot-listen",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let sets = cx.daemonsets().all_in(NAMESPACE);
    let pods = cx.pods().all_in(NAMESPACE);
    let nodes = cx.nodes().some();
    let _ = (
        cx.services().optional(),
        cx.endpoint_slices().optional(),
        cx.config_maps().optional(),
    );
    let cache = Cache::of(cx);
    let mut findings = lines::findings(cx, &cache);
    findings.extend(asked::findings(cx, &cache, !findings.is_empty()));
    findings.extend(config::findings(cx, &cache));
    if let Some(set) = cache.set
        && pods.is_ok()
        && nodes.is_ok()
    {
        findings.extend(nodes::findings(cx, &cache, set));
    }
    if findings.is_empty() {
        sets?;
        pods?;
        nodes?;
        if cache.set.is_none() {
            return Err(Stop::not_applicable("NodeLocal DNSCache is not installed"));
        }
    }
    Ok(findings)
}

/// The cache as it is installed, as far as that is known.
struct Cache<'a> {
    set: Option<&'a DaemonSet>,
    /// Addresses on which it is to listen.
    listens: BTreeSet<IpAddr>,
    /// Addresses of cluster DNS among them and beside them.
    cluster: Vec<IpAddr>,
    /// Name of the Service that it asks.
    upstream: &'a str,
    domain: &'a str,
    /// Whether pods are told the cache's link-local address.
    told: bool,
}

impl<'a> Cache<'a> {
    fn of(cx: &Cx<'a>) -> Self {
        let topology = cx.topology();
        let set = topology.daemonsets().find(|set| {
            let template = &set.spec.template;
            Component::of(&template.spec, &template.metadata.labels) == Component::NodeLocalDns
        });
        let running =
            set.and_then(|set| Running::of(Component::NodeLocalDns, &set.spec.template.spec));
        let dns = ClusterDns::of(topology);
        let listens = if dns.node_local.is_empty() {
            BTreeSet::from([NODE_LOCAL])
        } else {
            dns.node_local.clone()
        };
        Self {
            set,
            told: asked::is_told(cx, &listens),
            listens,
            cluster: dns.cluster_ips(),
            upstream: running
                .and_then(|running| running.flag("upstreamsvc"))
                .unwrap_or("kube-dns-upstream"),
            domain: cx.cluster().dns_domain(),
        }
    }

    /// Whether an address is the cache's own: one that no other host answers.
    fn is_own(&self, ip: IpAddr) -> bool {
        self.listens.contains(&ip) && !self.cluster.contains(&ip)
    }

    fn name(&self) -> &'a str {
        self.set
            .map_or("node-local-dns", |set| set.metadata.name.as_str())
    }

    /// The finding that all of this check begin with. Pods that are told the cache's address have no other.
    fn about(&self, title: String, signal: &'static str) -> Finding {
        let severity = if self.told {
            Severity::Critical
        } else {
            Severity::Error
        };
        let name = self.name();
        META.finding(severity, title)
            .confidence(Confidence::Likely)
            .subject(Subject::namespaced(SubjectKind::DaemonSet, NAMESPACE, name))
            .subject(Subject::new(SubjectKind::Other, signal))
            .signal(signal)
            .confirm(format!(
                "kubectl -n {NAMESPACE} get pods -l k8s-app={name} -o wide"
            ))
    }
}
