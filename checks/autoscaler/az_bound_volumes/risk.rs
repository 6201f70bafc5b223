//! What will hold the next pod with a volume back, though none waits now.

use std::collections::BTreeSet;

use eksnet_model::{
    ClusterAutoscaler, Component, Confidence, Cx, Deployed, Fact, Finding, Severity, Source,
    Subject, SubjectKind,
};

use super::META;
use super::groups::{Groups, waits};

/// Most volumes that are named.
const MAX: usize = 5;

pub(super) fn findings(cx: &Cx<'_>, groups: &Groups<'_>, scalers: &[Deployed<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(no_node(cx, groups));
    findings.extend(immediate(cx, groups));
    findings.extend(unbalanced(groups, scalers));
    findings
}

/// Bound volumes in zones where there is no node, and no group of that zone.
fn no_node(cx: &Cx<'_>, groups: &Groups<'_>) -> Option<Finding> {
    if !cx.nodes().is_complete() || groups.groups.is_empty() {
        return None;
    }
    let nodes = cx.nodes().optional()?;
    let with_nodes: BTreeSet<&str> = nodes.iter().filter_map(|node| node.zone()).collect();
    if with_nodes.is_empty() || cx.pods().optional()?.iter().any(waits) {
        return None;
    }
    let stranded: Vec<_> = groups
        .volumes
        .iter()
        .filter(|volume| volume.spec.claim_ref.is_some())
        .filter(|volume| {
            let zones: Vec<String> = volume.zones().into_iter().map(str::to_owned).collect();
            !zones.is_empty()
                && zones.iter().all(|zone| !with_nodes.contains(zone.as_str()))
                && groups.of_one_zone(&zones).is_empty()
                && !groups.over_zones(&zones).is_empty()
        })
        .collect();
    let first = stranded.first()?;
    let zone = first.zones().join(", ");
    let group = groups
        .over_zones(&[])
        .first()
        .map(|group| &group.auto_scaling_group_name)?;
    let mut finding = META
        .finding(
            Severity::Warning,
            format!(
                "{} volume{} in a zone without a node ({zone}), and Auto Scaling group {group} chooses its zone itself",
                stranded.len(),
                if stranded.len() == 1 { " lies" } else { "s lie" }
            ),
        )
        .detail("The next pod that mounts one of them waits until a node happens to come there.")
        .confidence(Confidence::Confirmed)
        .subjects(stranded.iter().take(MAX).map(|volume| {
            Subject::new(SubjectKind::Other, format!("PersistentVolume {}", volume.metadata.name))
        }))
        .signal("no-node-in-zone")
        .confirm("kubectl get nodes -L topology.kubernetes.io/zone")
        .fix(format!(
            "eksctl create nodegroup --cluster {} --name workers-{zone} --node-zones {zone}   # one group per zone",
            cx.cluster_name()
        ));
    for volume in stranded.iter().take(MAX) {
        finding = finding.fact(
            Fact::new(
                Source::PersistentVolumes,
                format!("PersistentVolume {}", volume.metadata.name),
                "zone by its node affinity",
                volume.zones().join(", "),
            )
            .expected(format!(
                "one of {}",
                with_nodes.iter().copied().collect::<Vec<_>>().join(", ")
            )),
        );
    }
    Some(finding)
}

/// Classes whose volumes get a zone before their pod has one.
fn immediate(cx: &Cx<'_>, groups: &Groups<'_>) -> Vec<Finding> {
    let zones: BTreeSet<&str> = groups
        .volumes
        .iter()
        .flat_map(|volume| volume.zones())
        .collect();
    if zones.len() < 2 {
        return Vec::new();
    }
    let classes = cx.storage_classes().optional().into_iter().flatten();
    classes
        .filter(|class| {
            matches!(class.provisioner.as_str(), "ebs.csi.aws.com" | "kubernetes.io/aws-ebs")
                && class.volume_binding_mode != "WaitForFirstConsumer"
        })
        .filter_map(|class| {
            let name = &class.metadata.name;
            let used = groups.volumes.iter().filter(|one| one.spec.storage_class_name == *name).count();
            (used > 0).then(|| {
                META.finding(
                    Severity::Warning,
                    format!("StorageClass {name} gives its volumes a zone before their pods have one"),
                )
                .detail("The zone is drawn without regard to where the pod fits; the pod can then run there alone.")
                .confidence(Confidence::Confirmed)
                .subject(Subject::new(SubjectKind::Other, format!("StorageClass {name}")))
                .fact(
                    Fact::new(
                        Source::StorageClasses,
                        format!("StorageClass {name}"),
                        format!("volumeBindingMode ({used} volumes use it)"),
                        if class.volume_binding_mode.is_empty() { "Immediate, as it is not set" } else { class.volume_binding_mode.as_str() },
                    )
                    .expected("WaitForFirstConsumer"),
                )
                .signal("immediate-binding")
                .confirm(format!("kubectl get storageclass {name} -o yaml"))
                .fix(format!(
                    "kubectl get storageclass {name} -o yaml | sed 's/volumeBindingMode: Immediate/volumeBindingMode: WaitForFirstConsumer/' | kubectl replace --force -f -   # existing volumes keep their zones"
                ))
            })
        })
        .collect()
}

/// One group per zone, and an autoscaler that fills whichever it likes.
fn unbalanced(groups: &Groups<'_>, scalers: &[Deployed<'_>]) -> Option<Finding> {
    let mut zones: BTreeSet<&str> = BTreeSet::new();
    let mut kinds: BTreeSet<&str> = BTreeSet::new();
    for group in &groups.groups {
        if let [zone] = group.availability_zones.as_slice() {
            zones.insert(zone);
            kinds.extend(group.instances.iter().map(|one| one.instance_type.as_str()));
        }
    }
    let alike = kinds.len() == 1;
    let bound = groups
        .volumes
        .iter()
        .any(|volume| !volume.zones().is_empty());
    if zones.len() < 2 || !alike || !bound {
        return None;
    }
    let scaler = scalers
        .iter()
        .find(|one| one.component == Component::ClusterAutoscaler)?;
    let flags = ClusterAutoscaler::of(scaler)?;
    if flags.is_on("balance-similar-node-groups", false) {
        return None;
    }
    let (namespace, resource) = (scaler.namespace, scaler.resource());
    Some(
        META.finding(
            Severity::Info,
            format!(
                "cluster-autoscaler ({}) has one group per zone, and does not keep them even",
                scaler.workload()
            ),
        )
        .confidence(Confidence::Confirmed)
        .subject(scaler.subject())
        .fact(
            Fact::new(
                Source::Deployments,
                scaler.subject().to_string(),
                "--balance-similar-node-groups",
                "false",
            )
            .expected("true, with --balancing-ignore-label=topology.ebs.csi.aws.com/zone"),
        )
        .signal("unbalanced")
        .at(scaler.place())
        .confirm(format!(
            "kubectl -n {namespace} get {resource} -o yaml | grep -e '--balanc'"
        ))
        .fix(format!(
            "kubectl -n {namespace} edit {resource}   # --balance-similar-node-groups=true, --balancing-ignore-label=topology.ebs.csi.aws.com/zone"
        )),
    )
}
