//! What is supposed of the CNI and of the VPC.

use std::collections::BTreeSet;

use eksnet_model::CniSettings;
use ipnet::Ipv4Net;

use super::{Ask, AskError};
use crate::BlockMap;
use crate::ground::Ground;
use crate::simulate::Engine;

/// Settings and blocks that are supposed.
pub(super) fn change(
    ground: &Ground<'_>,
    engine: &mut Engine,
    ask: &Ask,
    supposes: &mut Vec<String>,
) -> Result<(), AskError> {
    let before = engine.settings.clone();
    for (name, value) in &ask.set {
        engine
            .settings
            .set(name, value)
            .map_err(AskError::Setting)?;
    }
    add_blocks(ground, engine, &ask.add_cidr, supposes)?;
    let mode = |settings: &CniSettings| {
        (
            settings.prefix_delegation,
            settings.custom_networking,
            settings.pod_eni,
            settings.max_enis,
            settings.ipv6,
        )
    };
    if mode(&before) != mode(&engine.settings) {
        let lost = engine.replace_all(ground);
        supposes.push("nodes are replaced by new ones of their types: kubelets get the maximum that EKS recommends, and what the CNI holds goes back to the subnets first".to_owned());
        if lost > 0 {
            supposes.push(format!("{lost} of the pods there are would get no address"));
        }
    }
    Ok(())
}

/// New blocks are split evenly into a subnet for each zone that nodes stand in.
fn add_blocks(
    ground: &Ground<'_>,
    engine: &mut Engine,
    blocks: &[Ipv4Net],
    supposes: &mut Vec<String>,
) -> Result<(), AskError> {
    let zones: BTreeSet<&str> = ground
        .nodes
        .iter()
        .filter_map(|one| one.node.zone())
        .collect();
    let zones: Vec<&str> = zones.into_iter().collect();
    for block in blocks {
        if !(16..=28).contains(&block.prefix_len()) || block.addr() != block.network() {
            return Err(AskError::Block(format!(
                "{block} cannot be added to a VPC: AWS takes /16 to /28, starting at the block's own address"
            )));
        }
        if let Some(other) = overlapping(ground, *block) {
            return Err(AskError::Block(format!(
                "{block} overlaps {other}, which the VPC has already"
            )));
        }
        let parts = u32::try_from(zones.len().max(1))
            .unwrap_or(1)
            .next_power_of_two();
        let length = block.prefix_len() + u8::try_from(parts.trailing_zeros()).unwrap_or(0);
        let part = Ipv4Net::new(block.network(), length.min(32))
            .map(BlockMap::empty)
            .map_err(|error| AskError::Block(error.to_string()))?;
        for zone in zones
            .iter()
            .copied()
            .map(Some)
            .chain(zones.is_empty().then_some(None))
        {
            engine.free.push(Some(part.counts().free));
            engine.blocks.push(Some(part.free_block_count()));
            let new = engine.free.len() - 1;
            for place in &mut engine.places {
                if ground.nodes[place.of].node.zone() == zone {
                    // Where its own subnet is not known, it does not run dry, and needs no other.
                    if !place.subnets.is_empty() {
                        place.subnets.push(new);
                    }
                }
            }
        }
        supposes.push(format!(
            "{block} is added to the VPC as a /{length} subnet in each of {} zones, which pods take addresses from (tag kubernetes.io/role/cni=1{})",
            zones.len().max(1),
            if engine.settings.subnet_discovery {
                ""
            } else {
                "; ENABLE_SUBNET_DISCOVERY=true, VPC CNI 1.18"
            }
        ));
    }
    Ok(())
}

fn overlapping(ground: &Ground<'_>, block: Ipv4Net) -> Option<Ipv4Net> {
    let vpc = ground.topology.vpc()?;
    vpc.cidr_block_association_set
        .iter()
        .map(|one| one.cidr_block.as_str())
        .chain([vpc.cidr_block.as_str()])
        .filter_map(|cidr| cidr.parse::<Ipv4Net>().ok())
        .find(|other| other.contains(&block.network()) || block.contains(&other.network()))
}
