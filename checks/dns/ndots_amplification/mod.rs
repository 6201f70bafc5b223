//! `dns/ndots-amplification`: most of what CoreDNS is asked for are complete names with the search list behind them.

mod shares;

use eksnet_model::{
    Check, Confidence, Corefile, Cx, Fact, Finding, Gap, Heard, Meta, Role, Severity, Source, Stop,
    Subject, SubjectKind, Why,
};
use shares::{Share, slow};

/// Lines older than this, in seconds, are history.
const RECENT_S: i64 = 3600;
/// Share of answers from which on most of the traffic is noise, and from which on it is worth a word.
const MOST: f64 = 0.5;
const SOME: f64 = 0.25;

const META: Meta = Meta {
    id: "dns/ndots-amplification",
    title: "Most DNS queries are names with the search list behind them",
    severity: Severity::Warning,
    role: Role::Risk,
    needs: &[Source::Probes],
    helps: &[Source::Observations, Source::ConfigMaps, Source::Logs],
    signals: &["nxdomain-share", "search-names", "forwarded", "slow-lookup"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let maps = cx.config_maps().optional();
    let autopath = maps
        .and_then(|maps| Corefile::of(maps))
        .is_some_and(|file| file.plugins("autopath").next().is_some());
    let counted = Share::of_counters(cx).filter(|_| !autopath);
    let said = Heard::in_logs(cx, &["coredns-search-nxdomain"], RECENT_S);
    let logged = Share::of_log(&said);
    let slow = slow(cx);
    let worst = [&counted, &logged]
        .into_iter()
        .flatten()
        .map(|share| share.of_all)
        .fold(0.0, f64::max);
    if worst >= SOME || slow.is_some() {
        return Ok(vec![finding(cx, counted, logged, &said, slow, worst)]);
    }
    let probes = cx.probes().some()?;
    if counted.is_none() && !probes.pods.iter().any(shares::is_timed) {
        return Err(Stop::unknown(Gap::new(
            Source::Probes,
            Why::Sampled,
            "no probe timed a name with and without its last dot",
        )));
    }
    Ok(Vec::new())
}

fn finding(
    cx: &Cx<'_>,
    counted: Option<Share>,
    logged: Option<Share>,
    said: &[Heard<'_>],
    slow: Option<Fact>,
    worst: f64,
) -> Finding {
    let title = if worst >= SOME {
        format!(
            "CoreDNS answers {:.0} % of its queries with NXDOMAIN: names with the search list behind them",
            worst * 100.0
        )
    } else {
        "Names take a multiple of their time without a dot at their end".to_owned()
    };
    let severity = if worst >= MOST || slow.is_some() {
        Severity::Warning
    } else {
        Severity::Info
    };
    let by_name = logged.is_some() || slow.is_some();
    let lists = || said.iter().flat_map(|one| one.values("list"));
    let forwarded = lists().any(|list| list.ends_with(".internal"));
    let mut finding = META
        .finding(severity, title)
        .confidence(if by_name && counted.is_some() {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        })
        .detail("With ndots:5 a name of less than five dots is first asked for with each domain of the search list behind it, as A and as AAAA: up to ten queries for one name. They load CoreDNS, and those with the VPC's own domain go on to the VPC resolver and count against its limit.")
        .subject(Subject::namespaced(SubjectKind::Deployment, "kube-system", "coredns"))
        .facts(counted.as_ref().map(|share| share.fact.clone()))
        .facts(logged.as_ref().map(|share| share.fact.clone()))
        .facts(slow.clone())
        .facts(shares::resolv(cx))
        .confirm("kubectl -n NAMESPACE exec POD -- cat /etc/resolv.conf")
        .confirm("kubectl get --raw /api/v1/namespaces/kube-system/services/kube-dns:9153/proxy/metrics | grep coredns_dns_responses_total")
        .fix("kubectl -n NAMESPACE patch deployment NAME --type=merge -p '{\"spec\":{\"template\":{\"spec\":{\"dnsConfig\":{\"options\":[{\"name\":\"ndots\",\"value\":\"2\"}]}}}}}'   # workloads that ask for many names outside of the cluster")
        .fix("Write such names with a dot at their end in configurations, or let a cache on the node answer them (NodeLocal DNSCache)");
    for (seen, signal) in [
        (counted.is_some(), "nxdomain-share"),
        (logged.is_some(), "search-names"),
        (forwarded, "forwarded"),
        (slow.is_some(), "slow-lookup"),
    ] {
        if seen {
            finding = finding.signal(signal);
        }
    }
    finding
}
