//! Why a node stays: the reasons of cluster-autoscaler (`simulator/drainability` and
//! `core/scaledown` of kubernetes/autoscaler, all releases since 1.12) and of Karpenter.

use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    SystemPod,
    LocalStorage,
    NotSafe,
    Bare,
    Budget,
    Marked,
    Other,
    NoPlace,
    Minimum,
}

impl Why {
    /// The reason in a record; `None` for one that is no fault.
    pub(super) fn of(text: &str) -> Option<Self> {
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        Some(if has(&["utilization", "utilisation"]) {
            return None;
        } else if has(&["kube-system pod"]) {
            Self::SystemPod
        } else if has(&["local storage"]) {
            Self::LocalStorage
        } else if has(&["safe to evict", "safe-to-evict", "unsafe to evict"]) {
            Self::NotSafe
        } else if has(&["not replicated", "isn't replicated", "no controller"]) {
            Self::Bare
        } else if has(&["disruption budget", "PodDisruptionBudget", "pdb"]) {
            Self::Budget
        } else if has(&[
            "no scale down",
            "scale down disabled",
            "scale-down-disabled",
        ]) {
            Self::Marked
        } else if has(&["no place", "find place", "reschedule only", "enough space"]) {
            Self::NoPlace
        } else if has(&["min size reached"]) {
            Self::Minimum
        } else if has(&["unready for long", "recently", "being deleted"]) {
            return None;
        } else {
            Self::Other
        })
    }

    /// The reason in an Event of Karpenter; `None` for one that passes by itself.
    pub(super) fn of_karpenter(text: &str) -> Option<Self> {
        if text.contains("pdb") || text.contains("PDB") || text.contains("PodDisruptionBudget") {
            Some(Self::Budget)
        } else if text.contains("do-not-disrupt")
            || text.contains("do-not-evict")
            || text.contains("do-not-consolidate")
        {
            Some(Self::NotSafe)
        } else {
            None
        }
    }

    /// Whether it is as it should be: wanted by a setting, or for want of room.
    pub(super) fn is_by_design(self) -> bool {
        matches!(self, Self::NoPlace | Self::Minimum)
    }

    pub(super) fn signal(self) -> &'static str {
        match self {
            Self::SystemPod | Self::LocalStorage | Self::NotSafe | Self::Bare | Self::Other => {
                "pod-blocks"
            }
            Self::Budget => "budget-blocks",
            Self::Marked => "node-marked",
            Self::NoPlace | Self::Minimum => "by-design",
        }
    }

    pub(super) fn words(self, pods: &BTreeSet<String>) -> String {
        let who = match pods.iter().collect::<Vec<_>>().as_slice() {
            [] => "a pod".to_owned(),
            [one] => format!("pod {one}"),
            [one, rest @ ..] => format!("pod {one} and {} more", rest.len()),
        };
        match self {
            Self::SystemPod => {
                format!("{who} of kube-system has no PodDisruptionBudget, so it is not evicted")
            }
            Self::LocalStorage => format!("{who} has local storage"),
            Self::NotSafe => format!("{who} is marked as not to be evicted"),
            Self::Bare => format!("{who} has no controller that would start it anew"),
            Self::Budget => format!("a PodDisruptionBudget lets {who} not go"),
            Self::Marked => "it is marked as not to be scaled down".to_owned(),
            Self::NoPlace => format!("{who} has no place on another node"),
            Self::Minimum => "its group is at its minimum".to_owned(),
            Self::Other => "the autoscaler gives a reason of its own".to_owned(),
        }
    }

    pub(super) fn fix(self, pod: Option<&str>, namespace: &str, node: &str) -> String {
        let pod = pod.unwrap_or("POD");
        match self {
            Self::SystemPod if pod.starts_with("coredns") => {
                "kubectl -n kube-system create pdb coredns --selector=k8s-app=kube-dns --max-unavailable=1".to_owned()
            }
            Self::SystemPod => format!(
                "kubectl -n {namespace} get pod {pod} --show-labels && kubectl -n {namespace} create pdb NAME --selector=LABEL=VALUE --max-unavailable=1"
            ),
            Self::LocalStorage | Self::Bare => format!(
                "kubectl -n {namespace} annotate pod {pod} cluster-autoscaler.kubernetes.io/safe-to-evict=true   # lasting: in the pod template of its owner"
            ),
            Self::NotSafe => format!(
                "kubectl -n {namespace} annotate pod {pod} cluster-autoscaler.kubernetes.io/safe-to-evict- karpenter.sh/do-not-disrupt-   # once it may be evicted"
            ),
            Self::Budget => format!(
                "kubectl -n {namespace} get pdb   # then more replicas, or maxUnavailable: 1, where ALLOWED DISRUPTIONS is 0"
            ),
            Self::Marked => format!(
                "kubectl annotate node {node} cluster-autoscaler.kubernetes.io/scale-down-disabled-"
            ),
            Self::NoPlace => "lower the requests of its pods, or accept the node: without it they would not fit".to_owned(),
            Self::Minimum => "aws autoscaling update-auto-scaling-group --auto-scaling-group-name ASG --min-size N".to_owned(),
            Self::Other => format!("kubectl describe node {node}   # see the reason in the log"),
        }
    }
}

/// The pod that a reason names, with its namespace where that stands there: a path, or what follows the
/// last colon.
pub(super) fn pod(why: &str) -> Option<String> {
    let clean = |word: &str| {
        word.trim_matches([',', '.', ';', ':', '"', '\'', '(', ')'])
            .to_owned()
    };
    let is_path = |word: &&str| {
        word.split_once('/')
            .is_some_and(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
    };
    if let Some(path) = why.split_whitespace().find(is_path) {
        return Some(clean(path));
    }
    let named = match why.rsplit_once(": ") {
        Some((_, name)) => name,
        None => why.strip_suffix(" is not replicated")?,
    };
    let name = clean(named);
    (!name.is_empty() && !name.contains(' ')).then_some(name)
}
