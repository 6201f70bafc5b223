//! The demo's bundle as if it had been taken just now, with the ids of another AWS.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

/// What an id of the demo became.
pub(crate) type Ids = Map<String, Value>;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The demo's snapshot as it is written.
pub(crate) fn demo() -> Value {
    let text = std::fs::read_to_string(root("src/demo/outage.json")).expect("the demo");
    let bundle: Value = serde_json::from_str(&text).expect("JSON");
    bundle["snapshot"].clone()
}

/// How long ago the demo's snapshot was taken.
fn age() -> SignedDuration {
    let taken = demo()["takenAt"].as_str().map(str::parse::<Timestamp>);
    let taken = taken.expect("a time").expect("a timestamp");
    Timestamp::now().duration_since(taken)
}

/// The demo's snapshot with other ids, and all its times moved so that it was taken now.
pub(crate) fn now(ids: &Ids) -> Value {
    let mut text = demo().to_string();
    for (old, new) in ids {
        text = text.replace(old, new.as_str().expect("an id"));
    }
    let mut snapshot = serde_json::from_str(&text).expect("JSON");
    moved(&mut snapshot, age());
    snapshot
}

/// The log of the demo's autoscaler, moved likewise.
pub(crate) fn autoscaler_log() -> String {
    let log = std::fs::read_to_string(root("tests/golden/cluster-autoscaler.log")).expect("a log");
    let age = age();
    log.lines()
        .map(|line| klog(line, age).unwrap_or_else(|| line.to_owned()) + "\n")
        .collect()
}

/// Moves every text that is a time, and every time that the autoscaler writes within its status.
fn moved(value: &mut Value, by: SignedDuration) {
    match value {
        Value::String(text) => {
            if let Ok(at) = text.parse::<Timestamp>() {
                *text = (at + by).to_string();
            } else if text.contains(" +0000 UTC") {
                let words = text.split_inclusive('\n').map(|line| status_line(line, by));
                *text = words.collect();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| moved(item, by)),
        Value::Object(fields) => fields.values_mut().for_each(|field| moved(field, by)),
        _ => {}
    }
}

/// `time: 2026-10-19 06:23:50.601372 +0000 UTC`: as Go prints a time.
fn status_line(line: &str, by: SignedDuration) -> String {
    let moved = || {
        let (before, _) = line.split_once(" +0000 UTC")?;
        // Date, a space, and time with its fraction.
        let at = before
            .len()
            .checked_sub("2026-10-19 06:23:50.601372".len())?;
        let (label, time) = before.split_at(at);
        let time: Timestamp = format!("{}Z", time.replace(' ', "T")).parse().ok()?;
        let end = if line.ends_with('\n') { "\n" } else { "" };
        let time = (time + by).strftime("%Y-%m-%d %H:%M:%S%.6f +0000 UTC");
        Some(format!("{label}{time}{end}"))
    };
    moved().unwrap_or_else(|| line.to_owned())
}

/// `E1019 06:00:10.278115 ...`: klog stamps neither year nor zone.
fn klog(line: &str, by: SignedDuration) -> Option<String> {
    let (month, day, time) = (line.get(1..3)?, line.get(3..5)?, line.get(6..21)?);
    let at: Timestamp = format!("2026-{month}-{day}T{time}Z").parse().ok()?;
    let stamp = (at + by).strftime("%m%d %H:%M:%S%.6f");
    Some(format!("{}{stamp}{}", &line[..1], &line[21..]))
}
