//! How much of CoreDNS's traffic is noise: by its counters, its log, and the time that names take.

use std::collections::BTreeMap;

use eksnet_model::{Cx, Fact, Heard, ProbePod, Source};
use eksnet_probe::{Outcome, ProbeKind};

/// Fewer answers than this tell nothing.
const MIN_ANSWERS: f64 = 1000.0;
const MIN_LINES: u64 = 10;
/// A name is slow without its dot when it takes this many times as long, and longer than this, in milliseconds.
const TIMES: f64 = 4.0;
const SLOW_MS: f64 = 100.0;

/// A share of all answers.
pub(super) struct Share {
    pub(super) of_all: f64,
    pub(super) fact: Fact,
}

impl Share {
    /// NXDOMAIN over all answers; of two samples of one counter what came between them.
    pub(super) fn of_counters(cx: &Cx<'_>) -> Option<Self> {
        let seen = cx.observations().optional()?;
        let mut series: BTreeMap<(&str, &str), (f64, f64, usize)> = BTreeMap::new();
        let names = [
            "coredns_dns_responses_total",
            "coredns_dns_response_rcode_count_total",
        ];
        for one in &seen.counters {
            if names.contains(&one.name.as_str()) {
                let file = one.from.file.as_str();
                let entry = series
                    .entry((file, one.labels.as_str()))
                    .or_insert((one.value, one.value, 0));
                *entry = (entry.0.min(one.value), entry.1.max(one.value), entry.2 + 1);
            }
        }
        let twice = series.values().any(|(_, _, count)| *count > 1);
        let amount = |(low, high, count): (f64, f64, usize)| match (twice, count) {
            (true, 1) => 0.0,
            (true, _) => high - low,
            (false, _) => high,
        };
        let all: f64 = series.values().map(|one| amount(*one)).sum();
        let nx: f64 = series
            .iter()
            .filter(|((_, labels), _)| labels.contains("rcode=\"NXDOMAIN\""))
            .map(|(_, one)| amount(*one))
            .sum();
        (all >= MIN_ANSWERS).then(|| Self {
            of_all: nx / all,
            fact: Fact::new(
                Source::Observations,
                "CoreDNS",
                "coredns_dns_responses_total",
                format!("{nx:.0} of {all:.0} NXDOMAIN"),
            )
            .expected("less than a quarter"),
        })
    }

    /// Lines of complete names with the search list behind them, over all lines of those logs.
    pub(super) fn of_log(said: &[Heard<'_>]) -> Option<Self> {
        let hits: u64 = said.iter().map(|one| one.hits.count).sum();
        let lines: u64 = said.iter().map(|one| one.scan.lines).sum();
        let first = said.first()?;
        #[allow(clippy::cast_precision_loss)] // lines of a log
        let of_all = hits as f64 / lines.max(1) as f64;
        (lines >= MIN_LINES).then(|| Self {
            of_all,
            fact: Fact::new(
                Source::Logs,
                first.scan.place(),
                "search-list names",
                format!("{hits} of {lines} lines, such as {}", first.line()),
            )
            .at(first.hits.last),
        })
    }
}

/// Milliseconds that a name took, with and without its last dot.
fn timed(pod: &ProbePod) -> Option<(&str, f64, f64)> {
    let all: Vec<(&str, f64)> = pod
        .answers()
        .filter_map(|(kind, outcome)| match (kind, outcome) {
            (ProbeKind::Lookup { name, .. }, Outcome::Lookup(lookup)) if lookup.error.is_none() => {
                Some((name.as_str(), lookup.elapsed_ms))
            }
            _ => None,
        })
        .collect();
    all.iter().find_map(|(name, without)| {
        let (_, with) = all
            .iter()
            .find(|(other, _)| other.strip_suffix('.') == Some(name))?;
        Some((*name, *without, *with))
    })
}

pub(super) fn is_timed(pod: &ProbePod) -> bool {
    timed(pod).is_some()
}

/// A name that is slow without its dot.
pub(super) fn slow(cx: &Cx<'_>) -> Option<Fact> {
    let pods = &cx.probes().optional()?.pods;
    pods.iter().find_map(|pod| {
        let (name, without, with) = timed(pod)?;
        (without > SLOW_MS && without >= with * TIMES).then(|| {
            Fact::new(
                Source::Probes,
                format!("{name} on {}", pod.at.node),
                "getaddrinfo",
                format!("{without:.0} ms, and {with:.0} ms with a dot at its end"),
            )
            .at(pod.at_time)
        })
    })
}

/// The search list of a pod.
pub(super) fn resolv(cx: &Cx<'_>) -> Option<Fact> {
    let seen = cx.observations().optional()?;
    let file = seen
        .resolvers
        .iter()
        .find(|file| file.search.iter().any(|domain| domain.starts_with("svc.")))?;
    Some(Fact::new(
        Source::Observations,
        file.from.file.to_string(),
        "resolv.conf",
        format!(
            "{} search domains, {}",
            file.search.len(),
            file.options
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        ),
    ))
}
