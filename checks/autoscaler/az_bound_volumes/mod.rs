//! `autoscaler/az-bound-volumes`: a pod must run in the zone of its volume, and no group brings a node there.

mod groups;
mod refusal;
mod risk;

use eksnet_model::{
    Check, Component, Confidence, Cx, Deployed, Fact, Finding, Meta, Place, Role, Severity, Source,
    Stop, Subject, SubjectKind,
};

use groups::Groups;
use refusal::Refusal;

const META: Meta = Meta {
    id: "autoscaler/az-bound-volumes",
    title: "Volumes are bound to a zone, and no group of nodes is bound to the same",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Events, Source::Pods],
    helps: &[
        Source::Logs,
        Source::Deployments,
        Source::AutoScalingGroups,
        Source::PersistentVolumes,
        Source::StorageClasses,
        Source::Nodes,
        Source::NodePools,
    ],
    signals: &[
        "pod-waits",
        "autoscaler-refuses",
        "multi-zone-group",
        "csi-label",
        "pool-excludes-zone",
        "no-node-in-zone",
        "immediate-binding",
        "unbalanced",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let refusals = refusal::all(cx);
    let scalers = Deployed::seen(cx, &[Component::ClusterAutoscaler, Component::Karpenter]);
    let scalers = match scalers {
        Err(Stop::NotApplicable(why)) if refusals.is_empty() => {
            return Err(Stop::NotApplicable(why));
        }
        // Without an autoscaler the pod waits all the same.
        other => other.unwrap_or_default(),
    };
    let karpenter = !scalers.is_empty()
        && scalers
            .iter()
            .all(|one| one.component == Component::Karpenter);
    let groups = Groups::of(cx, &scalers);
    let mut findings: Vec<Finding> = refusals
        .iter()
        .filter_map(|one| waiting(cx, one, &groups, karpenter))
        .collect();
    if findings.is_empty() && !karpenter {
        findings = risk::findings(cx, &groups, &scalers);
    }
    if findings.is_empty() {
        cx.pods().some()?;
        cx.events().some()?;
    }
    Ok(findings)
}

fn waiting(
    cx: &Cx<'_>,
    refusal: &Refusal,
    groups: &Groups<'_>,
    karpenter: bool,
) -> Option<Finding> {
    let zones = groups.zones_of(refusal);
    // The scheduler says so until Karpenter's node is there; it brings one into the volume's zone.
    let pools = groups.pools_without(cx, &zones);
    if karpenter && pools.is_empty() {
        return None;
    }
    let zone_words = match zones.as_slice() {
        [] => "another zone than the nodes that have room".to_owned(),
        [one] => format!("zone {one}"),
        many => format!("zones {}", many.join(", ")),
    };
    let several = groups.over_zones(&zones);
    let single = groups.of_one_zone(&zones);
    let unlabelled: Vec<&str> = single
        .iter()
        .filter(|group| groups::lacks_csi_label(group))
        .map(|group| group.auto_scaling_group_name.as_str())
        .collect();
    let labels_missing = !unlabelled.is_empty() && unlabelled.len() == single.len();
    let why = if karpenter {
        format!(
            ", and {} excludes it",
            pools
                .iter()
                .map(|pool| format!("{} {}", pool.kind(), pool.metadata.name))
                .collect::<Vec<_>>()
                .join(" and ")
        )
    } else if labels_missing {
        format!(
            ", and Auto Scaling group {} does not say that its nodes are there",
            unlabelled.join(", ")
        )
    } else if let Some(group) = several.first().filter(|_| single.is_empty()) {
        format!(
            ", and Auto Scaling group {} chooses its zone itself ({})",
            group.auto_scaling_group_name,
            group.availability_zones.join(", ")
        )
    } else {
        String::new()
    };
    let proven = refusal.by_autoscaler
        || labels_missing
        || (!several.is_empty() && single.is_empty())
        || karpenter;
    let mut finding = META
        .finding(
            Severity::Error,
            format!("Pod {} waits for a node: its volume is in {zone_words}{why}", refusal.pod),
        )
        .detail("A volume of EBS is reached from its own zone alone. A group that spans several zones cannot be asked for a node in one of them: the autoscaler imagines its next node in the first.")
        .confidence(if proven {
            Confidence::Confirmed
        } else if refusal.names_zone {
            Confidence::Likely
        } else {
            Confidence::Possible
        })
        .subject(refusal.subject())
        .facts(refusal.facts.clone())
        .facts(groups.volume_facts(refusal))
        .signal("pod-waits")
        .at(refusal.place.clone());
    for group in several.iter().take(3).filter(|_| single.is_empty()) {
        finding = finding
            .fact(
                Fact::new(
                    Source::AutoScalingGroups,
                    format!("Auto Scaling group {}", group.auto_scaling_group_name),
                    "AvailabilityZones",
                    group.availability_zones.join(", "),
                )
                .expected("one zone"),
            )
            .signal("multi-zone-group");
    }
    if refusal.by_autoscaler {
        finding = finding.signal("autoscaler-refuses");
    }
    if karpenter {
        finding = finding.signal("pool-excludes-zone");
    }
    let (namespace, name) = refusal
        .pod
        .split_once('/')
        .unwrap_or(("NAMESPACE", &refusal.pod));
    finding = finding
        .confirm(format!("kubectl -n {namespace} describe pod {name}"))
        .confirm("kubectl get persistentvolumes -o custom-columns=PV:.metadata.name,CLAIM:.spec.claimRef.name,ZONE:.spec.nodeAffinity.required.nodeSelectorTerms[*].matchExpressions[*].values[*]");
    let zone = zones.first().map_or("ZONE", |zone| zone.as_str());
    if karpenter {
        let pool = pools.first().map_or_else(
            || "nodepool NAME".to_owned(),
            |pool| {
                format!(
                    "{} {}",
                    pool.kind().to_ascii_lowercase(),
                    pool.metadata.name
                )
            },
        );
        return Some(finding.fix(format!(
            "kubectl edit {pool}   # let topology.kubernetes.io/zone include {zone}"
        )));
    }
    if labels_missing {
        finding = finding.signal("csi-label");
        for group in unlabelled {
            finding = finding.fix(format!(
                "aws autoscaling create-or-update-tags --tags ResourceId={group},ResourceType=auto-scaling-group,Key=k8s.io/cluster-autoscaler/node-template/label/topology.ebs.csi.aws.com/zone,Value={zone},PropagateAtLaunch=false"
            ));
        }
        return Some(finding);
    }
    if let Some(group) = several.first() {
        let name = &group.auto_scaling_group_name;
        finding = finding.fix(format!(
            "aws autoscaling set-desired-capacity --auto-scaling-group-name {name} --desired-capacity {}   # for now: the new node may come in the zone",
            group.desired_capacity + 1
        ));
    }
    Some(finding.fix(format!(
        "eksctl create nodegroup --cluster {} --name workers-{zone} --node-zones {zone}   # lasting: one group per zone, and --balance-similar-node-groups=true on cluster-autoscaler",
        cx.cluster_name()
    )))
}

impl Refusal {
    fn subject(&self) -> Subject {
        let (namespace, name) = self.pod.split_once('/').unwrap_or(("", &self.pod));
        if namespace.is_empty() {
            return Subject::new(SubjectKind::Pod, name);
        }
        Subject::pod(namespace, name)
    }
}

/// The place of a workload that waits: it is on no node.
fn place_of(workload: Option<String>) -> Place {
    match workload {
        Some(workload) => Place::default().of(workload),
        None => Place::default(),
    }
}
