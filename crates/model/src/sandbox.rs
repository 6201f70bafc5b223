//! Why a pod's network could not be set up, by what the kubelet says of it.

use crate::kubernetes::Event;

/// What kept a pod's sandbox from being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SandboxFailure {
    /// ipamd had no address to give.
    NoAddress,
    /// Nobody answered the CNI plugin.
    IpamdDown,
    /// The network policy agent did not set up the pod's policies.
    NetworkPolicy,
    /// The node's network was not set up at all yet.
    NotInitialized,
    /// The pod's branch interface (security groups for pods) is missing.
    BranchInterface,
    /// Anything else.
    Other,
}

impl SandboxFailure {
    /// What an Event says; `None` when it is about something else.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        match event.reason.as_str() {
            "FailedCreatePodSandBox" | "NetworkNotReady" => Some(Self::of_message(&event.message)),
            "BranchAllocationFailed" => Some(Self::BranchInterface),
            // Text of an Event whose reason is not known, as in saved descriptions.
            "" | "Failed" | "FailedSync" if event.message.contains("pod sandbox") => {
                Some(Self::of_message(&event.message))
            }
            _ => None,
        }
    }

    /// What the text says. Sources: `cmd/routed-eni-cni-plugin/cni.go` of amazon-vpc-cni-k8s, and the
    /// kubelet's runtime (read 2026-05).
    #[must_use]
    pub fn of_message(message: &str) -> Self {
        let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
        if says(&["failed to assign an IP address to container"]) {
            Self::NoAddress
        } else if says(&["failed to setup network policy"]) {
            Self::NetworkPolicy
        } else if says(&[
            "failed to connect to backend server",
            "Error received from AddNetwork gRPC call",
            // ipamd's port, before the plugin named it.
            "127.0.0.1:50051",
        ]) {
            Self::IpamdDown
        } else if says(&[
            "cni plugin not initialized",
            "cni config uninitialized",
            "network is not ready",
            "Network plugin not initialized",
        ]) {
            Self::NotInitialized
        } else if says(&["branch ENI", "trunk ENI", "pod-eni"]) {
            Self::BranchInterface
        } else {
            Self::Other
        }
    }

    /// Ends a sentence.
    #[must_use]
    pub fn clause(self) -> &'static str {
        match self {
            Self::NoAddress => "no address can be assigned",
            Self::IpamdDown => "aws-node does not answer",
            Self::NetworkPolicy => "the network policy agent does not set up the policies",
            Self::NotInitialized => "the node's network is not set up",
            Self::BranchInterface => "the branch interface is missing",
            Self::Other => "the network cannot be set up",
        }
    }

    /// Name as a signal.
    #[must_use]
    pub fn signal(self) -> &'static str {
        match self {
            Self::NoAddress => "no-ip",
            Self::IpamdDown => "ipamd-down",
            Self::NetworkPolicy => "network-policy-setup",
            Self::NotInitialized => "cni-not-initialized",
            Self::BranchInterface => "branch-eni",
            Self::Other => "sandbox-other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_apart() {
        for (text, failure) in [
            (
                "plugin type=\"aws-cni\" failed (add): add cmd: failed to assign an IP address to container",
                SandboxFailure::NoAddress,
            ),
            (
                "add cmd: Error received from AddNetwork gRPC call: rpc error: code = Unavailable",
                SandboxFailure::IpamdDown,
            ),
            (
                "add cmd: failed to setup network policy",
                SandboxFailure::NetworkPolicy,
            ),
            (
                "network is not ready: container runtime network not ready: NetworkReady=false",
                SandboxFailure::NotInitialized,
            ),
            (
                "failed to allocate branch ENI to pod",
                SandboxFailure::BranchInterface,
            ),
            ("failed to reserve sandbox name", SandboxFailure::Other),
        ] {
            assert_eq!(SandboxFailure::of_message(text), failure, "{text}");
        }
    }

    #[test]
    fn other_events_say_nothing() {
        let event = |reason: &str, message: &str| Event {
            reason: reason.to_owned(),
            message: message.to_owned(),
            ..Event::default()
        };
        assert_eq!(SandboxFailure::of(&event("FailedMount", "x")), None);
        assert_eq!(
            SandboxFailure::of(&event("", "Failed to create pod sandbox: x")),
            Some(SandboxFailure::Other)
        );
        assert_eq!(SandboxFailure::of(&event("", "pulled image")), None);
    }
}
