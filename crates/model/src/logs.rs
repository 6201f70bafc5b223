//! Logs, through the signature scan: only hits are kept, never whole logs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::signatures::{Compiled, Judge, Match, SignatureSet};
use crate::{Component, Text, Time};

/// Most samples that are kept per signature and log.
const MAX_SAMPLES: usize = 5;
/// Longest sample, in characters.
const MAX_SAMPLE: usize = 600;
/// Most distinct values that are kept per captured field.
const MAX_VALUES: usize = 32;
/// Longest record, in bytes: further continuation lines are not joined.
const MAX_RECORD: usize = 16 * 1024;

/// What a scan found in one log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogScan {
    /// Whose log.
    pub component: Component,
    /// Namespace of the pod; empty where not known.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub namespace: Text,
    /// Pod; empty where not known.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub pod: Text,
    /// Node; empty where not known.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub node: Text,
    /// File, of saved evidence.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub file: Text,
    /// Whether it is the log of the container before its last restart.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub previous: bool,
    /// Lines that were read.
    pub lines: u64,
    /// Whether the beginning was left out: a limit on lines or bytes was reached.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Time of the first line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_at: Option<Time>,
    /// Time of the last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Time>,
    /// Hits, by signature.
    pub hits: Vec<Hits>,
}

fn str_is_empty(text: &str) -> bool {
    text.is_empty()
}

/// Hits of one signature in one log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hits {
    /// Signature.
    pub signature: Text,
    /// Check that it speaks for.
    pub check: Text,
    /// Number of records.
    pub count: u64,
    /// Time of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Time>,
    /// Time of the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Time>,
    /// The first few records.
    pub samples: Vec<Sample>,
    /// Captured fields: name, values, and how often each was seen.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<Text, BTreeMap<Text, u64>>,
    /// When each value of a captured field was seen last, where records have times.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub latest: BTreeMap<Text, BTreeMap<Text, Time>>,
}

impl Hits {
    /// When a value of a captured field was seen last.
    #[must_use]
    pub fn last_of(&self, field: &str, value: &str) -> Option<Time> {
        self.latest.get(field)?.get(value).copied()
    }

    /// The value of a captured field that was seen last; without times, the only one.
    #[must_use]
    pub fn newest(&self, field: &str) -> Option<&str> {
        let by_time = self.latest.get(field).and_then(|values| {
            let (value, _) = values.iter().max_by_key(|(_, at)| **at)?;
            Some(value.as_str())
        });
        by_time.or_else(|| match self.fields.get(field) {
            Some(values) if values.len() == 1 => values.keys().next().map(Text::as_str),
            _ => None,
        })
    }
}

impl Hits {
    /// How often, as in `12 times`.
    #[must_use]
    pub fn times(&self) -> String {
        match self.count {
            0 | 1 => "once".to_owned(),
            count => format!("{count} times"),
        }
    }
}

/// One record of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sample {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The record, cut where it is long.
    pub text: Text,
}

impl LogScan {
    /// Hits of that signature.
    #[must_use]
    pub fn hits(&self, signature: &str) -> Option<&Hits> {
        self.hits.iter().find(|hits| hits.signature == signature)
    }

    /// `namespace/pod`, the file, or the component: how a reader finds the log.
    #[must_use]
    pub fn place(&self) -> String {
        if !self.pod.is_empty() {
            format!("{}/{}", self.namespace, self.pod)
        } else if !self.file.is_empty() {
            self.file.to_string()
        } else {
            self.component.name().to_owned()
        }
    }
}

/// Scans one log, line by line, in bounded memory.
#[derive(Debug)]
pub struct Scanner<'s> {
    set: &'s SignatureSet,
    judge: Judge<'s>,
    scan: LogScan,
    year: i16,
    record: String,
    record_at: Option<Time>,
    /// What the record matches, where that is known already.
    matches: Option<Vec<Match>>,
    hits: BTreeMap<u32, Hits>,
}

impl<'s> Scanner<'s> {
    /// A scanner; `scan` says whose log it is, `near` is a time near its end, from which the year of
    /// klog's stamps is taken.
    #[must_use]
    pub fn new(set: &'s SignatureSet, scan: LogScan, near: Option<Time>) -> Self {
        let year = near.map_or(1970, |time| {
            jiff::tz::Offset::UTC.to_datetime(time.0).year()
        });
        Self {
            set,
            judge: Judge::new(set),
            scan,
            year,
            record: String::new(),
            record_at: None,
            matches: None,
            hits: BTreeMap::new(),
        }
    }

    /// Reads one line, without its line break.
    pub fn line(&mut self, line: &str) {
        let (at, text) = stamp(line, self.year);
        self.line_at(at, text);
    }

    /// Reads one line whose time is known already, without its line break and without what was
    /// prepended to it.
    pub fn line_at(&mut self, at: Option<Time>, text: &str) {
        self.take(at, text, None);
    }

    /// As [`Scanner::line_at`], with what [`Judge::matches`] found in `text`.
    pub fn line_with(&mut self, at: Option<Time>, text: &str, matches: Vec<Match>) {
        self.take(at, text, Some(matches));
    }

    fn take(&mut self, at: Option<Time>, text: &str, matches: Option<Vec<Match>>) {
        self.scan.lines += 1;
        let continues = !self.record.is_empty()
            && (text.starts_with("caused by:") || text.starts_with([' ', '\t']));
        if continues {
            if self.record.len() + text.len() < MAX_RECORD {
                self.record.push(' ');
                self.record.push_str(text.trim());
                self.matches = None;
            }
            return;
        }
        self.close();
        self.record.push_str(text);
        self.matches = matches;
        self.record_at = at;
        if at.is_some() {
            self.scan.first_at = self.scan.first_at.or(at);
            self.scan.last_at = at;
        }
    }

    /// Ends the log.
    #[must_use]
    pub fn finish(mut self) -> LogScan {
        self.close();
        self.scan.hits = std::mem::take(&mut self.hits).into_values().collect();
        self.scan
    }

    fn close(&mut self) {
        if self.record.is_empty() {
            return;
        }
        let mut record = std::mem::take(&mut self.record);
        let matches = match self.matches.take() {
            Some(matches) => matches,
            None => self.judge.matches(&record, self.scan.component, None),
        };
        for found in matches {
            let compiled = &self.set.compiled[found.signature as usize];
            if compiled.signature.is_of(self.scan.component) {
                self.hit(&found, compiled, &record);
            }
        }
        record.clear();
        self.record = record;
    }

    fn hit(&mut self, found: &Match, compiled: &Compiled, record: &str) {
        let at = self.record_at;
        let hits = self.hits.entry(found.signature).or_insert_with(|| Hits {
            signature: compiled.signature.id.as_str().into(),
            check: compiled.signature.check.as_str().into(),
            first: at,
            ..Hits::default()
        });
        hits.count += 1;
        hits.last = at.or(hits.last);
        if hits.samples.len() < MAX_SAMPLES {
            let text: String = record.chars().take(MAX_SAMPLE).collect();
            hits.samples.push(Sample {
                at,
                text: text.into(),
            });
        }
        for (group, place) in &found.groups {
            let value = String::from_utf8_lossy(&record.as_bytes()[place.clone()]);
            hits.see(&compiled.groups[*group].1, &value, at);
        }
    }
}

impl Hits {
    /// Counts a captured value.
    fn see(&mut self, name: &Text, value: &str, at: Option<Time>) {
        if !self.fields.contains_key(name) {
            self.fields.insert(name.clone(), BTreeMap::new());
        }
        let Some(values) = self.fields.get_mut(name) else {
            return;
        };
        // Most values were seen before; those are found without a copy.
        if let Some(count) = values.get_mut(value) {
            *count += 1;
        } else if values.len() < MAX_VALUES {
            *values.entry(Text::from(value)).or_default() += 1;
        } else {
            // What is plain is in the map as it stands.
            if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return;
            }
            let value = Text::from(value);
            match values.get_mut(&value) {
                Some(count) => *count += 1,
                None => return,
            }
        }
        let Some(at) = at else { return };
        if let Some(seen) = self
            .latest
            .get_mut(name)
            .and_then(|latest| latest.get_mut(value))
        {
            *seen = (*seen).max(at);
            return;
        }
        let latest = self.latest.entry(name.clone()).or_default();
        let seen = latest.entry(Text::from(value)).or_insert(at);
        *seen = (*seen).max(at);
    }
}

/// The time at the start of a line, and the rest of the line. Understands what `kubectl logs
/// --timestamps` prepends, and klog's own stamp.
fn stamp(line: &str, year: i16) -> (Option<Time>, &str) {
    if let Some((first, rest)) = line.split_once(' ')
        && first.len() >= 20
        && first.as_bytes()[4] == b'-'
        && let Some(time) = Time::parse(first)
    {
        return (Some(time), rest);
    }
    (klog_timestamp(line, year), line)
}

/// The time of a klog line such as `E1019 06:00:10.278115 ...`, in `year`, UTC.
#[must_use]
pub fn klog_timestamp(line: &str, year: i16) -> Option<Time> {
    let bytes = line.as_bytes();
    if !is_klog_head(bytes) {
        return None;
    }
    let two = |at: usize| i8::try_from((bytes[at] - b'0') * 10 + (bytes[at + 1] - b'0')).ok();
    let micro = bytes[15..21]
        .iter()
        .fold(0_i32, |sum, digit| sum * 10 + i32::from(digit - b'0'));
    let stamp = jiff::civil::DateTime::new(
        year,
        two(1)?,
        two(3)?,
        two(6)?,
        two(9)?,
        two(12)?,
        micro * 1000,
    )
    .ok()?;
    jiff::tz::Offset::UTC.to_timestamp(stamp).ok().map(Time)
}

/// Whether a line begins as klog's do, by the shape of its bytes: `E1019 06:00:10.278115`.
#[must_use]
pub fn is_klog_head(bytes: &[u8]) -> bool {
    const SHAPE: &[u8; 21] = b"L0000 00:00:00.000000";
    bytes.len() > 20
        && matches!(bytes[0], b'I' | b'W' | b'E' | b'F')
        && SHAPE[1..]
            .iter()
            .zip(&bytes[1..21])
            .all(|(shape, byte)| match shape {
                b'0' => byte.is_ascii_digit(),
                shape => shape == byte,
            })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Severity, Signature};

    fn set() -> SignatureSet {
        let signature = Signature {
            id: "s".to_owned(),
            check: "a/b".to_owned(),
            component: "cluster-autoscaler".to_owned(),
            regex: r"Failed to regenerate .*https://(?P<host>[a-z0-9.-]+)/: dial tcp: i/o timeout"
                .to_owned(),
            meaning: "m".to_owned(),
            severity: Severity::Critical,
            sample: "x".to_owned(),
        };
        SignatureSet::compile(vec![signature]).unwrap()
    }

    fn scan(component: Component, log: &str) -> LogScan {
        let set = set();
        let near = Time::parse("2019-10-19T07:00:00Z");
        let mut scanner = Scanner::new(
            &set,
            LogScan {
                component,
                ..LogScan::default()
            },
            near,
        );
        log.lines().for_each(|line| scanner.line(line));
        scanner.finish()
    }

    const LOG: &str = "E1019 06:00:10.278115       1 aws_manager.go:259] Failed to regenerate ASG cache: send request failed\n\
        caused by: Post https://autoscaling.us-west-2.amazonaws.com/: dial tcp: i/o timeout\n\
        I1019 06:00:11.000000       1 x.go:1] next";

    #[test]
    fn a_record_is_a_line_with_what_continues_it() {
        let found = scan(Component::ClusterAutoscaler, LOG);
        let hits = found.hits("s").unwrap();
        assert_eq!(hits.count, 1);
        assert_eq!(hits.last, Time::parse("2019-10-19T06:00:10.278115Z"));
        let hosts = &hits.fields[&Text::from("host")];
        assert_eq!(
            hosts.keys().next().unwrap(),
            "autoscaling.us-west-2.amazonaws.com"
        );
        assert_eq!(found.last_at, Time::parse("2019-10-19T06:00:11Z"));
    }

    #[test]
    fn the_same_text_from_another_component_does_not_count() {
        assert_eq!(scan(Component::CoreDns, LOG).hits, []);
        assert_eq!(scan(Component::Unknown, LOG).hits.len(), 1);
    }
}
