//! Tables, metadata, and what a user may see.

mod client;

use client::{ask, get};
use eksnet_testkit::{Access, FakeApi, Match, Rule};
use serde_json::{Value, json};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

fn builder() -> eksnet_testkit::FakeApiBuilder {
    let mut builder = FakeApi::builder().now("2026-11-22T10:10:36Z".parse().expect("a time"));
    for name in ["a", "b", "c"] {
        builder = builder.object(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": "default",
                "labels": {"app": name},
                "creationTimestamp": "2026-11-22T10:05:36Z",
            },
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.9",
                "containerStatuses": [{"name": "c", "ready": true, "restartCount": 0, "state": {"running": {}}}],
            },
        }));
    }
    builder
}

async fn as_table(api: &FakeApi, query: &str) -> Value {
    let path = format!("/api/v1/pods?{query}");
    ask(api, "GET", &path)
        .header("accept", TABLE)
        .send()
        .await
        .json()
}

#[tokio::test]
async fn a_table_without_objects_holds_cells_only() {
    let table = as_table(&builder().start(), "includeObject=None&resourceVersion=0").await;
    assert_eq!(
        (&table["kind"], &table["apiVersion"]),
        (&json!("Table"), &json!("meta.k8s.io/v1"))
    );
    assert_eq!(
        table["rows"][0],
        json!({
            "cells": ["a", "1/1", "Running", "0", "5m", "10.0.0.9", "n1", "<none>", "<none>"],
            "object": null,
        })
    );
    let columns: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|column| column["name"].as_str())
        .collect();
    assert_eq!(
        columns,
        [
            "Name",
            "Ready",
            "Status",
            "Restarts",
            "Age",
            "IP",
            "Node",
            "Nominated Node",
            "Readiness Gates"
        ]
    );
}

#[tokio::test]
async fn a_table_comes_in_pages_and_carries_metadata_by_default() {
    let api = builder().start();
    let first = as_table(&api, "limit=2").await;
    assert_eq!(first["rows"].as_array().map(Vec::len), Some(2));
    let object = &first["rows"][0]["object"];
    assert_eq!(
        (&object["kind"], &object["metadata"]["labels"]["app"]),
        (&json!("PartialObjectMetadata"), &json!("a"))
    );
    assert!(object["spec"].is_null());
    let token = first["metadata"]["continue"]
        .as_str()
        .expect("a token")
        .to_owned();
    let second = as_table(&api, &format!("limit=2&continue={token}")).await;
    assert_eq!(second["rows"][0]["cells"][0], "c");
}

#[tokio::test]
async fn metadata_lists_hold_no_spec() {
    let api = builder().start();
    let list = ask(&api, "GET", "/api/v1/pods")
        .header("accept", METADATA)
        .send()
        .await
        .json();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    assert!(list["items"][0]["spec"].is_null());
}

#[tokio::test]
async fn a_server_that_ignores_accept_answers_whole_objects() {
    let api = builder().ignore_accept().start();
    let list = as_table(&api, "includeObject=None").await;
    assert_eq!(
        (&list["kind"], &list["items"][0]["spec"]["nodeName"]),
        (&json!("PodList"), &json!("n1"))
    );
}

#[tokio::test]
async fn a_representation_that_is_unknown_falls_to_the_next_choice() {
    let api = builder().start();
    let accept = format!("application/json;as=Other;v=v1;g=x,{TABLE},application/json");
    let table = ask(&api, "GET", "/api/v1/pods")
        .header("accept", &accept)
        .send()
        .await
        .json();
    assert_eq!(table["kind"], "Table");
}

#[tokio::test]
async fn subresources_and_names_need_rules_of_their_own() {
    let api = builder()
        .user("u")
        .access(Access::only([
            Rule::new(&["get", "list"], &[""], &["pods"]),
            Rule::new(&["get"], &[""], &["pods/log"]).named(&["a"]),
        ]))
        .start();
    api.set_log("default", "a", "c", "text\n");
    let log = |name: &str| format!("/api/v1/namespaces/default/pods/{name}/log");
    assert_eq!(get(&api, &log("a")).await.text(), "text\n");
    let refused = get(&api, &log("b")).await;
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.json()["message"],
        "pods \"b\" is forbidden: User \"u\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"default\""
    );
    let unknown = get(&api, "/apis/karpenter.sh/v1/nodepools").await;
    assert_eq!(
        unknown.json()["message"],
        "nodepools.karpenter.sh is forbidden: User \"u\" cannot list resource \"nodepools\" in API group \"karpenter.sh\" at the cluster scope"
    );
    assert_eq!(get(&api, "/version").await.status, 200);
    assert_eq!(
        get(&api, "/metrics").await.json()["message"],
        "forbidden: User \"u\" cannot get path \"/metrics\""
    );
    api.set_access(Access::everything());
    assert_eq!(get(&api, &log("b")).await.status, 200);
}

#[tokio::test]
async fn an_impersonated_user_is_named_in_refusals() {
    let api = builder().access(Access::only([])).start();
    let refused = ask(&api, "GET", "/api/v1/nodes")
        .header("impersonate-user", "jane")
        .send()
        .await;
    assert!(
        refused.json()["message"]
            .as_str()
            .is_some_and(|m| m.contains("User \"jane\""))
    );
    assert_eq!(
        api.audit().of(&Match::any())[0].header("impersonate-user"),
        Some("jane")
    );
}

#[tokio::test]
async fn discovery_lists_what_is_served_and_nothing_else() {
    let api = FakeApi::builder()
        .custom_resource("cninodes")
        .without("leases")
        .start();
    let groups = get(&api, "/apis").await.json();
    let names: Vec<&str> = groups["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|g| g["name"].as_str())
        .collect();
    assert!(names.contains(&"vpcresources.k8s.aws") && names.contains(&"authorization.k8s.io"));
    assert!(!names.contains(&"karpenter.sh") && !names.contains(&"coordination.k8s.io"));
    let core = get(&api, "/api/v1").await.json();
    let plurals: Vec<&str> = core["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|r| r["name"].as_str())
        .collect();
    assert!(plurals.contains(&"pods") && plurals.contains(&"pods/log"));
    assert_eq!(get(&api, "/apis/karpenter.sh/v1").await.status, 404);
    assert_eq!(get(&api, "/version").await.json()["minor"], "33+");
}
