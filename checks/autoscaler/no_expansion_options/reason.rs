//! Why no group would take a pod, in the words of the scheduler and of cluster-autoscaler
//! (`core/scaleup/orchestrator/skippedreasons.go` of kubernetes/autoscaler).

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Labels,
    Taints,
    TooBig,
    VolumeZone,
    Spread,
    Backoff,
    Max,
    Other,
}

impl Reason {
    /// The reasons of a `NotTriggerScaleUp`: a list of counts after a colon.
    pub(super) fn of_event(message: &str) -> Vec<Self> {
        let list = message.split_once(": ").map_or("", |(_, list)| list);
        let mut found: Vec<Self> = list
            .split(", ")
            .filter(|part| !part.trim().is_empty())
            .map(|part| Self::of(part).unwrap_or(Self::Other))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The reasons of a predicate that failed; none where it names nothing known.
    pub(super) fn of_predicate(why: &str) -> Option<Self> {
        Self::of(why)
    }

    fn of(text: &str) -> Option<Self> {
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        Some(
            if has(&[
                "volume node affinity",
                "NoVolumeZoneConflict",
                "VolumeZone",
                "available volume zone",
            ]) {
                Self::VolumeZone
            } else if has(&[
                "topology spread",
                "PodTopologySpread",
                "anti-affinity",
                "pod affinity",
                "MatchInterPodAffinity",
                "InterPodAffinity",
            ]) {
                Self::Spread
            } else if has(&[
                "node affinity",
                "node selector",
                "affinity/selector",
                "MatchNodeSelector",
                "NodeAffinity",
            ]) {
                Self::Labels
            } else if has(&["taint", "TaintToleration"]) {
                Self::Taints
            } else if has(&[
                "Insufficient",
                "Too many pods",
                "NodeResourcesFit",
                "GeneralPredicates",
                "free ports",
            ]) {
                Self::TooBig
            } else if has(&["backoff", "back-off"]) {
                Self::Backoff
            } else if has(&["max node group size", "max total nodes", "max cluster"]) {
                Self::Max
            } else {
                return None;
            },
        )
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Labels => "no group has the labels that it selects",
            Self::Taints => "a group has a taint that it does not tolerate",
            Self::TooBig => "a whole node of a group is too small for it",
            Self::VolumeZone => "its volume is in a zone that no new node is sure to be in",
            Self::Spread => "its rules of spread or affinity forbid it",
            Self::Backoff => "a group is in backoff after failed launches",
            Self::Max => "a group is at its maximum",
            Self::Other => "the autoscaler gives another reason",
        }
    }

    pub(super) fn signal(self) -> &'static str {
        match self {
            Self::Labels => "labels",
            Self::Taints => "taints",
            Self::TooBig => "too-big",
            Self::VolumeZone => "volume-zone",
            Self::Spread => "spread",
            Self::Backoff => "backoff",
            Self::Max | Self::Other => "other-reason",
        }
    }

    pub(super) fn fix(self) -> &'static str {
        match self {
            Self::Labels => {
                "give a node group the labels that the pod selects (for an empty group: tags k8s.io/cluster-autoscaler/node-template/label/KEY too), or mend the pod's nodeSelector"
            }
            Self::Taints => "add a toleration to the pod, or a group without the taint",
            Self::TooBig => "lower the pod's requests, or add a group of a larger instance type",
            Self::VolumeZone => "one group for each zone, with --balance-similar-node-groups=true",
            Self::Spread => {
                "set whenUnsatisfiable: ScheduleAnyway, or a group in each zone that the rule counts"
            }
            Self::Backoff => {
                "aws autoscaling describe-scaling-activities --max-items 10   # mend why launches fail; the backoff ends by itself, or with a restart of the autoscaler"
            }
            Self::Max => "raise the maximum of a group",
            Self::Other => "kubectl describe pod POD   # see the reasons in its Events",
        }
    }
}
