//! Reading, creating, changing and deleting objects, seen by a plain client.

mod client;

use client::{ask, get, names};
use eksnet_testkit::{FakeApi, Match, Reply, Resource};
use serde_json::{Value, json};

fn node(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"pool": "a"}}})
}

fn pod(namespace: &str, name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "example/main:1"}]},
        "status": {"phase": "Running"},
    })
}

fn five_pods() -> FakeApi {
    let mut builder = FakeApi::builder();
    for (at, namespace) in ["a", "a", "b", "b", "b"].iter().enumerate() {
        builder = builder.object(pod(namespace, &format!("p{at}"), &format!("n{}", at % 2)));
    }
    builder.start()
}

#[tokio::test]
async fn pages_follow_one_another_until_nothing_remains() {
    let api = five_pods();
    let first = get(&api, "/api/v1/pods?limit=2").await.json();
    assert_eq!(names(&first), ["p0", "p1"]);
    assert_eq!(first["kind"], "PodList");
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    assert!(
        first["items"][0]["kind"].is_null(),
        "items of built-in lists name no kind"
    );
    let token = first["metadata"]["continue"].as_str().expect("a token");
    let second = get(&api, &format!("/api/v1/pods?limit=2&continue={token}"))
        .await
        .json();
    assert_eq!(names(&second), ["p2", "p3"]);
    let token = second["metadata"]["continue"].as_str().expect("a token");
    let third = get(&api, &format!("/api/v1/pods?limit=2&continue={token}"))
        .await
        .json();
    assert_eq!(names(&third), ["p4"]);
    assert!(third["metadata"]["continue"].is_null());
    assert_eq!(
        api.audit()
            .count(&Match::verb("list", "pods").has_param("continue")),
        2
    );
}

#[tokio::test]
async fn a_list_from_the_cache_ignores_its_limit() {
    let api = five_pods();
    let list = get(&api, "/api/v1/pods?limit=2&resourceVersion=0")
        .await
        .json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn a_token_from_before_a_compaction_is_expired() {
    let api = five_pods();
    let first = get(&api, "/api/v1/pods?limit=2").await.json();
    api.compact();
    let token = first["metadata"]["continue"].as_str().expect("a token");
    let refused = get(&api, &format!("/api/v1/pods?limit=2&continue={token}")).await;
    assert_eq!(
        (refused.status, &refused.json()["reason"]),
        (410, &json!("Expired"))
    );
    let again = refused.json()["metadata"]["continue"].clone();
    let rest = get(
        &api,
        &format!("/api/v1/pods?continue={}", again.as_str().expect("a token")),
    )
    .await;
    assert_eq!(names(&rest.json()), ["p2", "p3", "p4"]);
}

#[tokio::test]
async fn selectors_and_namespaces_narrow_a_list() {
    let api = five_pods();
    let list = |query: &'static str| {
        let api = &api;
        async move { get(api, query).await.json() }
    };
    assert_eq!(
        names(&list("/api/v1/namespaces/a/pods").await),
        ["p0", "p1"]
    );
    assert_eq!(
        names(&list("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").await),
        ["p1", "p3"]
    );
    assert_eq!(
        names(&list("/api/v1/pods?labelSelector=app%20in%20(p1,p4)").await),
        ["p1", "p4"]
    );
    let refused = get(&api, "/api/v1/pods?fieldSelector=spec.foo%3D1").await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.json()["message"]
            .as_str()
            .is_some_and(|m| m.ends_with("field label not supported: spec.foo"))
    );
}

#[tokio::test]
async fn what_is_absent_is_told_from_what_is_unknown() {
    let api = FakeApi::builder()
        .resource(Resource::custom("example.com/v1", "things", "Thing"))
        .custom_resource("eniconfigs")
        .start();
    let pod = get(&api, "/api/v1/namespaces/default/pods/x").await;
    assert_eq!(pod.status, 404);
    assert_eq!(pod.json()["message"], "pods \"x\" not found");
    assert_eq!(pod.json()["details"], json!({"name": "x", "kind": "pods"}));
    let deployment = get(&api, "/apis/apps/v1/namespaces/default/deployments/x").await;
    assert_eq!(
        deployment.json()["message"],
        "deployments.apps \"x\" not found"
    );
    let unknown = get(&api, "/api/v1/widgets").await;
    assert_eq!(
        unknown.json()["message"],
        "the server could not find the requested resource"
    );
    let no_crd = get(&api, "/apis/karpenter.sh/v1/nodepools").await;
    assert_eq!(
        (no_crd.status, no_crd.text().as_str()),
        (404, "404 page not found\n")
    );
    assert_eq!(
        get(&api, "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs")
            .await
            .status,
        200
    );
    assert_eq!(
        get(&api, "/apis/example.com/v1/things").await.json()["kind"],
        "ThingList"
    );
}

#[tokio::test]
async fn a_token_that_is_not_the_servers_is_unauthorized() {
    let api = FakeApi::builder().token(Some("right")).start();
    let wrong = ask(&api, "GET", "/api/v1/nodes");
    assert_eq!(wrong.send().await.status, 200);
    let request = hyper::Request::builder()
        .uri("/api/v1/nodes")
        .header("authorization", "Bearer wrong")
        .body(http_body_util::Full::default())
        .expect("a request");
    let answer = client::open(api.addr(), api.ca_pem(), request)
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn a_created_object_gets_a_name_an_identity_and_a_revision() {
    let api = FakeApi::builder().plain_http().start();
    let map =
        json!({"metadata": {"generateName": "run-", "labels": {"a": "b"}}, "data": {"k": "v"}});
    let path = "/api/v1/namespaces/default/configmaps";
    let made = ask(&api, "POST", path).json(&map).send().await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let name = made["metadata"]["name"]
        .as_str()
        .expect("a name")
        .to_owned();
    assert!(name.starts_with("run-") && name.len() == 9, "{name}");
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        assert!(made["metadata"][field].is_string(), "{field}");
    }
    let named = json!({"metadata": {"name": name}});
    let again = ask(&api, "POST", path).json(&named).send().await;
    assert_eq!(again.status, 409);
    assert_eq!(
        again.json()["message"],
        format!("configmaps \"{name}\" already exists")
    );
    let elsewhere = ask(&api, "POST", "/api/v1/namespaces/nowhere/configmaps")
        .json(&named)
        .send()
        .await;
    assert_eq!(
        elsewhere.json()["message"],
        "namespaces \"nowhere\" not found"
    );
    let dry = json!({"metadata": {"name": "dry"}});
    let dry = ask(&api, "POST", &format!("{path}?dryRun=All"))
        .json(&dry)
        .send()
        .await;
    assert_eq!(dry.status, 201);
    assert!(api.get("configmaps", "default", "dry").is_none());
}

#[tokio::test]
async fn an_invalid_pod_is_refused_with_its_fields() {
    let api = FakeApi::start();
    let pod = json!({"metadata": {"name": "p", "labels": {"run": "-"}}, "spec": {"containers": [{"name": "a"}]}});
    let refused = ask(&api, "POST", "/api/v1/namespaces/default/pods")
        .json(&pod)
        .send()
        .await;
    assert_eq!(refused.status, 422);
    let causes = refused.json()["details"]["causes"].clone();
    let fields: Vec<&str> = causes
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|c| c["field"].as_str())
        .collect();
    assert_eq!(fields, ["metadata.labels", "spec.containers[0].image"]);
    assert_eq!(api.pods_created(), 0);
}

#[tokio::test]
async fn deleting_an_owner_takes_what_it_owns() {
    let api = FakeApi::start();
    let owner = ask(&api, "POST", "/api/v1/namespaces/default/configmaps")
        .json(&json!({"metadata": {"name": "run"}}))
        .send()
        .await
        .json();
    let mut owned = pod("default", "owned", "");
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "run", "uid": owner["metadata"]["uid"]}]);
    let made = ask(&api, "POST", "/api/v1/namespaces/default/pods")
        .json(&owned)
        .send()
        .await;
    assert_eq!(made.status, 201);
    let gone = ask(&api, "DELETE", "/api/v1/namespaces/default/configmaps/run")
        .send()
        .await;
    assert_eq!(gone.json()["status"], "Success");
    assert!(api.list("pods").is_empty());
}

#[tokio::test]
async fn a_delete_with_the_wrong_uid_is_a_conflict() {
    let api = FakeApi::builder().object(node("n1")).start();
    let options = json!({"preconditions": {"uid": "other"}});
    let refused = ask(&api, "DELETE", "/api/v1/nodes/n1")
        .json(&options)
        .send()
        .await;
    assert_eq!(
        (refused.status, &refused.json()["reason"]),
        (409, &json!("Conflict"))
    );
    assert!(api.get("nodes", "", "n1").is_some());
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let api = five_pods();
    let path = "/api/v1/namespaces/b/pods?labelSelector=app!%3Dp3&gracePeriodSeconds=0";
    let gone = ask(&api, "DELETE", path).send().await.json();
    assert_eq!(names(&gone), ["p2", "p4"]);
    assert_eq!(api.list("pods").len(), 3);
    assert_eq!(
        api.audit().count(&Match::verb("deletecollection", "pods")),
        1
    );
}

#[tokio::test]
async fn patches_and_updates_keep_identity_and_see_conflicts() {
    let api = FakeApi::builder().object(node("n1")).start();
    let patch = |kind: &'static str| {
        ask(&api, "PATCH", "/api/v1/nodes/n1")
            .header("content-type", kind)
            .body(r#"{"metadata":{"labels":{"pool":null,"zone":"z"}}}"#)
    };
    let patched = patch("application/merge-patch+json").send().await.json();
    assert_eq!(patched["metadata"]["labels"], json!({"zone": "z"}));
    assert_eq!(
        patch("application/apply-patch+yaml").send().await.status,
        415
    );
    let mut stale = node("n1");
    stale["metadata"]["resourceVersion"] = json!("1");
    let conflict = ask(&api, "PUT", "/api/v1/nodes/n1")
        .json(&stale)
        .send()
        .await;
    assert_eq!(conflict.status, 409);
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_ask() {
    let mut builder = FakeApi::builder();
    for at in 0..400 {
        let mut pod = pod("a", &format!("p{at:03}"), "n1");
        pod["metadata"]["annotations"] = json!({"filler": "x".repeat(500)});
        builder = builder.object(pod);
    }
    let api = builder.start();
    let packed = ask(&api, "GET", "/api/v1/pods")
        .header("accept-encoding", "gzip")
        .send()
        .await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let plain = get(&api, "/api/v1/pods").await;
    assert!(packed.body.len() * 5 < plain.body.len());
    let small = ask(&api, "GET", "/api/v1/pods?limit=1")
        .header("accept-encoding", "gzip")
        .send()
        .await;
    assert_eq!(small.header("content-encoding"), None);
}

#[tokio::test]
async fn a_test_may_answer_in_place_of_the_server() {
    let api = five_pods();
    api.respond(
        Match::verb("list", "pods").has_param("continue"),
        |request| {
            Reply::json(
                200,
                &json!({"kind": "PodList", "token": request.param("continue")}),
            )
        },
    );
    assert_eq!(
        get(&api, "/api/v1/pods?continue=x").await.json()["token"],
        "x"
    );
    assert_eq!(names(&get(&api, "/api/v1/pods").await.json()).len(), 5);
}
