//! Watches, seen by a plain client.

mod client;

use client::{ask, get};
use eksnet_testkit::{Action, FakeApi, FaultRule, Match};
use hyper::body::Incoming;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running"},
    })
}

/// The events of a watch, one at a time.
struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    async fn of(api: &FakeApi, query: &str) -> Self {
        let path = format!("{PODS}?watch=true&{query}");
        let response = ask(api, "GET", &path).open().await.expect("an answer");
        assert_eq!(response.status(), 200);
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// Type of the next event and its object; `None` at the end of the watch.
    async fn next(&mut self) -> Option<(String, Value)> {
        while !self.text.contains('\n') {
            let piece = client::piece(&mut self.body).await?;
            self.text.push_str(&String::from_utf8_lossy(&piece));
        }
        let (line, rest) = self.text.split_once('\n')?;
        let event: Value = serde_json::from_str(line).expect("an event");
        self.text = rest.to_owned();
        Some((event["type"].as_str()?.to_owned(), event["object"].clone()))
    }

    async fn said(&mut self) -> String {
        match self.next().await {
            Some((kind, object)) => {
                format!(
                    "{kind} {}",
                    object["metadata"]["name"].as_str().unwrap_or_default()
                )
            }
            None => "end".to_owned(),
        }
    }
}

#[tokio::test]
async fn a_watch_from_a_list_reports_what_came_after_it() {
    let api = FakeApi::builder().object(pod("old", "n1")).start();
    let list = get(&api, PODS).await.json();
    let revision = list["metadata"]["resourceVersion"]
        .as_str()
        .expect("a revision")
        .to_owned();
    api.put(pod("between", "n1"));
    let mut events = Events::of(&api, &format!("resourceVersion={revision}")).await;
    assert_eq!(events.said().await, "ADDED between");
    api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n9"}}));
    let mut changed = pod("old", "n1");
    changed["status"]["phase"] = json!("Failed");
    api.put(changed);
    assert_eq!(events.said().await, "MODIFIED old");
    api.remove("pods", "default", "between");
    assert_eq!(events.said().await, "DELETED between");
}

#[tokio::test]
async fn a_watch_without_a_revision_begins_with_what_is_there() {
    let api = FakeApi::builder().object(pod("old", "n1")).start();
    let mut events = Events::of(&api, "").await;
    assert_eq!(events.said().await, "ADDED old");
}

#[tokio::test]
async fn objects_enter_and_leave_a_selector() {
    let api = FakeApi::builder().object(pod("a", "n1")).start();
    let mut events = Events::of(
        &api,
        "resourceVersion=0&fieldSelector=status.phase%3DRunning",
    )
    .await;
    assert_eq!(events.said().await, "ADDED a");
    let phase = |phase: &str| {
        let mut pod = pod("a", "n1");
        pod["status"]["phase"] = json!(phase);
        api.put(pod);
    };
    phase("Failed");
    assert_eq!(events.said().await, "DELETED a");
    phase("Running");
    assert_eq!(events.said().await, "ADDED a");
}

#[tokio::test]
async fn a_revision_from_before_a_compaction_is_expired() {
    let api = FakeApi::builder().object(pod("a", "n1")).start();
    let list = get(&api, PODS).await.json();
    let revision = list["metadata"]["resourceVersion"]
        .as_str()
        .expect("a revision")
        .to_owned();
    api.compact();
    let mut events = Events::of(&api, &format!("resourceVersion={revision}")).await;
    let (kind, status) = events.next().await.expect("an event");
    assert_eq!((kind.as_str(), &status["code"]), ("ERROR", &json!(410)));
    assert_eq!(events.said().await, "end");
}

#[tokio::test]
async fn a_watch_ends_in_its_time_and_may_be_cut() {
    let api = FakeApi::start();
    let mut short = Events::of(&api, "timeoutSeconds=1").await;
    assert_eq!(short.said().await, "end");
    api.fault(FaultRule::on(Match::verb("watch", "pods")).then(Action::CutAfter(20)));
    let mut cut = Events::of(&api, "").await;
    api.put(pod("a", "n1"));
    assert_eq!(cut.said().await, "end");
}

#[tokio::test]
async fn bookmarks_carry_the_revision_of_other_changes() {
    let api = FakeApi::builder().object(pod("a", "n1")).start();
    let mut events = Events::of(&api, "allowWatchBookmarks=true").await;
    assert_eq!(events.said().await, "ADDED a");
    api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n9"}}));
    let (kind, object) = events.next().await.expect("an event");
    let node = api.get("nodes", "", "n9").expect("a node");
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(
        object["metadata"]["resourceVersion"],
        node["metadata"]["resourceVersion"]
    );
}
