//! When a line was written.

use std::borrow::Cow;
use std::sync::LazyLock;

use eksnet_model::{Time, is_klog_head};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use memchr::memmem::Finder;

/// klog writes no year. Its stamps are read in this one, and in those that follow it where a log runs
/// over the turn of a year, until all of the evidence is known (see [`crate::years`]): a leap year in
/// which no Kubernetes was written a log.
pub(crate) const NO_YEAR: i16 = 1972;

/// A time in front of a line, and the line behind it: RFC 3339 as `kubectl logs --timestamps`, container
/// runtimes and many programs write it, or date and time with a space between, taken as UTC.
pub(crate) fn prepended(text: &str) -> Option<(Time, &str)> {
    let bytes = text.as_bytes();
    if bytes.len() < 19 || bytes[4] != b'-' || bytes[7] != b'-' || !bytes[0].is_ascii_digit() {
        return None;
    }
    let (day, rest) = text.split_at_checked(10)?;
    let end = rest
        .find([' ', '\t', ']', '|'])
        .map_or(text.len(), |at| at + 10);
    let (stamp, rest) = if end == 10 {
        // `2026-05-25 16:20:47,123 text`: a space where RFC 3339 has a T.
        let clock = text.get(11..)?;
        let end = clock
            .find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ','))
            .unwrap_or(clock.len());
        let stamp = format!("{day}T{}Z", clock[..end].replace(',', "."));
        (Time::parse(&stamp)?, &clock[end..])
    } else {
        (rfc3339(text.get(..end)?)?, text.get(end..)?)
    };
    Some((stamp, rest.strip_prefix([' ', '\t']).unwrap_or(rest)))
}

/// What the kernel's ring buffer puts in front: `[Mon Mar  9 15:40:11 2026] ` with `dmesg -T`, taken as UTC, or
/// the seconds since boot, `[12345.678901] `, which tell no time.
pub(crate) fn kernel(text: &str) -> Option<(Option<Time>, &str)> {
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    let rest = rest.strip_prefix(' ')?;
    let since_boot = inside
        .trim_start()
        .split_once('.')
        .is_some_and(|(whole, part)| {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
            digits(whole) && digits(part)
        });
    if since_boot {
        return Some((None, rest));
    }
    let at = DateTime::strptime("%a %b %e %H:%M:%S %Y", inside).ok()?;
    Some((Offset::UTC.to_timestamp(at).ok().map(Time), rest))
}

/// Whether a line begins as klog's do: `E1019 06:00:10.278115`.
pub(crate) fn is_klog(text: &str) -> bool {
    is_klog_head(text.as_bytes())
}

/// Fields of a JSON record that say who wrote it and when.
#[derive(Debug, Default)]
pub(crate) struct Record<'t> {
    /// Number or text.
    ts: Option<Cow<'t, str>>,
    /// Source file, as zap writes it.
    pub(crate) caller: Option<Cow<'t, str>>,
    /// Logger, as controller-runtime and Karpenter name theirs.
    pub(crate) logger: Option<Cow<'t, str>>,
    /// Controller of controller-runtime.
    pub(crate) controller: Option<Cow<'t, str>>,
    /// Kind that a controller reconciles.
    pub(crate) kind: Option<Cow<'t, str>>,
    /// Its group.
    pub(crate) group: Option<Cow<'t, str>>,
    /// Commit that the program was built from, in Karpenter's records.
    pub(crate) commit: Option<Cow<'t, str>>,
}

impl<'t> Record<'t> {
    /// Reads a record; `None` when the text does not begin as a JSON object. One that is cut off, or
    /// that an editor broke, is read for its fields all the same.
    pub(crate) fn read(text: &'t str) -> Option<Self> {
        if !text.starts_with("{\"") {
            return None;
        }
        let mut record = Self::default();
        if record.walk(text).is_none() {
            let field =
                |keys: &[&str]| keys.iter().find_map(|key| field(text, key)).map(Cow::Owned);
            record = Self {
                ts: field(&["ts", "time", "timestamp", "@timestamp"]),
                caller: field(&["caller"]),
                logger: field(&["logger"]),
                controller: field(&["controller"]),
                kind: field(&["reconcilerKind", "controllerKind", "reconciler kind"]),
                group: field(&["reconcilerGroup", "controllerGroup", "reconciler group"]),
                commit: field(&["commit"]),
            };
        }
        Some(record)
    }

    /// Walks over the fields of the object; `None` where it is none. What is inside of values is passed over.
    fn walk(&mut self, text: &'t str) -> Option<()> {
        let bytes = text.as_bytes();
        let mut at = 1;
        loop {
            let key_from = at + 1;
            if bytes.get(at) != Some(&b'"') {
                return None;
            }
            let key_end = key_from + memchr::memchr(b'"', bytes.get(key_from..)?)?;
            let key = text.get(key_from..key_end)?;
            at = skip_space(bytes, key_end + 1);
            if bytes.get(at) != Some(&b':') {
                return None;
            }
            at = skip_space(bytes, at + 1);
            let from = at;
            at = value_end(bytes, at)?;
            let value = text.get(from..at)?;
            let into = match key {
                "ts" | "time" | "timestamp" | "@timestamp" => Some(&mut self.ts),
                "caller" => Some(&mut self.caller),
                "logger" => Some(&mut self.logger),
                "controller" => Some(&mut self.controller),
                "reconcilerKind" | "controllerKind" | "reconciler kind" => Some(&mut self.kind),
                "reconcilerGroup" | "controllerGroup" | "reconciler group" => Some(&mut self.group),
                "commit" => Some(&mut self.commit),
                _ => None,
            };
            if let Some(into) = into.filter(|into| into.is_none()) {
                *into = match value
                    .strip_prefix('"')
                    .and_then(|value| value.strip_suffix('"'))
                {
                    Some(inner) if inner.contains('\\') => {
                        serde_json::from_str::<String>(value).ok().map(Cow::Owned)
                    }
                    Some(inner) => Some(Cow::Borrowed(inner)),
                    None => Some(Cow::Borrowed(value)),
                };
            }
            at = skip_space(bytes, at);
            match bytes.get(at)? {
                b',' => at = skip_space(bytes, at + 1),
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// When it was written: RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since 1970,
    /// told apart by their size.
    pub(crate) fn at(&self) -> Option<Time> {
        let text = self.ts.as_deref()?;
        rfc3339(text).or_else(|| seconds(text.parse().ok()?))
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

/// Where the JSON value ends that begins at `at`.
fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at += 1;
                loop {
                    at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
                    if bytes[at] == b'"' {
                        break;
                    }
                    at += 2;
                }
                at += 1;
            }
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            b',' if depth == 0 => return Some(at),
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// A time as RFC 3339 writes it. Nearly all programs write UTC, which is read without a calendar's help.
pub(crate) fn rfc3339(text: &str) -> Option<Time> {
    utc(text.as_bytes()).or_else(|| Time::parse(text))
}

fn utc(bytes: &[u8]) -> Option<Time> {
    if bytes.len() < 20 || bytes.last() != Some(&b'Z') {
        return None;
    }
    let two = |at: usize| {
        let (tens, ones) = (
            bytes[at].wrapping_sub(b'0'),
            bytes[at + 1].wrapping_sub(b'0'),
        );
        (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
    };
    let shape = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if shape.iter().any(|(at, byte)| bytes[*at] != *byte) {
        return None;
    }
    let (year, month, day) = (two(0)? * 100 + two(2)?, two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    // The days of months end at 28 for certain; the rest is the calendar's.
    if !(1..=12).contains(&month)
        || !(1..=28).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let mut nanos = 0_i32;
    if bytes.len() > 20 {
        let fraction = &bytes[20..bytes.len() - 1];
        if bytes[19] != b'.' || fraction.is_empty() || fraction.len() > 9 {
            return None;
        }
        let mut unit = 100_000_000;
        for digit in fraction {
            if !digit.is_ascii_digit() {
                return None;
            }
            nanos += i32::from(digit - b'0') * unit;
            unit /= 10;
        }
    }
    // Days since 1970 of the proleptic Gregorian calendar, years counted from March.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    jiff::Timestamp::new(seconds, nanos).ok().map(Time)
}

/// The value of a field in JSON that does not parse.
fn field(text: &str, key: &str) -> Option<String> {
    let at = text.find(&format!("\"{key}\":"))? + key.len() + 3;
    let value = text[at..].trim_start();
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => value.split([',', '}']).next()?,
    };
    Some(value.to_owned())
}

fn seconds(mut number: f64) -> Option<Time> {
    if !number.is_finite() || number < 1e8 {
        return None;
    }
    while number > 1e11 {
        number /= 1e3;
    }
    // Microseconds are the most that a double holds of a time of today.
    #[allow(clippy::cast_possible_truncation)]
    let micros = (number * 1e6) as i64;
    jiff::Timestamp::from_microsecond(micros).ok().map(Time)
}

/// The time that a record in logfmt tells: `time="2026-05-25T16:20:47Z"`, `ts=..`.
pub(crate) fn logfmt(text: &str) -> Option<Time> {
    // Made once: every line without another time is asked.
    static KEYS: LazyLock<[(&str, Finder<'static>); 3]> =
        LazyLock::new(|| ["time=", "ts=", "timestamp="].map(|key| (key, Finder::new(key))));
    KEYS.iter().find_map(|(key, finder)| {
        let at = finder.find(text.as_bytes())?;
        if at > 0 && !text[..at].ends_with(' ') {
            return None;
        }
        let value = text[at + key.len()..].trim_start_matches('"');
        let end = value.find(['"', ' ']).unwrap_or(value.len());
        rfc3339(&value[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_record_still_says_who_and_when() {
        let record = Record::read(
            r#"{"level":"error","ts":1778547599.5,"logger":"controller","error":"x\ ("#,
        );
        let record = record.unwrap();
        assert_eq!(record.logger.as_deref(), Some("controller"));
        assert_eq!(record.at(), Time::parse("2026-05-12T00:59:59.5Z"));
    }

    #[test]
    fn utc_is_read_as_the_calendar_reads_it() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2000-02-28T23:59:59.5Z",
            "2024-02-29T01:02:03Z",
            "2026-12-31T00:00:00.123456789Z",
            "2100-03-01T12:00:00Z",
            "1972-10-19T06:00:10.278115Z",
        ] {
            assert_eq!(rfc3339(text), Time::parse(text), "{text}");
            assert!(rfc3339(text).is_some(), "{text}");
        }
        assert_eq!(rfc3339("2026-13-01T00:00:00Z"), None);
    }

    #[test]
    fn times_of_all_these_programs_are_read() {
        let noon = Time::parse("2026-05-12T00:59:59Z");
        for text in [
            "2026-05-12T00:59:59Z [INFO] x",
            "2026-05-12T00:59:59.000Z\tERROR\tcontroller\tx",
            "2026-05-12 00:59:59,000 INFO x",
        ] {
            assert_eq!(prepended(text).map(|(at, _)| at), noon, "{text}");
        }
        assert_eq!(prepended("2026-05-12-backup of it"), None);
        assert_eq!(kernel("[Tue May 12 00:59:59 2026] x"), Some((noon, "x")));
        assert_eq!(kernel("[  512.000341] x"), Some((None, "x")));
        assert_eq!(kernel("[INFO] x"), None);
        assert_eq!(kernel("[10.0.0.1] x"), None);
        for text in [
            r#"{"level":"info","ts":"2026-05-12T00:59:59.000Z","msg":"x"}"#,
            r#"{"level":"info","ts":1778547599.0,"msg":"x"}"#,
            r#"{"level":"info","time":1778547599000,"msg":"x"}"#,
        ] {
            assert_eq!(Record::read(text).unwrap().at(), noon, "{text}");
        }
        assert_eq!(logfmt("time=\"2026-05-12T00:59:59Z\" level=info"), noon);
        assert_eq!(logfmt("level=info ts=2026-05-12T00:59:59Z"), noon);
        assert_eq!(logfmt("level=info msg=\"runtime=2026\""), None);
    }
}
