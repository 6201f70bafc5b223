//! Logs of components and metrics of the CNI.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use eksnet_collect::Request;
use eksnet_model::{Component, LogScan, Severity, Signature, SignatureSet, Snapshot, Source, Why};
use eksnet_testkit::{Access, Action, FakeApi, FaultRule, Match, Reply, Rule};
use serde_json::json;

use crate::lab::{answering, cluster, lists, pod, seconds, snapshot};

fn signatures() -> Arc<SignatureSet> {
    let signature = Signature {
        id: "upstream-timeout".to_owned(),
        check: "dns/upstream-timeouts".to_owned(),
        component: "coredns".to_owned(),
        regex: r"(?P<from>\S+)->(?P<to>\S+): i/o timeout".to_owned(),
        meaning: "m".to_owned(),
        severity: Severity::Error,
        sample: "a->b: i/o timeout".to_owned(),
    };
    Arc::new(SignatureSet::compile(vec![signature]).expect("signatures"))
}

fn logs() -> Request {
    Request {
        sources: [Source::Logs].into(),
        signatures: signatures(),
        ..lists()
    }
}

fn scans(snapshot: &Snapshot) -> &[LogScan] {
    snapshot.kubernetes.logs.value().map_or(&[], Vec::as_slice)
}

fn lines(count: usize) -> String {
    let at = jiff::Timestamp::now();
    let line = |_| {
        format!(
            "{at} [ERROR] plugin/errors: 2 sts.us-west-2.amazonaws.com. A: read udp 10.0.0.9:1->10.0.0.2:53: i/o timeout\n"
        )
    };
    (0..count).map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hits_of_signatures_are_kept_and_nothing_else_of_a_log() {
    let api = cluster().start();
    api.set_log("kube-system", "coredns-1", "c", &lines(30));
    let read = snapshot(&api, &logs()).await;
    assert!(
        read.kubernetes.logs.is_complete(),
        "{:?}",
        read.kubernetes.logs.gap()
    );
    let scan = &scans(&read)[0];
    assert_eq!(
        (scan.component, scan.lines, scan.truncated),
        (Component::CoreDns, 30, false)
    );
    let hits = scan.hits("upstream-timeout").expect("hits");
    assert_eq!(hits.count, 30);
    assert!(hits.samples.len() < 10);
    let to = &hits.fields[&eksnet_model::Text::from("to")];
    assert_eq!(
        to.keys().next().map(|key| key.as_str()),
        Some("10.0.0.2:53")
    );
    let asked = api.audit().of(&Match::verb("get", "pods/log"));
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].param("timestamps"), Some("true"));
    assert_eq!(asked[0].param("sinceSeconds"), Some("3600"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_longer_than_what_is_read_says_so() {
    let api = cluster().start();
    api.set_log("kube-system", "coredns-1", "c", &lines(6000));
    let read = snapshot(&api, &logs()).await;
    assert_eq!(
        (scans(&read)[0].lines, scans(&read)[0].truncated),
        (5000, true)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_before_a_restart_is_read_and_marked() {
    let mut restarted = pod("kube-system", "coredns-2", "n2", "x/coredns:v1");
    restarted["status"]["containerStatuses"] = json!([{"name": "c", "restartCount": 1,
        "lastState": {"terminated": {"exitCode": 2, "finishedAt": jiff::Timestamp::now().to_string()}}}]);
    let api = cluster().object(restarted).start();
    api.set_log("kube-system", "coredns-2", "c", "ok\n");
    api.set_previous_log("kube-system", "coredns-2", "c", &lines(3));
    let read = snapshot(&api, &logs()).await;
    let previous: Vec<&LogScan> = scans(&read).iter().filter(|scan| scan.previous).collect();
    assert_eq!(previous.len(), 1);
    assert_eq!(
        previous[0].hits("upstream-timeout").map(|hits| hits.count),
        Some(3)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_cannot_be_read_leave_a_gap_each_of_its_kind() {
    let denied = Access::everything().except(Rule::new(&["get"], &[""], &["pods/log"]));
    let api = cluster().access(denied).start();
    let read = snapshot(&api, &logs()).await;
    let gap = read.kubernetes.logs.gap().expect("a gap");
    assert_eq!(gap.why, Why::Denied("get pods/log in kube-system".into()));
    assert!(read.kubernetes.logs.value().is_none());

    // One kubelet of two does not answer: what the other said is kept.
    let second = pod("kube-system", "coredns-2", "n2", "x/coredns:v1");
    let hangs = FaultRule::on(Match::verb("get", "pods/log").name("coredns-2")).then(Action::Hang);
    let api = cluster().object(second).fault(hangs).start();
    api.set_log("kube-system", "coredns-1", "c", &lines(2));
    let mut request = logs();
    request.timeout = seconds(3);
    let read = snapshot(&api, &request).await;
    let gap = read.kubernetes.logs.gap().expect("a gap");
    assert_eq!(gap.why, Why::Timeout);
    assert!(
        gap.detail.contains("1 of 2 logs") && gap.detail.contains("coredns-2"),
        "{gap}"
    );
    assert_eq!(scans(&read).len(), 1);

    // Of a log that is cut the beginning counts.
    let cut = FaultRule::on(Match::verb("get", "pods/log")).then(Action::CutAfter(500));
    let api = cluster().fault(cut).start();
    api.set_log("kube-system", "coredns-1", "c", &lines(20));
    let read = snapshot(&api, &logs()).await;
    assert_eq!(
        read.kubernetes.logs.gap().map(|gap| gap.why.clone()),
        Some(Why::Truncated)
    );
    assert!(scans(&read)[0].lines >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_that_cannot_be_reached_is_asked_once() {
    let fault = FaultRule::on(Match::verb("get", "pods/log")).then(Action::status(503));
    let api = cluster().fault(fault).start();
    let read = snapshot(&api, &logs()).await;
    assert!(read.kubernetes.logs.value().is_none());
    assert_eq!(api.audit().count(&Match::verb("get", "pods/log")), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_has_not_started_has_no_log_and_leaves_no_gap() {
    let api = cluster()
        .fault(FaultRule::on(Match::verb("get", "pods/log")).then(Action::status(400)))
        .start();
    let read = snapshot(&api, &logs()).await;
    assert!(read.kubernetes.logs.is_complete());
    assert!(scans(&read).is_empty());
}

fn metrics() -> Request {
    Request {
        sources: [Source::CniMetrics].into(),
        ..lists()
    }
}

fn with_cni(nodes: usize) -> FakeApi {
    let builder = (0..nodes).fold(cluster(), |builder, n| {
        let name = format!("aws-node-{n:02}");
        builder.object(pod("kube-system", &name, "n1", "x/amazon-k8s-cni:v1.19"))
    });
    builder.script(answering()).start()
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_sampled_at_both_ends_of_a_run() {
    let api = with_cni(1);
    let asked = AtomicU32::new(0);
    api.pod_proxy("kube-system", "aws-node-*", 61678, "/metrics", move |_| {
        let value = 10 * (asked.fetch_add(1, Ordering::SeqCst) + 1);
        let text =
            format!("awscni_ipamd_error_count{{error=\"x\",fn=\"y\"}} {value}\ngo_threads 9\n");
        Reply::text(200, text)
    });
    // A slow log makes the run last long enough for a second sample to mean something.
    api.set_log("kube-system", "coredns-1", "c", &lines(10));
    api.fault(FaultRule::on(Match::verb("get", "pods/log")).then(Action::slow(300, 400)));
    let mut request = metrics();
    request.sources.insert(Source::Logs);
    let read = snapshot(&api, &request).await;
    let values = read.kubernetes.cni_metrics.value().expect("metrics");
    let one = &values[0];
    assert_eq!((one.node.as_str(), one.pod.as_str()), ("n1", "aws-node-00"));
    assert_eq!(one.growth("awscni_ipamd_error_count"), Some(10.0));
    assert!(one.interval_s.is_some_and(|seconds| seconds >= 1.0));
    assert!(!values[0].values.contains_key("go_threads"));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_many_nodes_are_sampled_and_those_that_fail_leave_gaps() {
    let api = with_cni(25);
    api.pod_proxy("kube-system", "aws-node-*", 61678, "/metrics", |_| {
        Reply::text(200, "awscni_eni_max 3\n")
    });
    let read = snapshot(&api, &metrics()).await;
    let gap = read.kubernetes.cni_metrics.gap().expect("a gap");
    assert_eq!(gap.why, Why::Sampled);
    assert!(gap.detail.contains("20 of 25 nodes"), "{gap}");

    // Nothing listens: the API server says 503 at once, and is not asked again.
    let api = with_cni(1);
    let read = snapshot(&api, &metrics()).await;
    assert_eq!(
        read.kubernetes.cni_metrics.gap().map(|gap| gap.why.clone()),
        Some(Why::Failed)
    );
    assert_eq!(api.audit().count(&Match::verb("get", "pods/proxy")), 1);

    let read = snapshot(&cluster().start(), &metrics()).await;
    assert_eq!(
        read.kubernetes.cni_metrics.gap().map(|gap| gap.why.clone()),
        Some(Why::NotInstalled)
    );
}
