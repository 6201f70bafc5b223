//! A fake kubelet for every node: what becomes of a pod after it was created.

mod agent;
pub(crate) mod gate;
mod run;
pub(crate) mod script;
pub(crate) mod view;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::task::AbortHandle;

use crate::api::admission::Admission;
use crate::api::serve::Api;
use crate::kubelet::script::{Phase, PodScript};
use crate::kubelet::view::PodView;

/// All kubelets of a cluster.
#[derive(Default)]
pub(crate) struct Kubelet {
    plans: Mutex<Plans>,
    /// The run of each pod, by its uid.
    running: Mutex<HashMap<String, AbortHandle>>,
    created: AtomicUsize,
    addresses: AtomicU32,
}

/// What the test wants to happen.
#[derive(Default)]
struct Plans {
    scripts: Vec<PodScript>,
    admissions: Vec<Admission>,
    dead: BTreeSet<String>,
    agent: Option<PathBuf>,
}

impl Kubelet {
    /// The last script added is asked first.
    pub(crate) fn script(&self, script: PodScript) {
        self.plans().scripts.push(script);
    }

    pub(crate) fn admission(&self, rule: Admission) {
        self.plans().admissions.push(rule);
    }

    pub(crate) fn clear_admission(&self) {
        self.plans().admissions.clear();
    }

    pub(crate) fn agent(&self, path: PathBuf) {
        self.plans().agent = Some(path);
    }

    pub(crate) fn set_dead(&self, node: &str, dead: bool) {
        let mut plans = self.plans();
        if dead {
            plans.dead.insert(node.to_owned());
        } else {
            plans.dead.remove(node);
        }
    }

    pub(crate) fn is_dead(&self, node: &str) -> bool {
        self.plans().dead.contains(node)
    }

    pub(crate) fn pods_created(&self) -> usize {
        self.created.load(Ordering::SeqCst)
    }

    /// The first rule that refuses the pod.
    pub(crate) fn refused(&self, pod: &Value) -> Option<Admission> {
        let plans = self.plans();
        plans.admissions.iter().find(|rule| rule.hits(pod)).cloned()
    }

    /// Starts the pod on its node; returns once the API server may answer its creation.
    pub(crate) async fn created(&self, api: Arc<Api>, pod: Arc<Value>) {
        self.created.fetch_add(1, Ordering::SeqCst);
        let script = self.script_for(&api, &pod);
        let node = pod["spec"]["nodeName"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let held = script.gate(Phase::Created);
        if !node.is_empty() && !self.is_dead(&node) {
            let uid = pod["metadata"]["uid"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let agent = self.plans().agent.clone();
            let task = tokio::spawn(run::pod(api, pod, script, agent));
            self.running().insert(uid, task.abort_handle());
        }
        held.pass().await;
    }

    /// Ends a pod that was marked for deletion, unless its node is dead: then it stays.
    pub(crate) fn terminate(&self, api: Arc<Api>, pod: Arc<Value>) {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        if self.is_dead(node) {
            return;
        }
        let held = self.script_for(&api, &pod).gate(Phase::Deleting);
        tokio::spawn(async move {
            held.pass().await;
            api.finish_termination(&pod);
        });
    }

    /// The pod is gone: whatever runs for it ends.
    pub(crate) fn forget(&self, uid: &str) {
        if let Some(task) = self.running().remove(uid) {
            task.abort();
        }
    }

    /// An address of 10.0.64.0/18, a new one for each pod.
    fn next_address(&self) -> String {
        let number = self.addresses.fetch_add(1, Ordering::SeqCst) + 10;
        let host = 0x4000 | (number & 0x3fff);
        format!("10.0.{}.{}", host >> 8, host & 0xff)
    }

    fn script_for(&self, api: &Api, pod: &Arc<Value>) -> PodScript {
        let view = PodView::new(api, pod.clone());
        let scripts = self.plans().scripts.clone();
        scripts
            .into_iter()
            .rev()
            .find(|script| script.is_for(&view))
            .unwrap_or_default()
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, AbortHandle>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
