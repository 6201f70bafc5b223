//! The running server as a test holds it.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::api::access::Access;
use crate::api::admission::Admission;
use crate::api::builder::{FakeApiBuilder, items};
use crate::api::serve::Api;
use crate::kubeconfig::KubeconfigBuilder;
use crate::kubelet::script::PodScript;
use crate::net::audit::{Audit, Request};
use crate::net::faults::{FaultRule, Faults};
use crate::net::matching::Match;
use crate::net::reply::Reply;
use crate::net::server::Server;
use crate::state::registry::Key;
use crate::state::store::Store;

/// See [`Audit::wait_for`]: only failing tests ever wait that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fake Kubernetes API server on a loopback port. It runs on threads of its own, so tests may
/// block, and ends when dropped.
///
/// ```
/// use eksnet_testkit::{FakeApi, Match};
/// use serde_json::json;
///
/// let api = FakeApi::builder()
///     .object(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}))
///     .start();
/// let kubeconfig = api.kubeconfig().write();
/// // Run the plugin with `KUBECONFIG=kubeconfig.path()`, then look at what it asked:
/// assert_eq!(api.audit().count(&Match::verb("list", "nodes")), 0);
/// assert_eq!(api.pods_created(), 0);
/// # assert!(kubeconfig.path().exists());
/// ```
pub struct FakeApi {
    api: Arc<Api>,
    audit: Arc<Audit>,
    faults: Arc<Faults>,
    ca_pem: Option<String>,
    server: Server,
}

impl FakeApi {
    /// Settings of a server with the namespaces that every cluster has, and nothing else.
    pub fn builder() -> FakeApiBuilder {
        FakeApiBuilder::default()
    }

    /// Starts a server with default settings.
    ///
    /// # Panics
    /// When no loopback port can be had.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub(crate) fn new(
        api: Arc<Api>,
        audit: Arc<Audit>,
        faults: Arc<Faults>,
        ca_pem: Option<String>,
        server: Server,
    ) -> Self {
        Self {
            api,
            audit,
            faults,
            ca_pem,
            server,
        }
    }

    /// Address of the server.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr
    }

    /// `https://127.0.0.1:PORT`, or `http://` in plain mode.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.ca_pem.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.server.addr)
    }

    /// Certificate of the authority that clients must trust; `None` in plain mode.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// The bearer token that is let in; `None` when everyone is.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.api.config.token.as_deref()
    }

    /// What was asked so far.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Number of pods ever created by requests.
    #[must_use]
    pub fn pods_created(&self) -> usize {
        self.api.kubelet.pods_created()
    }

    /// Makes something go wrong from now on.
    pub fn fault(&self, rule: FaultRule) {
        self.faults.add(rule);
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.faults.clear();
    }

    /// Changes what the user may do.
    pub fn set_access(&self, access: Access) {
        *self
            .api
            .access
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = access;
    }

    /// What becomes of pods created from now on.
    pub fn script(&self, script: PodScript) {
        self.api.kubelet.script(script);
    }

    /// Refuses pods at creation from now on.
    pub fn admission(&self, rule: Admission) {
        self.api.kubelet.admission(rule);
    }

    /// Refuses no pods any more.
    pub fn clear_admission(&self) {
        self.api.kubelet.clear_admission();
    }

    /// The kubelet of a node stops (or comes back): new pods stay Pending, deleted ones stay
    /// Terminating, logs and proxies time out.
    pub fn set_node_dead(&self, node: &str, dead: bool) {
        self.api.kubelet.set_dead(node, dead);
    }

    /// Adds or replaces an object, or the items of a `List`; watches see it.
    pub fn put(&self, object: Value) {
        self.api.shared.write(|store| {
            for item in items(object) {
                store.put(item);
            }
        });
    }

    /// Takes an object away at once; watches see it. The namespace is empty at cluster scope.
    pub fn remove(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = self.key(plural)?;
        let gone = self
            .api
            .shared
            .write(|store| store.remove(&key, namespace, name))?;
        self.api.gone(&key, &gone, false);
        Some(Value::clone(&gone))
    }

    /// An object as it is now. The namespace is empty at cluster scope.
    #[must_use]
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = self.key(plural)?;
        self.api.shared.read(|store| {
            store
                .get(&key, namespace, name)
                .map(|object| Value::clone(object))
        })
    }

    /// All objects of a resource as they are now.
    #[must_use]
    pub fn list(&self, plural: &str) -> Vec<Value> {
        let key = self.key(plural);
        self.api.shared.read(|store| {
            key.iter()
                .flat_map(|key| store.list(key, None))
                .map(|(_, object)| Value::clone(object))
                .collect()
        })
    }

    /// Blocks until the objects of a resource are as `condition` wants them, and returns them.
    ///
    /// # Panics
    /// After a minute, with what they were instead.
    pub fn wait_until(&self, plural: &str, condition: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let key = self.key(plural).unwrap_or_default();
        let now = |store: &Store| -> Vec<Value> {
            store
                .list(&key, None)
                .map(|(_, object)| Value::clone(object))
                .collect()
        };
        let found = self.api.shared.wait(PATIENCE, |store| {
            let objects = now(store);
            condition(&objects).then_some(objects)
        });
        match found {
            Some(objects) => objects,
            None => panic!(
                "{plural} did not become as wanted; they are {:#?}",
                self.list(plural)
            ),
        }
    }

    /// The log of a container of a pod that was put.
    pub fn set_log(&self, namespace: &str, pod: &str, container: &str, text: &str) {
        self.api
            .logs
            .set((namespace, pod), container, false, text.to_owned());
    }

    /// The log of the container's run before its last restart.
    pub fn set_previous_log(&self, namespace: &str, pod: &str, container: &str, text: &str) {
        self.api
            .logs
            .set((namespace, pod), container, true, text.to_owned());
    }

    /// Something listens on a port of pods, for their proxy; `*` in name and path stands for any
    /// text.
    pub fn pod_proxy(
        &self,
        namespace: &str,
        name: &str,
        port: u16,
        path: &str,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) {
        self.proxy("pods", namespace, name, port, path, answer);
    }

    /// The same for `services` or `nodes` (the latter in the empty namespace).
    pub fn proxy(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        port: u16,
        path: &str,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) {
        self.api
            .proxies
            .add((plural, namespace, name), port, path, Arc::new(answer));
    }

    /// Answers some requests in place of the server, ahead of access rules: for bodies that no
    /// stored objects give, such as lists too large to hold.
    pub fn respond(
        &self,
        which: Match,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) {
        self.api
            .responders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((which, Arc::new(answer)));
    }

    /// Forgets the history of changes: open continue tokens and revisions of watches are expired.
    pub fn compact(&self) {
        self.api.shared.write(|store| {
            store.tick();
            store.compact();
        });
    }

    /// A kubeconfig for this server.
    pub fn kubeconfig(&self) -> KubeconfigBuilder {
        KubeconfigBuilder::new(&self.url(), self.ca_pem(), self.token())
    }

    fn key(&self, plural: &str) -> Option<Key> {
        self.api
            .shared
            .read(|store| store.by_plural(plural).map(|resource| resource.key()))
    }
}
