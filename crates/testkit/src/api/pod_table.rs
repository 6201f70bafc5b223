//! A pod as a row, by the rules of `k8s.io/kubernetes/pkg/printers/internalversion.printPod`
//! (1.34, read November 2026).

use serde_json::{Value, json};

use crate::clock::Clock;

pub(crate) const COLUMNS: &[(&str, &str, &str, u8)] = &[
    ("Name", "string", "name", 0),
    ("Ready", "string", "", 0),
    ("Status", "string", "", 0),
    ("Restarts", "string", "", 0),
    ("Age", "string", "", 0),
    ("IP", "string", "", 1),
    ("Node", "string", "", 1),
    ("Nominated Node", "string", "", 1),
    ("Readiness Gates", "string", "", 1),
];

pub(crate) fn cells(pod: &Value, clock: Clock) -> Value {
    let summary = Summary::of(pod);
    let restarts = match summary.last_restart {
        Some(at) if summary.restarts > 0 => {
            format!("{} ({} ago)", summary.restarts, clock.age(at))
        }
        _ => summary.restarts.to_string(),
    };
    let or_none = |value: &Value| match value.as_str() {
        None | Some("") => "<none>".to_owned(),
        Some(text) => text.to_owned(),
    };
    json!([
        pod["metadata"]["name"],
        format!("{}/{}", summary.ready, summary.total),
        summary.reason,
        restarts,
        clock.age(&pod["metadata"]["creationTimestamp"]),
        or_none(&pod["status"]["podIP"]),
        or_none(&pod["spec"]["nodeName"]),
        or_none(&pod["status"]["nominatedNodeName"]),
        readiness_gates(pod),
    ])
}

/// What the containers of a pod add up to.
struct Summary<'a> {
    reason: String,
    ready: usize,
    total: usize,
    restarts: u64,
    last_restart: Option<&'a Value>,
}

impl<'a> Summary<'a> {
    fn of(pod: &'a Value) -> Self {
        let status = &pod["status"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut summary = Self {
            reason: text(&status["phase"]),
            ready: 0,
            total: list(&pod["spec"]["containers"]).count(),
            restarts: 0,
            last_restart: None,
        };
        if !text(&status["reason"]).is_empty() {
            summary.reason = text(&status["reason"]);
        }
        let gated = list(&status["conditions"])
            .any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated");
        if gated {
            summary.reason = "SchedulingGated".to_owned();
        }
        if !summary.initializing(pod) {
            summary.running(pod);
        }
        let terminal = matches!(status["phase"].as_str(), Some("Succeeded" | "Failed"));
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            if status["reason"] == "NodeLost" {
                summary.reason = "Unknown".to_owned();
            } else if !terminal {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Counts init containers; true while one of them holds the pod up.
    fn initializing(&mut self, pod: &'a Value) -> bool {
        let specs: Vec<&Value> = list(&pod["spec"]["initContainers"]).collect();
        let sidecar = |name: &Value| {
            specs
                .iter()
                .any(|spec| spec["name"] == *name && spec["restartPolicy"] == "Always")
        };
        self.total += specs
            .iter()
            .filter(|s| s["restartPolicy"] == "Always")
            .count();
        for (at, container) in list(&pod["status"]["initContainerStatuses"]).enumerate() {
            self.count(container);
            let state = &container["state"];
            let is_sidecar = sidecar(&container["name"]);
            let exit = state["terminated"]["exitCode"].as_i64();
            if exit == Some(0) {
                continue;
            }
            if is_sidecar && container["started"] == true {
                self.ready += usize::from(container["ready"] == true);
                continue;
            }
            let waiting = state["waiting"]["reason"].as_str().unwrap_or_default();
            self.reason = match exit {
                Some(code) => format!("Init:{}", terminated(&state["terminated"], code)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => {
                    format!("Init:{waiting}")
                }
                None => format!("Init:{at}/{}", specs.len()),
            };
            return true;
        }
        false
    }

    fn running(&mut self, pod: &'a Value) {
        let mut has_running = false;
        let statuses: Vec<&Value> = list(&pod["status"]["containerStatuses"]).collect();
        for container in statuses.into_iter().rev() {
            self.count(container);
            let state = &container["state"];
            let waiting = state["waiting"]["reason"].as_str().unwrap_or_default();
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if let Some(code) = state["terminated"]["exitCode"].as_i64() {
                self.reason = terminated(&state["terminated"], code);
            } else if container["ready"] == true && !state["running"].is_null() {
                has_running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && has_running {
            let ready = list(&pod["status"]["conditions"])
                .any(|c| c["type"] == "Ready" && c["status"] == "True");
            self.reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn count(&mut self, container: &'a Value) {
        self.restarts += container["restartCount"].as_u64().unwrap_or(0);
        let ended = &container["lastState"]["terminated"]["finishedAt"];
        let later = ended.as_str() > self.last_restart.and_then(Value::as_str);
        if later {
            self.last_restart = Some(ended);
        }
    }
}

fn terminated(state: &Value, code: i64) -> String {
    match (
        state["reason"].as_str().unwrap_or_default(),
        state["signal"].as_i64(),
    ) {
        ("", Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        ("", _) => format!("ExitCode:{code}"),
        (reason, _) => reason.to_owned(),
    }
}

fn readiness_gates(pod: &Value) -> String {
    let gates: Vec<&Value> = list(&pod["spec"]["readinessGates"]).collect();
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = gates
        .iter()
        .filter(|gate| {
            list(&pod["status"]["conditions"])
                .any(|c| c["type"] == gate["conditionType"] && c["status"] == "True")
        })
        .count();
    format!("{open}/{}", gates.len())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pod: Value) -> Vec<String> {
        let at = "2026-11-22T10:10:36Z".parse().expect("a time");
        let cells = cells(&pod, Clock::fixed(at));
        list(&cells)
            .map(|cell| cell.as_str().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn a_crash_looping_container_shows_its_waiting_reason_and_last_restart() {
        let row = row(json!({
            "metadata": {"name": "a", "creationTimestamp": "2026-11-22T10:05:36Z"},
            "spec": {"nodeName": "n1", "containers": [{"name": "c"}], "readinessGates": [{"conditionType": "x/y"}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{
                "name": "c", "restartCount": 19, "ready": false,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"finishedAt": "2026-11-22T10:05:44Z"}},
            }]},
        }));
        assert_eq!(
            row,
            [
                "a",
                "0/1",
                "CrashLoopBackOff",
                "19 (4m52s ago)",
                "5m",
                "10.0.0.1",
                "n1",
                "<none>",
                "0/1"
            ]
        );
    }

    #[test]
    fn init_containers_and_deletion_show_before_the_phase() {
        let init = row(json!({
            "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}, {"name": "j"}]},
            "status": {"phase": "Pending", "initContainerStatuses": [
                {"name": "i", "state": {"terminated": {"exitCode": 0}}},
                {"name": "j", "state": {"running": {}}},
            ]},
        }));
        assert_eq!(init[2], "Init:1/2");
        let deleted = row(json!({
            "metadata": {"name": "a", "deletionTimestamp": "2026-11-22T10:05:44Z"},
            "spec": {"containers": [{"name": "c"}]},
            "status": {"phase": "Running"},
        }));
        assert_eq!(deleted[2], "Terminating");
    }
}
