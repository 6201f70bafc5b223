//! Writes a report down.

mod chain;
mod diagnosis;
mod dns;
mod ends;
mod fact;
mod markdown;
mod page;
mod short;
mod style;
mod summary;
mod text;
mod wrap;

use eksnet_model::{Confidence, Report, Severity, Verdict};

pub use dns::{dns, dns_json, dns_section};
pub use markdown::markdown;
pub use short::short;
pub use style::{Ink, Style};
pub use text::{text, text_with};

/// The report as pretty JSON, fields in the order of the contract, with a line break at its end.
///
/// # Errors
/// Never in practice: reports hold no map with keys that are not text.
pub fn json(report: &Report) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}

/// JSON schema of [`Report`].
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Report).to_value()
}

/// A severity as reports spell it.
#[must_use]
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

/// A confidence as reports spell it.
#[must_use]
pub fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Confirmed => "confirmed",
        Confidence::Likely => "likely",
        Confidence::Possible => "possible",
    }
}

/// A verdict as reports spell it.
#[must_use]
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "healthy",
        Verdict::Degraded => "degraded",
        Verdict::Broken => "broken",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// `1 node`, `2 nodes`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
