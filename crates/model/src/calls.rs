//! Calls of AWS that failed, as the callers' logs tell.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Component, LogScan, Sample, Text, Time, Topology};

/// A log whose newest line is this much younger than its last failure, in seconds, goes on without
/// failing: what failed is over.
const PAST_S: i64 = 600;

/// Calls towards one host that one log says failed.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedCalls<'a> {
    /// Host, as in the URL.
    pub host: Text,
    /// The log.
    pub scan: &'a LogScan,
    /// `namespace/name` of the workload that called.
    pub workload: Option<Text>,
    /// Node that it called from.
    pub node: Option<Text>,
    /// How often.
    pub count: u64,
    /// First time.
    pub first: Option<Time>,
    /// Last time.
    pub last: Option<Time>,
    /// A record of the log that names the host.
    pub sample: Option<&'a Sample>,
    /// Values of the captured field `how`, such as `i/o timeout`.
    pub how: BTreeSet<Text>,
    /// Values of the captured field `address`.
    pub addresses: BTreeSet<Text>,
}

impl<'a> FailedCalls<'a> {
    /// The failures that `signatures` captured in these logs, by host and log. A record that several
    /// of the signatures match counts once.
    #[must_use]
    pub fn in_logs(
        scans: &'a [LogScan],
        signatures: &[&str],
        topology: &Topology<'_>,
    ) -> Vec<Self> {
        let mut found = Vec::new();
        for scan in scans {
            let mut by_host: BTreeMap<&Text, Self> = BTreeMap::new();
            for hits in scan
                .hits
                .iter()
                .filter(|hits| signatures.contains(&hits.signature.as_str()))
            {
                for (host, count) in hits.fields.get("host").into_iter().flatten() {
                    let names_it =
                        |sample: &&Sample| names(&sample.text, host) || hits.samples.len() == 1;
                    let samples: Vec<&Sample> = hits.samples.iter().filter(names_it).collect();
                    let entry = by_host.entry(host).or_insert_with(|| Self {
                        host: host.clone(),
                        scan,
                        workload: topology.workload_of_log(scan).map(Text::from),
                        node: topology.node_of_log(scan),
                        count: 0,
                        first: hits.first,
                        last: hits.last,
                        sample: None,
                        how: BTreeSet::new(),
                        addresses: BTreeSet::new(),
                    });
                    entry.count = entry.count.max(*count);
                    entry.first = [entry.first, hits.first].into_iter().flatten().min();
                    entry.last = entry.last.max(hits.last);
                    entry.sample = entry.sample.or(samples.first().copied());
                    entry.how.extend(values(hits, "how", &samples));
                    entry.addresses.extend(values(hits, "address", &samples));
                }
            }
            found.extend(by_host.into_values());
        }
        found
    }

    /// Whether the log went on for ten minutes or more without this failure: until its own last line,
    /// or until `now` where its lines carry no time.
    #[must_use]
    pub fn is_past(&self, now: Option<Time>) -> bool {
        match (self.scan.last_at.or(now), self.last) {
            (Some(end), Some(last)) => end.seconds_since(last) > PAST_S,
            _ => false,
        }
    }

    /// Who called, for a reader: the workload, else the component, else the log's place.
    #[must_use]
    pub fn caller(&self) -> String {
        match &self.workload {
            Some(workload) => workload.to_string(),
            None if self.scan.component != Component::Unknown => {
                self.scan.component.name().to_owned()
            }
            None => self.scan.place(),
        }
    }

    /// ` --as-workload namespace/Kind/name` for the run that sees what the caller sees; empty where its
    /// pod is not known.
    #[must_use]
    pub fn as_workload(&self, topology: &Topology<'_>) -> String {
        topology
            .pod_of_log(self.scan)
            .map_or_else(String::new, |pod| {
                format!(" --as-workload {}", pod.workload_path())
            })
    }

    /// How often and when, as in `212 times, 06:00:10Z to 06:41:02Z`.
    #[must_use]
    pub fn times(&self) -> String {
        let count = match self.count {
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        match (self.first, self.last) {
            (Some(first), Some(last)) if first != last => {
                format!("{count}, {} to {}", seconds(first), seconds(last))
            }
            (_, Some(last)) => format!("{count}, {}", seconds(last)),
            _ => count,
        }
    }
}

/// A time without the fraction of its second.
fn seconds(time: Time) -> String {
    jiff::Timestamp::from_second(time.0.as_second())
        .map_or_else(|_| time.to_string(), |time| time.to_string())
}

/// Whether a record names a host as a whole, not as the tail of a longer name.
fn names(text: &str, host: &str) -> bool {
    text.match_indices(host).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
    })
}

/// Values of a captured field that stand in one of these records; all of them where no record was
/// kept that names the host.
fn values<'h>(
    hits: &'h crate::Hits,
    field: &str,
    samples: &[&Sample],
) -> impl Iterator<Item = Text> + use<'h> {
    let all = hits.fields.get(field).into_iter().flatten();
    let kept: Vec<Text> = all
        .map(|(value, _)| value)
        .filter(|value| {
            samples.is_empty()
                || samples
                    .iter()
                    .any(|sample| sample.text.contains(value.as_str()))
        })
        .cloned()
        .collect();
    kept.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scanner, Severity, Signature, SignatureSet, Snapshot};

    const LOG: &str = "E1019 06:00:10.000000       1 a.go:1] Post \"https://sts.eu-west-1.amazonaws.com/\": dial tcp: no such host\n\
        E1019 06:02:10.000000       1 a.go:1] Post \"https://ec2.eu-west-1.amazonaws.com/\": dial tcp: i/o timeout\n\
        E1019 06:04:10.000000       1 a.go:1] Post \"https://ec2.eu-west-1.amazonaws.com/\": dial tcp: i/o timeout\n\
        I1019 06:20:10.000000       1 a.go:1] fine";

    fn scan() -> LogScan {
        let signature = Signature {
            id: "s".to_owned(),
            check: String::new(),
            component: "aws-sdk".to_owned(),
            regex: r#"https://(?P<host>[a-z0-9.-]+)/": dial tcp: (?P<how>.*)$"#.to_owned(),
            meaning: "m".to_owned(),
            severity: Severity::Error,
            sample: "x".to_owned(),
        };
        let set = SignatureSet::compile(vec![signature]).expect("an expression");
        let of = LogScan {
            component: Component::ClusterAutoscaler,
            namespace: "kube-system".into(),
            pod: "cluster-autoscaler-7b6d9c5f4x-x2kq9".into(),
            ..LogScan::default()
        };
        let mut scanner = Scanner::new(&set, of, Time::parse("2019-10-19T07:00:00Z"));
        LOG.lines().for_each(|line| scanner.line(line));
        scanner.finish()
    }

    #[test]
    fn failures_are_told_per_host_with_what_each_said() {
        let scans = [scan()];
        let snapshot = Snapshot::default();
        let found = FailedCalls::in_logs(&scans, &["s"], &Topology::of(&snapshot));
        assert_eq!(found.len(), 2);
        let ec2 = &found[0];
        assert_eq!(ec2.host, "ec2.eu-west-1.amazonaws.com");
        assert_eq!(ec2.count, 2);
        assert_eq!(ec2.how, BTreeSet::from(["i/o timeout".into()]));
        assert_eq!(
            ec2.workload.as_deref(),
            Some("kube-system/cluster-autoscaler")
        );
        assert_eq!(found[1].how, BTreeSet::from(["no such host".into()]));
    }

    #[test]
    fn a_log_that_goes_on_without_failing_says_that_it_is_over() {
        let mut scan = scan();
        let snapshot = Snapshot::default();
        let topology = Topology::of(&snapshot);
        let over = |scan: &LogScan| {
            FailedCalls::in_logs(std::slice::from_ref(scan), &["s"], &topology)[0].is_past(None)
        };
        assert!(over(&scan));
        scan.last_at = Time::parse("2019-10-19T06:05:00Z");
        assert!(!over(&scan));
    }
}
