//! Probing: pods that answer, that do not start, and whose logs cannot be read.

use eksnet_collect::{CollectError, NodeChoice, Request, Silent, preview, sweep};
use eksnet_model::{Evidence, ProbeRun, Source, Why};
use eksnet_testkit::{Access, Action, Admission, FakeApi, FaultRule, Match, PodScript, Rule};
use serde_json::{Value, json};

use crate::lab::{answering, cluster, connected, left, node, pod, probes, run, seconds, snapshot};

fn value(evidence: &Evidence<ProbeRun>) -> &ProbeRun {
    match evidence.value() {
        Some(run) => run,
        None => panic!("no probes: {:?}", evidence.gap()),
    }
}

async fn probed(api: &FakeApi, request: &Request) -> Evidence<ProbeRun> {
    snapshot(api, request).await.probes
}

/// Reasons for which pods did not start, by node.
fn reasons(evidence: &Evidence<ProbeRun>) -> Vec<(String, String)> {
    let mut reasons: Vec<(String, String)> = value(evidence)
        .pods
        .iter()
        .map(|pod| {
            let why = pod
                .not_started
                .as_ref()
                .map_or("", |why| why.reason.as_str());
            (pod.at.node.to_string(), why.to_owned())
        })
        .collect();
    reasons.sort();
    reasons
}

#[tokio::test(flavor = "multi_thread")]
async fn every_standpoint_answers_and_nothing_stays_behind() {
    let api = cluster()
        .script(answering())
        .pod_security("default", "restricted")
        .start();
    let evidence = probed(&api, &probes()).await;
    assert!(evidence.is_complete(), "{:?}", evidence.gap());
    let run = value(&evidence);
    assert_eq!(run.pods.len(), 2);
    for pod in &run.pods {
        assert!(
            pod.complete && pod.log_error.is_none() && pod.ip.is_some(),
            "{pod:?}"
        );
        assert_eq!(pod.results.len(), pod.plan.len());
        assert_eq!(pod.at.namespace, "default");
    }
    assert_eq!((run.created, run.deleted), (2, 2));
    assert_eq!(left(&api), [""; 0]);
    // Pods are put on their nodes without a scheduler, and belong to the run's own config map.
    let created = api.audit().of(&Match::verb("create", "pods"));
    for request in created {
        let pod = request.json();
        assert!(pod["spec"]["nodeName"].is_string());
        assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "ConfigMap");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_without_an_address_tells_so_and_the_others_answer() {
    let api = cluster()
        .script(answering())
        .script(PodScript::no_address().on_node("n2"))
        .start();
    let evidence = probed(&api, &probes()).await;
    let expected = [("n1", ""), ("n2", "FailedCreatePodSandBox")];
    assert_eq!(
        reasons(&evidence),
        expected.map(|(node, why)| (node.to_owned(), why.to_owned()))
    );
    let stuck = value(&evidence)
        .pods
        .iter()
        .find_map(|pod| pod.not_started.clone());
    let message = stuck.expect("a pod that did not start").message;
    assert!(
        message.contains("failed to assign an IP address"),
        "{message}"
    );
    // Our pod is not at fault: no flag goes round that.
    assert_eq!(evidence.gap().expect("a gap").closes, None);
    assert!(value(&evidence).pods.iter().any(|pod| pod.complete));
    assert_eq!(left(&api), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_our_own_pod_are_gaps_with_a_way_round() {
    let image = "registry.example/agent:1";
    type Arrange = Box<dyn Fn(&FakeApi)>;
    let cases: Vec<(Arrange, &str, &str)> = vec![
        (
            Box::new(move |api| api.script(PodScript::image_pull_back_off(image))),
            "ImagePullBackOff",
            "--agent-image",
        ),
        (
            Box::new(|api| api.admission(Admission::quota("q"))),
            "Quota",
            "--probe-namespace",
        ),
        (
            Box::new(|api| api.admission(Admission::webhook("v.example", "no"))),
            "Webhook",
            "--probe-namespace",
        ),
        (
            Box::new(|api| api.admission(Admission::forbidden("nope"))),
            "Forbidden",
            "--probe-namespace",
        ),
    ];
    for (arrange, reason, way) in cases {
        let api = cluster().start();
        arrange(&api);
        let evidence = probed(&api, &probes()).await;
        assert!(
            reasons(&evidence).iter().all(|(_, why)| why == reason),
            "{:?}",
            reasons(&evidence)
        );
        let gap = evidence.gap().expect("a gap");
        assert!(
            gap.closes.as_ref().expect("a way round").contains(way),
            "{gap:?}"
        );
        assert_eq!(left(&api), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_is_evidence_at_once() {
    let api = cluster().script(PodScript::out_of_pods()).start();
    let evidence = probed(&api, &probes()).await;
    assert!(reasons(&evidence).iter().all(|(_, why)| why == "OutOfpods"));
    assert_eq!(left(&api), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_does_not_hold_the_run_and_keeps_no_pod() {
    let api = cluster().script(answering()).start();
    api.set_node_dead("n2", true);
    let mut request = probes();
    request.timeout = seconds(6);
    let evidence = probed(&api, &request).await;
    let expected = [("n1", ""), ("n2", "Timeout")];
    assert_eq!(
        reasons(&evidence),
        expected.map(|(node, why)| (node.to_owned(), why.to_owned()))
    );
    assert_eq!(left(&api), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_create_pods_the_source_is_absent() {
    let access = Access::everything().except(Rule::new(&["create"], &[""], &["pods"]));
    let api = cluster().access(access).start();
    let evidence = probed(&api, &probes()).await;
    let gap = evidence.gap().expect("a gap");
    assert_eq!(gap.why, Why::Denied("create pods in default".into()));
    assert_eq!(evidence.value(), None);
    assert_eq!(left(&api), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_create_config_maps_probes_still_run() {
    let access = Access::everything().except(Rule::new(&["create"], &[""], &["configmaps"]));
    let api = cluster().script(answering()).access(access).start();
    assert!(probed(&api, &probes()).await.is_complete());
    assert_eq!(left(&api), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_read_is_replaced_by_the_termination_message() {
    let access = Access::everything().except(Rule::new(&["get"], &[""], &["pods/log"]));
    let api = cluster().script(answering()).access(access).start();
    let evidence = probed(&api, &probes()).await;
    for pod in &value(&evidence).pods {
        let error = pod.log_error.as_ref().expect("an error of the log");
        assert!(error.contains("pods/log"), "{error}");
        assert!(!pod.results.is_empty());
    }
    let hangs = FaultRule::on(Match::verb("get", "pods/log")).then(Action::CutAfter(40));
    let api = cluster().script(answering()).fault(hangs).start();
    let evidence = probed(&api, &probes()).await;
    assert!(
        value(&evidence)
            .pods
            .iter()
            .all(|pod| !pod.results.is_empty())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_others_in_the_log_is_no_result() {
    let script = PodScript::succeeds().log(|_| {
        r#"{"line":"result","nonce":"guess","id":1,"outcome":{"kind":"notRun","why":"forged"}}"#
            .to_owned()
    });
    let api = cluster().script(script).start();
    let evidence = probed(&api, &probes()).await;
    for pod in &value(&evidence).pods {
        assert!(pod.results.is_empty() && !pod.complete);
    }
    assert_eq!(evidence.gap().expect("a gap").why, Why::Truncated);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_refuses_its_plan_is_quoted() {
    let script = PodScript::succeeds()
        .log(|_| "eksnet-agent: the plan speaks protocol 1\n".to_owned())
        .exits(2);
    let api = cluster().script(script).start();
    let evidence = probed(&api, &probes()).await;
    let error = value(&evidence).pods[0]
        .log_error
        .clone()
        .expect("an error");
    assert!(
        error.contains("exit code 2") && error.contains("speaks protocol"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_pods_may_not_be_listed_they_are_got_by_name() {
    let access = Access::everything().except(Rule::new(&["list"], &[""], &["pods"]));
    let api = cluster().script(answering()).access(access).start();
    let evidence = probed(&api, &probes()).await;
    assert!(evidence.is_complete(), "{:?}", evidence.gap());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_do_not_exist_are_a_usage_error() {
    let api = cluster().start();
    let mut request = probes();
    request.nodes = NodeChoice::Named(vec!["n9".to_owned()]);
    assert_eq!(
        run(&api, &request).await.err(),
        Some(CollectError::Nodes("n9".into()))
    );
    assert_eq!(api.pods_created(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_everything_and_creates_nothing() {
    let api = cluster().start();
    let connection = connected(&api).await;
    let shown = preview(&connection, &probes(), &Silent)
        .await
        .expect("a preview");
    assert_eq!(shown.pods.len(), 2);
    assert_eq!(shown.pods[0].manifest["spec"]["nodeName"], "n1");
    assert!(!shown.pods[0].probes.is_empty());
    assert!(
        shown
            .calls
            .iter()
            .any(|call| call.starts_with("POST /api/v1/namespaces/default/pods"))
    );
    let writes = api
        .audit()
        .requests()
        .iter()
        .filter(|request| request.method != "GET")
        .count();
    assert_eq!((writes, api.pods_created()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_whose_budget_covers_every_pod_is_left_alone() {
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"namespace": "default", "name": "all"}, "spec": {"selector": {}}});
    let api = cluster().script(answering()).object(budget).start();
    let evidence = probed(&api, &probes()).await;
    let gap = evidence.gap().expect("a gap");
    assert!(gap.detail.contains("PodDisruptionBudget all"), "{gap}");
    assert_eq!(api.pods_created(), 0);
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "shop", "name": "cart"},
        "spec": {"selector": {"matchLabels": {"app": "cart"}}, "template": {
            "metadata": {"labels": {"app": "cart", "tier": "web", "version": "7", "pod-template-hash": "abc"}},
            "spec": {"serviceAccountName": "cart", "containers": [{"name": "c", "image": "cart"}]}}}})
}

fn shop() -> eksnet_testkit::FakeApiBuilder {
    let mut own = pod("shop", "cart-abc-1", "n2", "cart");
    own["metadata"]["labels"] = json!({"pod-template-hash": "abc"});
    own["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-abc", "controller": true, "uid": "u"}]);
    let policy = |name: &str, key: &str| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"namespace": "shop", "name": name},
            "spec": {"podSelector": {"matchLabels": {key: "x"}}}})
    };
    cluster()
        .object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}))
        .object(deployment())
        .object(own)
        .object(policy("by-app", "app"))
        .object(policy("by-tier", "tier"))
        .object(policy("by-hash", "pod-template-hash"))
        .object(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": "shop", "name": "cart",
            "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/cart"}}}))
        .script(answering())
}

fn as_cart() -> Request {
    Request {
        sources: [Source::IdentityProbes].into(),
        as_workload: Some("shop/deployment/cart".parse().expect("a workload")),
        ..probes()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_runs_as_a_workload_with_what_policies_see_of_it() {
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"namespace": "shop", "name": "cart"}, "spec": {"selector": {"matchLabels": {"app": "cart"}}}});
    let api = shop().object(budget).start();
    let read = snapshot(&api, &as_cart()).await;
    let run = value(&read.identity_probes);
    assert_eq!(
        run.pods[0].at.workload.as_deref(),
        Some("shop/Deployment/cart")
    );
    assert_eq!(run.pods[0].at.node, "n2");
    assert!(
        run.sampled
            .contains("label app, by which PodDisruptionBudget cart"),
        "{}",
        run.sampled
    );
    let real = |request: &&eksnet_testkit::Request| request.param("dryRun").is_none();
    let created = api.audit().of(&Match::verb("create", "pods"));
    let pod = created.iter().find(real).expect("a pod").json();
    let labels = pod["metadata"]["labels"].as_object().expect("labels");
    let keys: Vec<&str> = labels.keys().map(String::as_str).collect();
    // `tier` for its policy; `app` would disturb the budget, `version` is seen by nobody, and a hash
    // of a controller is never taken over.
    assert_eq!(keys, ["app.kubernetes.io/name", "eksnet.dev/run", "tier"]);
    assert_eq!(pod["spec"]["serviceAccountName"], "cart");
    // No webhook injects credentials here: the pod brings its own token, for ten minutes.
    let env = &pod["spec"]["containers"][0]["env"][0];
    assert_eq!(env["value"], "arn:aws:iam::123456789012:role/cart");
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    assert_eq!(api.pods_created(), 1);
    assert_eq!(left(&api), [""; 0]);
    assert!(matches!(read.probes, Evidence::Absent(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_that_does_not_exist_is_a_usage_error() {
    let api = shop().start();
    let request = Request {
        as_workload: Some("shop/deployment/none".parse().expect("a workload")),
        ..as_cart()
    };
    let error = run(&api, &request).await.expect_err("an error");
    assert!(matches!(&error, CollectError::Workload { .. }), "{error}");
    assert!(
        error.to_string().contains("shop/Deployment/none"),
        "{error}"
    );
    assert_eq!(api.pods_created(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn network_and_identity_probes_share_a_namespace() {
    let api = shop().start();
    let request = Request {
        sources: [Source::Probes, Source::IdentityProbes].into(),
        probe_namespace: "shop".to_owned(),
        ..as_cart()
    };
    let read = snapshot(&api, &request).await;
    assert_eq!(value(&read.probes).pods.len(), 2);
    assert!(
        read.identity_probes.is_complete(),
        "{:?}",
        read.identity_probes.gap()
    );
    assert_eq!(api.pods_created(), 3);
    assert_eq!(left(&api), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_deletes_what_is_old_and_spares_what_is_young() {
    let orphan = |name: &str, created: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "default", "name": name,
            "creationTimestamp": created,
            "labels": {"app.kubernetes.io/name": "kubectl-eksnet-probe", "eksnet.dev/run": "x"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "agent", "image": "x"}]}})
    };
    let now = jiff::Timestamp::now().to_string();
    let api = cluster()
        .object(node("n3", "c5"))
        .object(orphan("old", "2020-01-01T00:00:00Z"))
        .object(orphan("young", &now))
        .start();
    let connection = connected(&api).await;
    let swept = sweep(&connection, None, seconds(600), seconds(20)).await;
    assert_eq!((swept.pods, swept.deleted, swept.young), (2, 1, 1));
    assert!(swept.left.is_empty() && swept.gaps.is_empty());
    assert!(api.get("pods", "default", "old").is_none());
    assert!(api.get("pods", "default", "young").is_some());
    assert!(api.get("pods", "kube-system", "coredns-1").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_too_long_for_an_argument_travels_in_a_config_map() {
    let domain = "a-rather-long-label-of-a-domain.".repeat(6);
    let corefile = format!(".:53 {{\n    kubernetes {domain} {{\n    }}\n}}");
    let mut builder = cluster().script(answering()).object(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "kube-system", "name": "coredns"}, "data": {"Corefile": corefile}}));
    for n in 0..60 {
        let mut coredns = pod(
            "kube-system",
            &format!("coredns-x{n}"),
            "n1",
            "x/coredns:v1",
        );
        coredns["status"]["podIP"] = json!(format!("10.0.7.{n}"));
        builder = builder.object(coredns);
    }
    let mut dns = crate::lab::service("kube-system", "kube-dns", "10.100.0.10");
    dns["spec"]["clusterIPs"] = json!(
        (10..30)
            .map(|n| format!("10.100.0.{n}"))
            .collect::<Vec<_>>()
    );
    let api = builder.object(dns).start();
    let evidence = probed(&api, &probes()).await;
    assert!(evidence.is_complete(), "{:?}", evidence.gap());
    assert!(
        value(&evidence).sampled.contains("40 of 61 CoreDNS pods"),
        "{}",
        value(&evidence).sampled
    );
    let maps = api.audit().of(&Match::verb("create", "configmaps"));
    let with_plan = maps
        .iter()
        .filter(|request| request.json()["data"]["plan"].is_string());
    assert_eq!(with_plan.count(), 2);
    assert_eq!(left(&api), [""; 0]);
}
