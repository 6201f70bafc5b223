//! Deletes what runs left behind that could not clean up: `kubectl eksnet cleanup`.

use std::time::Duration;

use eksnet_model::{Gap, Source, Text};
use tokio::time::Instant;

use super::object::{Kind, NAME, NAME_LABEL, Object, list_ours};
use crate::Connection;

/// What a sweep found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Probe pods that were found.
    pub pods: u32,
    /// Objects, config maps of runs included, that are confirmed gone.
    pub deleted: u32,
    /// Objects that are younger than the limit and were left alone: a run may be using them.
    pub young: u32,
    /// `kind/namespace/name` of what could not be deleted, with the reason.
    pub left: Vec<Text>,
    /// What could not be listed.
    pub gaps: Vec<Gap>,
}

/// Deletes probe pods and config maps of runs, by label, that are at least `older_than` old: in
/// `namespace`, or in all of them.
pub async fn sweep(
    connection: &Connection,
    namespace: Option<&str>,
    older_than: Duration,
    limit: Duration,
) -> Swept {
    let deadline = Instant::now() + limit;
    let now = jiff::Timestamp::now();
    let selector = format!("{NAME_LABEL}={NAME}");
    let mut swept = Swept::default();
    for kind in [Kind::Pod, Kind::ConfigMap] {
        let listed = list_ours(&connection.api, kind, namespace, &selector, deadline).await;
        if let Err(stopped) = &listed.ended {
            swept
                .gaps
                .push(stopped.gap(Source::Probes, &format!("list {}", kind.plural())));
        }
        for meta in listed.items {
            if kind == Kind::Pod {
                swept.pods += 1;
            }
            let age = meta
                .creation_timestamp
                .map(|created| now.duration_since(created.0));
            // One without a creation time was not made by an API server: it is no orphan of ours. A
            // limit of nothing spares nothing, whatever the clocks say.
            let limit =
                jiff::SignedDuration::try_from(older_than).unwrap_or(jiff::SignedDuration::MAX);
            let is_old = age.is_some_and(|age| limit.is_zero() || age >= limit);
            if !is_old {
                swept.young += 1;
                continue;
            }
            let object = Object {
                kind,
                namespace: meta.namespace,
                name: meta.name,
            };
            match confirmed_gone(connection, &object, deadline).await {
                Ok(()) => swept.deleted += 1,
                Err(why) => swept.left.push(format!("{object}: {why}").into()),
            }
        }
    }
    swept
}

/// Deletes an object until it is gone: a finalizer may hold it.
async fn confirmed_gone(
    connection: &Connection,
    object: &Object,
    deadline: Instant,
) -> Result<(), String> {
    const TRIES: u32 = 10;
    const PAUSE: Duration = Duration::from_millis(200);
    for _ in 0..TRIES {
        match connection.api.delete(&object.path(), deadline).await {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(fault) => return Err(fault.says()),
        }
        if Instant::now() + PAUSE >= deadline {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err("it was deleted and is still there: a finalizer may hold it".to_owned())
}
