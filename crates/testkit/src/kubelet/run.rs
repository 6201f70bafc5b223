//! The life of one pod.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::serve::Api;
use crate::kubelet::agent;
use crate::kubelet::script::{Phase, PodScript, Start, first_container};
use crate::kubelet::view::PodView;
use crate::state::store::place;

/// What a termination message may hold, in bytes; the kubelet cuts the rest.
const MESSAGE: usize = 4096;

/// How a pod's process ended.
pub(crate) struct Exit {
    pub(crate) code: i64,
    pub(crate) message: String,
}

pub(crate) async fn pod(api: Arc<Api>, pod: Arc<Value>, script: PodScript, agent: Option<PathBuf>) {
    let host = host(&api, &pod);
    api.set_status(&pod, |status| {
        let stamp = json!(api.config.clock.stamp());
        status["startTime"] = stamp.clone();
        status["hostIP"] = json!(host);
        status["conditions"] =
            json!([{"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp}]);
    });
    script.gate(Phase::Pending).pass().await;
    match script.start() {
        Start::Waits {
            reason,
            message,
            events,
        } => {
            let mut state = json!({"waiting": {"reason": reason}});
            if !message.is_empty() {
                state["waiting"]["message"] = json!(message);
            }
            api.set_status(&pod, |status| {
                status["containerStatuses"] = containers(&pod, &state, false);
            });
            for (reason, message) in events {
                event(&api, &pod, reason, message);
            }
        }
        Start::Rejected { reason, message } => {
            api.set_status(&pod, |status| {
                status["phase"] = json!("Failed");
                status["reason"] = json!(reason);
                status["message"] = json!(message);
            });
            event(&api, &pod, reason, message);
        }
        Start::Runs => runs(&api, &pod, &script, agent).await,
    }
}

async fn runs(api: &Arc<Api>, pod: &Arc<Value>, script: &PodScript, agent: Option<PathBuf>) {
    let started = api.config.clock.stamp();
    let alive = api.set_status(pod, |status| {
        status["phase"] = json!("Running");
        let address = api.kubelet.next_address();
        status["podIPs"] = json!([{"ip": address}]);
        status["podIP"] = json!(address);
        let state = json!({"running": {"startedAt": started}});
        status["containerStatuses"] = containers(pod, &state, true);
    });
    if !alive {
        return;
    }
    let work = async {
        match agent.filter(|_| !script.writes_itself()) {
            Some(path) => {
                let exit = agent::run(api, pod, &path).await;
                script.gate(Phase::Running).pass().await;
                exit
            }
            None => {
                script.gate(Phase::Running).pass().await;
                let (log, message) = script.written(&PodView::new(api, pod.clone()));
                let (namespace, name) = place(pod);
                api.logs
                    .set((&namespace, &name), first_container(pod), false, log);
                let code = script.exit_code();
                Exit { code, message }
            }
        }
    };
    let deadline = pod["spec"]["activeDeadlineSeconds"].as_u64();
    let exit = match deadline {
        None => Some(work.await),
        Some(seconds) => tokio::time::timeout(Duration::from_secs(seconds), work)
            .await
            .ok(),
    };
    match exit {
        Some(exit) => ended(api, pod, &started, exit),
        None => {
            api.set_status(pod, |status| {
                status["phase"] = json!("Failed");
                status["reason"] = json!("DeadlineExceeded");
                status["message"] =
                    json!("Pod was active on the node longer than the specified deadline");
            });
        }
    }
}

fn ended(api: &Api, pod: &Value, started: &str, exit: Exit) {
    let mut terminated = json!({
        "exitCode": exit.code,
        "reason": if exit.code == 0 { "Completed" } else { "Error" },
        "startedAt": started,
        "finishedAt": api.config.clock.stamp(),
    });
    if !exit.message.is_empty() {
        let mut end = exit.message.len().min(MESSAGE);
        while !exit.message.is_char_boundary(end) {
            end -= 1;
        }
        terminated["message"] = json!(exit.message[..end]);
    }
    api.set_status(pod, |status| {
        let phase = if exit.code == 0 {
            "Succeeded"
        } else {
            "Failed"
        };
        status["phase"] = json!(phase);
        status["containerStatuses"] = containers(pod, &json!({"terminated": terminated}), false);
    });
}

/// The same state for every container.
fn containers(pod: &Value, state: &Value, running: bool) -> Value {
    let all = pod["spec"]["containers"].as_array();
    all.into_iter()
        .flatten()
        .map(|container| {
            json!({
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "lastState": {},
                "ready": running,
                "restartCount": 0,
                "started": running,
                "state": state,
            })
        })
        .collect()
}

/// Address of the pod's node, where the cluster has one by its name.
fn host(api: &Api, pod: &Value) -> String {
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    let key = (String::new(), "nodes".to_owned());
    api.shared.read(|store| {
        let node = store.get(&key, "", node);
        let addresses = node.and_then(|node| node["status"]["addresses"].as_array());
        addresses
            .into_iter()
            .flatten()
            .find(|address| address["type"] == "InternalIP")
            .and_then(|address| address["address"].as_str())
            .unwrap_or("10.0.0.1")
            .to_owned()
    })
}

/// A warning of the kubelet about the pod.
fn event(api: &Api, pod: &Value, reason: &str, message: &str) {
    let meta = &pod["metadata"];
    let name = meta["name"].as_str().unwrap_or_default();
    let stamp = api.config.clock.stamp();
    api.shared.write(|store| {
        let number = store.draw();
        store.put(json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": format!("{name}.{number:016x}"), "namespace": meta["namespace"]},
            "involvedObject": {
                "kind": "Pod",
                "apiVersion": "v1",
                "namespace": meta["namespace"],
                "name": name,
                "uid": meta["uid"],
            },
            "reason": reason,
            "message": message,
            "type": "Warning",
            "count": 1,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "source": {"component": "kubelet", "host": pod["spec"]["nodeName"]},
            "reportingComponent": "kubelet",
            "reportingInstance": pod["spec"]["nodeName"],
        }));
    });
}
