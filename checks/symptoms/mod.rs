//! Observers of symptoms: what is seen to fail, without a claim about why.
//!
//! A symptom is a finding with `check: "sym/..."`. It is listed in no registry, counts in none, and
//! is a root only when nothing explains it.

use eksnet_model::Symptom;

mod api_writes_rejected;
mod aws_call_access_denied;
mod aws_call_connect_timeout;
mod aws_call_dns_error;
mod failed_calls;
mod instances_not_nodes;
mod intermittent_drops;
mod kubectl_logs_exec_fail;
mod lb_not_created;
mod lb_targets_unhealthy;
mod no_aws_credentials;
mod no_scale_in;
mod no_scale_out;
mod nodes_not_ready;
mod pod_dns_nxdomain;
mod pod_dns_timeout;
mod pods_containercreating;
mod pods_pending;
mod probe_pod_not_started;
mod service_vip_dead;
mod stands_for;

pub(crate) const SYMPTOMS: &[&Symptom] = &[
    &api_writes_rejected::SYMPTOM,
    &aws_call_access_denied::SYMPTOM,
    &aws_call_connect_timeout::SYMPTOM,
    &aws_call_dns_error::SYMPTOM,
    &instances_not_nodes::SYMPTOM,
    &intermittent_drops::SYMPTOM,
    &kubectl_logs_exec_fail::SYMPTOM,
    &lb_not_created::SYMPTOM,
    &lb_targets_unhealthy::SYMPTOM,
    &no_aws_credentials::SYMPTOM,
    &no_scale_in::SYMPTOM,
    &no_scale_out::SYMPTOM,
    &nodes_not_ready::SYMPTOM,
    &pod_dns_nxdomain::SYMPTOM,
    &pod_dns_timeout::SYMPTOM,
    &pods_containercreating::SYMPTOM,
    &pods_pending::SYMPTOM,
    &probe_pod_not_started::SYMPTOM,
    &service_vip_dead::SYMPTOM,
];
