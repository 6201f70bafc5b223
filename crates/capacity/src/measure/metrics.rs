//! The figures of CNI Metrics Helper, by its names
//! (<https://github.com/aws/amazon-vpc-cni-k8s/tree/master/cmd/cni-metrics-helper>, read 2026-11).

use serde::Serialize;

use super::Totals;
use crate::ground::{Ground, list};

/// The figures of CNI Metrics Helper, summed over the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct HelperMetrics {
    /// Most interfaces.
    #[serde(rename = "eniMaxAvailable")]
    pub eni_max_available: Option<u64>,
    /// Interfaces allocated.
    #[serde(rename = "eniAllocated")]
    pub eni_allocated: Option<u64>,
    /// Most addresses for pods.
    #[serde(rename = "maxIPAddresses")]
    pub max_ip_addresses: Option<u64>,
    /// Addresses on interfaces.
    #[serde(rename = "totalIPAddresses")]
    pub total_ip_addresses: Option<u64>,
    /// Addresses that pods have.
    #[serde(rename = "assignIPAddresses")]
    pub assign_ip_addresses: Option<u64>,
    /// Prefixes on interfaces.
    #[serde(rename = "totalIPv4Prefixes")]
    pub total_ipv4_prefixes: Option<u64>,
    /// ipamd's errors since it started.
    #[serde(rename = "ipamdErr")]
    pub ipamd_err: Option<u64>,
    /// ADD requests since it started.
    #[serde(rename = "addReqCount")]
    pub add_req_count: Option<u64>,
    /// DEL requests since it started.
    #[serde(rename = "delReqCount")]
    pub del_req_count: Option<u64>,
}

/// By aws-node's own metrics where those of every node are there, else by what was measured.
pub(super) fn metrics(ground: &Ground<'_>, totals: &Totals) -> HelperMetrics {
    HelperMetrics {
        eni_max_available: sum(ground, "awscni_eni_max").or(totals.enis.possible),
        eni_allocated: sum(ground, "awscni_eni_allocated").or(totals.enis.used),
        max_ip_addresses: sum(ground, "awscni_ip_max").or(totals.addresses.possible),
        total_ip_addresses: sum(ground, "awscni_total_ip_addresses").or(totals.addresses.allocated),
        assign_ip_addresses: sum(ground, "awscni_assigned_ip_addresses")
            .or(totals.addresses.assigned),
        total_ipv4_prefixes: sum(ground, "awscni_total_ipv4_prefixes"),
        ipamd_err: sum(ground, "awscni_ipamd_error_count"),
        add_req_count: sum(ground, "awscni_add_ip_req_count"),
        del_req_count: sum(ground, "awscni_del_ip_req_count"),
    }
}

/// `None` unless every node with a CNI pod has told.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts
fn sum(ground: &Ground<'_>, name: &str) -> Option<u64> {
    let told = list(&ground.snapshot.kubernetes.cni_metrics);
    let nodes = ground
        .nodes
        .iter()
        .filter(|one| one.node.has_cni_pod())
        .count();
    if told.is_empty() || told.len() < nodes {
        return None;
    }
    // A counter that has not counted yet is not there, beside others that are.
    let any = told.iter().any(|one| one.value(name).is_some());
    let is_counter = name.ends_with("_count");
    if !any && !is_counter {
        return None;
    }
    Some(
        told.iter()
            .map(|one| one.value(name).unwrap_or(0.0).max(0.0) as u64)
            .sum(),
    )
}
