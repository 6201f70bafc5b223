//! The whole in one word, and the exit code.

use eksnet_model::{Evidence, Outcome, OutcomeState, Role, Severity, Snapshot, Text, Verdict};

use crate::correlate::Correlation;
use crate::gaps::in_words;

/// Checks without which nothing is called healthy.
pub const CORE: [&str; 4] = [
    "node/not-ready",
    "dns/coredns-no-ready-endpoints",
    "kube-proxy/unhealthy",
    "cni/aws-node-unhealthy",
];

/// From which severity on findings make the exit code 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailOn {
    /// An outage.
    Critical,
    /// Something is broken.
    #[default]
    Error,
    /// A risk.
    Warning,
    /// Findings never do.
    Never,
}

impl FailOn {
    fn threshold(self) -> Option<Severity> {
        match self {
            Self::Critical => Some(Severity::Critical),
            Self::Error => Some(Severity::Error),
            Self::Warning => Some(Severity::Warning),
            Self::Never => None,
        }
    }
}

/// What parts of the core could not be judged, as sentences; empty when "healthy" can be said.
pub(crate) fn lacks(
    outcomes: &[(Text, Outcome)],
    snapshot: &Snapshot,
    probes_expected: bool,
    selected: bool,
) -> Vec<Text> {
    let mut whys: Vec<(String, Vec<&str>)> = Vec::new();
    for id in CORE {
        let why = match outcomes.iter().find(|(check, _)| check == id) {
            Some((_, Outcome::Unknown(gaps))) => in_words(gaps, snapshot.origin.kind),
            Some((_, Outcome::Crashed(message))) => format!("the check itself failed: {message}"),
            Some(_) => continue,
            None if selected => continue,
            None => "not run".to_owned(),
        };
        match whys.iter_mut().find(|(known, _)| *known == why) {
            Some((_, ids)) => ids.push(id),
            None => whys.push((why, vec![id])),
        }
    }
    let mut lacks: Vec<String> = whys
        .into_iter()
        .map(|(why, ids)| format!("{}: {why}", ids.join(", ")))
        .collect();
    if probes_expected {
        match &snapshot.probes {
            Evidence::Absent(gap) => lacks.push(gap.to_string()),
            Evidence::Present(run) | Evidence::Partial { value: run, .. } => {
                if run.pods.iter().all(|pod| pod.results.is_empty()) {
                    lacks.push("probe/network: no probe pod brought a result".to_owned());
                }
            }
        }
    }
    let judged = outcomes.iter().any(|(_, outcome)| {
        !matches!(
            outcome.state(),
            OutcomeState::Unknown | OutcomeState::Crashed
        )
    });
    if selected && !judged && lacks.is_empty() {
        lacks.push("none of the selected checks could be judged".to_owned());
    }
    lacks.into_iter().map(Text::from).collect()
}

/// The whole in one word. Findings from error on decide even where the core is not complete; below
/// that, an incomplete core means that nothing can be said.
pub(crate) fn verdict(correlation: &Correlation, complete: bool) -> Verdict {
    let worst = correlation
        .findings
        .iter()
        .map(|finding| finding.severity)
        .max();
    let symptoms: Vec<&Text> = correlation
        .findings
        .iter()
        .filter(|finding| finding.role == Role::Symptom)
        .map(|finding| &finding.id)
        .collect();
    let error_explains = correlation.diagnoses.iter().any(|diagnosis| {
        diagnosis.severity >= Severity::Error
            && diagnosis.explains.iter().any(|id| symptoms.contains(&id))
    });
    match worst {
        Some(Severity::Critical) => Verdict::Broken,
        Some(Severity::Error) if error_explains => Verdict::Broken,
        Some(Severity::Error) => Verdict::Degraded,
        _ if !complete => Verdict::Inconclusive,
        Some(Severity::Warning) => Verdict::Degraded,
        Some(Severity::Info) | None => Verdict::Healthy,
    }
}

/// 4 when a check crashed, 1 when a finding reaches the threshold, 3 when too little could be judged
/// to say that none does, else 0.
pub(crate) fn exit_code(
    outcomes: &[(Text, Outcome)],
    correlation: &Correlation,
    verdict: Verdict,
    complete: bool,
    fail_on: FailOn,
) -> i32 {
    let reached = fail_on.threshold().is_some_and(|threshold| {
        correlation
            .findings
            .iter()
            .any(|finding| finding.severity >= threshold)
    });
    let decided = complete || (fail_on == FailOn::Never && verdict != Verdict::Inconclusive);
    if outcomes
        .iter()
        .any(|(_, outcome)| outcome.state() == OutcomeState::Crashed)
    {
        4
    } else if reached {
        1
    } else if decided {
        0
    } else {
        3
    }
}
