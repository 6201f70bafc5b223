//! When a line was written.

use eksnet_model::{Time, klog_timestamp};
use serde::Deserialize;

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
        (Time::parse(text.get(..end)?)?, text.get(end..)?)
    };
    Some((stamp, rest.strip_prefix([' ', '\t']).unwrap_or(rest)))
}

/// Whether a line begins as klog's do: `E1019 06:00:10.278115`.
pub(crate) fn is_klog(text: &str) -> bool {
    klog_timestamp(text, NO_YEAR).is_some()
}

/// Fields of a JSON record that say who wrote it and when.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    #[serde(alias = "time", alias = "timestamp", alias = "@timestamp")]
    ts: Option<serde_json::Value>,
    /// Source file, as zap writes it.
    pub(crate) caller: Option<String>,
    /// Logger, as controller-runtime and Karpenter name theirs.
    pub(crate) logger: Option<String>,
    /// Controller of controller-runtime.
    pub(crate) controller: Option<String>,
    /// Kind that a controller reconciles.
    #[serde(
        alias = "reconcilerKind",
        alias = "controllerKind",
        alias = "reconciler kind"
    )]
    pub(crate) kind: Option<String>,
    /// Its group.
    #[serde(
        alias = "reconcilerGroup",
        alias = "controllerGroup",
        alias = "reconciler group"
    )]
    pub(crate) group: Option<String>,
    /// Commit that the program was built from, in Karpenter's records.
    pub(crate) commit: Option<String>,
}

impl Record {
    /// Reads a record; `None` when the text does not begin as a JSON object. One that is cut off, or
    /// that an editor broke, is read for its fields all the same.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if !text.starts_with("{\"") {
            return None;
        }
        Some(serde_json::from_str(text).unwrap_or_else(|_| {
            let field = |keys: &[&str]| keys.iter().find_map(|key| field(text, key));
            Self {
                ts: field(&["ts", "time", "timestamp", "@timestamp"]).map(Into::into),
                caller: field(&["caller"]),
                logger: field(&["logger"]),
                controller: field(&["controller"]),
                kind: field(&["reconcilerKind", "controllerKind", "reconciler kind"]),
                group: field(&["reconcilerGroup", "controllerGroup", "reconciler group"]),
                commit: field(&["commit"]),
            }
        }))
    }

    /// When it was written: RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since 1970,
    /// told apart by their size.
    pub(crate) fn at(&self) -> Option<Time> {
        match self.ts.as_ref()? {
            serde_json::Value::String(text) => {
                Time::parse(text).or_else(|| seconds(text.parse().ok()?))
            }
            serde_json::Value::Number(number) => seconds(number.as_f64()?),
            _ => None,
        }
    }
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
    ["time=", "ts=", "timestamp="].iter().find_map(|key| {
        let at = text.find(key)?;
        if at > 0 && !text[..at].ends_with(' ') {
            return None;
        }
        let value = text[at + key.len()..].trim_start_matches('"');
        let end = value.find(['"', ' ']).unwrap_or(value.len());
        Time::parse(&value[..end])
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
