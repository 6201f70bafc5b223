//! aws-node's metrics, through the pod proxy.

use std::collections::BTreeMap;

use eksnet_model::kubernetes::{CniMetrics, Pod};
use eksnet_model::{Component, Evidence, Gap, Snapshot, Source, Time, Topology, Why};
use futures_util::future::join_all;
use tokio::time::{Duration, Instant};

use super::api::{Api, Ask};
use super::fault::Fault;

/// Port on which aws-node serves its metrics.
const PORT: u16 = 61678;
/// Most nodes that are asked.
const MOST: usize = 20;
/// Limit of one request. A security group that does not let the control plane in ends in silence.
const ONE: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most names that are kept of one node.
const MAX_NAMES: usize = 500;
/// Shortest time between two samples that says something about counters, in seconds.
const MIN_INTERVAL: f64 = 1.0;

/// The first samples, and what the second ones are added to.
pub(crate) struct Sampled {
    evidence: Evidence<Vec<CniMetrics>>,
    /// Namespace of each pod.
    namespaces: BTreeMap<String, String>,
    at: Instant,
}

/// Takes a first sample of aws-node's metrics on some nodes.
pub(crate) async fn sample(api: &Api, snapshot: &Snapshot, deadline: Instant) -> Sampled {
    let at = Instant::now();
    let (pods, left_out) = choose(snapshot);
    let evidence = if pods.is_empty() {
        Evidence::Absent(without_pods(snapshot))
    } else {
        let fetched = join_all(pods.iter().map(|pod| fetch(api, pod, deadline))).await;
        evidence(fetched, pods.len(), left_out)
    };
    let namespaces = pods
        .into_iter()
        .map(|pod| (pod.metadata.name, pod.metadata.namespace))
        .collect();
    Sampled {
        evidence,
        namespaces,
        at,
    }
}

/// Takes a second sample of the nodes that answered the first.
pub(crate) async fn sample_again(
    api: &Api,
    first: Sampled,
    deadline: Instant,
) -> Evidence<Vec<CniMetrics>> {
    let Sampled {
        mut evidence,
        namespaces,
        at,
    } = first;
    let interval = at.elapsed().as_secs_f64();
    if interval < MIN_INTERVAL || Instant::now() >= deadline {
        return evidence;
    }
    let Some(metrics) = evidence.value_mut() else {
        return evidence;
    };
    let again = join_all(metrics.iter().map(|one| async {
        let namespace = namespaces.get(&one.pod)?;
        fetch_values(api, namespace, &one.pod, deadline).await.ok()
    }))
    .await;
    for (one, values) in metrics.iter_mut().zip(again) {
        if let Some(values) = values {
            one.earlier = std::mem::replace(&mut one.values, values);
            one.interval_s = Some((interval * 10.0).round() / 10.0);
            one.at = Some(Time(jiff::Timestamp::now()));
        }
    }
    evidence
}

/// Pods that are asked: those on nodes in trouble first, and how many are left out.
fn choose(snapshot: &Snapshot) -> (Vec<Pod>, usize) {
    let topology = Topology::of(snapshot);
    let mut troubled: BTreeMap<&str, u32> = BTreeMap::new();
    for pod in snapshot.kubernetes.pods.value().into_iter().flatten() {
        if !pod.is_terminal() && !pod.is_ready() {
            *troubled.entry(&pod.spec.node_name).or_default() += 1;
        }
    }
    let mut pods: Vec<&Pod> = topology
        .pods_of(Component::AwsNode)
        .filter(|pod| !pod.spec.node_name.is_empty() && pod.status.phase == "Running")
        .collect();
    pods.sort_by_key(|pod| {
        let trouble = troubled
            .get(pod.spec.node_name.as_str())
            .copied()
            .unwrap_or(0);
        (std::cmp::Reverse(trouble), pod.metadata.name.clone())
    });
    let left_out = pods.len().saturating_sub(MOST);
    (pods.into_iter().take(MOST).cloned().collect(), left_out)
}

fn without_pods(snapshot: &Snapshot) -> Gap {
    match snapshot.kubernetes.pods.gap() {
        Some(gap) => Gap {
            source: Source::CniMetrics,
            detail: format!("pods of aws-node are not known: {}", gap.detail).into(),
            ..gap.clone()
        },
        None => Gap::new(
            Source::CniMetrics,
            Why::NotInstalled,
            "no pod of aws-node runs",
        ),
    }
}

async fn fetch(api: &Api, pod: &Pod, deadline: Instant) -> Result<CniMetrics, Gap> {
    let (namespace, name) = (pod.metadata.namespace.as_str(), pod.metadata.name.as_str());
    match fetch_values(api, namespace, name, deadline).await {
        Ok(values) => Ok(CniMetrics {
            node: pod.spec.node_name.clone(),
            pod: name.to_owned(),
            values,
            at: Some(Time(jiff::Timestamp::now())),
            ..CniMetrics::default()
        }),
        Err(fault) => {
            let tried = format!("metrics of {namespace}/{name} through the pod proxy");
            Err(fault.gap(
                Source::CniMetrics,
                &tried,
                &format!("get pods/proxy in {namespace}"),
            ))
        }
    }
}

async fn fetch_values(
    api: &Api,
    namespace: &str,
    name: &str,
    deadline: Instant,
) -> Result<BTreeMap<String, f64>, Fault> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:{PORT}/proxy/metrics");
    let ask = Ask {
        accept: "text/plain",
        is_patient: false,
        ..Ask::get(&path)
    };
    let deadline = deadline.min(Instant::now() + ONE);
    let body = api.send(&ask, deadline).await?.bytes(MAX_BYTES).await?;
    let values = parse(&String::from_utf8_lossy(&body));
    if values.is_empty() {
        return Err(Fault::Malformed("no metric of the CNI in it".to_owned()));
    }
    Ok(values)
}

fn evidence(
    fetched: Vec<Result<CniMetrics, Gap>>,
    asked: usize,
    left_out: usize,
) -> Evidence<Vec<CniMetrics>> {
    let mut values = Vec::new();
    let mut gaps = Vec::new();
    for one in fetched {
        match one {
            Ok(metrics) => values.push(metrics),
            Err(gap) => gaps.push(gap),
        }
    }
    let gap = match gaps.first() {
        Some(first) => {
            let detail = format!(
                "{} of {asked} nodes did not tell; {}",
                gaps.len(),
                first.detail
            );
            Some(Gap {
                detail: detail.into(),
                ..first.clone()
            })
        }
        None if left_out > 0 => {
            let all = asked + left_out;
            Some(Gap::new(
                Source::CniMetrics,
                Why::Sampled,
                format!("{asked} of {all} nodes were asked"),
            ))
        }
        None => None,
    };
    match gap {
        None => Evidence::Present(values),
        Some(gap) if values.is_empty() => Evidence::Absent(gap),
        Some(gap) => Evidence::Partial { value: values, gap },
    }
}

/// The CNI's metrics of a text in Prometheus' exposition format, summed over their labels.
///
/// Buckets of histograms are left out: summed over `le` they mean nothing.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut values: BTreeMap<String, f64> = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if !line.starts_with("awscni_") {
            continue;
        }
        let Some((name, labels, value)) = sample_of(line) else {
            continue;
        };
        if name.ends_with("_bucket") || !value.is_finite() {
            continue;
        }
        if values.len() < MAX_NAMES || values.contains_key(name) {
            *values.entry(name.to_owned()).or_default() += value;
            if let Some(labels) = labels.filter(|_| CniMetrics::keeps_labels(name)) {
                values.insert(format!("{name}{labels}"), value);
            }
        }
    }
    values
}

/// Name, labels with their braces, and value of a line `name{label="value",..} value [time]`.
fn sample_of(line: &str) -> Option<(&str, Option<&str>, f64)> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(labels) => {
            let end = end_of_labels(labels)?;
            (rest.get(..=end), &labels[end..])
        }
        None => (None, rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name, labels, value))
}

/// Where the labels end: behind the brace that stands in no value.
fn end_of_labels(labels: &str) -> Option<usize> {
    let (mut in_value, mut escaped) = (false, false);
    for (at, byte) in labels.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_value => escaped = true,
            b'"' => in_value = !in_value,
            b'}' if !in_value => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_summed_over_labels_and_others_metrics_left_out() {
        let text = "# HELP awscni_eni_max m\n# TYPE awscni_eni_max gauge\nawscni_eni_max 4\n\
            awscni_aws_api_error_count{api=\"Attach}Eni\",error=\"a \\\"b\\\"\"} 2\n\
            awscni_aws_api_error_count{api=\"x\",error=\"y\"} 3 1700000000000\n\
            awscni_aws_api_latency_ms_bucket{le=\"10\"} 7\n\
            awscni_total_ip_addresses 1.5e+01\nawscni_nan NaN\nawscni_broken{ 1\nawscni_none\n\
            go_goroutines 70\n";
        let expected = [
            ("awscni_aws_api_error_count", 5.0),
            (
                "awscni_aws_api_error_count{api=\"Attach}Eni\",error=\"a \\\"b\\\"\"}",
                2.0,
            ),
            ("awscni_aws_api_error_count{api=\"x\",error=\"y\"}", 3.0),
            ("awscni_eni_max", 4.0),
            ("awscni_total_ip_addresses", 15.0),
        ];
        let expected: BTreeMap<String, f64> = expected
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn endless_names_are_not_kept() {
        let text: String = (0..10_000).map(|n| format!("awscni_x{n} 1\n")).collect();
        assert_eq!(parse(&text).len(), MAX_NAMES);
    }

    #[test]
    fn nodes_that_do_not_tell_make_the_evidence_partial() {
        let gap = || Gap::new(Source::CniMetrics, Why::Timeout, "x");
        let some = evidence(vec![Ok(CniMetrics::default()), Err(gap())], 2, 0);
        assert!(some.gap().unwrap().detail.contains("1 of 2 nodes"));
        assert!(evidence(vec![Err(gap())], 1, 0).value().is_none());
        let sampled = evidence(vec![Ok(CniMetrics::default())], 1, 9);
        assert_eq!(sampled.gap().unwrap().why, Why::Sampled);
    }
}
