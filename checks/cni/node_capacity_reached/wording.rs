//! How full nodes read, and what to do about them.

use eksnet_model::{Fact, Source, Text};

use super::fullness::Full;

/// Such as: 3 nodes of group "t2" are full: 35 of 35 pods.
pub(super) fn title(group: &Text, nodes: &[&Full<'_>]) -> String {
    let worst = nodes.iter().max_by_key(|one| one.out_of_slots());
    let subject = match nodes {
        [one] => format!("Node {} of group \"{group}\"", one.node.metadata.name),
        many => format!("{} nodes of group \"{group}\"", many.len()),
    };
    let verb = if nodes.len() == 1 { "is" } else { "are" };
    let Some(worst) = worst else {
        return format!("{subject} {verb} full");
    };
    if let Some((pods, most)) = worst.slots {
        let nearly = if pods >= most { "" } else { "nearly " };
        format!("{subject} {verb} {nearly}full: {pods} of {most} pods")
    } else if let Some(stock) = worst.addresses {
        format!(
            "{subject} {verb} {}out of addresses: {} of {} given to pods, {} of {} interfaces attached",
            if stock.assigned >= stock.total {
                ""
            } else {
                "nearly "
            },
            stock.assigned,
            stock.total,
            stock.enis,
            stock.max_enis
        )
    } else {
        let has = if nodes.len() == 1 { "has" } else { "have" };
        format!(
            "{subject} {has} no slot for another interface: {} of them not the CNI's",
            worst.foreign.len()
        )
    }
}

pub(super) fn detail(nodes: &[&Full<'_>], waiting: usize, blocks: bool) -> String {
    if blocks {
        let pods = if waiting == 1 {
            "1 pod waits"
        } else {
            &format!("{waiting} pods wait")
        };
        return format!("{pods} for a slot: the scheduler names this as the reason.");
    }
    if nodes.iter().any(|one| one.slots.is_some()) {
        "The next pods that fit only these nodes will wait for a slot.".to_owned()
    } else if nodes.iter().any(|one| one.addresses.is_some()) {
        "The kubelet still admits pods, and the CNI has no address for them: they will wait in ContainerCreating."
            .to_owned()
    } else {
        "Interfaces that the CNI does not manage take slots that pods' addresses would come from."
            .to_owned()
    }
}

pub(super) fn facts(one: &Full<'_>) -> Vec<Fact> {
    let node = format!("Node {}", one.node.metadata.name);
    let mut facts = Vec::new();
    if let Some((pods, most)) = one.slots {
        facts.push(
            Fact::new(
                Source::Pods,
                node.clone(),
                "pods that have not ended",
                pods.to_string(),
            )
            .expected(format!("below allocatable pods: {most}")),
        );
    }
    if let Some(stock) = one.addresses {
        facts.push(Fact::new(
            Source::CniMetrics,
            node,
            "stock of addresses",
            format!(
                "{} of {} given, {} of {} interfaces",
                stock.assigned, stock.total, stock.enis, stock.max_enis
            ),
        ));
    }
    for eni in one.foreign.iter().take(3) {
        facts.push(Fact::new(
            Source::NetworkInterfaces,
            eni.network_interface_id.as_str(),
            "attached and not the CNI's",
            if eni.description.is_empty() {
                "no description"
            } else {
                &eni.description
            },
        ));
    }
    facts
}

pub(super) fn confirm(nodes: &[&Full<'_>]) -> Vec<Text> {
    let Some(first) = nodes.first() else {
        return Vec::new();
    };
    let name = &first.node.metadata.name;
    let mut commands: Vec<Text> = vec![
        format!("kubectl get node {name} -o jsonpath='{{.status.allocatable.pods}}'").into(),
        format!(
            "kubectl get pods -A --field-selector spec.nodeName={name},status.phase!=Succeeded,status.phase!=Failed --no-headers | wc -l"
        )
        .into(),
    ];
    if let Some(id) = first
        .node
        .instance_id()
        .filter(|_| !first.foreign.is_empty())
    {
        commands.push(
            format!(
                "aws ec2 describe-network-interfaces --filters Name=attachment.instance-id,Values={id} --query 'NetworkInterfaces[].[NetworkInterfaceId,Description]' --output table"
            )
            .into(),
        );
    }
    commands
}

pub(super) fn fix(group: &Text, nodes: &[&Full<'_>]) -> Vec<Text> {
    let foreign = nodes.iter().flat_map(|one| &one.foreign).next();
    if let Some(eni) = foreign {
        let attachment = eni.network_interface_id.as_str();
        return vec![
            format!("Detach {attachment} where nothing needs it (aws ec2 describe-network-interfaces --network-interface-ids {attachment})").into(),
            "kubectl eksnet capacity".into(),
        ];
    }
    vec![
        format!("Add nodes to group {group}, or move it to a larger instance type").into(),
        "kubectl eksnet capacity".into(),
    ]
}
