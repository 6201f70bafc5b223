//! `endpoints/name-unresolvable`: a name of AWS that pods call does not resolve.

mod explain;
mod way_out;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::dns::vpc_resolvers;
use eksnet_model::endpoints::is_not_offered;
use eksnet_model::{
    AwsEndpoint, Check, ClusterDns, Confidence, Cx, Fact, FailedCalls, Finding, Gap, Meta, Place,
    ProbePod, Resolution, Role, Severity, Source, Stop, Subject, SubjectKind, Text, Why,
    logs_and_events, source_of_log, told_together,
};
use eksnet_probe::DnsOutcome;

use way_out::WayOut;

const SIGNATURES: [&str; 3] = [
    "aws-post-dns-failure",
    "aws-lookup-failure",
    "aws-name-not-found-other",
];
/// Most probes and logs that are spelt out for one name.
const MAX_FACTS: usize = 3;

const META: Meta = Meta {
    id: "endpoints/name-unresolvable",
    title: "A name of AWS does not resolve from pods",
    severity: Severity::Critical,
    role: Role::Mechanism,
    needs: &[Source::Probes],
    helps: &[
        Source::Logs,
        Source::Events,
        Source::Vpcs,
        Source::Observations,
    ],
    signals: &[
        "tail-dns",
        "tail-dns-nxdomain",
        "zone-as-region",
        "fails-now",
        "resolves-now",
        "resolver-ok",
        "resolver-nxdomain",
        "resolver-dead",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let set = crate::signature_set(&META);
    let logs = logs_and_events(cx, &set);
    let mut hosts: BTreeMap<Text, Host<'_>> = BTreeMap::new();
    for calls in FailedCalls::in_logs(&logs, &SIGNATURES, cx.topology()) {
        hosts
            .entry(calls.host.clone())
            .or_default()
            .logs
            .push(calls);
    }
    let probes = cx.probes().some();
    let expected = AwsEndpoint::expected(cx.cluster(), cx.topology());
    let mut asked = BTreeSet::new();
    if let Ok(run) = &probes {
        for one in &expected {
            hosts.entry(one.host.clone()).or_default();
        }
        let servers = ClusterDns::of(cx.topology()).cluster_ips();
        let _ = cx.vpcs().optional();
        let resolvers = vpc_resolvers(cx.topology().vpc());
        for (host, seen) in &mut hosts {
            for pod in &run.pods {
                if let Some(found) = pod.resolution(host, &servers) {
                    asked.insert(host.clone());
                    seen.probes.push((pod, found));
                }
                if let Some(found) = pod.resolution_at(host, &resolvers) {
                    seen.resolver.push((pod, found));
                }
            }
        }
    }
    let (by_logs, by_probes): (Vec<_>, Vec<_>) =
        hosts.iter().partition(|(_, seen)| !seen.logs.is_empty());
    let of = |some: Vec<(&Text, &Host<'_>)>| -> Vec<Finding> {
        some.into_iter()
            .filter_map(|(host, seen)| seen.finding(cx, host))
            .collect()
    };
    let mut findings = of(by_logs);
    findings.extend(told_together(
        of(by_probes),
        &["resolver-nxdomain", "zone-as-region"],
        |count, names, title| {
            let place = title.split_once(" does not resolve ");
            let place = place.map_or("", |(_, place)| place);
            format!("{count} names of AWS do not resolve {place}: {names}")
        },
    ));
    if !findings.is_empty() {
        return Ok(findings);
    }
    probes?;
    everything_asked(cx, &expected, &asked)?;
    Ok(findings)
}

/// A pass needs the names without which nothing works to have been asked for.
fn everything_asked(
    cx: &Cx<'_>,
    expected: &[AwsEndpoint],
    asked: &BTreeSet<Text>,
) -> Result<(), Stop> {
    if expected.is_empty() && cx.cluster().eks == Some(false) {
        return Err(Stop::not_applicable(
            "not an EKS cluster, and nothing in it calls AWS",
        ));
    }
    let left: Vec<&str> = expected
        .iter()
        .map(|one| one.host.as_str())
        .filter(|host| AwsEndpoint::is_core(host) && !asked.contains(*host))
        .collect();
    let gap = if expected.is_empty() {
        Gap::new(
            Source::Probes,
            Why::NotRequested,
            "the region of the cluster is not known, and so neither are the names to ask for",
        )
        .closed_by("--region")
    } else if left.is_empty() {
        return Ok(());
    } else {
        Gap::new(
            Source::Probes,
            Why::Sampled,
            format!("no probe asked for {}", left.join(", ")),
        )
    };
    Err(Stop::unknown(gap))
}

/// What is known of one name.
#[derive(Default)]
struct Host<'a> {
    logs: Vec<FailedCalls<'a>>,
    /// Through the pods' own servers.
    probes: Vec<(&'a ProbePod, Resolution)>,
    /// At the VPC resolver directly.
    resolver: Vec<(&'a ProbePod, Resolution)>,
}

impl Host<'_> {
    fn failing(&self) -> impl Iterator<Item = &(&ProbePod, Resolution)> {
        self.probes.iter().filter(|(_, found)| !found.resolved())
    }

    /// Probes on the nodes of the failing programs; any probe where those nodes are not known.
    fn resolving(&self) -> impl Iterator<Item = &(&ProbePod, Resolution)> {
        let nodes: BTreeSet<&Text> = self
            .logs
            .iter()
            .filter_map(|log| log.node.as_ref())
            .collect();
        self.probes.iter().filter(move |(pod, found)| {
            found.resolved() && (nodes.is_empty() || nodes.contains(&pod.at.node))
        })
    }

    fn finding(&self, cx: &Cx<'_>, host: &Text) -> Option<Finding> {
        let fails_now = self.failing().next().is_some();
        if self.logs.is_empty() && !fails_now {
            return None;
        }
        let explicit_no = self.failing().all(|(_, found)| {
            found.failed_with(DnsOutcome::Nxdomain) || found.failed_with(DnsOutcome::Nodata)
        }) && self.logs.iter().all(|log| says(log, "no such host"));
        if is_not_offered(host) && explicit_no {
            return None;
        }
        let resolves_now = !fails_now && self.resolving().next().is_some();
        let past = self.logs.iter().all(|log| log.is_past(cx.now())) && !fails_now;
        let (severity, confidence) = self.rank(host, fails_now, resolves_now, past);
        let at = self.place(host);
        let way_out = WayOut::of(cx, host);
        let mut finding = META
            .finding(severity, self.title(host, resolves_now, past))
            .confidence(confidence)
            .subject(Subject::new(SubjectKind::Host, host.clone()))
            .facts(self.facts(host, fails_now))
            .facts(way_out.facts())
            .at(at.clone())
            .reaches(at);
        if !self.logs.is_empty() {
            finding = finding.signal("tail-dns");
        }
        if self.logs.iter().any(|log| says(log, "no such host")) {
            finding = finding.signal("tail-dns-nxdomain");
        }
        if fails_now {
            finding = finding.signal("fails-now");
        }
        if resolves_now {
            finding = finding.signal("resolves-now");
        }
        Some(self.explained(cx, host, finding, &way_out, resolves_now, past))
    }

    fn rank(
        &self,
        host: &str,
        fails_now: bool,
        resolves_now: bool,
        past: bool,
    ) -> (Severity, Confidence) {
        let full = if AwsEndpoint::is_core(host) {
            Severity::Critical
        } else {
            Severity::Error
        };
        if resolves_now && past {
            (Severity::Warning, Confidence::Possible)
        } else if past {
            (Severity::Warning, Confidence::Likely)
        } else if resolves_now {
            // Something still failed a moment ago: the workload may be treated unlike the probe.
            (Severity::Error, Confidence::Possible)
        } else if fails_now
            && (!self.logs.is_empty() || self.failing().any(|(_, found)| found.is_explicit()))
        {
            (full, Confidence::Confirmed)
        } else {
            (full, Confidence::Likely)
        }
    }

    fn place(&self, host: &Text) -> Place {
        let nodes = self
            .failing()
            .map(|(pod, _)| pod.at.node.clone())
            .chain(self.logs.iter().filter_map(|log| log.node.clone()));
        let mut place = Place::nodes(nodes).towards(host.clone());
        place
            .workloads
            .extend(self.logs.iter().filter_map(|log| log.workload.clone()));
        place
    }

    fn title(&self, host: &str, resolves_now: bool, past: bool) -> String {
        let workloads: BTreeSet<String> = self.logs.iter().map(FailedCalls::caller).collect();
        let nodes: BTreeSet<&Text> = self.failing().map(|(pod, _)| &pod.at.node).collect();
        let place = match (workloads.len(), nodes.len()) {
            (0, 1) => format!("on node {}", nodes.iter().next().map_or("", |node| node)),
            (0, count) => format!("on {count} nodes"),
            _ => format!(
                "in {}",
                workloads.into_iter().collect::<Vec<_>>().join(", ")
            ),
        };
        if past {
            format!("{host} did not resolve {place}; it no longer fails")
        } else if resolves_now {
            format!("{host} failed to resolve {place} and resolves now for a probe")
        } else {
            format!("{host} does not resolve {place}")
        }
    }

    fn facts(&self, host: &str, fails_now: bool) -> Vec<Fact> {
        let mut facts = Vec::new();
        for log in self.logs.iter().take(MAX_FACTS) {
            let sample = log
                .sample
                .map_or_else(String::new, |sample| format!(": {}", sample.text));
            facts.push(
                Fact::new(
                    source_of_log(log.scan),
                    log.scan.place(),
                    "failed look-ups",
                    format!("{}{sample}", log.times()),
                )
                .at(log.last),
            );
        }
        let probes: Vec<_> = if fails_now {
            self.failing().take(MAX_FACTS).collect()
        } else {
            self.resolving().take(MAX_FACTS).collect()
        };
        facts.extend(probes.iter().map(|(pod, found)| fact_of(pod, host, found)));
        facts.extend(
            self.resolver
                .iter()
                .take(1)
                .map(|(pod, found)| fact_of(pod, host, found)),
        );
        facts
    }
}

fn says(log: &FailedCalls<'_>, what: &str) -> bool {
    log.how.iter().any(|how| *how == what)
}

fn fact_of(pod: &ProbePod, host: &str, found: &Resolution) -> Fact {
    let ways: Vec<String> = found
        .ways
        .iter()
        .take(MAX_FACTS)
        .map(|way| format!("{} {}", way.via, way.saw))
        .collect();
    let class = if pod.at.class.is_empty() {
        String::new()
    } else {
        format!(" ({})", pod.at.class)
    };
    Fact::new(
        Source::Probes,
        format!("{}{class} in namespace {}", pod.at.node, pod.at.namespace),
        format!("look-up of {host}"),
        ways.join(", "),
    )
    .expected("an address")
    .at(pod.at_time)
}
