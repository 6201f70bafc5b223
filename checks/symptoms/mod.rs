//! Observers of symptoms: what is seen to fail, without a claim about why.
//!
//! A symptom is a finding with `check: "sym/..."`. It is listed in no registry, counts in none, and
//! is a root only when nothing explains it.

use eksnet_model::Symptom;

mod aws_call_access_denied;
mod aws_call_connect_timeout;
mod aws_call_dns_error;
mod failed_calls;
mod nodes_not_ready;

pub(crate) const SYMPTOMS: &[&Symptom] = &[
    &aws_call_access_denied::SYMPTOM,
    &aws_call_connect_timeout::SYMPTOM,
    &aws_call_dns_error::SYMPTOM,
    &nodes_not_ready::SYMPTOM,
];
