//! Runs checks over a snapshot.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::check::Touch;
use crate::{Check, Cx, Evidence, Finding, Gap, Outcome, Snapshot, Stop, Symptom, Text, Topology};

/// What all checks and symptoms came to, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// Per check id, its outcome.
    pub outcomes: Vec<(Text, Outcome)>,
    /// What was observed to fail.
    pub symptoms: Vec<Finding>,
}

/// Runs every check and symptom. One that panics ends as [`Outcome::Crashed`]; the others go on.
#[must_use]
pub fn judge(snapshot: &Snapshot, checks: &[&Check], symptoms: &[&Symptom]) -> Judged {
    let topology = Topology::of(snapshot);
    let outcomes = checks
        .iter()
        .map(|check| {
            (
                Text::from(check.meta.id),
                outcome(check, snapshot, &topology),
            )
        })
        .collect();
    let symptoms = symptoms
        .iter()
        .flat_map(|symptom| {
            let cx = Cx::new(snapshot, &topology);
            catch_unwind(AssertUnwindSafe(|| (symptom.observe)(&cx)))
                .ok()
                .and_then(Result::ok)
                .unwrap_or_default()
        })
        .collect();
    Judged { outcomes, symptoms }
}

fn outcome(check: &Check, snapshot: &Snapshot, topology: &Topology<'_>) -> Outcome {
    let cx = Cx::new(snapshot, topology);
    let result = match catch_unwind(AssertUnwindSafe(|| (check.run)(&cx))) {
        Ok(result) => result,
        Err(panic) => return Outcome::Crashed(message(panic.as_ref()).into()),
    };
    let mut evidence = Vec::new();
    let mut incomplete: Vec<Gap> = Vec::new();
    let mut without = Vec::new();
    for ((source, _), touch) in cx.touched() {
        match touch {
            Touch::Complete => evidence.push(source),
            Touch::Incomplete(gap) => incomplete.push(gap),
            Touch::Without(gap) => without.push(gap),
        }
    }
    evidence.dedup();
    match result {
        Ok(findings) if !findings.is_empty() => {
            without.extend(incomplete);
            Outcome::Found { findings, without }
        }
        // A pass stands on complete evidence or is none.
        Ok(_) if !incomplete.is_empty() => Outcome::Unknown(incomplete),
        Ok(_) if evidence.is_empty() => Outcome::Unknown(without),
        Ok(_) => Outcome::Pass { evidence, without },
        Err(Stop::NotApplicable(why)) => Outcome::NotApplicable(why),
        Err(Stop::Unknown(gaps)) => Outcome::Unknown(gaps),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked without a message".to_owned())
}

impl Snapshot {
    /// What is missing from all sources, the ones that nobody asked for left out.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        self.each_gap(|gap| gaps.push(gap.clone()));
        gaps
    }
}

/// Calls `see` with the gap of `evidence`, if it has one.
pub(crate) fn see_gap<T>(evidence: &Evidence<T>, see: &mut impl FnMut(&Gap)) {
    if let Some(gap) = evidence.gap() {
        see(gap);
    }
}
