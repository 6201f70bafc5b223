//! Creating objects: names, defaults, admission.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::collection::one as shown;
use crate::api::serve::{Api, Call};
use crate::api::status::Refusal;
use crate::api::{pod_security, validation};
use crate::net::reply::Reply;
use crate::state::store::{Store, namespaces};

/// Letters and digits of generated names (`k8s.io/apimachinery/pkg/util/rand`).
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

pub(crate) async fn create(api: Arc<Api>, call: &Call) -> Result<Reply, Refusal> {
    let resource = &call.resource;
    let mut object = call.request.json();
    if !object.is_object() {
        return Err(Refusal::bad_request(
            "the object provided is unrecognized (must be of type JSON)",
        ));
    }
    let namespace = call.namespace().to_owned();
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default();
    if !given.is_empty() && given != namespace {
        return Err(Refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    object["apiVersion"] = json!(resource.api_version());
    object["kind"] = json!(resource.kind);
    if resource.namespaced {
        object["metadata"]["namespace"] = json!(namespace);
    }
    for server_side in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
    ] {
        if let Some(meta) = object["metadata"].as_object_mut() {
            meta.remove(server_side);
        }
    }
    if resource.plural == "pods" && resource.group.is_empty() {
        pod_defaults(&mut object);
    }

    let stored = api.shared.write(|store| {
        name(store, &mut object)?;
        validation::check(resource, &object)?;
        let own_name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if resource.namespaced {
            let Some(space) = store.get(&namespaces(), "", &namespace) else {
                let namespaces = store.by_plural("namespaces").cloned();
                return Err(namespaces.map_or_else(Refusal::no_such_resource, |of| {
                    Refusal::not_found(&of, &namespace)
                }));
            };
            if !space["metadata"]["deletionTimestamp"].is_null() {
                let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
                return Err(Refusal::forbidden(resource, &own_name, &why));
            }
            if resource.plural == "pods" {
                admit(&api, store, call, space.clone(), &object)?;
            }
        }
        if store.get(&resource.key(), &namespace, &own_name).is_some() {
            return Err(Refusal::already_exists(resource, &own_name));
        }
        if call.is_dry_run() {
            return Ok(Arc::new(std::mem::take(&mut object)));
        }
        Ok(store.insert(&resource.key(), std::mem::take(&mut object)))
    })?;
    if resource.plural == "pods" && resource.group.is_empty() && !call.is_dry_run() {
        api.kubelet.created(api.clone(), stored.clone()).await;
    }
    Ok(shown(&api, call, 201, &stored))
}

/// A name from `generateName` where none is given.
fn name(store: &mut Store, object: &mut Value) -> Result<(), Refusal> {
    let text = |key: &str| {
        object["metadata"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    if !text("name").is_empty() {
        return Ok(());
    }
    let stem = text("generateName");
    if stem.is_empty() {
        let kind = object["kind"].as_str().unwrap_or_default();
        return Err(Refusal::new(
            422,
            "Invalid",
            format!(
                "{kind} \"\" is invalid: metadata.name: Required value: name or generateName is required"
            ),
        ));
    }
    // Spread over the alphabet, so that no test relies on an order of names; the multiplier is
    // Knuth's, odd and so a permutation.
    let mut number = store.draw().wrapping_mul(2_654_435_761) % 14_348_907;
    let suffix: String = (0..5)
        .map(|_| {
            let letter = ALPHABET[(number % ALPHABET.len() as u64) as usize];
            number /= ALPHABET.len() as u64;
            letter as char
        })
        .collect();
    object["metadata"]["name"] = json!(format!("{stem}{suffix}"));
    Ok(())
}

/// What stands between a valid pod and the cluster.
fn admit(
    api: &Api,
    store: &Store,
    call: &Call,
    namespace: Arc<Value>,
    pod: &Value,
) -> Result<(), Refusal> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let account = pod["spec"]["serviceAccountName"]
        .as_str()
        .unwrap_or("default");
    if account != "default" {
        let key = (String::new(), "serviceaccounts".to_owned());
        if store.get(&key, call.namespace(), account).is_none() {
            let why = format!(
                "error looking up service account {}/{account}: serviceaccount \"{account}\" not found",
                call.namespace()
            );
            return Err(Refusal::forbidden(&call.resource, name, &why));
        }
    }
    if let Some(why) = pod_security::violation(&namespace, pod) {
        return Err(Refusal::forbidden(&call.resource, name, &why));
    }
    if let Some(rule) = api.kubelet.refused(pod) {
        return Err(rule.refusal(&call.resource, name));
    }
    Ok(())
}

/// The defaults that clients read back.
fn pod_defaults(pod: &mut Value) {
    let set = |place: &mut Value, key: &str, value: Value| {
        if place[key].is_null() {
            place[key] = value;
        }
    };
    let spec = &mut pod["spec"];
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "schedulerName", json!("default-scheduler"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "securityContext", json!({}));
    set(spec, "enableServiceLinks", json!(true));
    set(spec, "serviceAccountName", json!("default"));
    spec["serviceAccount"] = spec["serviceAccountName"].clone();
    set(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    set(spec, "priority", json!(0));
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let tolerated = tolerations.iter().any(|t| {
            (t["key"] == key || (t["key"].is_null() && t["operator"] == "Exists"))
                && (t["effect"].is_null() || t["effect"] == "NoExecute")
        });
        if !tolerated {
            tolerations.push(json!({
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            }));
        }
    }
    spec["tolerations"] = json!(tolerations);
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            let image = container["image"].as_str().unwrap_or_default();
            let tag = image.rsplit('/').next().unwrap_or_default();
            let latest = !image.contains('@') && (!tag.contains(':') || tag.ends_with(":latest"));
            let pull = if latest { "Always" } else { "IfNotPresent" };
            set(container, "imagePullPolicy", json!(pull));
            set(
                container,
                "terminationMessagePath",
                json!("/dev/termination-log"),
            );
            set(container, "terminationMessagePolicy", json!("File"));
            set(container, "resources", json!({}));
        }
    }
    let quality = quality_of_service(spec);
    pod["status"] = json!({"phase": "Pending", "qosClass": quality});
}

/// Guaranteed, Burstable or BestEffort.
fn quality_of_service(spec: &Value) -> &'static str {
    let containers: Vec<&Value> = ["initContainers", "containers"]
        .iter()
        .flat_map(|list| spec[*list].as_array().into_iter().flatten())
        .collect();
    let said = |c: &Value, of: &str| {
        c["resources"][of]
            .as_object()
            .is_some_and(|m| !m.is_empty())
    };
    if !containers
        .iter()
        .any(|c| said(c, "limits") || said(c, "requests"))
    {
        return "BestEffort";
    }
    let guaranteed = containers.iter().all(|c| {
        ["cpu", "memory"].iter().all(|what| {
            let (limit, request) = (
                &c["resources"]["limits"][*what],
                &c["resources"]["requests"][*what],
            );
            !limit.is_null() && (request.is_null() || request == limit)
        })
    });
    if guaranteed {
        "Guaranteed"
    } else {
        "Burstable"
    }
}
