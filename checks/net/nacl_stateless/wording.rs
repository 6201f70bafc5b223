//! How a cut reads: title, proof, and commands with the user's own ids.

use std::collections::BTreeSet;

use eksnet_model::aws::NetworkAcl;
use eksnet_model::path::{Leg, Side, free_rule_number};
use eksnet_model::{Fact, Source, Text, Topology};

use super::flows::{Cut, Drop, Purpose};

pub(super) struct Wording<'r, 'a> {
    topology: &'r Topology<'a>,
    acl: &'r NetworkAcl,
    cut: &'r Cut<'a>,
    /// The worst comes first.
    drops: Vec<&'r Drop<'a>>,
}

impl<'r, 'a> Wording<'r, 'a> {
    pub(super) fn new(topology: &'r Topology<'a>, acl: &'r NetworkAcl, cut: &'r Cut<'a>) -> Self {
        let mut drops: Vec<&Drop<'_>> = cut.drops.iter().collect();
        drops.sort_by_key(|drop| (!drop.common, drop.leg));
        Self {
            topology,
            acl,
            cut,
            drops,
        }
    }

    /// Such as: Network ACL acl-0a1 drops answers of DNS at subnet-t: rule 90 denies inbound udp 1024-65535.
    pub(super) fn title(&self, disproved: bool) -> String {
        let verb = if disproved { "would drop" } else { "drops" };
        let id = &self.acl.network_acl_id;
        let Some(worst) = self.drops.first() else {
            return format!("Network ACL {id} drops traffic");
        };
        let rest = match self.drops.len() - 1 {
            0 => String::new(),
            more => format!(" ({more} more)"),
        };
        format!(
            "Network ACL {id} {verb} {} at {}: {}{rest}",
            what(worst),
            worst.border,
            why(worst)
        )
    }

    pub(super) fn detail(&self, disproved: bool) -> String {
        if disproved {
            return "The entries as they were read drop it, and yet probes are answered: the ACL was changed \
                    since. Nothing is broken by it now."
                .to_owned();
        }
        let nodes = match self.cut.nodes.len() {
            1 => "1 node".to_owned(),
            n => format!("{n} nodes"),
        };
        let of = self
            .cut
            .subnets
            .iter()
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        let stateless = "Network ACLs keep no state: the answer needs an entry of its own.";
        if self.drops.iter().any(|drop| drop.common) {
            let about = if self.drops.iter().any(|drop| drop.leg == Leg::Return) {
                format!(" {stateless}")
            } else {
                String::new()
            };
            format!("It hits {nodes} of {of}.{about}")
        } else {
            format!(
                "It hits {nodes} of {of} when they send from a port outside the range that is open: Windows, NAT, and \
                 pods behind randomised source ports. {stateless}"
            )
        }
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        self.drops
            .iter()
            .take(6)
            .map(|drop| {
                let beyond = drop.beyond.unwrap_or("outside the VPC");
                let towards = match drop.side {
                    Side::Ingress => "from",
                    Side::Egress => "to",
                };
                Fact::new(
                    Source::NetworkAcls,
                    format!("{} at {}", self.acl.network_acl_id, drop.border),
                    drop.side.name(),
                    format!(
                        "{}, {towards} {} ({beyond}): {}",
                        why(drop),
                        drop.peer,
                        what(drop)
                    ),
                )
                .expected(format!(
                    "{} {} allowed",
                    drop.flow.protocol.name(),
                    ports(drop)
                ))
            })
            .collect()
    }

    pub(super) fn confirm(&self) -> Vec<Text> {
        vec![
            format!(
                "aws ec2 describe-network-acls --network-acl-ids {} --query 'NetworkAcls[].Entries[]' --output table",
                self.acl.network_acl_id
            )
            .into(),
        ]
    }

    /// One entry for each drop, with a free number.
    pub(super) fn fix(&self, disproved: bool) -> Vec<Text> {
        if disproved {
            return vec![
                "Nothing while packets pass; read the entries again to see what changed".into(),
            ];
        }
        let mut acl = self.acl.clone();
        let mut commands: Vec<Text> = Vec::new();
        let mut mended = BTreeSet::new();
        for drop in &self.drops {
            let id = &self.acl.network_acl_id;
            let direction = drop.side.name();
            let (protocol, block) = (drop.flow.protocol.name(), self.block(drop));
            let (from, to) = drop.ports;
            // The same entry lets answers to DNS over TCP and to HTTPS pass.
            if !mended.insert((drop.side, protocol, from, to, block.clone())) {
                continue;
            }
            let Some(number) = free_rule_number(&acl, drop.side, drop.entry) else {
                commands.push(
                    format!(
                        "Renumber the {direction} entries of {id}: no number is free before the one that denies {protocol} {}",
                        ports(drop)
                    )
                    .into(),
                );
                continue;
            };
            let mut taken = acl.entries.first().cloned().unwrap_or_default();
            taken.rule_number = number;
            taken.egress = drop.side == Side::Egress;
            acl.entries.push(taken);
            commands.push(
                format!(
                    "aws ec2 create-network-acl-entry --network-acl-id {id} --{direction} --rule-number {number} \
                     --protocol {protocol} --port-range From={from},To={to} --cidr-block {block} --rule-action allow"
                )
                .into(),
            );
        }
        commands
    }

    /// The block of the subnet beyond the border; one address where that is not known, and everything
    /// outside the VPC.
    fn block(&self, drop: &Drop<'_>) -> String {
        let Some(beyond) = drop.beyond else {
            return "0.0.0.0/0".to_owned();
        };
        match self.topology.subnet(beyond) {
            Some(subnet) if !subnet.cidr_block.is_empty() => subnet.cidr_block.clone(),
            _ => ipnet::IpNet::from(drop.peer).to_string(),
        }
    }
}

/// `answers of DNS`.
fn what(drop: &Drop<'_>) -> String {
    let name = match drop.purpose {
        Purpose::Dns => "DNS",
        Purpose::Https => "HTTPS",
        Purpose::Kubelet => "calls of the API server to kubelets",
    };
    match drop.leg {
        Leg::Forward => name.to_owned(),
        Leg::Return => format!("answers to {name}"),
    }
}

/// `rule 90 denies inbound udp 1024-65535`.
fn why(drop: &Drop<'_>) -> String {
    let direction = match drop.side {
        Side::Ingress => "inbound",
        Side::Egress => "outbound",
    };
    let what = format!("{direction} {} {}", drop.flow.protocol.name(), ports(drop));
    let whole = drop.common && drop.port == drop.ports.0;
    match (drop.entry, whole) {
        (Some(number), true) => format!("rule {number} denies {what}"),
        (Some(number), false) => {
            format!(
                "rule {number} denies a part of {what}, from port {} on",
                drop.port
            )
        }
        (None, true) => format!("no rule allows {what}"),
        (None, false) => format!(
            "no rule allows all of {what}, port {} among others",
            drop.port
        ),
    }
}

fn ports(drop: &Drop<'_>) -> String {
    match drop.ports {
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from}-{to}"),
    }
}
