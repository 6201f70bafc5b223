//! Groups, pools and volumes by zone.

use eksnet_model::aws::{AutoScalingGroup, tag};
use eksnet_model::kubernetes::{NodePool, PersistentVolume, Pod};
use eksnet_model::{ClusterAutoscaler, Component, Cx, Deployed, Fact, Source};

use super::refusal::Refusal;

const ZONE: &str = "topology.kubernetes.io/zone";
const CSI_LABEL: &str =
    "k8s.io/cluster-autoscaler/node-template/label/topology.ebs.csi.aws.com/zone";

/// The groups that the autoscaler may enlarge, and the volumes of the cluster.
pub(super) struct Groups<'a> {
    pub(super) groups: Vec<&'a AutoScalingGroup>,
    pub(super) volumes: &'a [PersistentVolume],
}

impl<'a> Groups<'a> {
    pub(super) fn of(cx: &'a Cx<'_>, scalers: &[Deployed<'_>]) -> Self {
        let discoveries: Vec<_> = scalers
            .iter()
            .filter(|one| one.component == Component::ClusterAutoscaler)
            .filter_map(ClusterAutoscaler::of)
            .map(|flags| flags.discovery())
            .collect();
        let all = cx.auto_scaling_groups().optional().into_iter().flatten();
        Self {
            groups: all
                .filter(|group| group.status.is_none() && group.max_size > 0)
                .filter(|group| {
                    discoveries.is_empty() || discoveries.iter().any(|one| one.selects(group))
                })
                .collect(),
            volumes: cx
                .persistent_volumes()
                .optional()
                .map_or(&[][..], Vec::as_slice),
        }
    }

    /// The volumes whose claims look like the pod's: a pod's narrow form names no claims, but a claim of a
    /// StatefulSet ends in the pod's name, and a workload with one volume is told by its namespace.
    fn volumes_of(&self, refusal: &Refusal) -> Vec<&'a PersistentVolume> {
        let (namespace, name) = refusal.pod.split_once('/').unwrap_or(("", &refusal.pod));
        let of_namespace = self.volumes.iter().filter(|volume| {
            let claim = volume.spec.claim_ref.as_ref();
            !volume.zones().is_empty()
                && claim.is_some_and(|claim| namespace.is_empty() || claim.namespace == namespace)
        });
        let all: Vec<_> = of_namespace.collect();
        let exact: Vec<_> = all
            .iter()
            .copied()
            .filter(|volume| {
                let claim = volume.spec.claim_ref.as_ref();
                claim.is_some_and(|claim| {
                    claim.name.ends_with(&format!("-{name}")) || name.starts_with(&claim.name)
                })
            })
            .collect();
        match (exact.is_empty(), all.len()) {
            (false, _) => exact,
            (true, 1) => all,
            (true, _) => Vec::new(),
        }
    }

    /// The zones of the pod's volumes, where they are known.
    pub(super) fn zones_of(&self, refusal: &Refusal) -> Vec<String> {
        let mut zones: Vec<String> = self
            .volumes_of(refusal)
            .iter()
            .flat_map(|volume| volume.zones())
            .map(str::to_owned)
            .collect();
        zones.sort();
        zones.dedup();
        zones
    }

    pub(super) fn volume_facts(&self, refusal: &Refusal) -> Vec<Fact> {
        let volumes = self.volumes_of(refusal);
        let facts = volumes.iter().take(3).map(|volume| {
            Fact::new(
                Source::PersistentVolumes,
                format!("PersistentVolume {}", volume.metadata.name),
                "zone by its node affinity",
                volume.zones().join(", "),
            )
        });
        facts.collect()
    }

    /// Groups that span several zones, one of these among them.
    pub(super) fn over_zones(&self, zones: &[String]) -> Vec<&'a AutoScalingGroup> {
        let all = self.groups.iter().copied();
        all.filter(|group| group.availability_zones.len() > 1)
            .filter(|group| {
                zones.is_empty()
                    || zones
                        .iter()
                        .any(|zone| group.availability_zones.contains(zone))
            })
            .collect()
    }

    /// Groups of one of these zones alone.
    pub(super) fn of_one_zone(&self, zones: &[String]) -> Vec<&'a AutoScalingGroup> {
        let all = self.groups.iter().copied();
        all.filter(|group| match group.availability_zones.as_slice() {
            [own] => zones.contains(own),
            _ => false,
        })
        .collect()
    }

    /// Karpenter's pools when each of them excludes all of these zones.
    pub(super) fn pools_without(&self, cx: &'a Cx<'_>, zones: &[String]) -> Vec<&'a NodePool> {
        let pools = cx.node_pools().optional().map_or(&[][..], Vec::as_slice);
        if zones.is_empty() || pools.iter().any(|pool| !excludes(pool, zones)) {
            return Vec::new();
        }
        pools.iter().collect()
    }
}

fn excludes(pool: &NodePool, zones: &[String]) -> bool {
    let requirements = if pool.spec.requirements.is_empty() {
        &pool.spec.template.spec.requirements
    } else {
        &pool.spec.requirements
    };
    requirements
        .iter()
        .filter(|one| one.key == ZONE)
        .any(|one| {
            let named = |zone: &String| one.values.contains(zone);
            match one.operator.as_str() {
                "In" => !zones.iter().any(named),
                "NotIn" => zones.iter().all(named),
                _ => false,
            }
        })
}

/// Whether a group at zero does not tell the zone under the name that volumes of the CSI driver ask for.
pub(super) fn lacks_csi_label(group: &AutoScalingGroup) -> bool {
    group.desired_capacity == 0 && tag(&group.tags, CSI_LABEL).is_none()
}

/// Whether a pod waits for the scheduler at all.
pub(super) fn waits(pod: &Pod) -> bool {
    pod.unschedulable().is_some()
}
