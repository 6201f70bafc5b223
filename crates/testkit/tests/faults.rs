//! Everything that can go wrong on purpose, seen by a plain client.

mod client;

use std::io::ErrorKind;
use std::time::Duration;

use client::{ask, get, io_kind, names};
use eksnet_testkit::{Action, FakeApi, FaultRule, Match};
use serde_json::{Value, json};

fn cluster(rule: FaultRule) -> FakeApi {
    let mut builder = FakeApi::builder().fault(rule);
    for at in 0..4 {
        let name = format!("n{at}");
        builder =
            builder.object(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}));
    }
    builder.start()
}

fn nodes(action: Action) -> FakeApi {
    cluster(FaultRule::on(Match::verb("list", "nodes")).then(action))
}

const NODES: &str = "/api/v1/nodes";

#[tokio::test]
async fn a_throttled_request_says_when_to_come_again_and_the_next_one_passes() {
    let api = cluster(
        FaultRule::on(Match::verb("list", "*"))
            .first(1)
            .then(Action::throttled(3)),
    );
    let refused = get(&api, NODES).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("3"))
    );
    assert_eq!(refused.json()["reason"], "TooManyRequests");
    assert_eq!(get(&api, NODES).await.status, 200);
    let statuses: Vec<_> = api.audit().requests().iter().map(|r| r.status).collect();
    assert_eq!(statuses, [Some(429), Some(200)]);
}

#[tokio::test]
async fn a_cut_body_ends_after_its_bytes_with_an_error() {
    let api = nodes(Action::CutAfter(10));
    let response = ask(&api, "GET", NODES).open().await.expect("headers");
    assert!(response.headers().get("content-length").is_some());
    let mut body = response.into_body();
    let first = client::piece(&mut body).await.expect("the first bytes");
    assert_eq!(first.len(), 10);
    let rest = client::whole(hyper::Response::new(body)).await;
    assert!(rest.is_err(), "the promised length was not sent");
}

#[tokio::test]
async fn a_stalled_body_neither_goes_on_nor_ends() {
    let api = nodes(Action::StallAfter(10));
    let response = ask(&api, "GET", NODES).open().await.expect("headers");
    let mut body = response.into_body();
    assert_eq!(
        client::piece(&mut body).await.map(|piece| piece.len()),
        Some(10)
    );
    let more = tokio::time::timeout(Duration::from_millis(200), client::piece(&mut body)).await;
    assert!(more.is_err());
}

#[tokio::test]
async fn a_reset_is_a_reset_and_not_an_end() {
    let api = cluster(FaultRule::on(Match::any()).then(Action::Reset));
    let failure = ask(&api, "GET", NODES)
        .attempt()
        .await
        .expect_err("no answer");
    assert_eq!(
        io_kind(&failure),
        Some(ErrorKind::ConnectionReset),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_hanging_request_arrives_and_is_never_answered() {
    let api = nodes(Action::Hang);
    let limited = tokio::time::timeout(Duration::from_millis(300), get(&api, NODES)).await;
    assert!(limited.is_err());
    assert_eq!(api.audit().most_in_flight(), 1);
    assert_eq!(
        api.audit()
            .wait_for(1, &Match::verb("list", "nodes"))
            .status,
        None
    );
}

#[tokio::test]
async fn a_slow_body_comes_in_pieces_and_is_whole() {
    let api = nodes(Action::slow(100, 1));
    let response = ask(&api, "GET", NODES).open().await.expect("headers");
    let mut body = response.into_body();
    let (mut pieces, mut bytes) = (0, Vec::new());
    while let Some(piece) = client::piece(&mut body).await {
        pieces += 1;
        bytes.extend_from_slice(&piece);
    }
    assert!(pieces > 3, "{pieces}");
    let list: Value = serde_json::from_slice(&bytes).expect("a whole list");
    assert_eq!(names(&list).len(), 4);
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be() {
    let malformed = get(&nodes(Action::Malformed), NODES).await;
    assert_eq!(malformed.status, 200);
    assert!(serde_json::from_slice::<Value>(&malformed.body).is_err());
    let typed = get(&nodes(Action::ContentType("text/html".to_owned())), NODES).await;
    assert_eq!(typed.header("content-type"), Some("text/html"));
    assert_eq!(names(&typed.json()).len(), 4);
    let page = get(&nodes(Action::proxy_page()), NODES).await;
    assert!(page.text().starts_with("<!DOCTYPE html>"));
}

#[tokio::test]
async fn a_page_that_repeats_itself_never_ends() {
    let api = nodes(Action::RepeatedPage);
    let first = get(&api, &format!("{NODES}?limit=1")).await.json();
    let token = first["metadata"]["continue"].as_str().expect("a token");
    for _ in 0..3 {
        let page = get(&api, &format!("{NODES}?limit=1&continue={token}"))
            .await
            .json();
        assert_eq!(names(&page), ["n1"]);
        assert_eq!(page["metadata"]["continue"], token);
    }
}

#[tokio::test]
async fn an_expired_token_is_expired_and_a_fresh_list_is_not() {
    let api = nodes(Action::ExpiredContinue);
    let first = get(&api, &format!("{NODES}?limit=1")).await;
    assert_eq!(first.status, 200);
    let token = first.json()["metadata"]["continue"]
        .as_str()
        .expect("a token")
        .to_owned();
    let refused = get(&api, &format!("{NODES}?limit=1&continue={token}")).await;
    assert_eq!(
        (refused.status, &refused.json()["reason"]),
        (410, &json!("Expired"))
    );
}
