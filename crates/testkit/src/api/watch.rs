//! Watches: a stream of changes.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::api::collection::{Picks, Shape, metadata_only};
use crate::api::serve::{Api, Call};
use crate::api::status::Refusal;
use crate::api::table;
use crate::net::reply::Reply;
use crate::state::registry::Resource;
use crate::state::store::{Change, ChangeKind, Store};

/// What the real server lets a watch last when nobody says, in seconds (it draws from one to two
/// times `--min-request-timeout`).
const LONGEST: u64 = 1800;

/// One watch: what it picks and how it shows it.
struct Watch {
    api: Arc<Api>,
    resource: Resource,
    namespace: Option<String>,
    picks: Picks,
    shape: Shape,
    bookmarks: bool,
}

pub(crate) fn answer(api: Arc<Api>, call: &Call) -> Result<Reply, Refusal> {
    let request = &call.request;
    if request.param("sendInitialEvents").is_some() {
        let why = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled".to_owned();
        let options = Resource::custom("meta.k8s.io/v1", "listoptions", "ListOptions");
        return Err(Refusal::invalid(
            &options,
            "",
            &[("sendInitialEvents", why)],
        ));
    }
    let from = request.param("resourceVersion").unwrap_or_default();
    let from: Option<u64> = match from {
        "" | "0" => None,
        number => Some(number.parse().map_err(|_| {
            Refusal::bad_request(format!("Invalid value: {number:?}: resourceVersion"))
        })?),
    };
    let seconds = request
        .param("timeoutSeconds")
        .and_then(|text| text.parse().ok())
        .filter(|seconds| *seconds > 0)
        .unwrap_or(LONGEST);
    let watch = Watch {
        resource: call.resource.clone(),
        namespace: call.route.namespace.clone(),
        picks: Picks::of(call)?,
        shape: Shape::of(&api, call),
        bookmarks: request.param("allowWatchBookmarks") == Some("true"),
        api,
    };
    let content_type = match watch.shape {
        Shape::Table { .. } => "application/json;as=Table;v=v1;g=meta.k8s.io",
        _ => "application/json",
    };
    let (out, pieces) = mpsc::channel(16);
    tokio::spawn(async move {
        let whole = watch.run(from, &out);
        // The end of its time ends a watch without a word, as the real server does.
        let _ = tokio::time::timeout(Duration::from_secs(seconds), whole).await;
    });
    Ok(Reply::stream(content_type, pieces))
}

impl Watch {
    async fn run(&self, from: Option<u64>, out: &mpsc::Sender<Bytes>) {
        let mut changes = self.api.shared.changes();
        let (mut seen, first) = match from {
            Some(revision) => (revision, Vec::new()),
            None => self.api.shared.read(|store| {
                let existing = store
                    .list(&self.resource.key(), self.namespace.as_deref())
                    .filter(|(_, object)| self.picks.hold(object))
                    .map(|(_, object)| self.event("ADDED", object))
                    .collect();
                (store.revision(), existing)
            }),
        };
        for event in first {
            if out.send(event).await.is_err() {
                return;
            }
        }
        loop {
            let (now, events) = self.api.shared.read(|store| self.news(store, seen));
            let Some(events) = events else {
                let _ = out.send(too_old(seen, now)).await;
                return;
            };
            let quiet = events.is_empty() && now > seen;
            seen = now;
            for event in events {
                if out.send(event).await.is_err() {
                    return;
                }
            }
            // Other resources moved on: a bookmark saves the client from an old revision.
            if quiet && self.bookmarks && out.send(self.bookmark(now)).await.is_err() {
                return;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = out.closed() => return,
            }
        }
    }

    /// What happened after a revision; `None` when the history no longer covers it.
    fn news(&self, store: &Store, seen: u64) -> (u64, Option<Vec<Bytes>>) {
        if seen < store.compacted() {
            return (store.compacted(), None);
        }
        let events = store
            .since(seen)
            .filter(|change| change.key == self.resource.key())
            .filter_map(|change| self.seen_through(change))
            .collect();
        (store.revision(), Some(events))
    }

    /// A change as it looks through the selectors: what begins to match is added, what ceases to
    /// match is deleted.
    fn seen_through(&self, change: &Change) -> Option<Bytes> {
        let holds = |object: &Value| {
            let inside = self
                .namespace
                .as_deref()
                .is_none_or(|only| object["metadata"]["namespace"] == only);
            inside && self.picks.hold(object)
        };
        let before = change.before.as_deref().is_some_and(holds);
        let after = change.kind != ChangeKind::Deleted && holds(&change.object);
        let kind = match (before, after) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => return None,
        };
        Some(self.event(kind, &change.object))
    }

    fn event(&self, kind: &str, object: &Arc<Value>) -> Bytes {
        let shown = match &self.shape {
            Shape::Whole => Value::clone(object),
            Shape::Metadata => metadata_only(object),
            Shape::Table { version, include } => {
                let meta = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                let rows = std::slice::from_ref(object);
                let clock = self.api.config.clock;
                table::render(&self.resource, rows, clock, version, include, meta)
            }
        };
        line(kind, &shown)
    }

    fn bookmark(&self, revision: u64) -> Bytes {
        let object = json!({
            "kind": self.resource.kind,
            "apiVersion": self.resource.api_version(),
            "metadata": {"resourceVersion": revision.to_string(), "creationTimestamp": null},
        });
        line("BOOKMARK", &object)
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = json!({"type": kind, "object": object}).to_string();
    text.push('\n');
    text.into()
}

fn too_old(seen: u64, now: u64) -> Bytes {
    let refusal = Refusal::new(
        410,
        "Expired",
        format!("too old resource version: {seen} ({now})"),
    );
    line("ERROR", &refusal.object())
}
