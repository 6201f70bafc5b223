//! `endpoints/tcp-unreachable`: the name of an AWS endpoint resolves, and port 443 does not open.

mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use eksnet_model::{
    AwsEndpoint, Check, Confidence, Cx, Fact, FailedCalls, Finding, Gap, Meta, Place, ProbePod,
    Role, Severity, Source, Stop, Subject, SubjectKind, Text, Why, logs_and_events, source_of_log,
    told_together,
};
use eksnet_probe::{TcpOutcome, TcpState};
use way::Way;

const SIGNATURES: [&str; 5] = [
    "aws-post-connect-failure",
    "aws-connect-canceled",
    "aws-connect-timeout-python",
    "aws-connect-timeout-other",
    "aws-connect-timeout-fluent-bit",
];
/// Most probes and logs that are spelt out for one host.
const MAX_FACTS: usize = 3;

const META: Meta = Meta {
    id: "endpoints/tcp-unreachable",
    title: "An AWS endpoint resolves, and port 443 does not open",
    severity: Severity::Critical,
    role: Role::Mechanism,
    needs: &[Source::Probes],
    helps: &[
        Source::Logs,
        Source::Events,
        Source::Vpcs,
        Source::RouteTables,
        Source::PrefixLists,
        Source::NetworkInterfaces,
        Source::VpcEndpoints,
    ],
    signals: &[
        "tail-connect",
        "fails-now",
        "connects-now",
        "address-private",
        "address-public",
        "address-of-vpce",
        "no-egress-route",
        "egress-route",
        "blackhole-route",
        "refused",
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
        let host = hosts.entry(calls.host.clone()).or_default();
        host.logs.push(calls);
    }
    let probes = cx.probes().some();
    let mut unresolved = BTreeSet::new();
    if let Ok(run) = &probes {
        for pod in &run.pods {
            for (host, port, tcp) in pod.tcp() {
                if port != 443 || !AwsEndpoint::is_aws(host) {
                    continue;
                }
                let host = Text::from(eksnet_model::dns::bare(host));
                if tcp.tries.is_empty() {
                    unresolved.insert(host);
                } else {
                    hosts.entry(host).or_default().probes.push((pod, tcp));
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
        &[
            "address-private",
            "address-public",
            "address-of-vpce",
            "refused",
        ],
        |count, names, title| {
            let place = title.split_once(" cannot be reached from ");
            let place = place.map_or("", |(_, place)| place);
            format!("{count} AWS endpoints cannot be reached on 443 from {place}: {names}")
        },
    ));
    if !findings.is_empty() {
        return Ok(findings);
    }
    probes?;
    everything_tried(cx, &hosts, &unresolved)?;
    Ok(findings)
}

/// A pass needs a connection to the endpoints without which nothing works.
fn everything_tried(
    cx: &Cx<'_>,
    hosts: &BTreeMap<Text, Host<'_>>,
    unresolved: &BTreeSet<Text>,
) -> Result<(), Stop> {
    let expected = AwsEndpoint::expected(cx.cluster(), cx.topology());
    if expected.is_empty() && cx.cluster().eks == Some(false) {
        return Err(Stop::not_applicable(
            "not an EKS cluster, and nothing in it calls AWS",
        ));
    }
    let left: Vec<&str> = expected
        .iter()
        .map(|one| one.host.as_str())
        .filter(|host| AwsEndpoint::is_core(host))
        .filter(|host| hosts.get(*host).is_none_or(|seen| seen.probes.is_empty()))
        .collect();
    let gap = if expected.is_empty() {
        Gap::new(
            Source::Probes,
            Why::NotRequested,
            "the region of the cluster is not known, and so neither are the endpoints to connect to",
        )
        .closed_by("--region")
    } else if let Some(host) = left.iter().find(|host| unresolved.contains(**host)) {
        Gap::new(
            Source::Probes,
            Why::Failed,
            format!("{host} did not resolve, so no connection could be tried"),
        )
    } else if left.is_empty() {
        return Ok(());
    } else {
        Gap::new(
            Source::Probes,
            Why::Sampled,
            format!("no probe connected to {}", left.join(", ")),
        )
    };
    Err(Stop::unknown(gap))
}

/// What is known of one host.
#[derive(Default)]
struct Host<'a> {
    logs: Vec<FailedCalls<'a>>,
    probes: Vec<(&'a ProbePod, &'a TcpOutcome)>,
}

/// Whether a connection could be had to none of the host's addresses.
fn is_dead(tcp: &TcpOutcome) -> bool {
    tcp.tries.iter().all(|each| each.state != TcpState::Open)
}

impl Host<'_> {
    fn failing(&self) -> impl Iterator<Item = &(&ProbePod, &TcpOutcome)> {
        self.probes.iter().filter(|(_, tcp)| is_dead(tcp))
    }

    /// Probes on the nodes of the failing programs; any probe where those nodes are not known.
    fn connecting(&self) -> impl Iterator<Item = &(&ProbePod, &TcpOutcome)> {
        let nodes: BTreeSet<&Text> = self
            .logs
            .iter()
            .filter_map(|log| log.node.as_ref())
            .collect();
        self.probes.iter().filter(move |(pod, tcp)| {
            !is_dead(tcp) && (nodes.is_empty() || nodes.contains(&pod.at.node))
        })
    }

    fn finding(&self, cx: &Cx<'_>, host: &Text) -> Option<Finding> {
        let fails_now = self.failing().next().is_some();
        if self.logs.is_empty() && !fails_now {
            return None;
        }
        let connects_now = !fails_now && self.connecting().next().is_some();
        let past = self.logs.iter().all(|log| log.is_past(cx.now())) && !fails_now;
        let full = if AwsEndpoint::is_core(host) {
            Severity::Critical
        } else {
            Severity::Error
        };
        let (severity, confidence) = match (past, connects_now) {
            (true, true) => (Severity::Warning, Confidence::Possible),
            (true, false) => (Severity::Warning, Confidence::Likely),
            (false, true) => (Severity::Error, Confidence::Possible),
            (false, false) if fails_now && !self.logs.is_empty() => (full, Confidence::Confirmed),
            // A call that was given up names no address: the name may not have resolved.
            (false, false) if !fails_now && self.dead_addresses().is_empty() && self.gave_up() => {
                (full, Confidence::Possible)
            }
            (false, false) => (full, Confidence::Likely),
        };
        let at = self.place(host);
        let way = Way::of(cx, &self.dead_addresses(), &at.nodes);
        let refused = self.is_refused();
        let mut finding = META
            .finding(severity, self.title(host, connects_now, past))
            .confidence(confidence)
            .subject(Subject::new(SubjectKind::Host, host.clone()))
            .facts(self.facts(fails_now))
            .facts(way.facts.clone())
            .at(at.clone())
            .reaches(at);
        for signal in way.signals() {
            finding = finding.signal(signal);
        }
        for (seen, signal) in [
            (!self.logs.is_empty(), "tail-connect"),
            (fails_now, "fails-now"),
            (connects_now, "connects-now"),
            (refused, "refused"),
        ] {
            if seen {
                finding = finding.signal(signal);
            }
        }
        Some(self.explained(cx, host, finding, &way, connects_now, past))
    }

    /// Whether the logs tell only that calls were given up.
    fn gave_up(&self) -> bool {
        let mut all = self.logs.iter().flat_map(|log| &log.how);
        all.all(|how| {
            !how.to_ascii_lowercase().contains("connect timeout") && !how.contains("timed out")
        })
    }

    /// Addresses that did not open.
    fn dead_addresses(&self) -> BTreeSet<IpAddr> {
        let by_probe = self
            .failing()
            .flat_map(|(_, tcp)| tcp.tries.iter().map(|each| each.address));
        let by_log = self
            .logs
            .iter()
            .flat_map(|log| &log.addresses)
            .filter_map(|address| address.parse().ok());
        by_probe.chain(by_log).collect()
    }

    /// Whether something answered that the port is closed: security groups drop and never refuse.
    fn is_refused(&self) -> bool {
        let mut probes = self.failing().flat_map(|(_, tcp)| &tcp.tries);
        let mut logs = self.logs.iter().flat_map(|log| &log.how);
        probes.any(|each| each.state == TcpState::Refused)
            || logs.any(|how| how.contains("refused"))
    }

    fn place(&self, host: &Text) -> Place {
        let nodes = self
            .failing()
            .map(|(pod, _)| pod.at.node.clone())
            .chain(self.logs.iter().filter_map(|log| log.node.clone()));
        let mut place = Place::nodes(nodes).towards(host.clone());
        let workloads = self.logs.iter().filter_map(|log| log.workload.clone());
        place.workloads.extend(workloads);
        place
    }

    fn title(&self, host: &str, connects_now: bool, past: bool) -> String {
        let callers: BTreeSet<String> = self.logs.iter().map(FailedCalls::caller).collect();
        let nodes: BTreeSet<&str> = self
            .failing()
            .map(|(pod, _)| pod.at.node.as_str())
            .collect();
        let from = match (callers.len(), nodes.len()) {
            (0, 1) => format!("node {}", nodes.iter().next().copied().unwrap_or("")),
            (0, count) => format!("{count} nodes"),
            _ => callers.into_iter().collect::<Vec<_>>().join(", "),
        };
        if past {
            format!("{host}:443 could not be reached from {from}; it no longer fails")
        } else if connects_now {
            format!("{host}:443 could not be reached from {from} and opens now for a probe")
        } else {
            format!("{host}:443 cannot be reached from {from}")
        }
    }

    fn facts(&self, fails_now: bool) -> Vec<Fact> {
        let mut facts: Vec<Fact> = self
            .logs
            .iter()
            .take(MAX_FACTS)
            .map(|log| {
                let sample = log
                    .sample
                    .map_or_else(String::new, |sample| format!(": {}", sample.text));
                Fact::new(
                    source_of_log(log.scan),
                    log.scan.place(),
                    "failed connections",
                    format!("{}{sample}", log.times()),
                )
                .at(log.last)
            })
            .collect();
        let probes: Vec<_> = if fails_now {
            self.failing().take(MAX_FACTS).collect()
        } else {
            self.connecting().take(MAX_FACTS).collect()
        };
        facts.extend(probes.into_iter().map(|(pod, tcp)| fact_of(pod, tcp)));
        facts
    }

    fn explained(
        &self,
        cx: &Cx<'_>,
        host: &str,
        finding: Finding,
        way: &Way,
        connects_now: bool,
        past: bool,
    ) -> Finding {
        let mut finding = finding;
        let named = self.logs.iter().find(|log| !log.scan.pod.is_empty());
        if let Some(log) = named {
            finding = finding.confirm(format!(
                "kubectl -n {} logs {} | grep {host}",
                log.scan.namespace, log.scan.pod
            ));
        }
        finding = finding.confirm("kubectl eksnet doctor --only endpoints,net");
        if past || connects_now {
            return finding
                .detail(if past {
                    "The log goes on without the failure: the way out was closed for that time."
                } else {
                    "A probe on the same node connects now. Either it just healed, or packets of this workload are treated unlike the probe's: its NetworkPolicies, its security groups, its own interface."
                })
                .fix(if past {
                    "Nothing to mend now; the times above are when to look for a change of routes, NAT gateways or security groups".to_owned()
                } else {
                    let workload = self.logs.iter().map(|log| log.as_workload(cx.topology()));
                    format!(
                        "kubectl eksnet doctor --only endpoints,isolation,cni/snat-egress{}",
                        workload.max().unwrap_or_default()
                    )
                });
        }
        if self.is_refused() {
            return finding
                .detail("Something answered that the port is closed. That is a proxy, a firewall that resets, or a wrong address: security groups and network ACLs drop and never refuse.")
                .fix("Compare the address with dig +short of the same name from another network, and look for HTTPS_PROXY on the workload");
        }
        way.explained(cx, host, finding)
    }
}

fn fact_of(pod: &ProbePod, tcp: &TcpOutcome) -> Fact {
    let mut by_address: BTreeMap<IpAddr, Vec<TcpState>> = BTreeMap::new();
    for each in &tcp.tries {
        by_address.entry(each.address).or_default().push(each.state);
    }
    let parts: Vec<String> = by_address
        .iter()
        .take(MAX_FACTS)
        .map(|(address, states)| {
            let open = states
                .iter()
                .filter(|state| **state == TcpState::Open)
                .count();
            let worst = states.iter().find(|state| **state != TcpState::Open);
            let word = match worst {
                None => "open",
                Some(TcpState::Refused) => "refused",
                Some(TcpState::NoRoute) => "no route",
                Some(_) => "timeout",
            };
            let count = if open == states.len() || open == 0 {
                states.len()
            } else {
                states.len() - open
            };
            format!("{address} {word} {count}/{}", states.len())
        })
        .collect();
    let class = Some(pod.at.class.as_str()).filter(|class| !class.is_empty());
    Fact::new(
        Source::Probes,
        format!(
            "{}{} in namespace {}",
            pod.at.node,
            class.map_or_else(String::new, |class| format!(" ({class})")),
            pod.at.namespace
        ),
        "TCP 443",
        parts.join(", "),
    )
    .expected("open")
    .at(pod.at_time)
}
