//! What the tries of one cell came to.

use std::collections::BTreeMap;

use eksnet_probe::{DnsOutcome, DnsTry};
use serde::Serialize;

/// Tries over one transport, over all names that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Number of tries.
    pub tries: usize,
    /// Tries that came back as they should.
    pub good: usize,
    /// Tries by how they ended, such as `timeout`.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// How most of the tries ended that were not good; `None` where all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<&'static str>,
    /// What that means for the way and the server.
    pub state: CellState,
    /// Median of the tries that were answered, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_ms: Option<f64>,
    /// What 95 of 100 answers came within, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
}

/// What a cell says, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellState {
    /// Everything came back as it should.
    #[default]
    Good,
    /// One of many tries was lost: any packet may be.
    OneLost,
    /// Some tries were lost and others answered: loss, not a block.
    Lossy,
    /// Some names are answered and others never: the server is stuck on those that it asks.
    Stuck,
    /// The way works, and what the server says is not right.
    Wrong,
    /// A host is there, and nothing listens.
    Refused,
    /// No try came back.
    Dead,
}

impl CellState {
    /// Whether a reader has to look at it.
    #[must_use]
    pub fn fails(self) -> bool {
        self > Self::OneLost
    }
}

/// One try, with what it should have been.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    outcome: DnsOutcome,
    good: bool,
    elapsed_ms: f64,
}

impl Judged {
    fn is_lost(&self) -> bool {
        matches!(self.outcome, DnsOutcome::Timeout | DnsOutcome::NoRoute)
    }

    pub(super) fn of(each: &DnsTry, expected: Expected) -> Self {
        Self::new(each.outcome, each.elapsed_ms, expected)
    }

    pub(super) fn new(outcome: DnsOutcome, elapsed_ms: f64, expected: Expected) -> Self {
        Self {
            outcome,
            good: expected.admits(outcome),
            elapsed_ms,
        }
    }
}

/// What the answer to a question should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// The name exists.
    Answer,
    /// The name was made up: that it does not exist is right.
    Nothing,
    /// The answer is too large for a packet: over UDP it says so.
    Large,
}

impl Expected {
    fn admits(self, outcome: DnsOutcome) -> bool {
        match self {
            Self::Answer => outcome == DnsOutcome::Ok,
            Self::Nothing => outcome == DnsOutcome::Nxdomain,
            Self::Large => matches!(outcome, DnsOutcome::Ok | DnsOutcome::Truncated),
        }
    }
}

/// Fewest tries of which one may be lost without being called loss.
const MANY: usize = 10;

impl Tally {
    /// Sums tries up; `None` where there are none.
    fn of(tries: &[Judged]) -> Option<Self> {
        if tries.is_empty() {
            return None;
        }
        let mut outcomes: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut bad: BTreeMap<DnsOutcome, usize> = BTreeMap::new();
        let mut answered: Vec<f64> = Vec::new();
        for each in tries {
            *outcomes.entry(each.outcome.word()).or_default() += 1;
            if !each.good {
                *bad.entry(each.outcome).or_default() += 1;
            }
            if each.outcome.is_answer() {
                answered.push(each.elapsed_ms);
            }
        }
        answered.sort_by(f64::total_cmp);
        let good = tries.iter().filter(|each| each.good).count();
        let worst = bad
            .iter()
            .max_by_key(|(outcome, count)| (**count, std::cmp::Reverse(**outcome)));
        Some(Self {
            tries: tries.len(),
            good,
            outcomes,
            worst: worst.map(|(outcome, _)| outcome.word()),
            state: state(tries, good),
            median_ms: quantile(&answered, 0.5),
            p95_ms: quantile(&answered, 0.95),
        })
    }
}

impl Tally {
    /// Sums up the tries of several names, each by itself.
    pub(super) fn of_names(names: &[Vec<Judged>]) -> Option<Self> {
        let mut all = Self::of(&names.concat())?;
        let lost = |tries: &[Judged]| tries.iter().filter(|each| each.is_lost()).count();
        let never = names.iter().any(|tries| lost(tries) == tries.len());
        let whole = names.iter().any(|tries| lost(tries) == 0);
        let partly = names
            .iter()
            .any(|tries| (1..tries.len()).contains(&lost(tries)));
        if all.state == CellState::Lossy && never && whole && !partly {
            all.state = CellState::Stuck;
        }
        Some(all)
    }
}

fn state(tries: &[Judged], good: usize) -> CellState {
    let count = |is: fn(DnsOutcome) -> bool| tries.iter().filter(|each| is(each.outcome)).count();
    let lost = count(|one| matches!(one, DnsOutcome::Timeout | DnsOutcome::NoRoute));
    let refused = count(|one| one == DnsOutcome::ConnRefused);
    let wrong = tries.len() - good - lost - refused;
    if lost == tries.len() {
        CellState::Dead
    } else if refused > 0 && refused + lost == tries.len() {
        CellState::Refused
    } else if wrong > 0 {
        CellState::Wrong
    } else if lost + refused == 1 && tries.len() >= MANY {
        CellState::OneLost
    } else if lost + refused > 0 {
        CellState::Lossy
    } else {
        CellState::Good
    }
}

/// By the nearest rank; `None` of nothing.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1).min(last)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(outcomes: &[DnsOutcome]) -> Tally {
        let tries: Vec<Judged> = outcomes
            .iter()
            .zip(1u8..)
            .map(|(outcome, ms)| Judged::new(*outcome, f64::from(ms), Expected::Answer))
            .collect();
        Tally::of(&tries).expect("tries")
    }

    #[test]
    fn silence_loss_refusal_and_wrong_answers_are_told_apart() {
        use DnsOutcome::{ConnRefused, Nxdomain, Ok, Servfail, Timeout};
        for (outcomes, state, worst) in [
            (vec![Ok; 5], CellState::Good, None),
            (vec![Timeout; 5], CellState::Dead, Some("timeout")),
            (
                vec![Ok, Ok, Timeout, Ok, Ok],
                CellState::Lossy,
                Some("timeout"),
            ),
            (
                vec![ConnRefused; 5],
                CellState::Refused,
                Some("conn-refused"),
            ),
            (
                vec![Ok, Nxdomain, Nxdomain],
                CellState::Wrong,
                Some("nxdomain"),
            ),
            (
                vec![Timeout, Servfail, Timeout],
                CellState::Wrong,
                Some("timeout"),
            ),
        ] {
            let tally = tally(&outcomes);
            assert_eq!((tally.state, tally.worst), (state, worst), "{outcomes:?}");
        }
    }

    #[test]
    fn one_lost_of_many_is_not_called_loss() {
        let mut outcomes = vec![DnsOutcome::Ok; 10];
        outcomes[3] = DnsOutcome::Timeout;
        assert_eq!(tally(&outcomes).state, CellState::OneLost);
        outcomes[7] = DnsOutcome::Timeout;
        assert_eq!(tally(&outcomes).state, CellState::Lossy);
    }

    #[test]
    fn a_name_that_is_never_answered_beside_one_that_always_is_is_no_loss() {
        let of = |outcome| vec![Judged::new(outcome, 1.0, Expected::Answer); 5];
        let state = |names: &[Vec<Judged>]| Tally::of_names(names).map(|tally| tally.state);
        let (ok, lost) = (of(DnsOutcome::Ok), of(DnsOutcome::Timeout));
        assert_eq!(state(&[ok.clone(), lost.clone()]), Some(CellState::Stuck));
        assert_eq!(state(&[lost.clone(), lost.clone()]), Some(CellState::Dead));
        let partly = [ok[..3].to_vec(), lost[..2].to_vec()].concat();
        assert_eq!(state(&[partly, lost]), Some(CellState::Lossy));
        assert_eq!(state(&[]), None);
    }

    #[test]
    fn what_was_not_answered_is_no_part_of_the_latency() {
        use DnsOutcome::{Ok, Timeout};
        let tally = tally(&[Ok, Ok, Ok, Timeout]);
        assert_eq!((tally.median_ms, tally.p95_ms), (Some(2.0), Some(3.0)));
    }

    #[test]
    fn that_a_made_up_name_does_not_exist_is_right() {
        assert!(Expected::Nothing.admits(DnsOutcome::Nxdomain));
        assert!(!Expected::Nothing.admits(DnsOutcome::Ok));
        assert!(Expected::Large.admits(DnsOutcome::Truncated));
        assert!(!Expected::Answer.admits(DnsOutcome::Truncated));
    }
}
