//! Whether silence of a log means something: whether it was read, and far enough back.

use crate::{Component, Cx, Deployed, Gap, LogScan, Source, Stop, Why};

/// Demands that the log of `component`, where it is deployed, covers the last `seconds`: what it does not say
/// did not happen then.
///
/// # Errors
/// [`Stop::NotApplicable`] when the component is not deployed; [`Stop::Unknown`] when that, or its log, is
/// not known far enough.
pub fn log_covers(cx: &Cx<'_>, component: Component, seconds: i64) -> Result<(), Stop> {
    Deployed::seen(cx, &[component])?;
    log_reaches(cx, cx.logs().some()?, component, seconds)
}

/// Demands that a log of `component` was read that reaches back `seconds`: a pass stands on it.
///
/// # Errors
/// [`Stop::Unknown`] when there is none, or it does not reach back that far.
pub fn log_reaches(
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
