//! Deletes what a run created, on every way out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eksnet_model::Created;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use super::object::{Kind, Object, RUN_LABEL, list_ours};
use crate::kubernetes::api::Api;
use crate::kubernetes::fault::Fault;
use crate::random;
use crate::{Connection, Progress};

/// Limit of one cleaning up. It begins when cleaning up begins: a run that used up its own time
/// still deletes what it created.
const LIMIT: Duration = Duration::from_secs(20);
/// For how long an object whose creation was never answered is looked for: a request that was given
/// up may still be on its way through the API server and its webhooks. The server gives requests up
/// whose client is gone, so this is short.
const STRAY: Duration = Duration::from_secs(3);
/// Pause between two looks at what is left.
const PAUSE: Duration = Duration::from_millis(200);
/// Requests at one time.
const AT_ONCE: usize = 24;

/// Everything that a run creates, so that nothing of it stays behind.
///
/// An object is registered before the request that creates it is sent: whatever interrupts the run
/// after that, [`Cleanup::cleanup`] deletes by name what may have come into being. Clones share one
/// register.
#[derive(Clone)]
pub struct Cleanup {
    api: Api,
    run: Arc<str>,
    objects: Arc<Mutex<BTreeMap<Object, State>>>,
}

/// How far an object got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The request was sent, and nothing came back yet.
    Sent,
    /// It exists, or did when it was last heard of.
    Exists,
    /// It existed and is confirmed gone.
    Gone,
    /// It never existed.
    Never,
}

impl State {
    fn may_exist(self) -> bool {
        matches!(self, Self::Sent | Self::Exists)
    }
}

impl Cleanup {
    /// A register for one run, which gets a random name.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self {
            // Deletions must not wait behind requests that hang.
            api: connection.api.with_permits(AT_ONCE),
            run: random::hex(5).into(),
            objects: Arc::default(),
        }
    }

    /// Name of the run: value of the label `eksnet.dev/run` of all that it creates.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The object is about to be asked for.
    pub(crate) fn sending(&self, object: &Object) {
        self.lock().insert(object.clone(), State::Sent);
    }

    /// What became of the request. Only a refusal proves that the object does not exist.
    pub(crate) fn answered<T>(&self, object: &Object, answer: &Result<T, Fault>) {
        let state = match answer {
            Ok(_) => State::Exists,
            // Names are random: an object of that name is ours.
            Err(fault) if fault.status().is_some_and(|status| status.as_u16() == 409) => {
                State::Exists
            }
            Err(fault)
                if fault
                    .status()
                    .is_some_and(|status| status.is_client_error()) =>
            {
                State::Never
            }
            Err(_) => State::Sent,
        };
        self.lock().insert(object.clone(), state);
    }

    /// What was created so far, what of it is gone, and what may be left. Pods only.
    #[must_use]
    pub fn created(&self) -> Created {
        let mut created = Created::default();
        for (object, state) in self.lock().iter() {
            if object.kind != Kind::Pod {
                continue;
            }
            match state {
                State::Gone => {
                    created.pods += 1;
                    created.deleted += 1;
                }
                State::Exists | State::Sent => {
                    created.pods += 1;
                    created.left += 1;
                }
                State::Never => {}
            }
        }
        created
    }

    /// `kind/namespace/name` of everything that may be left.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        self.lock()
            .iter()
            .filter(|(_, state)| state.may_exist())
            .map(|(object, _)| object.to_string())
            .collect()
    }

    /// Deletes everything that the run created, with a fresh deadline, and confirms that it is gone.
    /// Safe to call at any time and any number of times.
    pub async fn cleanup(&self, progress: &dyn Progress) -> Created {
        let started = Instant::now();
        let deadline = started + LIMIT;
        let mut may_be_stray = self.lock().values().any(|state| *state == State::Sent);
        loop {
            let pending = self.pending();
            if pending.is_empty() {
                break;
            }
            let pods = pending
                .iter()
                .filter(|object| object.kind == Kind::Pod)
                .count();
            progress.deleting(pods);
            let is_over = started.elapsed() >= STRAY;
            let answers = join_all(pending.iter().map(|object| async move {
                (object, self.api.delete(&object.path(), deadline).await)
            }));
            for (object, answer) in answers.await {
                self.deleted(object, &answer, is_over);
            }
            if self.pending().is_empty() || Instant::now() + PAUSE >= deadline {
                break;
            }
            sleep_until(Instant::now() + PAUSE).await;
        }
        // A last look by label finds what came into being after its name was found free.
        may_be_stray |= !self.pending().is_empty();
        if may_be_stray {
            self.delete_by_label(deadline).await;
        }
        let created = self.created();
        progress.deleting(created.left as usize);
        created
    }

    /// Pods first: config maps own them, and a garbage collector would be slower.
    fn pending(&self) -> Vec<Object> {
        let objects = self.lock();
        let mut pending: Vec<Object> = objects
            .iter()
            .filter(|(_, state)| state.may_exist())
            .map(|(object, _)| object.clone())
            .collect();
        if pending.iter().any(|object| object.kind == Kind::Pod) {
            pending.retain(|object| object.kind == Kind::Pod);
        }
        pending
    }

    fn deleted(&self, object: &Object, answer: &Result<bool, Fault>, is_over: bool) {
        let mut objects = self.lock();
        let Some(state) = objects.get_mut(object) else {
            return;
        };
        match (answer, *state) {
            // Deleted; the next look confirms that it is gone.
            (Ok(true), _) => *state = State::Exists,
            (Ok(false), State::Exists) => *state = State::Gone,
            (Ok(false), State::Sent) if is_over => *state = State::Never,
            _ => {}
        }
    }

    async fn delete_by_label(&self, deadline: Instant) {
        let selector = format!("{RUN_LABEL}={}", self.run);
        let namespaces: BTreeSet<(Kind, String)> = self
            .lock()
            .keys()
            .map(|object| (object.kind, object.namespace.clone()))
            .collect();
        for (kind, namespace) in namespaces {
            let listed = list_ours(&self.api, kind, Some(&namespace), &selector, deadline).await;
            for meta in listed.items {
                let object = Object {
                    kind,
                    namespace: namespace.clone(),
                    name: meta.name,
                };
                self.lock().insert(object.clone(), State::Exists);
                for _ in 0..2 {
                    let answer = self.api.delete(&object.path(), deadline).await;
                    self.deleted(&object, &answer, true);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Object, State>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Cleanup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cleanup")
            .field("run", &self.run)
            .field("left", &self.left())
            .finish_non_exhaustive()
    }
}
