//! Gives klog's stamps, which have no year, the one that the rest of the evidence suggests.

use eksnet_model::{LogScan, Time};

use crate::stamp::NO_YEAR;

/// Year of stamps when nothing else in the evidence tells a time: visibly none.
const UNKNOWN: i16 = 1970;
/// How far ahead of the newest other time a log may be, in seconds: half a year. Often the only other time is
/// that at which an object was made, long before its log.
const AHEAD_S: i64 = 183 * 86_400;

/// Settles the years of `scans`; `newest` is the newest time that has one. Returns the newest of all.
pub(crate) fn settle(scans: &mut [LogScan], newest: Option<Time>) -> Option<Time> {
    let known = scans
        .iter()
        .flat_map(stamps)
        .filter(|time| !has_no_year(*time))
        .max()
        .max(newest);
    let mut all = known;
    for scan in scans {
        if let Some(last) = stamps(scan).filter(|time| has_no_year(*time)).max() {
            let years = years_to(last, known);
            each(scan, |time| {
                if has_no_year(*time) {
                    *time = shifted(*time, years);
                }
            });
        }
        all = all.max(stamps(scan).max());
    }
    all
}

/// By how many years `last` moves to come as near to `known` as it can.
fn years_to(last: Time, known: Option<Time>) -> i16 {
    let Some(known) = known else {
        return UNKNOWN - NO_YEAR;
    };
    let years = year(known) - year(last);
    let ahead = shifted(last, years).seconds_since(known) > AHEAD_S;
    years - i16::from(ahead)
}

fn year(time: Time) -> i16 {
    jiff::tz::Offset::UTC.to_datetime(time.0).year()
}

fn has_no_year(time: Time) -> bool {
    (NO_YEAR..NO_YEAR + 8).contains(&year(time))
}

fn shifted(time: Time, years: i16) -> Time {
    let moved = jiff::tz::Offset::UTC
        .to_datetime(time.0)
        .checked_add(jiff::Span::new().years(years));
    moved
        .ok()
        .and_then(|moved| jiff::tz::Offset::UTC.to_timestamp(moved).ok())
        .map_or(time, Time)
}

fn stamps(scan: &LogScan) -> impl Iterator<Item = Time> {
    scan.first_at
        .into_iter()
        .chain(scan.last_at)
        .chain(scan.hits.iter().flat_map(|hits| hits.first))
        .chain(scan.hits.iter().flat_map(|hits| hits.last))
}

fn each(scan: &mut LogScan, mut change: impl FnMut(&mut Time)) {
    scan.first_at.iter_mut().for_each(&mut change);
    scan.last_at.iter_mut().for_each(&mut change);
    for hits in &mut scan.hits {
        hits.first.iter_mut().for_each(&mut change);
        hits.last.iter_mut().for_each(&mut change);
        for sample in &mut hits.samples {
            sample.at.iter_mut().for_each(&mut change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<Time> {
        Some(Time::parse(text).expect("a time"))
    }

    fn scan(first: &str, last: &str) -> LogScan {
        LogScan {
            first_at: time(first),
            last_at: time(last),
            ..LogScan::default()
        }
    }

    #[test]
    fn the_year_is_that_of_the_newest_other_time() {
        let mut scans = [
            scan("1972-10-19T06:00:10Z", "1972-10-19T06:10:10Z"),
            scan("2019-10-19T05:00:00Z", "2019-10-19T06:05:00Z"),
        ];
        let newest = settle(&mut scans, time("2019-10-18T00:00:00Z"));
        assert_eq!(scans[0].last_at, time("2019-10-19T06:10:10Z"));
        assert_eq!(newest, scans[0].last_at);
    }

    #[test]
    fn a_log_of_december_beside_a_time_in_january_is_of_the_year_before() {
        let mut scans = [scan("1972-12-31T23:00:00Z", "1973-01-01T00:10:00Z")];
        settle(&mut scans, time("2024-01-02T00:00:00Z"));
        assert_eq!(scans[0].first_at, time("2023-12-31T23:00:00Z"));
        let mut scans = [scan("1972-12-31T22:00:00Z", "1972-12-31T23:00:00Z")];
        settle(&mut scans, time("2024-01-02T00:00:00Z"));
        assert_eq!(scans[0].last_at, time("2023-12-31T23:00:00Z"));
    }

    #[test]
    fn a_log_may_be_months_younger_than_the_objects_beside_it() {
        let mut scans = [scan("1972-06-12T07:41:03Z", "1972-06-12T07:56:12Z")];
        let newest = settle(&mut scans, time("2026-03-01T10:11:12Z"));
        assert_eq!(newest, time("2026-06-12T07:56:12Z"));
    }

    #[test]
    fn without_any_other_time_the_year_is_visibly_none() {
        let mut scans = [scan("1972-02-29T06:00:10Z", "1972-10-19T06:10:10Z")];
        assert_eq!(settle(&mut scans, None), time("1970-10-19T06:10:10Z"));
        assert_eq!(scans[0].first_at, time("1970-02-28T06:00:10Z"));
    }
}
