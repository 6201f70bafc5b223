//! Names of flags and expanders that cluster-autoscaler knows.
//!
//! Source: kubernetes/autoscaler, `cluster-autoscaler/config/flags`, `main.go` and `expander` of the release
//! branches 1.14 to 1.34, read November 2026.

/// Expanders that work on AWS.
pub(super) const EXPANDERS: [&str; 6] = [
    "random",
    "most-pods",
    "least-waste",
    "least-nodes",
    "priority",
    "grpc",
];

/// Parts of names that only flags of cluster-autoscaler have.
const STEMS: [&str; 26] = [
    "scale-down",
    "scaledown",
    "scale-up",
    "scaleup",
    "node-group",
    "nodegroup",
    "expander",
    "skip-nodes",
    "balance-similar",
    "balancing-",
    "aws-use-static",
    "max-node",
    "max-nodes",
    "max-empty-bulk",
    "max-graceful",
    "max-total-unready",
    "ok-total-unready",
    "expendable-pods",
    "unremovable",
    "new-pod-scale",
    "cloud-provider",
    "scan-interval",
    "cores-total",
    "memory-total",
    "status-config-map",
    "ignore-daemonsets-utilization",
];

/// Flags that are on or off: the next word is never their value.
pub(super) const SWITCHES: [&str; 12] = [
    "balance-similar-node-groups",
    "skip-nodes-with-system-pods",
    "skip-nodes-with-local-storage",
    "skip-nodes-with-custom-controller-pods",
    "scale-down-enabled",
    "aws-use-static-instance-list",
    "cordon-node-before-terminating",
    "ignore-daemonsets-utilization",
    "ignore-mirror-pods-utilization",
    "daemonset-eviction-for-empty-nodes",
    "enforce-node-group-min-size",
    "leader-elect",
];

/// Whether a flag can only be cluster-autoscaler's: other programs refuse flags in the same words.
pub(super) fn is_own(flag: &str) -> bool {
    let name = flag.trim_start_matches('-');
    STEMS.iter().any(|stem| name.contains(stem))
}
