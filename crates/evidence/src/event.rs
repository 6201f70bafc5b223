//! Lines that show events: those of `kubectl describe`, and those that stand alone.

use eksnet_model::kubernetes as k8s;

use crate::shown::ShownEvent;
use crate::table::repetition;
use crate::words::age;

/// Reasons of events that may stand alone in front of a colon. A word with capitals is not enough: errors
/// of AWS look the same.
const REASONS: [&str; 41] = [
    "BackOff",
    "BranchAllocationFailed",
    "BranchENIAnnotationFailed",
    "DisruptionBlocked",
    "EniConfigNameNotFound",
    "Evicted",
    "Failed",
    "FailedAttachVolume",
    "FailedBuildModel",
    "FailedConsistencyCheck",
    "FailedCreate",
    "FailedCreatePodContainer",
    "FailedCreatePodSandBox",
    "FailedDeployModel",
    "FailedDraining",
    "FailedKillPod",
    "FailedMount",
    "FailedNetworkReconcile",
    "FailedScheduling",
    "FailedToScaleUpGroup",
    "InsufficientCidrBlocks",
    "Killing",
    "MissingIAMPermissions",
    "NetworkNotReady",
    "NodeNotReady",
    "NodeTrunkFailedInit",
    "NotTriggerScaleUp",
    "OOMKilling",
    "Preempted",
    "ProvisioningFailed",
    "Rebooted",
    "ResourceAllocated",
    "SandboxChanged",
    "ScaleDown",
    "ScaleDownFailed",
    "SystemOOM",
    "TaintManagerEviction",
    "TriggeredScaleUp",
    "TrunkENICreationFailed",
    "Unhealthy",
    "Unsupported",
];

/// The event that a line shows:
/// `Warning  FailedMount  4m2s (x60 over 109m)  kubelet  MESSAGE`, the same without its type, or
/// `FailedScheduling: MESSAGE`.
pub(crate) fn of_line(text: &str, about: &k8s::ObjectReference) -> Option<ShownEvent> {
    let text = text.trim();
    let (kind, rest) = match text.split_once(char::is_whitespace) {
        Some((kind @ ("Normal" | "Warning"), rest)) => (kind, rest.trim_start()),
        _ => ("", text),
    };
    let (reason, rest) = rest.split_once(char::is_whitespace)?;
    let event = |reason: &str, message: &str, count| k8s::Event {
        involved_object: about.clone(),
        reason: reason.to_owned(),
        message: message.trim().to_owned(),
        kind: kind.to_owned(),
        count,
        ..k8s::Event::default()
    };
    if let Some(reason) = reason.strip_suffix(':') {
        return REASONS.contains(&reason).then(|| ShownEvent {
            event: event(reason, rest, None),
            ..ShownEvent::default()
        });
    }
    if !is_reason(reason) {
        return None;
    }
    let rest = rest.trim_start();
    let (seen, rest) = rest.split_once(char::is_whitespace)?;
    let last = match seen {
        "<unknown>" | "<invalid>" => None,
        seen => Some(age(seen)?),
    };
    let rest = rest.trim_start();
    let (repeated, rest) = match rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some(found) => found,
        None => ("", rest),
    };
    let (count, first) = repetition(repeated);
    let message = without_author(rest.trim_start());
    if message.is_empty() {
        return None;
    }
    Some(ShownEvent {
        event: event(reason, message, count),
        last,
        first,
    })
}

/// Whether a kubelet says this of one of its pods. Other reasons are often those of the component whose
/// name the file has.
pub(crate) fn is_of_pod(reason: &str) -> bool {
    matches!(
        reason,
        "BackOff"
            | "Failed"
            | "FailedCreatePodContainer"
            | "FailedCreatePodSandBox"
            | "FailedKillPod"
            | "FailedMount"
            | "Killing"
            | "NetworkNotReady"
            | "SandboxChanged"
            | "Unhealthy"
    )
}

/// A word in upper camel case.
fn is_reason(word: &str) -> bool {
    word.len() > 3
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && word.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Without `kubelet  `, or `kubelet, NODE  ` of old, in front of the message.
fn without_author(text: &str) -> &str {
    let Some((author, rest)) = text.split_once(char::is_whitespace) else {
        return "";
    };
    let rest = rest.trim_start();
    if author.ends_with(',') {
        return rest
            .split_once(char::is_whitespace)
            .map_or("", |(_, rest)| rest.trim_start());
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<(String, String, Option<u32>, Option<i64>)> {
        let shown = of_line(text, &k8s::ObjectReference::default())?;
        Some((
            shown.event.reason,
            shown.event.message,
            shown.event.count,
            shown.last,
        ))
    }

    #[test]
    fn lines_of_events_are_read_in_all_their_forms() {
        for (text, reason, message, count, last) in [
            (
                "  Warning  FailedMount  4m2s (x60 over 109m)  kubelet  MountVolume.SetUp failed",
                "FailedMount",
                "MountVolume.SetUp failed",
                Some(60),
                Some(242),
            ),
            (
                "FailedCreatePodSandBox  2m23s (x2610 over 4d)  kubelet, ip-10-0-1-2.ec2.internal  Failed create pod sandbox: x",
                "FailedCreatePodSandBox",
                "Failed create pod sandbox: x",
                Some(2610),
                Some(143),
            ),
            (
                "Warning BranchAllocationFailed <invalid> (xN over <invalid>) vpc-resource-controller failed to allocate",
                "BranchAllocationFailed",
                "failed to allocate",
                None,
                None,
            ),
            (
                "FailedScheduling: 0/3 nodes are available",
                "FailedScheduling",
                "0/3 nodes are available",
                None,
                None,
            ),
        ] {
            assert_eq!(
                shown(text),
                Some((reason.to_owned(), message.to_owned(), count, last)),
                "{text}"
            );
        }
    }

    #[test]
    fn errors_and_prose_are_no_events() {
        for text in [
            "WebIdentityErr: failed to retrieve credentials",
            "Then it worked again",
            "Type     Reason       Age                   From     Message",
            "----     ------       ----                  ----     -------",
            "Installed /host/opt/cni/bin/aws-cni",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
