//! aws-node's metrics, in Prometheus' text format.

use std::collections::BTreeMap;

use eksnet_model::kubernetes::CniMetrics;

/// Most metrics that are kept.
const MAX: usize = 1000;

/// Metrics that were read so far.
#[derive(Default)]
pub(crate) struct Metrics {
    values: BTreeMap<String, f64>,
}

impl Metrics {
    /// Reads a sample such as `awscni_total_ip_addresses 58`; values of all labels are summed.
    pub(crate) fn line(&mut self, text: &str) -> bool {
        if !text.starts_with("awscni_") {
            return false;
        }
        let (name, rest) = match text.split_once('{') {
            Some((name, rest)) => match rest.rsplit_once('}') {
                Some((_, rest)) => (name, rest),
                None => return false,
            },
            None => match text.split_once(' ') {
                Some(parts) => parts,
                None => return false,
            },
        };
        let value = rest.split_whitespace().next().map(str::parse::<f64>);
        let Some(Ok(value)) = value else {
            return false;
        };
        if self.values.len() < MAX || self.values.contains_key(name) {
            *self.values.entry(name.to_owned()).or_default() += value;
            let series = text
                .rsplit_once('}')
                .filter(|_| CniMetrics::keeps_labels(name))
                .map(|(series, _)| format!("{series}}}"));
            if let Some(series) = series {
                self.values.insert(series, value);
            }
        }
        true
    }

    /// The metrics; nothing in the text tells of which node.
    pub(crate) fn finish(self, file: &str) -> Option<CniMetrics> {
        (!self.values.is_empty()).then(|| CniMetrics {
            node: file.to_owned(),
            values: self.values,
            ..CniMetrics::default()
        })
    }
}
