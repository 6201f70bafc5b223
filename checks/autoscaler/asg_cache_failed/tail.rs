//! How the record of a failure ends, which tells its cause.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::{Cx, Fact, Hits, LogScan, Source, Text, Time};

/// What a record ends with. The order is that of choice when one record matches several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tail {
    Region,
    WebIdentity,
    NoProviders,
    AccessDenied,
    Throttled,
    X509,
    Connect,
    Dns,
    Unknown,
}

const TAILS: [(Tail, &str); 9] = [
    (Tail::Region, "ca-asg-cache-region"),
    (Tail::WebIdentity, "ca-asg-cache-web-identity"),
    (Tail::NoProviders, "ca-asg-cache-no-providers"),
    (Tail::AccessDenied, "ca-asg-cache-denied"),
    (Tail::Throttled, "ca-asg-cache-throttled"),
    (Tail::X509, "ca-asg-cache-x509"),
    (Tail::Connect, "ca-asg-cache-connect"),
    (Tail::Dns, "ca-asg-cache-dns"),
    (Tail::Unknown, "ca-asg-cache-failed"),
];

/// The failure that a workload's logs show, by its newest tail.
#[derive(Debug)]
pub(super) struct Failure<'a> {
    pub(super) tail: Tail,
    /// Log that holds the newest record.
    pub(super) scan: &'a LogScan,
    hits: &'a Hits,
    /// Records of that tail, over all logs.
    pub(super) count: u64,
    pub(super) first: Option<Time>,
    pub(super) last: Option<Time>,
    /// How the record begins, after "Failed to".
    pub(super) head: String,
    /// Hosts that were called.
    pub(super) hosts: BTreeSet<Text>,
    /// Other ends that the same logs show.
    pub(super) earlier: Vec<Fact>,
}

impl<'a> Failure<'a> {
    /// The newest failure that lies within the last `window` seconds.
    pub(super) fn newest(cx: &Cx<'_>, scans: &[&'a LogScan], window: i64) -> Option<Self> {
        let mut found: Vec<Self> = TAILS
            .iter()
            .filter_map(|(tail, signature)| Self::of(*tail, signature, scans))
            .collect();
        // The signature without an end matches every record: it counts only where no other does.
        let known: u64 = found
            .iter()
            .filter(|failure| failure.tail != Tail::Unknown)
            .map(|failure| failure.count)
            .sum();
        found.retain(|failure| failure.tail != Tail::Unknown || known == 0);
        found.sort_by_key(|failure| (std::cmp::Reverse(failure.last), failure.tail));
        let mut rest = found.into_iter();
        let mut newest = rest
            .next()
            .filter(|failure| cx.within(failure.last, window))?;
        newest.earlier = rest
            .filter(|other| other.last < newest.last)
            .map(|other| {
                Fact::new(
                    Source::Logs,
                    other.scan.place(),
                    "earlier failure",
                    format!("{} ({} times)", other.what(), other.count),
                )
                .at(other.last)
            })
            .collect();
        Some(newest)
    }

    fn of(tail: Tail, signature: &str, scans: &[&'a LogScan]) -> Option<Self> {
        let all: Vec<(&LogScan, &Hits)> = scans
            .iter()
            .filter_map(|scan| Some((*scan, scan.hits(signature)?)))
            .collect();
        let (scan, hits) = *all.iter().max_by_key(|(_, hits)| hits.last)?;
        let heads: BTreeMap<&str, u64> = sum(&all, "head");
        let (head, count) = count(&heads, &all);
        Some(Self {
            tail,
            scan,
            hits,
            count,
            first: all.iter().filter_map(|(_, hits)| hits.first).min(),
            last: hits.last,
            head,
            hosts: sum(&all, "host").into_keys().map(Text::from).collect(),
            earlier: Vec::new(),
        })
    }

    /// What fails, as the clause of a title.
    pub(super) fn what(&self) -> String {
        let hosts: Vec<&str> = self.hosts.iter().map(Text::as_str).collect();
        let hosts = if hosts.is_empty() {
            "the AWS endpoint".to_owned()
        } else {
            hosts.join(", ")
        };
        match self.tail {
            Tail::Dns => format!("{hosts} does not resolve"),
            Tail::Connect => format!(
                "{hosts} resolves to {}, and no connection opens",
                self.any("address").unwrap_or("an address")
            ),
            Tail::X509 => format!("TLS to {hosts} fails ({})", self.fault()),
            Tail::WebIdentity => {
                format!(
                    "STS gives no credentials for its service account ({})",
                    self.fault()
                )
            }
            Tail::NoProviders => "it has no AWS credentials".to_owned(),
            Tail::AccessDenied => match self.any("action") {
                Some(action) => format!("its role is not allowed {action}"),
                None => "its role is not allowed to call EC2".to_owned(),
            },
            Tail::Throttled => "AWS throttles its calls".to_owned(),
            Tail::Region => match self.any("zone") {
                Some(zone) => format!("its region is set to the zone {zone}"),
                None => "it has no region".to_owned(),
            },
            Tail::Unknown => "its log does not say why".to_owned(),
        }
    }

    pub(super) fn detail(&self) -> String {
        let effect = "While this lasts it adds no node for Pending pods and removes no idle one.";
        match self.tail {
            Tail::Dns if self.is_nxdomain() => format!(
                "{effect} DNS answers that the name does not exist: the lookup itself works."
            ),
            Tail::Dns if self.any("name").is_none() => format!(
                "{effect} \"dial tcp\" with no address behind it is a lookup that timed out: no packet went to AWS."
            ),
            Tail::Throttled => {
                "The cache is read again with the next loop; only a lasting failure stops scaling."
                    .to_owned()
            }
            _ => effect.to_owned(),
        }
    }

    pub(super) fn signals(&self) -> Vec<&'static str> {
        let mut signals = match self.tail {
            Tail::Region => vec!["tail-region"],
            Tail::WebIdentity => vec!["tail-credentials", "tail-web-identity"],
            Tail::NoProviders => vec!["tail-credentials", "tail-no-providers"],
            Tail::AccessDenied => vec!["tail-access-denied"],
            Tail::Throttled => vec!["tail-throttled"],
            Tail::X509 => vec!["tail-x509"],
            Tail::Connect => vec!["tail-connect"],
            Tail::Dns => vec!["tail-dns"],
            Tail::Unknown => vec!["tail-unknown"],
        };
        if self.tail == Tail::Dns && self.is_nxdomain() {
            signals.push("tail-dns-nxdomain");
        }
        if matches!(
            self.head.as_str(),
            "create AWS Manager" | "generate AWS EC2 Instance Types"
        ) {
            signals.push("at-start");
        }
        signals
    }

    /// The newest record that was kept.
    pub(super) fn sample(&self) -> Text {
        self.hits
            .samples
            .last()
            .map(|sample| sample.text.clone())
            .unwrap_or_default()
    }

    pub(super) fn sample_at(&self) -> Option<Time> {
        self.hits.samples.last().and_then(|sample| sample.at)
    }

    /// The value of a field that was seen most often in the newest log.
    pub(super) fn any(&self, field: &str) -> Option<&'a str> {
        let values = self.hits.fields.get(&Text::from(field))?;
        values
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(value, _)| value.as_str())
    }

    pub(super) fn fault(&self) -> &'a str {
        self.any("fault").unwrap_or("no reason given").trim()
    }

    /// Every lookup that is known to have failed was answered "no such host".
    fn is_nxdomain(&self) -> bool {
        self.any("fault") == Some("no such host")
    }
}

fn sum<'a>(all: &[(&'a LogScan, &'a Hits)], field: &str) -> BTreeMap<&'a str, u64> {
    let mut values = BTreeMap::new();
    for (_, hits) in all {
        for (value, count) in hits.fields.get(&Text::from(field)).into_iter().flatten() {
            *values.entry(value.as_str()).or_default() += count;
        }
    }
    values
}

/// The head that is printed most and the number of failures: "refresh cloud provider config" repeats
/// the line before it, so it counts only beyond that.
fn count(heads: &BTreeMap<&str, u64>, all: &[(&LogScan, &Hits)]) -> (String, u64) {
    const REPEAT: &str = "refresh cloud provider config";
    let repeated = heads.get(REPEAT).copied().unwrap_or(0);
    let own: u64 = heads
        .iter()
        .filter(|(head, _)| **head != REPEAT)
        .map(|(_, count)| count)
        .sum();
    let head = heads
        .iter()
        .filter(|(head, _)| **head != REPEAT)
        .max_by_key(|(_, count)| **count)
        .map_or(REPEAT, |(head, _)| head);
    let total = all.iter().map(|(_, hits)| hits.count).sum();
    let count = if heads.is_empty() {
        total
    } else {
        own.max(repeated)
    };
    (head.to_owned(), count)
}
