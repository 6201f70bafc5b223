//! What the API server refuses as invalid, as far as a client of pods and config maps meets it.

use serde_json::Value;

use crate::api::status::Refusal;
use crate::state::registry::Resource;

const REQUIRED: &str = "Required value";

/// Checks an object that has its final name.
pub(crate) fn check(resource: &Resource, object: &Value) -> Result<(), Refusal> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut causes: Vec<(String, String)> = Vec::new();
    // RBAC objects and some others may carry any path segment; what a doctor creates may not.
    if !resource.group.starts_with("rbac") && !is_subdomain(name) {
        causes.push(("metadata.name".to_owned(), format!(
            "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        )));
    }
    labels(object, &mut causes);
    for (at, owner) in list(&object["metadata"]["ownerReferences"]).enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if empty(&owner[field]) {
                causes.push((
                    format!("metadata.ownerReferences[{at}].{field}"),
                    format!("{REQUIRED}: {field} must not be empty"),
                ));
            }
        }
    }
    if resource.plural == "pods" && resource.group.is_empty() {
        pod(object, &mut causes);
    }
    if causes.is_empty() {
        return Ok(());
    }
    let causes: Vec<(&str, String)> = causes
        .iter()
        .map(|(field, why)| (field.as_str(), why.clone()))
        .collect();
    Err(Refusal::invalid(resource, name, &causes))
}

fn pod(object: &Value, causes: &mut Vec<(String, String)>) {
    let spec = &object["spec"];
    if list(&spec["containers"]).next().is_none() {
        causes.push(("spec.containers".to_owned(), REQUIRED.to_owned()));
    }
    let volumes: Vec<&Value> = list(&spec["volumes"]).map(|v| &v["name"]).collect();
    for (at, container) in list(&spec["containers"]).enumerate() {
        for field in ["name", "image"] {
            if empty(&container[field]) {
                causes.push((
                    format!("spec.containers[{at}].{field}"),
                    REQUIRED.to_owned(),
                ));
            }
        }
        for (mount_at, mount) in list(&container["volumeMounts"]).enumerate() {
            if !volumes.contains(&&mount["name"]) {
                let name = mount["name"].as_str().unwrap_or_default();
                causes.push((
                    format!("spec.containers[{at}].volumeMounts[{mount_at}].name"),
                    format!("Not found: \"{name}\""),
                ));
            }
        }
        for what in ["cpu", "memory"] {
            let quantity = |of: &str| number(&container["resources"][of][what]);
            if let (Some(request), Some(limit)) = (quantity("requests"), quantity("limits"))
                && request > limit
            {
                let shown = container["resources"]["requests"][what]
                    .as_str()
                    .unwrap_or_default();
                causes.push((
                    format!("spec.containers[{at}].resources.requests"),
                    format!("Invalid value: \"{shown}\": must be less than or equal to {what} limit of {}", container["resources"]["limits"][what].as_str().unwrap_or_default()),
                ));
            }
        }
    }
    let policy = spec["restartPolicy"].as_str().unwrap_or_default();
    if !matches!(policy, "Always" | "OnFailure" | "Never") {
        causes.push((
            "spec.restartPolicy".to_owned(),
            format!("Unsupported value: \"{policy}\": supported values: \"Always\", \"OnFailure\", \"Never\""),
        ));
    }
    let deadline = &spec["activeDeadlineSeconds"];
    if !deadline.is_null() && deadline.as_u64().is_none_or(|seconds| seconds == 0) {
        causes.push((
            "spec.activeDeadlineSeconds".to_owned(),
            format!("Invalid value: {deadline}: must be between 1 and 2147483647, inclusive"),
        ));
    }
}

fn labels(object: &Value, causes: &mut Vec<(String, String)>) {
    for (key, value) in object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let value = value.as_str().unwrap_or_default();
        let (prefix, bare) = key.rsplit_once('/').unwrap_or(("", key));
        if bare.is_empty() || !is_label(bare) || (!prefix.is_empty() && !is_subdomain(prefix)) {
            causes.push((
                "metadata.labels".to_owned(),
                format!("Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"),
            ));
        }
        if !value.is_empty() && !is_label(value) {
            let why = if value.len() > 63 {
                "must be no more than 63 characters"
            } else {
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            };
            causes.push((
                "metadata.labels".to_owned(),
                format!("Invalid value: \"{value}\": {why}"),
            ));
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn empty(value: &Value) -> bool {
    value.as_str().unwrap_or_default().is_empty()
}

fn is_label(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_subdomain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|part| {
            is_label(part) && !part.contains(|c: char| c == '_' || c.is_ascii_uppercase())
        })
}

/// A quantity in base units; `None` for what is none.
fn number(value: &Value) -> Option<f64> {
    let text = value.as_str()?;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[digits.len()..] {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    digits.parse::<f64>().ok().map(|number| number * scale)
}
