//! How the pods of a run are doing, seen again and again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use eksnet_model::Source;
use eksnet_model::kubernetes::{Event, Pod};
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::launch::{Launcher, PAUSE, Planned, owner_name};
use super::object::RUN_LABEL;
use super::start::{self, Progress as Start};
use crate::kubernetes::list::{Resource, Scope};

/// Limit of one look.
const LOOK: Duration = Duration::from_secs(5);
/// After how long a pod that has not started is asked for its events.
const EVENTS_AFTER: Duration = Duration::from_secs(2);

/// The pods as they were last seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) looks: u32,
    pub(crate) pods: HashMap<String, (Arc<Pod>, u32)>,
    pub(crate) events: Vec<Event>,
}

impl Launcher<'_> {
    /// Looks at the pods of the run, again and again. Never returns.
    pub(crate) async fn look(
        &self,
        namespace: &str,
        planned: &[Planned],
        seen: &watch::Sender<Arc<Seen>>,
    ) {
        let started = Instant::now();
        let pause = PAUSE.max(Duration::from_millis(planned.len() as u64));
        let mut by_name = false;
        loop {
            let deadline = Instant::now() + LOOK;
            let found = if by_name {
                Some(self.pods_by_name(planned, deadline).await)
            } else {
                match self.pods_by_label(namespace, deadline).await {
                    Ok(pods) => Some(pods),
                    Err(denied) => {
                        by_name = denied;
                        None
                    }
                }
            };
            if let Some(pods) = found {
                let before = seen.borrow().clone();
                let mut next = merged(&before, pods);
                let is_slow = next
                    .pods
                    .values()
                    .any(|(pod, _)| matches!(start::progress(pod), Start::Waiting(_)));
                if is_slow && started.elapsed() >= EVENTS_AFTER {
                    next.events = self.events(namespace, deadline).await;
                }
                seen.send_replace(Arc::new(next));
            } else if by_name {
                continue;
            }
            sleep(pause).await;
        }
    }

    /// `Err` says whether listing is not allowed.
    async fn pods_by_label(&self, namespace: &str, deadline: Instant) -> Result<Vec<Pod>, bool> {
        const PODS: Resource = Resource {
            source: Source::Probes,
            versions: &["/api/v1"],
            plural: "pods",
            namespaced: true,
        };
        let labels = format!("{RUN_LABEL}={}", self.mold.run);
        let scope = Scope {
            namespace: Some(namespace),
            labels: Some(&labels),
            ..Scope::default()
        };
        let listed = PODS.list::<Pod>(self.api, &scope, deadline, Some).await;
        match listed.ended {
            Ok(()) => Ok(listed.items),
            Err(stopped) => Err(stopped.is_denied()),
        }
    }

    async fn pods_by_name(&self, planned: &[Planned], deadline: Instant) -> Vec<Pod> {
        let gets = planned
            .iter()
            .map(|one| async move { self.api.get::<Pod>(&one.object.path(), deadline).await.ok() });
        join_all(gets).await.into_iter().flatten().collect()
    }

    /// Warnings about pods of the namespace; none when they cannot be read.
    async fn events(&self, namespace: &str, deadline: Instant) -> Vec<Event> {
        const EVENTS: Resource = Resource {
            source: Source::Probes,
            versions: &["/api/v1"],
            plural: "events",
            namespaced: true,
        };
        let scope = Scope {
            namespace: Some(namespace),
            fields: Some("involvedObject.kind=Pod,type=Warning"),
            ..Scope::default()
        };
        let prefix = owner_name(&self.mold.run);
        let ours = |event: Event| {
            event
                .involved_object
                .name
                .starts_with(&prefix)
                .then_some(event)
        };
        EVENTS
            .list::<Event>(self.api, &scope, deadline, ours)
            .await
            .items
    }
}

/// A new look over what was known: pods that are missing now are remembered as missing.
fn merged(before: &Seen, pods: Vec<Pod>) -> Seen {
    let mut next = Seen {
        looks: before.looks + 1,
        pods: before
            .pods
            .iter()
            .map(|(name, (pod, missing))| (name.clone(), (pod.clone(), missing + 1)))
            .collect(),
        events: before.events.clone(),
    };
    for pod in pods {
        next.pods
            .insert(pod.metadata.name.clone(), (Arc::new(pod), 0));
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_vanishes_is_remembered_as_missing() {
        let pod = |name: &str| {
            let mut pod = Pod::default();
            name.clone_into(&mut pod.metadata.name);
            pod
        };
        let first = merged(&Seen::default(), vec![pod("a"), pod("b")]);
        let second = merged(&first, vec![pod("a")]);
        assert_eq!(second.pods["a"].1, 0);
        assert_eq!(second.pods["b"].1, 1);
        let third = merged(&second, vec![pod("b")]);
        assert_eq!(third.pods["b"].1, 0);
    }
}
