//! Observers of symptoms: what is seen to fail, without a claim about why.
//!
//! A symptom is a finding with `check: "sym/..."`. It is listed in no registry, counts in none, and
//! is a root only when nothing explains it.

use eksnet_model::Symptom;

mod nodes_not_ready;

pub(crate) const SYMPTOMS: &[&Symptom] = &[&nodes_not_ready::SYMPTOM];
