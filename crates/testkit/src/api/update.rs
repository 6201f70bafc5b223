//! Changing objects that exist.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::collection::one as shown;
use crate::api::serve::{Api, Call};
use crate::api::status::Refusal;
use crate::net::reply::Reply;

pub(crate) fn replace(api: &Arc<Api>, call: &Call) -> Result<Reply, Refusal> {
    let new = call.request.json();
    if !new.is_object() {
        return Err(Refusal::bad_request("the body is not a JSON object"));
    }
    change(api, call, |_| new)
}

/// A merge patch (RFC 7396). A strategic merge patch is taken as one, which is right for maps:
/// labels, annotations, status fields; lists are replaced.
pub(crate) fn patch(api: &Arc<Api>, call: &Call) -> Result<Reply, Refusal> {
    let kind = call.request.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    if !matches!(
        kind,
        "application/merge-patch+json" | "application/strategic-merge-patch+json"
    ) {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: application/merge-patch+json, application/strategic-merge-patch+json, not {kind}"
        );
        return Err(Refusal::new(415, "UnsupportedMediaType", message));
    }
    let patch = call.request.json();
    change(api, call, |mut object| {
        merge(&mut object, &patch);
        object
    })
}

fn change(
    api: &Arc<Api>,
    call: &Call,
    change: impl FnOnce(Value) -> Value,
) -> Result<Reply, Refusal> {
    let key = call.resource.key();
    let (namespace, name) = (call.namespace(), call.name());
    let (object, gone) = api.shared.write(|store| {
        let before = store
            .get(&key, namespace, name)
            .cloned()
            .ok_or_else(|| Refusal::not_found(&call.resource, name))?;
        let mut after = change(Value::clone(&before));
        let (have, want) = (
            &before["metadata"]["resourceVersion"],
            &after["metadata"]["resourceVersion"],
        );
        if !want.is_null() && want != have {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            return Err(Refusal::conflict(&call.resource, name, why));
        }
        for fixed in ["uid", "creationTimestamp", "deletionTimestamp", "name", "namespace"] {
            match &before["metadata"][fixed] {
                Value::Null => {}
                value => after["metadata"][fixed] = value.clone(),
            }
        }
        for fixed in ["kind", "apiVersion"] {
            after[fixed] = before[fixed].clone();
        }
        if call.is_dry_run() {
            return Ok((Arc::new(after), false));
        }
        let object = store.insert(&key, after);
        // The last finalizer is off a deleted object: it may leave.
        let meta = &object["metadata"];
        let free = meta["finalizers"].as_array().is_none_or(Vec::is_empty);
        let leaves = free
            && !meta["deletionTimestamp"].is_null()
            && (call.resource.plural != "pods" || meta["deletionGracePeriodSeconds"] == json!(0));
        if leaves {
            store.remove(&key, namespace, name);
        }
        Ok((object, leaves))
    })?;
    if gone {
        api.gone(&key, &object, false);
    }
    Ok(shown(api, call, 200, &object))
}

/// RFC 7396.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_adds_replaces_and_removes() {
        let mut object = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut object, &json!({"a": {"b": null, "e": 3}, "d": [2]}));
        assert_eq!(object, json!({"a": {"c": 2, "e": 3}, "d": [2]}));
    }
}
