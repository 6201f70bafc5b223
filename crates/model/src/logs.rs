//! Logs, through the signature scan: only hits are kept, never whole logs.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::matcher::Matcher;
use crate::{Component, Severity, Text, Time};

/// Most samples that are kept per signature and log.
const MAX_SAMPLES: usize = 5;
/// Longest sample, in characters.
const MAX_SAMPLE: usize = 600;
/// Most distinct values that are kept per captured field.
const MAX_VALUES: usize = 32;
/// Longest record, in bytes: further continuation lines are not joined.
const MAX_RECORD: usize = 16 * 1024;

/// A log line that speaks for a check. Written in the `signatures.toml` of the check's folder.
///
/// Named groups of the expression, such as `(?P<host>..)`, become captured fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Unique over all checks.
    pub id: String,
    /// Id of the check; set from the folder.
    #[serde(default)]
    pub check: String,
    /// Name of the component whose log it is looked for in, or `aws-sdk` for any program that uses
    /// an AWS SDK.
    pub component: String,
    /// The expression, unanchored and case-sensitive. It sees one record: a line with the lines that
    /// continue it (`caused by:` or indented), joined by a space.
    pub regex: String,
    /// What the line says, as a clause.
    pub meaning: String,
    /// How bad the line alone is.
    pub severity: Severity,
    /// A line in the program's format that matches.
    pub sample: String,
}

/// Why signatures could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// An expression is wrong.
    #[error("signature {id} has an expression that cannot be used: {why}")]
    Expression {
        /// Of which signature.
        id: String,
        /// Why.
        why: String,
    },
}

/// Signatures, compiled into one matcher.
#[derive(Debug, Default)]
pub struct SignatureSet {
    compiled: Vec<Compiled>,
    matcher: Matcher,
}

#[derive(Debug)]
struct Compiled {
    signature: Signature,
    regex: Regex,
    /// Named groups, with their names.
    groups: Vec<(usize, Text)>,
}

impl AsRef<Regex> for Compiled {
    fn as_ref(&self) -> &Regex {
        &self.regex
    }
}

impl SignatureSet {
    /// Compiles signatures.
    ///
    /// # Errors
    /// [`SignatureError`] when an expression is wrong.
    pub fn compile(signatures: Vec<Signature>) -> Result<Self, SignatureError> {
        let matcher = Matcher::new(signatures.iter().map(|signature| signature.regex.as_str()))
            .ok_or_else(|| SignatureError::Expression {
                id: "one of the set".to_owned(),
                why: "too many literals".to_owned(),
            })?;
        let compiled = signatures
            .into_iter()
            .map(|signature| match Regex::new(&signature.regex) {
                Ok(regex) => {
                    let groups = regex.capture_names().enumerate();
                    let groups = groups.filter_map(|(at, name)| Some((at, name?.into())));
                    Ok(Compiled {
                        groups: groups.collect(),
                        signature,
                        regex,
                    })
                }
                Err(error) => Err(SignatureError::Expression {
                    id: signature.id,
                    why: error.to_string(),
                }),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { compiled, matcher })
    }

    /// The signatures.
    pub fn iter(&self) -> impl Iterator<Item = &Signature> {
        self.compiled.iter().map(|compiled| &compiled.signature)
    }
}

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
    scan: LogScan,
    year: i16,
    record: String,
    record_at: Option<Time>,
    hits: BTreeMap<u32, Hits>,
    /// Signatures that the record matches; here, so that it is allocated once.
    found: Vec<u32>,
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
            scan,
            year,
            record: String::new(),
            record_at: None,
            hits: BTreeMap::new(),
            found: Vec::new(),
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
        self.scan.lines += 1;
        let continues = !self.record.is_empty()
            && (text.starts_with("caused by:") || text.starts_with([' ', '\t']));
        if continues {
            if self.record.len() + text.len() < MAX_RECORD {
                self.record.push(' ');
                self.record.push_str(text.trim());
            }
            return;
        }
        self.close();
        self.record.push_str(text);
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
        let record = std::mem::take(&mut self.record);
        let mut found = std::mem::take(&mut self.found);
        let set = self.set;
        set.matcher.matches(&record, &set.compiled, &mut found);
        for index in &found {
            let compiled = &set.compiled[*index as usize];
            if compiled.signature.is_of(self.scan.component) {
                self.hit(*index, compiled, &record);
            }
        }
        self.found = found;
        self.record = record;
        self.record.clear();
    }

    fn hit(&mut self, index: u32, compiled: &Compiled, record: &str) {
        let at = self.record_at;
        let hits = self.hits.entry(index).or_insert_with(|| Hits {
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
        if compiled.groups.is_empty() {
            return;
        }
        let Some(captures) = compiled.regex.captures(record) else {
            return;
        };
        for (group, name) in &compiled.groups {
            let Some(value) = captures.get(*group) else {
                continue;
            };
            hits.see(name, value.as_str(), at);
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

impl Signature {
    /// Whether the signature counts in a log of `component`. An unknown component's log may hold
    /// anything.
    #[must_use]
    pub fn is_of(&self, component: Component) -> bool {
        component == Component::Unknown
            || self.component == "aws-sdk"
            || self.component == component.name()
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
