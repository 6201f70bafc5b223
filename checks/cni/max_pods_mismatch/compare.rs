//! The kubelet's maximum against what the CNI can give.

use std::collections::BTreeMap;

use eksnet_model::aws::{InstanceType, Nodegroup};
use eksnet_model::capacity::{Limits, Mode};
use eksnet_model::kubernetes::{CniMetrics, Node};
use eksnet_model::{Ceiling, CniSettings, NodeUse, Source, Text, Topology};

/// Pods on the node's own network that every node has: aws-node and kube-proxy.
const HOST_PODS: u32 = 2;
/// Below this share of the recommended maximum, in percent, slots are given away.
const LOW_PERCENT: u32 = 60;
/// What kubelets fall back to when nobody tells them.
const FALLBACK: u32 = 110;

/// What is wrong with the maximum of some nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    /// More slots than addresses.
    Over,
    /// Prefix delegation is on, and the maximum is still that of single addresses.
    PrefixIgnored,
    /// Far fewer slots than the node could have.
    FarBelow,
}

/// Nodes of one group and type that have the same maximum.
pub(super) struct Alike<'a> {
    pub group: Text,
    pub kind: &'a str,
    pub kubelet: u32,
    pub wrong: Wrong,
    pub nodes: Vec<&'a Node>,
    pub ceiling: Ceiling<'a>,
    /// Pods on the node's own network, on the node where that leaves most pods without an address.
    pub host: u32,
    pub recommended: Option<u32>,
    /// A node on which pods or given addresses have reached the ceiling already, and who says so.
    pub hit: Option<(&'a str, Source)>,
}

impl Alike<'_> {
    /// Pods that the kubelet admits and the CNI has no address for.
    pub(super) fn too_many(&self) -> u32 {
        let branch = self.ceiling.branch_pods().unwrap_or(0);
        self.kubelet
            .saturating_sub(self.host)
            .saturating_sub(self.ceiling.addresses + branch)
    }

    /// Whether it is the value that a kubelet takes when nobody tells it, and not the cap of a node that
    /// was meant to use prefixes.
    pub(super) fn is_fallback(&self, settings: &CniSettings) -> bool {
        !settings.prefix_delegation
            && self.kubelet == FALLBACK
            && self.recommended.is_some_and(|most| most < FALLBACK)
    }
}

#[derive(Default)]
pub(super) struct Compared<'a> {
    pub wrong: Vec<Alike<'a>>,
    /// Instance types of which limits or hypervisor are not known.
    pub unknown: Vec<&'a str>,
}

pub(super) struct Setup<'s> {
    pub settings: &'s CniSettings,
    pub types: &'s [InstanceType],
    pub nodegroups: &'s [Nodegroup],
    pub metrics: &'s [CniMetrics],
    /// Whether pods were listed: without them, two on the node's own network are assumed.
    pub pods_known: bool,
}

pub(super) fn compare<'a>(topology: &Topology<'a>, setup: &Setup<'_>) -> Compared<'a> {
    let uses = NodeUse::of_nodes(topology);
    let metrics: BTreeMap<&str, &CniMetrics> = setup
        .metrics
        .iter()
        .map(|one| (one.node.as_str(), one))
        .collect();
    let mut compared = Compared::default();
    let mut alike: BTreeMap<(Text, &str, u32, Wrong), Alike<'_>> = BTreeMap::new();
    for node in topology.nodes().filter(|node| node.has_cni_pod()) {
        let Some(kubelet) = node.max_pods() else {
            continue;
        };
        let kind = node.instance_type().unwrap_or("");
        let Some(ceiling) = Ceiling::of(topology, node, setup.settings, setup.types) else {
            if !compared.unknown.contains(&kind) {
                compared.unknown.push(kind);
            }
            continue;
        };
        let uses = uses
            .get(node.metadata.name.as_str())
            .copied()
            .unwrap_or_default();
        let host = if setup.pods_known {
            uses.host.max(HOST_PODS)
        } else {
            HOST_PODS
        };
        let group = topology.group_of(node);
        let recommended = recommended(setup, &group, &ceiling);
        let Some(wrong) = judge(kubelet, host, &ceiling, recommended) else {
            continue;
        };
        let assigned = metrics
            .get(node.metadata.name.as_str())
            .and_then(|one| one.value("awscni_assigned_ip_addresses"));
        let full = f64::from(ceiling.addresses);
        let hit = if assigned.is_some_and(|given| given >= full) {
            Some(Source::CniMetrics)
        } else {
            (uses.ordinary() > ceiling.addresses).then_some(Source::Pods)
        };
        let key = (group.clone(), kind, kubelet, wrong);
        let one = alike.entry(key).or_insert_with(|| Alike {
            group,
            kind,
            kubelet,
            wrong,
            nodes: Vec::new(),
            ceiling: ceiling.clone(),
            host,
            recommended,
            hit: None,
        });
        one.nodes.push(node);
        one.host = one.host.min(host);
        if ceiling.addresses < one.ceiling.addresses {
            one.ceiling = ceiling;
        }
        if let (Some(source), Wrong::Over, None) = (hit, wrong, one.hit) {
            one.hit = Some((&node.metadata.name, source));
        }
    }
    compared.wrong = alike.into_values().collect();
    compared
}

fn judge(
    kubelet: u32,
    host: u32,
    ceiling: &Ceiling<'_>,
    recommended: Option<u32>,
) -> Option<Wrong> {
    // Pods with branch interfaces come on top; where their number is not known, nothing is too many.
    let addresses = ceiling
        .branch_pods()
        .map(|branch| ceiling.addresses.saturating_add(branch));
    if addresses.is_some_and(|addresses| kubelet.saturating_sub(host) > addresses) {
        return Some(Wrong::Over);
    }
    let single = Mode {
        prefixes: false,
        ..ceiling.mode
    };
    let recommended = recommended?;
    if ceiling.mode.prefixes && kubelet < recommended {
        let plain = ceiling.limits.max_pods(single);
        let without_custom = ceiling.limits.max_pods(Mode {
            custom_networking: false,
            ..single
        });
        if kubelet == plain || kubelet == without_custom {
            return Some(Wrong::PrefixIgnored);
        }
    }
    (kubelet * 100 < recommended * LOW_PERCENT).then_some(Wrong::FarBelow)
}

/// What EKS recommends for the node; for a managed group of several types, the least of them, which it
/// gives to all its nodes.
fn recommended(setup: &Setup<'_>, group: &str, ceiling: &Ceiling<'_>) -> Option<u32> {
    let own = ceiling.limits.recommended(ceiling.mode)?;
    let others = setup
        .nodegroups
        .iter()
        .filter(|one| one.nodegroup_name == group)
        .flat_map(|one| &one.instance_types)
        .filter_map(|kind| {
            let limits = Limits::of(kind, setup.types)?;
            limits.recommended(Mode::of(setup.settings, &limits)?)
        });
    others.chain([own]).min()
}
