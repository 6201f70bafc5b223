//! What is wrong in the cache's configuration.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_model::dns::selects;
use eksnet_model::{
    ClusterDns, Component, Confidence, Corefile, Cx, Fact, Finding, Running, Source,
};

use super::{Cache, NAMESPACE};

/// Words that whoever installs the cache has to replace; it replaces others by itself.
/// Source: <https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/>.
const PLACEHOLDERS: [&str; 3] = [
    "__PILLAR__LOCAL__DNS__",
    "__PILLAR__DNS__SERVER__",
    "__PILLAR__DNS__DOMAIN__",
];

pub(super) fn findings(cx: &Cx<'_>, cache: &Cache<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let maps = cx.config_maps().optional();
    let file = maps.into_iter().flatten().find_map(|map| {
        let is_cache = map.metadata.namespace == NAMESPACE && map.metadata.name == "node-local-dns";
        map.data.get("Corefile").filter(|_| is_cache)
    });
    let spec = cache.set.map(|set| &set.spec.template.spec);
    let flags = spec
        .and_then(|spec| Running::of(Component::NodeLocalDns, spec))
        .map(|running| running.words().collect::<Vec<_>>().join(" "));
    let in_file = PLACEHOLDERS
        .iter()
        .find(|word| file.is_some_and(|text| text.contains(*word)))
        .map(|word| {
            (
                *word,
                Source::ConfigMaps,
                "ConfigMap kube-system/node-local-dns",
                "Corefile",
            )
        });
    let in_flags = PLACEHOLDERS
        .iter()
        .find(|word| flags.as_ref().is_some_and(|text| text.contains(*word)))
        .map(|word| (*word, Source::DaemonSets, "DaemonSet of the cache", "args"));
    if let Some((word, source, what, field)) = in_file.or(in_flags) {
        found.push(placeholder(cache, word, source, what, field));
    } else if let Some(text) = file
        && cache.set.is_some()
    {
        found.extend(unbound(cache, &Corefile::parse(text)));
    }
    found.extend(upstream(cx, cache));
    found
}

fn placeholder(cache: &Cache<'_>, word: &str, source: Source, what: &str, field: &str) -> Finding {
    cache
        .about(
            format!("NodeLocal DNSCache was installed with {word} left in its {field}"),
            "placeholder",
        )
        .confidence(Confidence::Confirmed)
        .detail("Its manifest is a template: whoever applies it has to put the cache's address, that of Service kube-dns and the cluster's domain in. The cache ends at its start.")
        .fact(Fact::new(source, what, field, word).expected("an address, or the cluster's domain"))
        .fix(format!(
            "kubectl -n {NAMESPACE} edit configmap node-local-dns   # __PILLAR__LOCAL__DNS__ is 169.254.20.10, __PILLAR__DNS__SERVER__ the address of Service kube-dns, __PILLAR__DNS__DOMAIN__ {}; the same in the args of the DaemonSet",
            cache.domain
        ))
        .fix(format!(
            "kubectl -n {NAMESPACE} rollout restart daemonset {}",
            cache.name()
        ))
}

/// An address that the cache takes on each node, and on which a zone of its Corefile does not listen.
fn unbound(cache: &Cache<'_>, file: &Corefile) -> Option<Finding> {
    let lacks: BTreeSet<(String, IpAddr)> = file
        .blocks
        .iter()
        .filter_map(|block| {
            let bind = block.plugins.iter().find(|plugin| plugin.name == "bind")?;
            let binds: Vec<IpAddr> = bind.args.iter().filter_map(|ip| ip.parse().ok()).collect();
            let lacking = cache.listens.iter().find(|ip| !binds.contains(ip))?;
            (!binds.is_empty()).then(|| (block.zones.join(" "), *lacking))
        })
        .collect();
    let (_, ip) = lacks.first()?;
    let zones: Vec<&str> = lacks.iter().map(|(zone, _)| zone.as_str()).collect();
    Some(
        cache
            .about(
                format!("NodeLocal DNSCache takes {ip} on every node and does not listen on it"),
                "bind-missing",
            )
            .confidence(Confidence::Confirmed)
            .detail("Its flag -localip puts the address on the node and leads packets there; `bind` in its Corefile lacks it, so that queries to it get no answer.")
            .fact(
                Fact::new(
                    Source::ConfigMaps,
                    "ConfigMap kube-system/node-local-dns",
                    format!("bind of {}", zones.join(", ")),
                    format!("without {ip}"),
                )
                .expected("every address of -localip"),
            )
            .fact(Fact::new(
                Source::DaemonSets,
                format!("DaemonSet {NAMESPACE}/{}", cache.name()),
                "-localip",
                cache.listens.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            ))
            .fix(format!(
                "kubectl -n {NAMESPACE} edit configmap node-local-dns   # bind {} in every zone",
                cache.listens.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            ))
            .fix(format!(
                "kubectl -n {NAMESPACE} rollout restart daemonset {}",
                cache.name()
            )),
    )
}

/// The Service that the cache asks is not there, or nothing is behind it while cluster DNS has pods.
fn upstream(cx: &Cx<'_>, cache: &Cache<'_>) -> Option<Finding> {
    cache.set?;
    let name = cache.upstream;
    let own = cx.topology().service(NAMESPACE, name);
    let dns = ClusterDns::of(cx.topology());
    let (saw, why) = match own {
        None if cx.services().all_in(NAMESPACE).is_ok() => {
            ("absent", "It has no Service to forward to")
        }
        Some(service)
            if dns.serving_pods().next().is_some()
                && !service.spec.selector.is_empty()
                && cx.pods().all_in(NAMESPACE).is_ok()
                && !dns.pods.iter().any(|pod| selects(service, pod)) =>
        {
            (
                "its selector matches no DNS pod",
                "Nothing is behind the Service that it forwards to",
            )
        }
        _ => return None,
    };
    Some(
        cache
            .about(
                format!("NodeLocal DNSCache forwards to Service {name}, which leads nowhere"),
                "upstream-missing",
            )
            .confidence(Confidence::Confirmed)
            .detail(format!("{why}: names of the cluster fail at the cache, but for what it has kept."))
            .fact(
                Fact::new(Source::Services, format!("Service {NAMESPACE}/{name}"), "selector", saw)
                    .expected("the pods of kube-dns"),
            )
            .fix(if own.is_some() {
                format!(
                    "kubectl -n {NAMESPACE} patch service {name} --type=merge -p '{{\"spec\":{{\"selector\":{{\"k8s-app\":\"kube-dns\"}}}}}}'"
                )
            } else {
                format!(
                    "Apply Service {name} of the cache's manifest: selector k8s-app: kube-dns, port 53 over UDP and TCP"
                )
            })
            .fix(format!(
                "kubectl -n {NAMESPACE} rollout restart daemonset {}",
                cache.name()
            )),
    )
}
