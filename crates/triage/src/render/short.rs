//! The report for a prompt or a cron job: nothing when nothing is wrong.

use eksnet_model::{Report, Verdict};

use crate::render::{confidence, severity, verdict};

/// One line for each diagnosis, best first: severity, check, how sure, what. Nothing for a healthy
/// cluster, and one line where there was too little evidence to tell.
#[must_use]
pub fn short(report: &Report) -> String {
    let mut out = String::new();
    for diagnosis in &report.diagnoses {
        out.push_str(&format!(
            "{}\t{}\t{}\t{}\n",
            severity(diagnosis.severity),
            diagnosis.check,
            confidence(diagnosis.confidence),
            diagnosis.title
        ));
    }
    if report.verdict == Verdict::Inconclusive {
        out.push_str(&format!(
            "{}\t{}\n",
            verdict(report.verdict),
            report
                .lacks
                .first()
                .map_or("too little evidence for a verdict", |lack| lack.as_str())
        ));
    }
    out
}
