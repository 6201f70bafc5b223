//! Logs and proxies of pods, seen by a plain client.

mod client;

use client::get;
use eksnet_testkit::{FakeApi, Reply};
use serde_json::{Value, json};

fn pod(namespace: &str, name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "example/main:1"}]},
        "status": {"phase": "Running"},
    })
}

#[tokio::test]
async fn logs_are_cut_as_asked_and_refused_as_the_kubelet_would() {
    let api = FakeApi::builder().object(pod("a", "p", "n1")).start();
    api.set_log("a", "p", "main", "one\ntwo\nthree\n");
    let log = "/api/v1/namespaces/a/pods/p/log";
    assert_eq!(get(&api, log).await.text(), "one\ntwo\nthree\n");
    assert_eq!(
        get(&api, &format!("{log}?tailLines=1&sinceSeconds=60"))
            .await
            .text(),
        "three\n"
    );
    assert_eq!(
        get(&api, &format!("{log}?limitBytes=5")).await.text(),
        "one\nt"
    );
    let previous = get(&api, &format!("{log}?previous=true")).await;
    assert_eq!(
        previous.json()["message"],
        "previous terminated container \"main\" in pod \"p\" not found"
    );
    api.set_previous_log("a", "p", "main", "crashed\n");
    assert_eq!(
        get(&api, &format!("{log}?previous=true")).await.text(),
        "crashed\n"
    );
    let other = get(&api, &format!("{log}?container=x")).await;
    assert_eq!(
        other.json()["message"],
        "container x is not valid for pod p"
    );
    api.set_node_dead("n1", true);
    assert_eq!(get(&api, log).await.status, 500);
}

#[tokio::test]
async fn a_pod_proxy_reaches_what_listens_and_refuses_what_does_not() {
    let api = FakeApi::builder()
        .object(pod("kube-system", "aws-node-x", "n1"))
        .start();
    api.pod_proxy("kube-system", "aws-node-*", 61678, "/metrics", |_| {
        Reply::text(200, "awscni_eni_max 3\n")
    });
    let path = "/api/v1/namespaces/kube-system/pods/aws-node-x";
    assert_eq!(
        get(&api, &format!("{path}:61678/proxy/metrics"))
            .await
            .text(),
        "awscni_eni_max 3\n"
    );
    assert_eq!(
        get(&api, &format!("{path}:61678/proxy/other")).await.status,
        404
    );
    let closed = get(&api, &format!("{path}:9/proxy/metrics")).await;
    assert_eq!(
        (closed.status, &closed.json()["reason"]),
        (503, &json!("ServiceUnavailable"))
    );
}
