//! What clients get at the cache's address: probes, and what was tried by hand.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eksnet_model::dns::in_domain;
use eksnet_model::observed::Lookup;
use eksnet_model::{
    CniSettings, Confidence, Cx, DnsPath, Fact, Finding, Place, ProbePod, Running, Source,
};
use eksnet_model::{Component, Observations};
use eksnet_probe::{DnsOutcome, Transport};

use super::Cache;

/// Most clients that stand as proof.
const MAX_FACTS: usize = 4;

/// Whether a `resolv.conf` names one of these addresses, link-local ones alone.
pub(super) fn is_told(cx: &Cx<'_>, listens: &BTreeSet<IpAddr>) -> bool {
    let own =
        |ip: IpAddr| listens.contains(&ip) && matches!(ip, IpAddr::V4(v4) if v4.is_link_local());
    let by_probes = cx.probes().optional().into_iter().flat_map(|run| &run.pods);
    let by_hand = cx.observations().optional();
    by_probes
        .filter_map(ProbePod::resolv)
        .flat_map(|resolv| &resolv.nameservers)
        .filter_map(|ip| ip.parse().ok())
        .any(own)
        || by_hand
            .into_iter()
            .flat_map(|seen| &seen.resolvers)
            .flat_map(|file| &file.nameservers)
            .any(|ip| own(*ip))
}

/// Whether pods with security groups of their own are strict: then their silence is that of another fault.
pub(super) fn is_strict(cx: &Cx<'_>) -> bool {
    let settings = cx
        .daemonsets()
        .optional()
        .and_then(|sets| CniSettings::of(sets));
    let aws_node = cx.topology().daemonsets().find(|set| {
        let template = &set.spec.template;
        Component::of(&template.spec, &template.metadata.labels) == Component::AwsNode
    });
    let standard = aws_node
        .and_then(|set| Running::of(Component::AwsNode, &set.spec.template.spec))
        .and_then(|running| {
            running
                .env("POD_SECURITY_GROUP_ENFORCING_MODE")
                .map(str::to_owned)
        })
        .is_some_and(|mode| mode.eq_ignore_ascii_case("standard"));
    settings.is_some_and(|settings| settings.pod_eni) && !standard
}

/// The clients that get no answer there. `named` says that a log names the fault already.
pub(super) fn findings(cx: &Cx<'_>, cache: &Cache<'_>, named: bool) -> Option<Finding> {
    let mut silent: Vec<(Option<String>, Fact, Confidence)> = Vec::new();
    let run = cx.probes().optional();
    let seen = cx.observations().optional();
    let files: BTreeSet<&str> = seen
        .into_iter()
        .flat_map(|seen| seen.lookups.iter().map(|one| one.from.file.as_str()))
        .collect();
    for pod in run.into_iter().flat_map(|run| &run.pods) {
        if !files.contains(pod.name.as_str()) {
            silent.extend(of_probe(cache, pod));
        }
    }
    let strict = is_strict(cx);
    if let Some(seen) = seen.filter(|_| !strict) {
        silent.extend(by_hand(cache, seen));
    }
    let confidence = silent.iter().map(|(_, _, confidence)| *confidence).max()?;
    if named && confidence < Confidence::Confirmed {
        return None;
    }
    let nodes: BTreeSet<&str> = silent
        .iter()
        .filter_map(|(node, _, _)| node.as_deref())
        .collect();
    let on = match nodes.len() {
        0 => String::new(),
        1 | 2 => format!(
            " on {}",
            nodes.iter().copied().collect::<Vec<_>>().join(" and ")
        ),
        many => format!(" on {many} nodes"),
    };
    let ip = cache
        .listens
        .iter()
        .find(|ip| cache.is_own(**ip))
        .map_or_else(|| "169.254.20.10".to_owned(), ToString::to_string);
    let name = cache.name();
    let finding = cache
        .about(
            format!("NodeLocal DNSCache at {ip} does not answer{on}"),
            "silent",
        )
        .confidence(confidence)
        .detail("The address exists on each node by itself: no security group or route is on the way to it. The cache does not run there, does not listen on it, or has no upstream.")
        .facts(silent.iter().take(MAX_FACTS).map(|(_, fact, _)| fact.clone()))
        .confirm(format!("kubectl -n kube-system logs -l k8s-app={name} --tail=50 --prefix"))
        .fix(format!("kubectl -n kube-system rollout restart daemonset {name}"))
        .fix("Until it answers, let the kubelets hand out the address of Service kube-dns (clusterDNS) to new pods");
    if nodes.is_empty() {
        return Some(finding);
    }
    let place = Place::nodes(nodes.iter().copied());
    Some(finding.at(place.clone()).reaches(place))
}

fn of_probe(cache: &Cache<'_>, pod: &ProbePod) -> Option<(Option<String>, Fact, Confidence)> {
    let path = |ip: IpAddr, transport| pod.dns_path(ip, transport, cache.domain);
    let own = cache.listens.iter().copied().filter(|ip| cache.is_own(*ip));
    let (ip, dead) = own
        .filter_map(|ip| Some((ip, path(ip, Transport::Udp)?)))
        .find(|(_, path)| path.is_dead() || path.is_refused())?;
    let others: Vec<DnsPath> = cache
        .cluster
        .iter()
        .filter_map(|ip| path(*ip, Transport::Udp))
        .collect();
    // Where cluster DNS is dead as well the way out of the pod may be.
    if dead.is_dead() && others.iter().any(|path| path.is_dead()) {
        return None;
    }
    let works = others.iter().any(|path| path.works());
    let more = match (works, dead.is_refused()) {
        (true, _) => "; cluster DNS answers there",
        (false, true) => "; refused: nothing listens",
        (false, false) => "",
    };
    let node = pod.at.node.to_string();
    let fact = Fact::new(
        Source::Probes,
        format!("{node} -> {ip}:53"),
        "DNS over UDP",
        format!("{}{more}", dead.score()),
    )
    .expected("answers")
    .at(pod.at_time);
    let confidence = if works || dead.is_refused() {
        Confidence::Confirmed
    } else {
        Confidence::Likely
    };
    Some((Some(node), fact, confidence))
}

/// Look-ups by hand at the cache. A refusal says it; silence says it of names of the cluster, or where the
/// same place gets an answer of cluster DNS.
fn by_hand(cache: &Cache<'_>, seen: &Observations) -> Vec<(Option<String>, Fact, Confidence)> {
    let server = |lookup: &Lookup| {
        lookup.server.or_else(|| {
            let mut files = seen.resolvers.iter();
            let file = files.find(|file| file.from.file == lookup.from.file)?;
            file.nameservers.first().copied()
        })
    };
    let of = |lookup: &&Lookup| server(lookup).is_some_and(|ip| cache.is_own(ip));
    let answered = seen.lookups.iter().filter(of).any(Lookup::is_answered);
    let cluster_answers = seen.lookups.iter().any(|one| {
        one.is_answered()
            && server(one).is_some_and(|ip| !cache.is_own(ip))
            && in_domain(&one.name, cache.domain)
    });
    let cluster_silent = seen.lookups.iter().any(|one| {
        one.outcome == Some(DnsOutcome::Timeout)
            && server(one).is_some_and(|ip| cache.cluster.contains(&ip))
    });
    if answered || (cluster_silent && !cluster_answers) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for lookup in seen.lookups.iter().filter(of) {
        let refused = lookup.outcome == Some(DnsOutcome::ConnRefused);
        let lost = matches!(
            lookup.outcome,
            Some(DnsOutcome::Timeout | DnsOutcome::NoRoute)
        );
        // Names are searched in the cluster first, where the resolv.conf of a pod decides.
        let tells = in_domain(&lookup.name, cache.domain)
            || !lookup.name.contains('.')
            || lookup.name.starts_with("kubernetes.default")
            || lookup.server.is_none();
        if !refused && !(lost && (tells || cluster_answers)) {
            continue;
        }
        let place = match lookup.from.name.as_str() {
            "" => lookup.from.file.as_str(),
            name => name,
        };
        let more = if cluster_answers {
            "; cluster DNS answers in the same place"
        } else {
            ""
        };
        let outcome = if refused { "refused" } else { "no answer" };
        let fact = Fact::new(
            Source::Observations,
            format!(
                "{place} -> {}:53",
                server(lookup).map_or_else(String::new, |ip| ip.to_string())
            ),
            "DNS",
            format!("{}: {outcome}{more}", lookup.name),
        )
        .expected("an answer");
        let confidence = if refused || cluster_answers {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        };
        found.push((None, fact, confidence));
    }
    found
}
