//! Observers of symptoms: what is seen to fail, without a claim about why.
//!
//! A symptom is a finding with `check: "sym/..."`. It is listed in no registry, counts in none, and
//! is a root only when nothing explains it.

use eksnet_model::Symptom;

mod aws_call_access_denied;
mod aws_call_connect_timeout;
mod aws_call_dns_error;
mod failed_calls;
mod intermittent_drops;
mod nodes_not_ready;
mod pod_dns_nxdomain;
mod pod_dns_timeout;
mod service_vip_dead;
mod stands_for;

pub(crate) const SYMPTOMS: &[&Symptom] = &[
    &aws_call_access_denied::SYMPTOM,
    &aws_call_connect_timeout::SYMPTOM,
    &aws_call_dns_error::SYMPTOM,
    &intermittent_drops::SYMPTOM,
    &nodes_not_ready::SYMPTOM,
    &pod_dns_nxdomain::SYMPTOM,
    &pod_dns_timeout::SYMPTOM,
    &service_vip_dead::SYMPTOM,
];
