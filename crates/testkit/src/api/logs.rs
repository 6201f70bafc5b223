//! `pods/NAME/log`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::api::serve::{Api, Call};
use crate::api::status::Refusal;
use crate::net::reply::Reply;

/// Namespace, pod, container, and whether it is the run before.
type LogKey = (String, String, String, bool);

/// Texts by container.
#[derive(Default)]
pub(crate) struct Logs(Mutex<BTreeMap<LogKey, String>>);

impl Logs {
    pub(crate) fn set(&self, pod: (&str, &str), container: &str, previous: bool, text: String) {
        let (namespace, name) = pod;
        let key = (
            namespace.to_owned(),
            name.to_owned(),
            container.to_owned(),
            previous,
        );
        self.lock().insert(key, text);
    }

    pub(crate) fn append(&self, pod: (&str, &str), container: &str, text: &str) {
        let (namespace, name) = pod;
        let key = (
            namespace.to_owned(),
            name.to_owned(),
            container.to_owned(),
            false,
        );
        self.lock().entry(key).or_default().push_str(text);
    }

    fn get(&self, pod: (&str, &str), container: &str, previous: bool) -> Option<String> {
        let (namespace, name) = pod;
        let key = (
            namespace.to_owned(),
            name.to_owned(),
            container.to_owned(),
            previous,
        );
        self.lock().get(&key).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LogKey, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) async fn answer(api: &Arc<Api>, call: &Call) -> Result<Reply, Refusal> {
    let (namespace, name) = (call.namespace(), call.name());
    let find = || {
        api.shared
            .read(|store| store.get(&call.resource.key(), namespace, name).cloned())
            .ok_or_else(|| Refusal::not_found(&call.resource, name))
    };
    let mut pod = find()?;
    let container = container(&pod, call.request.param("container"))?;
    let previous = call.request.param("previous") == Some("true");
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if node.is_empty() {
        return Err(Refusal::bad_request(format!(
            "pod {name} does not have a host assigned"
        )));
    }
    if api.kubelet.is_dead(node) {
        let host = pod["status"]["hostIP"].as_str().unwrap_or("10.0.0.1");
        let message = format!(
            "Get \"https://{host}:10250/containerLogs/{namespace}/{name}/{container}\": dial tcp {host}:10250: i/o timeout"
        );
        return Err(Refusal::new(500, "", message));
    }
    if call.request.param("follow") == Some("true") {
        // A follower gets what there is once the container has ended.
        let mut changes = api.shared.changes();
        while !matches!(
            pod["status"]["phase"].as_str(),
            Some("Succeeded" | "Failed")
        ) {
            if changes.changed().await.is_err() {
                break;
            }
            pod = find()?;
        }
    }
    let text = match api.logs.get((namespace, name), &container, previous) {
        Some(text) => text,
        None if previous => {
            return Err(Refusal::bad_request(format!(
                "previous terminated container \"{container}\" in pod \"{name}\" not found"
            )));
        }
        None => {
            if let Some(reason) = waiting(&pod, &container) {
                let message = if reason.contains("Image") || reason.contains("ErrImage") {
                    format!(
                        "container \"{container}\" in pod \"{name}\" is waiting to start: trying and failing to pull image"
                    )
                } else {
                    format!(
                        "container \"{container}\" in pod \"{name}\" is waiting to start: {reason}"
                    )
                };
                return Err(Refusal::bad_request(message));
            }
            String::new()
        }
    };
    Ok(Reply::new(200, "text/plain", cut(text, call, api)))
}

/// The container that is meant.
fn container(pod: &Value, asked: Option<&str>) -> Result<String, Refusal> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let names: Vec<&str> = ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten())
        .filter_map(|container| container["name"].as_str())
        .collect();
    match (asked.filter(|asked| !asked.is_empty()), names.as_slice()) {
        (Some(asked), names) if names.contains(&asked) => Ok(asked.to_owned()),
        (Some(asked), _) => Err(Refusal::bad_request(format!(
            "container {asked} is not valid for pod {name}"
        ))),
        (None, [only]) => Ok((*only).to_owned()),
        (None, names) => Err(Refusal::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            names.join(" ")
        ))),
    }
}

/// Why the container has not started; `None` once it has.
fn waiting(pod: &Value, container: &str) -> Option<String> {
    let status = ["initContainerStatuses", "containerStatuses"]
        .iter()
        .flat_map(|list| pod["status"][*list].as_array().into_iter().flatten())
        .find(|status| status["name"] == container);
    match status {
        None if pod["status"]["phase"] == "Pending" => Some("ContainerCreating".to_owned()),
        None => None,
        Some(status) => status["state"]["waiting"]["reason"]
            .as_str()
            .map(str::to_owned),
    }
}

/// The part of the log that was asked for. `sinceSeconds` and `sinceTime` are accepted and keep
/// everything: texts here carry no times of their own.
fn cut(text: String, call: &Call, api: &Api) -> String {
    let number = |key: &str| {
        call.request
            .param(key)
            .and_then(|n| n.parse::<usize>().ok())
    };
    let mut text = text;
    if let Some(lines) = number("tailLines") {
        let all: Vec<&str> = text.split_inclusive('\n').collect();
        text = all[all.len().saturating_sub(lines)..].concat();
    }
    if call.request.param("timestamps") == Some("true") {
        let stamp = api.config.clock.stamp();
        text = text
            .split_inclusive('\n')
            .map(|line| format!("{stamp} {line}"))
            .collect();
    }
    if let Some(limit) = number("limitBytes") {
        let mut end = limit.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}
