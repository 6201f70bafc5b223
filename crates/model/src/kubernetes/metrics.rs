//! aws-node's metrics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Time;

/// aws-node's metrics on one node, in the parts that checks read. Source:
/// `utils/prometheusmetrics/prometheusmetrics.go` of amazon-vpc-cni-k8s.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CniMetrics {
    /// Node.
    pub node: String,
    /// aws-node's pod.
    pub pod: String,
    /// Names and values, summed over labels: `awscni_total_ip_addresses`, `awscni_eni_max`, ...
    pub values: BTreeMap<String, f64>,
    /// An earlier sample of the same run, for counters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub earlier: BTreeMap<String, f64>,
    /// Seconds between the two samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_s: Option<f64>,
    /// When the newer sample was taken.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub at: Option<Time>,
}

impl CniMetrics {
    /// A value of the newer sample.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }

    /// By how much a counter grew between the samples; `None` without two samples, or where the
    /// process restarted between them.
    #[must_use]
    pub fn growth(&self, name: &str) -> Option<f64> {
        let growth = self.values.get(name)? - self.earlier.get(name)?;
        (growth >= 0.0).then_some(growth)
    }
}
