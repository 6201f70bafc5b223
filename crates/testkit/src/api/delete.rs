//! Deleting: at once, with grace, in numbers, and what falls with its owner.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::collection::{Picks, one as shown};
use crate::api::serve::{Api, Call};
use crate::api::status::Refusal;
use crate::clock::seconds;
use crate::net::reply::Reply;
use crate::state::registry::{Key, Resource};
use crate::state::store::{Store, place, pods};

/// What came of deleting one object.
enum Deleted {
    Gone(Arc<Value>),
    /// Marked; a kubelet or whoever holds a finalizer ends it.
    Terminating(Arc<Value>),
}

/// Grace of a delete: of its options, else of its query.
fn grace(call: &Call) -> Option<u64> {
    let asked = call.request.json()["gracePeriodSeconds"].as_u64();
    let by_query = || call.request.param("gracePeriodSeconds")?.parse().ok();
    asked.or_else(by_query)
}

pub(crate) fn one(api: &Arc<Api>, call: &Call) -> Result<Reply, Refusal> {
    let key = call.resource.key();
    let (namespace, name) = (call.namespace(), call.name());
    let found = api
        .shared
        .read(|store| store.get(&key, namespace, name).cloned())
        .ok_or_else(|| Refusal::not_found(&call.resource, name))?;
    let wanted = &call.request.json()["preconditions"];
    for field in ["uid", "resourceVersion"] {
        let (want, have) = (&wanted[field], &found["metadata"][field]);
        if !want.is_null() && want != have {
            let label = if field == "uid" {
                "UID"
            } else {
                "ResourceVersion"
            };
            let why = format!(
                "Precondition failed: {label} in precondition: {}, {label} in object meta: {}",
                want.as_str().unwrap_or_default(),
                have.as_str().unwrap_or_default()
            );
            return Err(Refusal::conflict(&call.resource, name, &why));
        }
    }
    if call.is_dry_run() {
        return Ok(success(&call.resource, &found));
    }
    let orphan = call.request.json()["propagationPolicy"] == "Orphan";
    match api.delete(&key, namespace, name, grace(call), orphan) {
        // Pods answer with themselves, whether they go now or later.
        Some(Deleted::Gone(object)) if call.resource.plural == "pods" => {
            Ok(shown(api, call, 200, &object))
        }
        Some(Deleted::Terminating(object)) => Ok(shown(api, call, 200, &object)),
        Some(Deleted::Gone(object)) => Ok(success(&call.resource, &object)),
        None => Err(Refusal::not_found(&call.resource, name)),
    }
}

fn success(resource: &Resource, object: &Value) -> Reply {
    let mut details = json!({
        "name": object["metadata"]["name"],
        "kind": resource.plural,
        "uid": object["metadata"]["uid"],
    });
    if !resource.group.is_empty() {
        details["group"] = json!(resource.group);
    }
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    });
    Reply::json(200, &status)
}

pub(crate) fn collection(api: &Arc<Api>, call: &Call) -> Result<Reply, Refusal> {
    let picks = Picks::of(call)?;
    let key = call.resource.key();
    let chosen: Vec<Arc<Value>> = api.shared.read(|store| {
        store
            .list(&key, call.route.namespace.as_deref())
            .filter(|(_, object)| picks.hold(object))
            .map(|(_, object)| object.clone())
            .collect()
    });
    if !call.is_dry_run() {
        let orphan = call.request.json()["propagationPolicy"] == "Orphan";
        for object in &chosen {
            let (namespace, name) = place(object);
            api.delete(&key, &namespace, &name, grace(call), orphan);
        }
    }
    let revision = api.shared.read(Store::revision).to_string();
    Ok(Reply::json(
        200,
        &json!({
            "kind": format!("{}List", call.resource.kind),
            "apiVersion": call.resource.api_version(),
            "metadata": {"resourceVersion": revision},
            "items": chosen.iter().map(|object| Value::clone(object)).collect::<Vec<_>>(),
        }),
    ))
}

impl Api {
    /// Deletes as the API server and the garbage collector would; `None` when nothing is there.
    fn delete(
        self: &Arc<Self>,
        key: &Key,
        namespace: &str,
        name: &str,
        grace: Option<u64>,
        orphan: bool,
    ) -> Option<Deleted> {
        let deleted = self.shared.write(|store| {
            let object = store.get(key, namespace, name)?.clone();
            let wait = wait_seconds(key, &object, grace);
            let held = object["metadata"]["finalizers"]
                .as_array()
                .is_some_and(|all| !all.is_empty());
            if wait == 0 && !held {
                return store.remove(key, namespace, name).map(Deleted::Gone);
            }
            let mut object = Value::clone(&object);
            let meta = &mut object["metadata"];
            let sooner = meta["deletionGracePeriodSeconds"]
                .as_u64()
                .is_none_or(|set| wait < set);
            if meta["deletionTimestamp"].is_null() || sooner {
                let at = store.clock.now()
                    + jiff::SignedDuration::from_secs(i64::try_from(wait).unwrap_or(i64::MAX));
                meta["deletionTimestamp"] = json!(seconds(at));
                meta["deletionGracePeriodSeconds"] = json!(wait);
            }
            Some(Deleted::Terminating(store.insert(key, object)))
        })?;
        match &deleted {
            Deleted::Gone(object) => self.gone(key, object, orphan),
            Deleted::Terminating(object) if *key == pods() => {
                self.kubelet.terminate(self.clone(), object.clone());
            }
            Deleted::Terminating(_) => {}
        }
        Some(deleted)
    }

    /// What follows when an object has left: its process ends, and what it owned goes too.
    pub(crate) fn gone(self: &Arc<Self>, key: &Key, object: &Value, orphan: bool) {
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        if *key == pods() {
            self.kubelet.forget(uid);
        }
        if orphan || uid.is_empty() {
            return;
        }
        for (key, namespace, name) in self.shared.read(|store| store.orphans_of(uid)) {
            self.delete(&key, &namespace, &name, None, false);
        }
    }

    /// Ends a pod that was waiting for its kubelet.
    pub(crate) fn finish_termination(self: &Arc<Self>, pod: &Value) {
        let (namespace, name) = place(pod);
        let gone = self.shared.write(|store| {
            let now = store.get(&pods(), &namespace, &name)?;
            let same = now["metadata"]["uid"] == pod["metadata"]["uid"];
            let held = now["metadata"]["finalizers"]
                .as_array()
                .is_some_and(|all| !all.is_empty());
            if !same || held {
                return None;
            }
            store.remove(&pods(), &namespace, &name)
        });
        if let Some(gone) = gone {
            self.gone(&pods(), &gone, false);
        }
    }
}

/// Seconds that a kubelet has to end the pod; nothing but scheduled, unfinished pods takes any.
fn wait_seconds(key: &Key, object: &Value, asked: Option<u64>) -> u64 {
    let phase = object["status"]["phase"].as_str().unwrap_or_default();
    let unscheduled = object["spec"]["nodeName"]
        .as_str()
        .unwrap_or_default()
        .is_empty();
    if *key != pods() || unscheduled || matches!(phase, "Succeeded" | "Failed") {
        return 0;
    }
    asked
        .or_else(|| object["spec"]["terminationGracePeriodSeconds"].as_u64())
        .unwrap_or(30)
}
