//! What a check came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Finding, Gap, Source, Text};

/// What a check came to. Only [`Outcome::Pass`] says that something is right, and it lists the
/// evidence that it stands on.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing is wrong, on complete evidence.
    Pass {
        /// Sources that were read whole.
        evidence: Vec<Source>,
        /// Helpful sources that were missing.
        without: Vec<Gap>,
    },
    /// Something is wrong.
    Found {
        /// What.
        findings: Vec<Finding>,
        /// What could not be seen besides.
        without: Vec<Gap>,
    },
    /// The check's subject does not exist here; the text says why.
    NotApplicable(Text),
    /// It could not be told, for lack of this evidence.
    Unknown(Vec<Gap>),
    /// The check itself failed; the text is its message.
    Crashed(Text),
}

/// [`Outcome`] without its content, as reports spell it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // as in `Outcome`
pub enum OutcomeState {
    Pass,
    Found,
    NotApplicable,
    Unknown,
    Crashed,
}

impl Outcome {
    /// The state alone.
    #[must_use]
    pub fn state(&self) -> OutcomeState {
        match self {
            Self::Pass { .. } => OutcomeState::Pass,
            Self::Found { .. } => OutcomeState::Found,
            Self::NotApplicable(_) => OutcomeState::NotApplicable,
            Self::Unknown(_) => OutcomeState::Unknown,
            Self::Crashed(_) => OutcomeState::Crashed,
        }
    }

    /// The findings; empty unless something is wrong.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Found { findings, .. } => findings,
            _ => &[],
        }
    }

    /// What could not be seen.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        match self {
            Self::Pass { without, .. } | Self::Found { without, .. } => without,
            Self::Unknown(gaps) => gaps,
            Self::NotApplicable(_) | Self::Crashed(_) => &[],
        }
    }
}
