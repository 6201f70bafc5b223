//! A pod as scripts see it.

use std::sync::Arc;

use eksnet_probe::{Line, Plan, ProbeResult, Verdict};
use serde_json::Value;

use crate::api::serve::Api;

/// A pod and the config maps that it mounts.
#[derive(Clone)]
pub struct PodView {
    pod: Arc<Value>,
    config_maps: Vec<Arc<Value>>,
}

impl PodView {
    pub(crate) fn new(api: &Api, pod: Arc<Value>) -> Self {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let key = (String::new(), "configmaps".to_owned());
        let config_maps = api.shared.read(|store| {
            list(&pod["spec"]["volumes"])
                .filter_map(|volume| volume["configMap"]["name"].as_str())
                .filter_map(|name| store.get(&key, namespace, name).cloned())
                .collect()
        });
        Self { pod, config_maps }
    }

    /// The pod as it was created.
    #[must_use]
    pub fn object(&self) -> &Value {
        &self.pod
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.pod["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.pod["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
    }

    /// The node that it was put on; empty where there is none.
    #[must_use]
    pub fn node(&self) -> &str {
        self.pod["spec"]["nodeName"].as_str().unwrap_or_default()
    }

    /// Command and arguments of its first container.
    #[must_use]
    pub fn args(&self) -> Vec<String> {
        let container = &self.pod["spec"]["containers"][0];
        list(&container["command"])
            .chain(list(&container["args"]))
            .filter_map(|arg| arg.as_str().map(str::to_owned))
            .collect()
    }

    /// The plan for the agent: the argument that is one, else a value of a mounted config map.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        let in_args = self.args().iter().find_map(|arg| {
            let value = arg
                .rsplit_once('=')
                .map_or(arg.as_str(), |(_, value)| value);
            Plan::decode(value).ok()
        });
        in_args.or_else(|| {
            self.config_maps
                .iter()
                .flat_map(|map| map["data"].as_object().into_iter().flatten())
                .filter_map(|(_, value)| value.as_str())
                .find_map(|text| Plan::decode(text).ok())
        })
    }
}

/// What an agent writes for these results: its log, and its termination message.
pub(crate) fn transcript(plan: &Plan, results: Vec<ProbeResult>) -> (String, String) {
    let message = Verdict::fit(&plan.nonce, &results);
    let count = u32::try_from(results.len()).unwrap_or(u32::MAX);
    let mut lines: Vec<Line> = results
        .into_iter()
        .map(|result| Line::Result {
            nonce: plan.nonce.clone(),
            result,
        })
        .collect();
    lines.push(Line::End {
        nonce: plan.nonce.clone(),
        count,
        cut: false,
    });
    let log = lines
        .iter()
        .filter_map(|line| serde_json::to_string(line).ok())
        .map(|line| line + "\n")
        .collect();
    (log, message)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
