use std::time::Duration;

use eksnet_model::kubernetes::Node;
use eksnet_testkit::{Action, FakeApi, FakeApiBuilder, FaultRule, Match};
use serde_json::json;

use super::*;
use crate::{ConnectOptions, Environment, connect};

const PODS: Resource = Resource {
    source: Source::Pods,
    versions: &["/api/v1"],
    plural: "pods",
    namespaced: true,
};

#[test]
fn the_first_page_asks_the_cache_and_later_pages_name_no_revision() {
    let scope = Scope {
        namespace: Some("kube-system"),
        fields: Some("type=Warning"),
        ..Scope::default()
    };
    assert_eq!(
        PODS.path("/api/v1", &scope, None),
        "/api/v1/namespaces/kube-system/pods?limit=500&resourceVersion=0&fieldSelector=type%3DWarning"
    );
    // The API refuses a revision next to a continue token.
    let next = PODS.path("/api/v1", &Scope::default(), Some("a+b/c="));
    assert_eq!(next, "/api/v1/pods?limit=500&continue=a%2Bb%2Fc%3D");
}

#[test]
fn partial_lists_are_never_present() {
    let cut = |items: Vec<u8>| Listed {
        items,
        ended: Err(Stopped::Fault(Fault::Cut("eof".to_owned()))),
    };
    let partial = cut(vec![1]).evidence(Source::Pods, "list pods");
    assert_eq!(partial.gap().unwrap().why, Why::Truncated);
    assert_eq!(partial.value(), Some(&vec![1]));
    let absent = cut(vec![]).evidence(Source::Pods, "list pods");
    assert_eq!(absent.value(), None);
}

/// Nodes of a server that pages, which it does where its cache is not asked.
async fn nodes_of(builder: FakeApiBuilder) -> (FakeApi, Listed<Node>) {
    const NODES: Resource = Resource {
        source: Source::Nodes,
        versions: &["/api/v1"],
        plural: "nodes",
        namespaced: false,
    };
    let node = |n: usize| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n{n:02}")}});
    let server = (0..30)
        .fold(builder.page_cap(7), |builder, n| builder.object(node(n)))
        .start();
    let kubeconfig = server.kubeconfig().write();
    let options = ConnectOptions {
        kubeconfig: Some(kubeconfig.path().to_owned()),
        environment: Environment::default(),
        ..ConnectOptions::default()
    };
    let connection = connect(&options).await.unwrap();
    let scope = Scope {
        fresh: true,
        ..Scope::default()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    let listed = NODES.list(&connection.api, &scope, deadline, Some).await;
    (server, listed)
}

fn later_pages() -> Match {
    Match::verb("list", "nodes").has_param("continue")
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_followed_to_the_last() {
    let (server, listed) = nodes_of(FakeApi::builder()).await;
    assert_eq!((listed.items.len(), &listed.ended), (30, &Ok(())));
    let asked = server.audit().of(&Match::verb("list", "nodes"));
    assert_eq!(asked.len(), 5);
    assert!(
        asked
            .iter()
            .all(|request| request.param("resourceVersion").is_none())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_expires_once_is_read_again_from_its_beginning() {
    let once = FaultRule::on(later_pages())
        .nth(2)
        .then(Action::ExpiredContinue);
    let (_, listed) = nodes_of(FakeApi::builder().fault(once)).await;
    assert_eq!((listed.items.len(), &listed.ended), (30, &Ok(())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_expires_again_is_partial() {
    let always = FaultRule::on(later_pages()).then(Action::ExpiredContinue);
    let (server, listed) = nodes_of(FakeApi::builder().fault(always)).await;
    assert_eq!(listed.items.len(), 7);
    assert!(matches!(listed.ended, Err(Stopped::Expired(_))));
    let gap = listed.evidence(Source::Nodes, "list nodes").gap().cloned();
    assert_eq!(gap.map(|gap| gap.why), Some(Why::Truncated));
    assert_eq!(server.audit().count(&Match::verb("list", "nodes")), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_followed_by_itself_ends_the_list() {
    let repeated = FaultRule::on(later_pages()).then(Action::RepeatedPage);
    let (server, listed) = nodes_of(FakeApi::builder().fault(repeated)).await;
    assert!(matches!(listed.ended, Err(Stopped::Odd(_))));
    assert_eq!(server.audit().count(&Match::verb("list", "nodes")), 2);
}
