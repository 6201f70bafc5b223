//! Log lines that speak for a check, over all logs.

use crate::{Component, Cx, Fact, Gap, Hits, LogScan, Place, Source, Stop, Text, Why};

/// Longest line that a fact shows, in characters.
const MAX_LINE: usize = 240;

/// The lines of one signature in one log.
#[derive(Clone, Copy, Debug)]
pub struct LogLines<'a> {
    /// The log.
    pub scan: &'a LogScan,
    /// Its lines.
    pub hits: &'a Hits,
}

impl<'a> LogLines<'a> {
    /// The lines of any of `signatures` whose newest lies within the last `seconds`.
    #[must_use]
    pub fn of(cx: &Cx<'_>, logs: &'a [LogScan], signatures: &[&str], seconds: i64) -> Vec<Self> {
        logs.iter()
            .flat_map(|scan| scan.hits.iter().map(move |hits| Self { scan, hits }))
            .filter(|lines| signatures.contains(&lines.hits.signature.as_str()))
            .filter(|lines| lines.hits.count > 0 && cx.within(lines.hits.last, seconds))
            .collect()
    }

    /// The newest line that is kept, cut where it is long.
    #[must_use]
    pub fn sample(&self) -> String {
        let newest = self.hits.samples.last();
        newest
            .map(|sample| sample.text.chars().take(MAX_LINE).collect())
            .unwrap_or_default()
    }

    /// Whether any line that is kept holds one of these texts.
    #[must_use]
    pub fn says(&self, texts: &[&str]) -> bool {
        self.hits
            .samples
            .iter()
            .any(|sample| texts.iter().any(|text| sample.text.contains(text)))
    }

    /// The values of a captured field, and how often each was seen.
    pub fn values(&self, field: &str) -> impl Iterator<Item = (&'a Text, u64)> {
        let hits = self.hits;
        hits.fields
            .get(field)
            .into_iter()
            .flatten()
            .map(|(value, count)| (value, *count))
    }

    /// The lines as a proof.
    #[must_use]
    pub fn fact(&self) -> Fact {
        let times = match self.hits.count {
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        Fact::new(
            Source::Logs,
            self.scan.place(),
            "lines",
            format!("{times}: {}", self.sample()),
        )
        .at(self.hits.last)
    }

    /// Whether the log is an excerpt that was picked for these lines: most of its lines are such.
    #[must_use]
    pub fn is_excerpt(&self) -> bool {
        self.hits.count * 2 >= self.scan.lines
    }

    /// Where logs were written.
    #[must_use]
    pub fn place(cx: &Cx<'_>, lines: &[Self]) -> Place {
        let topology = cx.topology();
        let mut place = Place::default();
        for one in lines {
            place = place.on(topology.node_of_log(one.scan));
            if let Some(workload) = topology.workload_of_log(one.scan) {
                place = place.of(workload);
            }
        }
        place
    }
}

/// Demands that a log of `component` was read that reaches back `seconds`: a pass stands on it.
///
/// # Errors
/// [`Stop::Unknown`] when there is none, or it does not reach back that far.
pub fn log_was_read(
    cx: &Cx<'_>,
    logs: &[LogScan],
    component: Component,
    seconds: i64,
) -> Result<(), Stop> {
    let own = logs
        .iter()
        .filter(|scan| scan.component == component && !scan.previous && scan.lines > 0);
    match own.max_by_key(|scan| scan.lines) {
        None => Err(Stop::unknown(Gap::new(
            Source::Logs,
            Why::NotRequested,
            format!("no log of {} was read", component.name()),
        ))),
        Some(scan) => match (scan.truncated, scan.first_at, cx.now()) {
            (true, Some(first), Some(now)) if now.seconds_since(first) < seconds => {
                Err(Stop::unknown(Gap::new(
                    Source::Logs,
                    Why::Truncated,
                    format!(
                        "the log of {} does not reach back {} min",
                        scan.place(),
                        seconds / 60
                    ),
                )))
            }
            _ => Ok(()),
        },
    }
}
