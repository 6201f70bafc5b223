//! Why a probe pod did not start.

use eksnet_model::NotStarted;
use eksnet_model::kubernetes::{ContainerStatus, Event, Pod};

use crate::kubernetes::fault::Fault;

/// How far a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It may still start; for what it waits.
    Waiting(NotStarted),
    /// The agent is running.
    Running,
    /// The agent ran and ended; the number is its exit code.
    Ended(i32),
    /// It did not start and will not.
    NotStarted(NotStarted),
}

/// Reasons for waiting from which kubelet does not come back by itself in the time of a run.
/// `ErrImagePull` is not among them: it is tried again at once.
const FINAL: [&str; 9] = [
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "SignatureValidationFailed",
];

/// Reasons for the end of a container that never ran.
const NEVER_RAN: [&str; 2] = ["StartError", "ContainerCannotRun"];

/// How far a pod is by its status.
pub(crate) fn progress(pod: &Pod) -> Progress {
    let container = pod.status.container_statuses.first();
    let terminated = container.and_then(|status| status.state.terminated.as_ref());
    if let Some(end) = terminated {
        if NEVER_RAN.contains(&end.reason.as_str()) {
            return Progress::NotStarted(not_started(&end.reason, &end.message));
        }
        if end.reason != "ContainerStatusUnknown" {
            return Progress::Ended(end.exit_code);
        }
    }
    if pod.status.phase == "Failed" {
        let reason = if pod.status.reason.is_empty() {
            "Failed"
        } else {
            &pod.status.reason
        };
        return Progress::NotStarted(not_started(reason, &pod.status.message));
    }
    if pod.status.phase == "Succeeded" {
        return Progress::Ended(0);
    }
    if container.is_some_and(|status| status.state.running.is_some()) {
        return Progress::Running;
    }
    match container.and_then(waiting) {
        Some((reason, message)) if FINAL.contains(&reason) => {
            Progress::NotStarted(not_started(reason, message))
        }
        Some((reason, message)) => Progress::Waiting(not_started(reason, message)),
        None => Progress::Waiting(not_started("", &pod.status.message)),
    }
}

fn waiting(status: &ContainerStatus) -> Option<(&str, &str)> {
    let waiting = status.state.waiting.as_ref()?;
    Some((&waiting.reason, &waiting.message))
}

/// What the events of a pod say of why its sandbox is not made, the last one.
pub(crate) fn sandbox_failure<'a>(
    name: &str,
    events: impl Iterator<Item = &'a Event>,
) -> Option<NotStarted> {
    const REASONS: [&str; 3] = ["FailedCreatePodSandBox", "FailedMount", "NetworkNotReady"];
    events
        .filter(|event| {
            event.involved_object.name == name && REASONS.contains(&event.reason.as_str())
        })
        .max_by_key(|event| event.last_seen())
        .map(|event| not_started(&event.reason, &event.message))
}

/// Why a pod was not created; `None` when the user may create no pods at all, which is a gap of the
/// whole source.
pub(crate) fn refused(fault: &Fault) -> Option<NotStarted> {
    let Fault::Refused(refusal) = fault else {
        let reason = match fault {
            Fault::Timeout(_) => "Timeout",
            _ => "Unreachable",
        };
        return Some(not_started(reason, &fault.says()));
    };
    let message = refusal.message.as_str();
    let lower = message.to_ascii_lowercase();
    let reason = match refusal.status.as_u16() {
        401 => return None,
        403 if lower.contains("violates podsecurity") => "PodSecurity",
        403 if lower.contains("exceeded quota") || lower.contains("failed quota") => "Quota",
        // RBAC's own wording: `pods is forbidden: User "x" cannot create resource "pods"`.
        403 if lower.contains("cannot create resource") => return None,
        _ if lower.contains("admission webhook") || lower.contains("failed calling webhook") => {
            "Webhook"
        }
        403 => "Forbidden",
        404 => "NamespaceNotFound",
        400 | 422 => "Invalid",
        429 => "Throttled",
        _ => "Failed",
    };
    Some(not_started(reason, message))
}

/// Whether the refusal is about our pod as such, rather than about the cluster's network: such a
/// pod is a gap with a way round it, never a cause.
pub(crate) fn way_round(reason: &str) -> Option<&'static str> {
    match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            Some("--agent-image with an image that the nodes can pull, --image-pull-secret")
        }
        "PodSecurity" | "Quota" | "Webhook" | "Forbidden" | "NamespaceNotFound" | "Invalid" => {
            Some("--probe-namespace with a namespace that admits the pods")
        }
        _ => None,
    }
}

pub(crate) fn not_started(reason: &str, message: &str) -> NotStarted {
    NotStarted {
        reason: reason.into(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::fault::Refusal;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"status": status})).unwrap()
    }

    fn reason(progress: &Progress) -> String {
        match progress {
            Progress::NotStarted(why) => why.reason.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_pull_is_given_up_only_once_kubelet_backs_off() {
        let waits = |reason: &str| {
            progress(&pod(json!({"phase": "Pending", "containerStatuses": [
                {"state": {"waiting": {"reason": reason, "message": "m"}}}]})))
        };
        assert_eq!(reason(&waits("ImagePullBackOff")), "ImagePullBackOff");
        assert_eq!(
            waits("ErrImagePull"),
            Progress::Waiting(not_started("ErrImagePull", "m"))
        );
        assert!(matches!(waits("ContainerCreating"), Progress::Waiting(_)));
        assert!(matches!(progress(&pod(json!({}))), Progress::Waiting(_)));
    }

    #[test]
    fn an_agent_that_ended_is_read_and_one_that_never_ran_is_not() {
        let ended = |reason: &str, code: i32| {
            progress(&pod(json!({"phase": "Failed", "containerStatuses": [
                {"state": {"terminated": {"reason": reason, "exitCode": code, "message": "exec format error"}}}]})))
        };
        assert_eq!(ended("Completed", 0), Progress::Ended(0));
        assert_eq!(ended("Error", 2), Progress::Ended(2));
        assert_eq!(reason(&ended("StartError", 128)), "StartError");
        // A node that lost the container tells its own reason, or none.
        assert_eq!(reason(&ended("ContainerStatusUnknown", 137)), "Failed");
    }

    #[test]
    fn a_pod_that_kubelet_refuses_tells_why() {
        let status = json!({"phase": "Failed", "reason": "OutOfpods", "message": "no room"});
        assert_eq!(
            progress(&pod(status)),
            Progress::NotStarted(not_started("OutOfpods", "no room"))
        );
    }

    #[test]
    fn refusals_at_creation_are_told_apart() {
        let refused_with = |status: u16, message: &str| {
            let refusal = Refusal {
                status: http::StatusCode::from_u16(status).unwrap(),
                reason: String::new(),
                message: message.to_owned(),
                retry_after: None,
            };
            refused(&Fault::Refused(refusal)).map(|why| why.reason.to_string())
        };
        let cases = [
            (
                403,
                "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"",
                Some("PodSecurity"),
            ),
            (
                403,
                "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1",
                Some("Quota"),
            ),
            (
                403,
                "admission webhook \"v.x\" denied the request: no",
                Some("Webhook"),
            ),
            (
                500,
                "Internal error occurred: failed calling webhook \"x\": deadline exceeded",
                Some("Webhook"),
            ),
            (
                403,
                "pods \"x\" is forbidden: error looking up service account",
                Some("Forbidden"),
            ),
            (
                403,
                "pods is forbidden: User \"u\" cannot create resource \"pods\" in API group",
                None,
            ),
            (404, "namespaces \"x\" not found", Some("NamespaceNotFound")),
            (422, "Pod \"x\" is invalid", Some("Invalid")),
        ];
        for (status, message, reason) in cases {
            assert_eq!(
                refused_with(status, message).as_deref(),
                reason,
                "{message}"
            );
        }
    }

    #[test]
    fn the_last_failure_of_the_sandbox_counts_and_only_of_this_pod() {
        let event = |name: &str, reason: &str, at: &str| -> Event {
            serde_json::from_value(json!({"involvedObject": {"name": name}, "reason": reason,
                "message": at, "lastTimestamp": at}))
            .unwrap()
        };
        let events = [
            event("p", "FailedCreatePodSandBox", "2026-01-01T00:00:02Z"),
            event("p", "FailedCreatePodSandBox", "2026-01-01T00:00:01Z"),
            event("q", "FailedCreatePodSandBox", "2026-01-01T00:00:09Z"),
            event("p", "Scheduled", "2026-01-01T00:00:10Z"),
        ];
        let why = sandbox_failure("p", events.iter()).unwrap();
        assert_eq!(why.message, "2026-01-01T00:00:02Z");
        assert_eq!(sandbox_failure("r", events.iter()), None);
    }
}
