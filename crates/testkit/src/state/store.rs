//! The objects of a fake cluster, their revisions, and what changed when.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::state::registry::{self, Key, Resource};

/// Changes that watches can still replay.
const HISTORY: usize = 100_000;

/// One change, as a watch reports it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: Key,
    pub(crate) kind: ChangeKind,
    pub(crate) object: Arc<Value>,
    /// The object before a modification.
    pub(crate) before: Option<Arc<Value>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

type Objects = BTreeMap<(String, String), Arc<Value>>;

/// All objects. Whoever changes them goes through the methods: these count revisions and keep
/// the history.
pub(crate) struct Store {
    pub(crate) clock: Clock,
    resources: Vec<Resource>,
    objects: BTreeMap<Key, Objects>,
    revision: u64,
    uids: u64,
    history: VecDeque<Change>,
    /// Highest revision that the history no longer covers.
    compacted: u64,
}

impl Store {
    pub(crate) fn new(clock: Clock) -> Self {
        let mut store = Self {
            clock,
            resources: registry::built_in(),
            objects: BTreeMap::new(),
            revision: 1000,
            uids: 0,
            history: VecDeque::new(),
            compacted: 0,
        };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            store.ensure_namespace(name);
        }
        store
    }

    pub(crate) fn resources(&self) -> &[Resource] {
        &self.resources
    }

    pub(crate) fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Resource> {
        self.resources
            .iter()
            .find(|r| r.group == group && r.version == version && r.plural == plural)
    }

    /// The resource with this plural, whatever its group; the core group first.
    pub(crate) fn by_plural(&self, plural: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.plural == plural)
    }

    pub(crate) fn register(&mut self, resource: Resource) {
        self.resources.retain(|known| known.key() != resource.key());
        self.resources.push(resource);
    }

    /// Stops serving a resource, and forgets its objects.
    pub(crate) fn unregister(&mut self, plural: &str) {
        self.resources.retain(|known| known.plural != plural);
        self.objects.retain(|(_, known), _| known != plural);
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }

    /// Forgets the history: watches from a revision before now get 410.
    pub(crate) fn compact(&mut self) {
        self.history.clear();
        self.compacted = self.revision;
    }

    /// Counts a change of something else than these objects.
    pub(crate) fn tick(&mut self) {
        self.revision += 1;
    }

    /// A number that no one drew before.
    pub(crate) fn draw(&mut self) -> u64 {
        self.uids += 1;
        self.uids
    }

    /// What changed after a revision.
    pub(crate) fn since(&self, revision: u64) -> impl Iterator<Item = &Change> {
        let from = self
            .history
            .partition_point(|change| change.revision <= revision);
        self.history.range(from..)
    }

    /// Objects of a resource in the order of their keys, of one namespace or of all.
    pub(crate) fn list<'a>(
        &'a self,
        key: &Key,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a (String, String), &'a Arc<Value>)> {
        self.objects
            .get(key)
            .into_iter()
            .flatten()
            .filter(move |((of, _), _)| namespace.is_none_or(|namespace| of == namespace))
    }

    pub(crate) fn get(&self, key: &Key, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects
            .get(key)?
            .get(&(namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn has_namespace(&self, name: &str) -> bool {
        self.get(&namespaces(), "", name).is_some()
    }

    /// Adds or replaces an object as it is, with what a stored object cannot lack: uid, revision,
    /// creation time. Its namespace comes into being with it, and so does its resource.
    pub(crate) fn put(&mut self, mut object: Value) -> Arc<Value> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let namespace = text(&object["metadata"]["namespace"]);
        let (group, version) = registry::group_version(&api_version);
        let known = self
            .resources
            .iter()
            .find(|r| r.kind == kind && r.group == group && r.version == version);
        let resource = match known {
            Some(resource) => resource.clone(),
            None => {
                let guessed = registry::guess(&api_version, &kind, !namespace.is_empty());
                self.register(guessed.clone());
                guessed
            }
        };
        if resource.namespaced {
            let namespace = match namespace.as_str() {
                "" => "default",
                named => named,
            };
            object["metadata"]["namespace"] = json!(namespace);
            self.ensure_namespace(namespace);
        }
        self.insert(&resource.key(), object)
    }

    fn ensure_namespace(&mut self, name: &str) {
        if !self.has_namespace(name) {
            self.insert(
                &namespaces(),
                json!({
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
                    "spec": {"finalizers": ["kubernetes"]},
                    "status": {"phase": "Active"},
                }),
            );
        }
    }

    /// Stores an object under its own name.
    pub(crate) fn insert(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        if uid.is_empty() {
            let number = self.draw();
            object["metadata"]["uid"] = json!(format!("5e551011-0000-4000-8000-{number:012x}"));
        }
        if object["metadata"]["creationTimestamp"].is_null() {
            object["metadata"]["creationTimestamp"] = json!(self.clock.stamp());
        }
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let at = place(&object);
        let object = Arc::new(object);
        let before = self
            .objects
            .entry(key.clone())
            .or_default()
            .insert(at, object.clone());
        let kind = if before.is_some() {
            ChangeKind::Modified
        } else {
            ChangeKind::Added
        };
        self.remember(key, kind, object.clone(), before);
        object
    }

    /// Takes an object away and returns it as it was last, with the revision of its removal.
    pub(crate) fn remove(&mut self, key: &Key, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let gone = self
            .objects
            .get_mut(key)?
            .remove(&(namespace.to_owned(), name.to_owned()))?;
        self.revision += 1;
        let mut last = Value::clone(&gone);
        last["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let last = Arc::new(last);
        self.remember(key, ChangeKind::Deleted, last.clone(), Some(gone));
        Some(last)
    }

    fn remember(
        &mut self,
        key: &Key,
        kind: ChangeKind,
        object: Arc<Value>,
        before: Option<Arc<Value>>,
    ) {
        self.history.push_back(Change {
            revision: self.revision,
            key: key.clone(),
            kind,
            object,
            before,
        });
        if self.history.len() > HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.compacted = oldest.revision;
        }
    }

    /// Objects that name `uid` as their only owner.
    pub(crate) fn orphans_of(&self, uid: &str) -> Vec<(Key, String, String)> {
        let mut found = Vec::new();
        for (key, objects) in &self.objects {
            for ((namespace, name), object) in objects {
                let owners = object["metadata"]["ownerReferences"].as_array();
                if owners.is_some_and(|all| !all.is_empty() && all.iter().all(|o| o["uid"] == uid))
                {
                    found.push((key.clone(), namespace.clone(), name.clone()));
                }
            }
        }
        found
    }
}

pub(crate) fn pods() -> Key {
    (String::new(), "pods".to_owned())
}

pub(crate) fn namespaces() -> Key {
    (String::new(), "namespaces".to_owned())
}

/// Namespace (empty at cluster scope) and name.
pub(crate) fn place(object: &Value) -> (String, String) {
    let text = |key: &str| {
        object["metadata"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    (text("namespace"), text("name"))
}

/// A store that connections, kubelets and tests share; every change wakes whoever waits.
pub(crate) struct Shared {
    store: Mutex<Store>,
    changed: Condvar,
    revision: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            revision: watch::Sender::new(store.revision()),
            store: Mutex::new(store),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&self.lock())
    }

    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.lock();
        let result = change(&mut store);
        let revision = store.revision();
        drop(store);
        self.changed.notify_all();
        self.revision.send_replace(revision);
        result
    }

    /// Wakes on every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Blocks until `look` finds something, or gives up after `patience`.
    pub(crate) fn wait<T>(
        &self,
        patience: std::time::Duration,
        mut look: impl FnMut(&Store) -> Option<T>,
    ) -> Option<T> {
        let until = std::time::Instant::now() + patience;
        let mut store = self.lock();
        loop {
            if let Some(found) = look(&store) {
                return Some(found);
            }
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return None;
            }
            store = self
                .changed
                .wait_timeout(store, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
