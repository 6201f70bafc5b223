//! Listing: pages, refusals, and servers that misbehave.

use eksnet_model::{Evidence, Gap, Snapshot, Source, Why};
use eksnet_testkit::{Access, Action, FakeApi, FaultRule, Match, Rule};
use serde_json::json;

use crate::lab::{cluster, lists, node, pod, seconds, snapshot};

fn with_pods(count: usize) -> eksnet_testkit::FakeApiBuilder {
    (0..count).fold(cluster(), |builder, n| {
        builder.object(pod("shop", &format!("p{n:03}"), "n1", "nginx"))
    })
}

fn pod_count(snapshot: &Snapshot) -> Option<usize> {
    snapshot.kubernetes.pods.value().map(Vec::len)
}

fn gap(snapshot: &Snapshot) -> &Gap {
    snapshot.kubernetes.pods.gap().expect("a gap of pods")
}

fn pods() -> Match {
    Match::verb("list", "pods")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_read_whole() {
    let api = cluster()
        .object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "kube-system", "name": "coredns"},
            "data": {"Corefile": ".:53 {\n    kubernetes corp.local in-addr.arpa {\n    }\n}"}}))
        .start();
    let snapshot = snapshot(&api, &lists()).await;
    let kubernetes = &snapshot.kubernetes;
    assert_eq!(kubernetes.nodes.value().map(Vec::len), Some(2));
    for is_complete in [
        kubernetes.nodes.is_complete(),
        kubernetes.pods.is_complete(),
        kubernetes.deployments.is_complete(),
        kubernetes.daemonsets.is_complete(),
        kubernetes.services.is_complete(),
        kubernetes.endpointslices.is_complete(),
        kubernetes.events.is_complete(),
        kubernetes.configmaps.is_complete(),
        kubernetes.leases.is_complete(),
        kubernetes.poddisruptionbudgets.is_complete(),
        kubernetes.networkpolicies.is_complete(),
        kubernetes.serviceaccounts.is_complete(),
    ] {
        assert!(is_complete);
    }
    let facts = &snapshot.cluster;
    assert_eq!(facts.name.as_deref(), Some("prod"));
    assert_eq!(facts.version.as_deref(), Some("1.33"));
    assert_eq!(facts.eks, Some(true));
    assert_eq!(facts.dns_domain(), "corp.local");
    assert!(snapshot.taken_at.is_some());
    // Custom networking is not installed: that is an answer, not an empty list.
    let why = kubernetes.eniconfigs.gap().map(|gap| gap.why.clone());
    assert_eq!(why, Some(Why::NotInstalled));
    // The whole of it without a single write, and no list of config maps.
    let writes = api
        .audit()
        .requests()
        .iter()
        .filter(|request| request.method != "GET")
        .count();
    assert_eq!(writes, 0);
    assert_eq!(api.audit().count(&Match::verb("list", "configmaps")), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_answers_in_one_page() {
    let api = with_pods(30).start();
    assert_eq!(pod_count(&snapshot(&api, &lists()).await), Some(31));
    let asked = api.audit().of(&pods());
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].param("resourceVersion"), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_which_right_was_missing() {
    let access = Access::everything().except(Rule::new(&["list"], &[""], &["nodes"]));
    let api = cluster().access(access).start();
    let read = snapshot(&api, &lists()).await;
    let gap = read.kubernetes.nodes.gap().expect("a gap");
    assert_eq!(gap.why, Why::Denied("list nodes".into()));
    assert!(
        gap.closes
            .as_ref()
            .expect("a way")
            .contains("resources: [nodes]")
    );
    assert!(
        gap.detail.contains("at the cluster scope"),
        "{}",
        gap.detail
    );
    assert!(read.kubernetes.pods.is_complete());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_not_all_namespaces_may_be_listed_some_are() {
    let access = Access::only([
        Rule::new(&["*"], &["*"], &["*"]).in_namespace("kube-system"),
        Rule::new(&["list"], &[""], &["pods"]).in_namespace("shop"),
    ]);
    let api = with_pods(3).access(access).start();
    let mut request = lists();
    request.namespaces = vec!["shop".to_owned()];
    let read = snapshot(&api, &request).await;
    assert_eq!(pod_count(&read), Some(4));
    let seen = Why::OnlyNamespaces(vec!["kube-system".into(), "shop".into()]);
    assert_eq!(gap(&read).why, seen);
    // Nothing at all may be seen: that is no empty list.
    let api = cluster().access(Access::only([])).start();
    let read = snapshot(&api, &request).await;
    assert_eq!(gap(&read).why, Why::Denied("list pods".into()));
    assert_eq!(pod_count(&read), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_hangs_costs_only_itself() {
    let api = cluster()
        .fault(FaultRule::on(pods()).then(Action::Hang))
        .start();
    let mut request = lists();
    request.timeout = seconds(2);
    let read = snapshot(&api, &request).await;
    assert_eq!(gap(&read).why, Why::Timeout);
    assert!(read.kubernetes.nodes.is_complete() && read.kubernetes.services.is_complete());
    assert!(
        read.kubernetes.serviceaccounts.value().is_some()
            || read.kubernetes.serviceaccounts.gap().is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_a_cut_is_kept() {
    let cases = [
        (Action::CutAfter(6000), Why::Truncated),
        (Action::Malformed, Why::Malformed),
    ];
    for (action, why) in cases {
        let fault = FaultRule::on(pods()).then(action.clone());
        let api = with_pods(30).gzip(false).fault(fault).start();
        let read = snapshot(&api, &lists()).await;
        assert_eq!(gap(&read).why, why, "{action:?}: {}", gap(&read));
        let count = pod_count(&read).unwrap_or_default();
        assert!((1..31).contains(&count), "{action:?} left {count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_given_up_in_time_with_what_came() {
    let fault = FaultRule::on(pods()).then(Action::slow(2000, 150));
    let api = with_pods(60).gzip(false).fault(fault).start();
    let mut request = lists();
    request.timeout = seconds(2);
    let read = snapshot(&api, &request).await;
    assert_eq!(gap(&read).why, Why::Timeout);
    assert!(pod_count(&read).unwrap_or_default() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_patience_gets_it() {
    let once = FaultRule::on(pods()).first(1).then(Action::throttled(1));
    let api = cluster().fault(once).start();
    assert!(snapshot(&api, &lists()).await.kubernetes.pods.is_complete());
    let always = FaultRule::on(pods()).then(Action::throttled(30));
    let api = cluster().fault(always).start();
    let mut request = lists();
    request.timeout = seconds(4);
    let read = snapshot(&api, &request).await;
    assert_eq!(gap(&read).why, Why::Throttled);
    // 30 s do not fit into the run: it does not wait for them.
    assert_eq!(api.audit().count(&pods()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_fail_has_a_reason_of_its_own() {
    let cases = [
        (Action::status(401), Why::Unauthenticated),
        (Action::status(404), Why::NotInstalled),
        (Action::status(500), Why::Failed),
        (Action::proxy_page(), Why::Malformed),
        (Action::Reset, Why::Unreachable),
    ];
    for (action, why) in cases {
        let api = cluster()
            .fault(FaultRule::on(pods()).then(action.clone()))
            .start();
        let read = snapshot(&api, &lists()).await;
        assert_eq!(gap(&read).why, why, "{action:?}: {}", gap(&read));
        assert_eq!(pod_count(&read), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_cannot_be_read_costs_only_itself() {
    let mut odd = node("odd", "c5");
    odd["status"]["conditions"] = json!("none");
    let api = cluster().object(odd).start();
    let read = snapshot(&api, &lists()).await;
    let nodes = &read.kubernetes.nodes;
    assert_eq!(nodes.value().map(Vec::len), Some(2));
    let gap = nodes.gap().expect("a gap");
    assert!(gap.detail.contains("1 item could not be read"), "{gap}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_cluster_is_asked_for_its_beta_versions() {
    let api = FakeApi::builder()
        .without("poddisruptionbudgets")
        .version("v1.20.15-eks-1")
        .start();
    let read = snapshot(&api, &lists()).await;
    let why = read
        .kubernetes
        .poddisruptionbudgets
        .gap()
        .map(|gap| gap.why.clone());
    assert_eq!(why, Some(Why::NotInstalled));
    let asked = api.audit().of(&Match::path("/apis/policy/*"));
    let paths: Vec<&str> = asked.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/apis/policy/v1/poddisruptionbudgets",
            "/apis/policy/v1beta1/poddisruptionbudgets"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_wanted_is_asked_for() {
    let api = cluster().start();
    let mut request = lists();
    request.sources = [Source::Nodes].into();
    let read = snapshot(&api, &request).await;
    assert!(read.kubernetes.nodes.is_complete());
    assert_eq!(api.audit().requests().len(), 2); // and /version
    let why = match &read.kubernetes.pods {
        Evidence::Absent(gap) => gap.why.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(why, Why::NotRequested);
    let probes = read.probes.gap().expect("a gap");
    assert_eq!(probes.why, Why::NotRequested);
    assert!(probes.detail.contains("--no-probe"), "{probes}");
}
