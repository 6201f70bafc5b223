//! How a mismatch reads, and what to do about it.

use eksnet_model::{CniSettings, Fact, Source, Text};

use super::compare::{Alike, Wrong};

/// Such as: Group "t2" (t3.medium): kubelets admit 110 pods, the CNI has 15 addresses.
pub(super) fn title(one: &Alike<'_>) -> String {
    let (group, kind, kubelet) = (&one.group, one.kind, one.kubelet);
    let subject = match one.nodes.as_slice() {
        [node] => format!("Node {} of group \"{group}\" ({kind})", node.metadata.name),
        nodes => format!("{} nodes of group \"{group}\" ({kind})", nodes.len()),
    };
    let verb = if one.nodes.len() == 1 {
        "admits"
    } else {
        "admit"
    };
    let has = if one.nodes.len() == 1 { "has" } else { "have" };
    match one.wrong {
        Wrong::Over => format!(
            "{subject} {verb} {kubelet} pods and {} addresses for them: {} too few",
            match one.ceiling.addresses {
                0 => format!("{has} no"),
                n => format!("{has} {n}"),
            },
            one.too_many()
        ),
        Wrong::PrefixIgnored => format!(
            "{subject} {verb} {kubelet} pods, the maximum without prefixes, though prefix delegation is on"
        ),
        Wrong::FarBelow => match one.recommended {
            Some(most) => format!("{subject} {verb} {kubelet} of {most} pods that fit"),
            None => format!("{subject} {verb} {kubelet} pods, fewer than fit"),
        },
    }
}

pub(super) fn detail(one: &Alike<'_>, settings: &CniSettings) -> String {
    let mode = one.ceiling.mode;
    let mut lowers: Vec<&str> = Vec::new();
    if mode.custom_networking {
        lowers.push("custom networking keeps pods off the primary interface");
    }
    if mode.trunk {
        lowers.push("the trunk interface of security groups for pods takes a slot");
    }
    if !one.ceiling.unmanaged.is_empty() {
        lowers.push("interfaces that the CNI does not manage take slots");
    }
    if mode
        .max_enis
        .is_some_and(|most| most < one.ceiling.limits.enis)
    {
        lowers.push("MAX_ENI is set");
    }
    if settings.prefix_delegation && !mode.prefixes {
        lowers.push("the type cannot do prefix delegation");
    }
    let lowers = if lowers.is_empty() {
        String::new()
    } else {
        format!(" Here {}.", lowers.join(", "))
    };
    match one.wrong {
        Wrong::Over => {
            let fallback = if one.is_fallback(settings) {
                " 110 is what a kubelet takes when the limits of its instance could not be read."
            } else {
                ""
            };
            format!("The scheduler places pods there that wait in ContainerCreating for an address.{lowers}{fallback}")
        }
        Wrong::PrefixIgnored => {
            "The maximum is computed when a node starts: nodes from before the switch, and AL2023's own default, do not know of prefixes."
                .to_owned()
        }
        Wrong::FarBelow => "Pods wait for a slot while addresses are free, and more nodes run than are needed.".to_owned(),
    }
}

pub(super) fn facts(one: &Alike<'_>) -> Vec<Fact> {
    let limits = &one.ceiling.limits;
    let node = one
        .nodes
        .first()
        .map_or("", |node| node.metadata.name.as_str());
    let mut facts = vec![
        Fact::new(
            Source::Nodes,
            format!("Node {node}"),
            "capacity.pods",
            format!(
                "{} ({} of them on the node's own network)",
                one.kubelet, one.host
            ),
        ),
        Fact::new(
            Source::InstanceTypes,
            one.kind,
            "addresses for pods",
            format!(
                "{} ({} interfaces of {} addresses{}, limits by {})",
                one.ceiling.addresses,
                limits.enis,
                limits.ipv4,
                if one.ceiling.mode.prefixes {
                    ", in prefixes of 16"
                } else {
                    ""
                },
                limits.source.name()
            ),
        ),
    ];
    if let (Some(most), true) = (one.recommended, one.wrong != Wrong::Over) {
        facts[0] = facts[0].clone().expected(most.to_string());
    }
    for eni in one.ceiling.unmanaged.iter().take(3) {
        facts.push(Fact::new(
            Source::NetworkInterfaces,
            eni.network_interface_id.as_str(),
            "not managed by the CNI",
            if eni.description.is_empty() {
                "no description"
            } else {
                &eni.description
            },
        ));
    }
    if let Some((hit, source)) = one.hit {
        let (field, saw) = match source {
            Source::CniMetrics => ("addresses given to pods", "all"),
            _ => ("pods that need an address", "more than"),
        };
        let saw = format!("{saw} {}", one.ceiling.addresses);
        facts.push(Fact::new(source, format!("Node {hit}"), field, saw));
    }
    facts
}

pub(super) fn confirm(one: &Alike<'_>) -> Vec<Text> {
    vec![
        format!(
            "kubectl get nodes -l node.kubernetes.io/instance-type={} -o custom-columns=NAME:.metadata.name,PODS:.status.capacity.pods",
            one.kind
        )
        .into(),
        format!("kubectl eksnet capacity --instance-type {}", one.kind).into(),
    ]
}

/// The value that fits, and where it is set, by the node's image.
pub(super) fn fix(one: &Alike<'_>) -> Vec<Text> {
    let value = match one.wrong {
        Wrong::Over => {
            let branch = one.ceiling.branch_pods().unwrap_or(0);
            let most = one.ceiling.addresses + branch + one.host;
            one.recommended
                .map_or(most, |recommended| most.min(recommended))
        }
        Wrong::PrefixIgnored | Wrong::FarBelow => one.recommended.unwrap_or(one.kubelet),
    };
    let node = one.nodes.first();
    let image = node.map_or("", |node| node.status.node_info.os_image.as_str());
    let is_karpenter = node.is_some_and(|node| node.label("karpenter.sh/nodepool").is_some());
    let set = if is_karpenter {
        format!(
            "Set spec.kubelet.maxPods: {value} in the EC2NodeClass of node pool {}",
            one.group
        )
    } else if image.contains("Bottlerocket") {
        format!(
            "Set settings.kubernetes.max-pods = {value} in the user data of group {}",
            one.group
        )
    } else if image.contains("2023") {
        format!(
            "Set spec.kubelet.config.maxPods: {value} in the NodeConfig of group {}",
            one.group
        )
    } else {
        format!(
            "Set --max-pods={value} in the kubelet's arguments of group {}",
            one.group
        )
    };
    vec![
        set.into(),
        "Replace the nodes: the value is read when a node starts".into(),
    ]
}
