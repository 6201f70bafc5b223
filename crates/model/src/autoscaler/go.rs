//! Durations and times as Go writes them.

use crate::Time;

/// Seconds of a duration as Go writes it, such as `1h30m`; parts of a second are dropped.
#[must_use]
pub fn go_seconds(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(0);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |at| digits + at);
        seconds += number
            * match &rest[digits..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                "us" | "µs" => 0.000_001,
                "ns" => 0.000_000_001,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    // Far below 2^53 for anything that a person writes; the cast saturates beyond.
    #[allow(clippy::cast_possible_truncation)]
    (!text.trim().is_empty()).then_some(seconds as i64)
}

/// The first time in a text that is written as Go's `time.String` does
/// (`2026-05-01 10:00:00.123 +0000 UTC`) or as RFC 3339: how the autoscaler dates its status.
#[must_use]
pub fn go_time(text: &str) -> Option<Time> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let clean = |word: &str| word.trim_matches(['"', '\'', ',', ';']).to_owned();
    words.iter().enumerate().find_map(|(at, word)| {
        let word = clean(word);
        let is_date = word.len() >= 10 && word.as_bytes()[4] == b'-' && word.as_bytes()[7] == b'-';
        if !is_date {
            return None;
        }
        if word.contains('T') {
            return Time::parse(&word);
        }
        let clock = clean(words.get(at + 1)?);
        let zone = words
            .get(at + 2)
            .map(|zone| clean(zone))
            .filter(|zone| zone.len() == 5 && zone.is_ascii() && zone.starts_with(['+', '-']))
            .unwrap_or_else(|| "+0000".to_owned());
        Time::parse(&format!("{word}T{clock}{}:{}", &zone[..3], &zone[3..]))
    })
}
