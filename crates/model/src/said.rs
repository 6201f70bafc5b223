//! What a program said: the records of a log that a signature found, and whether silence means something.

use crate::{
    Component, Cx, Deployed, Fact, Gap, Hits, LogScan, Place, Source, Stop, Text, Time, Why,
};

/// What one signature found in one log.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// The log.
    pub scan: &'a LogScan,
    /// The records.
    pub hits: &'a Hits,
}

impl<'a> Said<'a> {
    /// What a signature found in the logs, within the last `seconds`.
    pub fn of(cx: &'a Cx<'_>, signature: &str, seconds: i64) -> Vec<Self> {
        cx.logs()
            .optional()
            .into_iter()
            .flatten()
            .filter_map(|scan| {
                let hits = scan.hits(signature)?;
                Some(Self { scan, hits })
            })
            .filter(|said| cx.within(said.hits.last, seconds))
            .collect()
    }

    /// The values of a captured field.
    pub fn values(&self, field: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.hits
            .fields
            .get(field)
            .into_iter()
            .flat_map(|values| values.keys())
            .map(|value| &**value)
    }

    /// The records that were kept.
    pub fn records(&self) -> impl Iterator<Item = &'a Text> + use<'a> {
        self.hits.samples.iter().map(|sample| &sample.text)
    }

    /// The newest record that was kept.
    #[must_use]
    pub fn record(&self) -> Text {
        self.records().last().cloned().unwrap_or_default()
    }

    /// When it was last said.
    #[must_use]
    pub fn at(&self) -> Option<Time> {
        self.hits.last
    }

    /// The record with its place, and how often it stands there.
    #[must_use]
    pub fn fact(&self) -> Fact {
        let times = match self.hits.count {
            0 | 1 => "record".to_owned(),
            many => format!("{many} records, the last"),
        };
        Fact::new(Source::Logs, self.scan.place(), times, self.record()).at(self.at())
    }

    /// Node and workload of who said it, as far as they are known.
    #[must_use]
    pub fn place(&self, cx: &Cx<'_>) -> Place {
        let mut place = Place::default();
        place.nodes.extend(cx.topology().node_of_log(self.scan));
        place
            .workloads
            .extend(cx.topology().workload_of_log(self.scan).map(Into::into));
        place
    }

    /// Namespace and name of the workload that said it, the usual ones where they are not known.
    #[must_use]
    pub fn workload(&self, cx: &Cx<'_>, usual: (&str, &str)) -> (String, String) {
        cx.topology()
            .workload_of_log(self.scan)
            .and_then(|workload| {
                let (namespace, name) = workload.split_once('/')?;
                Some((namespace.to_owned(), name.to_owned()))
            })
            .unwrap_or_else(|| (usual.0.to_owned(), usual.1.to_owned()))
    }
}

/// Whether the log of `component` covers the last `seconds`, so that what it does not say did not happen.
///
/// # Errors
/// [`Stop::NotApplicable`] when the component is not deployed; [`Stop::Unknown`] when that, or its log, is
/// not known far enough.
pub fn log_covers(cx: &Cx<'_>, component: Component, seconds: i64) -> Result<(), Stop> {
    Deployed::seen(cx, &[component])?;
    let own = |scan: &&LogScan| scan.component == component && !scan.previous;
    let longest = cx
        .logs()
        .some()?
        .iter()
        .filter(own)
        .max_by_key(|scan| scan.lines);
    let Some(scan) = longest else {
        return Err(Stop::unknown(Gap::new(
            Source::Logs,
            Why::NotRequested,
            format!("no log of {} was read", component.name()),
        )));
    };
    let covers = scan.lines > 0
        && match (scan.truncated, scan.first_at, cx.now()) {
            (true, Some(first), Some(now)) => now.seconds_since(first) >= seconds,
            (truncated, ..) => !truncated,
        };
    if covers {
        return Ok(());
    }
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
