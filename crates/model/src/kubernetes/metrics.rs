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
    /// Counters of errors stand with each set of their labels as well:
    /// `awscni_aws_api_error_count{api="AttachNetworkInterface",error="RequestLimitExceeded"}`.
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
    /// Whether the values of a metric are kept for each set of its labels too.
    #[must_use]
    pub fn keeps_labels(name: &str) -> bool {
        name.ends_with("_error_count") || name == "awscni_connmark_reconcile_total"
    }

    /// The labels of every series of a metric whose labels are kept, as the program writes them, and its
    /// value: how much it grew between the samples where there are two, else how much it is.
    pub fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.values.iter().filter_map(move |(key, value)| {
            let labels = key
                .strip_prefix(name)?
                .strip_prefix('{')?
                .strip_suffix('}')?;
            let grown = if self.earlier.is_empty() {
                *value
            } else {
                (value - self.earlier.get(key).copied().unwrap_or(0.0)).max(0.0)
            };
            Some((labels, grown))
        })
    }

    /// The value of one label among labels as the program writes them.
    #[must_use]
    pub fn label<'l>(labels: &'l str, name: &str) -> Option<&'l str> {
        let (_, rest) = labels.split_once(name).filter(|(before, rest)| {
            (before.is_empty() || before.ends_with(',')) && rest.starts_with("=\"")
        })?;
        rest.get(2..)?.split('"').next()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_told_apart_by_their_labels() {
        let values = |three: f64| {
            BTreeMap::from([
                ("awscni_x_error_count".to_owned(), 5.0),
                (
                    "awscni_x_error_count{fn=\"a\",error=\"b\"}".to_owned(),
                    three,
                ),
            ])
        };
        let mut metrics = CniMetrics {
            values: values(3.0),
            ..CniMetrics::default()
        };
        let series: Vec<_> = metrics.series("awscni_x_error_count").collect();
        assert_eq!(series, [("fn=\"a\",error=\"b\"", 3.0)]);
        assert_eq!(CniMetrics::label(series[0].0, "error"), Some("b"));
        assert_eq!(CniMetrics::label(series[0].0, "n"), None);
        metrics.earlier = values(1.0);
        let grown: Vec<_> = metrics.series("awscni_x_error_count").collect();
        assert_eq!(grown, [("fn=\"a\",error=\"b\"", 2.0)]);
    }
}
