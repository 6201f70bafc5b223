//! The whole report in one sentence.

use std::collections::BTreeSet;

use eksnet_model::{Diagnosis, OutcomeState, Report, Role, Severity, Verdict};

use crate::render::diagnosis::ById;
use crate::render::{counted, severity};

/// What stands behind the verdict, in one sentence.
pub(crate) fn sentence(report: &Report, findings: &ById<'_>) -> String {
    match report.verdict {
        Verdict::Broken | Verdict::Degraded => problems(report, findings),
        Verdict::Healthy => healthy(report),
        Verdict::Inconclusive => "too little evidence for a verdict".to_owned(),
    }
}

/// How much the roots explain; without any that does, how bad it is.
fn problems(report: &Report, findings: &ById<'_>) -> String {
    let counted_in = |level: Severity| level >= Severity::Warning;
    let problems = report
        .findings
        .iter()
        .filter(|finding| counted_in(finding.severity))
        .count();
    let explaining: Vec<&Diagnosis> = report
        .diagnoses
        .iter()
        .filter(|diagnosis| !diagnosis.explains.is_empty())
        .collect();
    if explaining.is_empty() {
        return [Severity::Critical, Severity::Error, Severity::Warning]
            .into_iter()
            .filter_map(|level| {
                let count = report
                    .findings
                    .iter()
                    .filter(|finding| finding.severity == level)
                    .count();
                let noun = match level {
                    Severity::Critical => return (count > 0).then(|| format!("{count} critical")),
                    level => severity(level),
                };
                (count > 0).then(|| counted(count, noun))
            })
            .collect::<Vec<_>>()
            .join(", ");
    }
    let mut covered = BTreeSet::new();
    for diagnosis in &explaining {
        covered.insert(&diagnosis.finding);
        covered.extend(&diagnosis.explains);
    }
    let covered = report
        .findings
        .iter()
        .filter(|finding| counted_in(finding.severity) && covered.contains(&finding.id))
        .count();
    let verb = if explaining.len() == 1 {
        "explains"
    } else {
        "explain"
    };
    // The report spells a mechanism as a symptom: where it is a root, its own cause is not known.
    let causes = explaining
        .iter()
        .filter(|diagnosis| {
            findings
                .get(&diagnosis.finding)
                .is_none_or(|root| root.role != Role::Symptom)
        })
        .count();
    let failures = explaining.len() - causes;
    let mut who = Vec::new();
    if causes > 0 {
        who.push(counted(causes, "root cause"));
    }
    if failures > 0 {
        who.push(format!("{} of unknown cause", counted(failures, "failure")));
    }
    format!(
        "{} {verb} {covered} of {}",
        who.join(" and "),
        counted(problems, "problem")
    )
}

fn healthy(report: &Report) -> String {
    let count = |state| {
        report
            .outcomes
            .iter()
            .filter(|entry| entry.state == state)
            .count()
    };
    let passed = counted(count(OutcomeState::Pass), "check");
    match count(OutcomeState::Unknown) {
        0 => format!("{passed} passed on complete evidence, nothing is wrong"),
        unknown => format!("{passed} passed on complete evidence, {unknown} could not be judged"),
    }
}
