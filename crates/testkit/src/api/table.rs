//! The Table representation: what `kubectl get` shows.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::collection::metadata_only;
use crate::api::pod_table;
use crate::clock::Clock;
use crate::state::registry::Resource;

/// Name, type, format and priority of a column; those above 0 show with `-o wide` only.
type Column = (&'static str, &'static str, &'static str, u8);

const OTHERS: &[Column] = &[("Name", "string", "name", 0), ("Age", "string", "", 0)];

const NODES: &[Column] = &[
    ("Name", "string", "name", 0),
    ("Status", "string", "", 0),
    ("Roles", "string", "", 0),
    ("Age", "string", "", 0),
    ("Version", "string", "", 0),
    ("Internal-IP", "string", "", 1),
    ("External-IP", "string", "", 1),
    ("OS-Image", "string", "", 1),
    ("Kernel-Version", "string", "", 1),
    ("Container-Runtime", "string", "", 1),
];

/// The cells of one object.
type Cells = fn(&Value, Clock) -> Value;

/// A table of objects; `include` is the value of `includeObject`.
pub(crate) fn render(
    resource: &Resource,
    objects: &[Arc<Value>],
    clock: Clock,
    version: &str,
    include: &str,
    meta: Value,
) -> Value {
    let core = resource.group.is_empty();
    let (columns, cells): (&[Column], Cells) = match resource.plural.as_str() {
        "pods" if core => (pod_table::COLUMNS, pod_table::cells),
        "nodes" if core => (NODES, node),
        _ => (OTHERS, |object, clock| {
            let age = clock.age(&object["metadata"]["creationTimestamp"]);
            json!([object["metadata"]["name"], age])
        }),
    };
    let columns: Vec<Value> = columns
        .iter()
        .map(|(name, kind, format, priority)| {
            json!({
                "name": name,
                "type": kind,
                "format": format,
                "description": name,
                "priority": priority,
            })
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let inside = match include {
                "None" => Value::Null,
                "Object" => Value::clone(object),
                _ => metadata_only(object),
            };
            json!({"cells": cells(object, clock), "object": inside})
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": meta,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

fn node(node: &Value, clock: Clock) -> Value {
    let ready = list(&node["status"]["conditions"])
        .find(|condition| condition["type"] == "Ready")
        .map(|condition| condition["status"].as_str().unwrap_or_default());
    let mut status = match ready {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let roles: Vec<&str> = node["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    let address = |kind: &str| {
        list(&node["status"]["addresses"])
            .find(|address| address["type"] == kind)
            .and_then(|address| address["address"].as_str())
            .unwrap_or("<none>")
            .to_owned()
    };
    let info = &node["status"]["nodeInfo"];
    let said = |key: &str| info[key].as_str().unwrap_or("<unknown>");
    json!([
        node["metadata"]["name"],
        status,
        if roles.is_empty() {
            "<none>".to_owned()
        } else {
            roles.join(",")
        },
        clock.age(&node["metadata"]["creationTimestamp"]),
        info["kubeletVersion"],
        address("InternalIP"),
        address("ExternalIP"),
        said("osImage"),
        said("kernelVersion"),
        said("containerRuntimeVersion"),
    ])
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
