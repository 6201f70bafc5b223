//! One node: what it has, what it may have, what its pods take.

use std::collections::HashMap;

use eksnet_model::aws::NetworkInterface;
use eksnet_model::capacity::{Limits, Mode, PREFIX};
use eksnet_model::kubernetes::{CniMetrics, Node, Pod, PodRequests, bytes, milli_cpu};
use eksnet_model::{Ceiling, CniSettings, NodeUse, Snapshot, Text, Topology, pod_subnets};

use super::list;

/// What pods of one node ask of the scheduler.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// All pods. `None` once one of them is not known.
    pub(crate) all: PodRequests,
    /// Whether what a pod asks for is not known.
    pub(crate) unknown: bool,
    /// The pods that every node of the kind gets: of DaemonSets, and static ones.
    pub(crate) daemons: PodRequests,
    /// How many these are.
    pub(crate) daemon_use: NodeUse,
}

impl Asked {
    pub(crate) fn add(&mut self, pod: &Pod, of_daemon: bool) {
        let asked = pod.spec.requests();
        self.unknown |= asked.is_none();
        let asked = asked.unwrap_or_default();
        self.all = sum(self.all, asked);
        if of_daemon {
            self.daemons = sum(self.daemons, asked);
            self.daemon_use.pods += 1;
            if pod.on_host_network() {
                self.daemon_use.host += 1;
            }
        }
    }
}

fn sum(one: PodRequests, other: PodRequests) -> PodRequests {
    PodRequests {
        cpu_m: one.cpu_m.saturating_add(other.cpu_m),
        memory: one.memory.saturating_add(other.memory),
        branch: one.branch.saturating_add(other.branch),
    }
}

/// One node.
pub(crate) struct NodeGround<'a> {
    pub(crate) node: &'a Node,
    /// Place of its group among the groups.
    pub(crate) group: usize,
    /// `None` where the instance type is not known, or its limits are not.
    pub(crate) limits: Option<Limits>,
    /// How addresses are given; `None` where that is not known.
    pub(crate) mode: Option<Mode>,
    /// Whether the VPC CNI gives its pods IPv4 addresses out of a stock that can run dry.
    pub(crate) takes_addresses: Option<bool>,
    /// Most addresses for ordinary pods.
    pub(crate) ceiling: Option<u32>,
    /// Interfaces that hold a slot and give no address to pods.
    pub(crate) unusable: u32,
    /// Interfaces on the default card.
    pub(crate) enis: Option<u32>,
    /// Those of them that carry pods.
    pub(crate) pod_enis: Option<u32>,
    /// Addresses for pods on these.
    pub(crate) allocated: Option<u32>,
    /// Addresses that ipamd has given to pods, by its own count.
    pub(crate) assigned_by_metrics: Option<u32>,
    /// Its pods; `None` where they are not all known.
    pub(crate) used: Option<NodeUse>,
    /// What they ask for.
    pub(crate) asked: Option<Asked>,
    /// What can be asked for.
    pub(crate) cpu_m: Option<u64>,
    pub(crate) memory: Option<u64>,
    /// Branch interfaces.
    pub(crate) branch: Option<u32>,
    /// The kubelet's maximum.
    pub(crate) kubelet: Option<u32>,
    /// Subnets of its pods, as places among the subnets; empty where not known.
    pub(crate) subnets: Vec<usize>,
    /// Whether the scheduler places pods on it at all.
    pub(crate) schedulable: bool,
}

/// What nodes are read with.
pub(crate) struct Reader<'r, 'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) topology: &'r Topology<'a>,
    pub(crate) settings: Option<&'r CniSettings>,
    pub(crate) places: &'r HashMap<&'a str, usize>,
    pub(crate) metrics: &'r HashMap<&'a str, &'a CniMetrics>,
    pub(crate) groups: &'r [Text],
}

impl<'a> Reader<'_, 'a> {
    pub(crate) fn read(&self, node: &'a Node, pods: Option<(NodeUse, Asked)>) -> NodeGround<'a> {
        let types = list(&self.snapshot.aws.instance_types);
        let limits = node
            .instance_type()
            .and_then(|kind| Limits::of(kind, types));
        let settings = self.settings.filter(|_| node.has_cni_pod());
        let ceiling =
            settings.and_then(|settings| Ceiling::of(self.topology, node, settings, types));
        let mode = ceiling.as_ref().map(|ceiling| ceiling.mode);
        let mut unusable = 0;
        let mut most = None;
        if let (Some(ceiling), Some(mode)) = (&ceiling, mode) {
            most = Some(ceiling.addresses);
            let plain = ceiling.limits.addresses(mode, 0);
            unusable = (plain - ceiling.addresses) / ceiling.limits.per_eni(mode).max(1);
        }
        let windows = !node.is_linux();
        if windows {
            most = limits.map(|limits| self.windows_addresses(&limits));
        }
        let takes_addresses = if windows {
            Some(true)
        } else if node.has_cni_pod() {
            self.settings.map(|settings| !settings.ipv6)
        } else {
            Some(false)
        };
        let interfaces = self.interfaces(node);
        let metrics = self.metrics.get(node.metadata.name.as_str()).copied();
        let carrying = interfaces
            .as_ref()
            .map(|all| self.carrying(all, mode, ceiling.as_ref()));
        NodeGround {
            group: self
                .groups
                .binary_search(&self.topology.group_of(node))
                .unwrap_or(0),
            limits,
            mode: mode.or(windows.then(Mode::default)),
            takes_addresses,
            ceiling: most,
            unusable,
            enis: interfaces
                .as_ref()
                .map(|all| count(all.len()))
                .or_else(|| number(metrics, "awscni_eni_allocated")),
            pod_enis: carrying
                .as_ref()
                .map(|all| count(all.len()))
                .or_else(|| number(metrics, "awscni_eni_allocated")),
            allocated: carrying
                .as_ref()
                .map(|all| all.iter().map(|one| addresses(one)).sum())
                .or_else(|| number(metrics, "awscni_total_ip_addresses")),
            assigned_by_metrics: number(metrics, "awscni_assigned_ip_addresses"),
            used: pods.map(|(used, _)| used),
            asked: pods.map(|(_, asked)| asked),
            cpu_m: node
                .status
                .allocatable
                .get("cpu")
                .and_then(|q| milli_cpu(q)),
            memory: node.status.allocatable.get("memory").and_then(|q| bytes(q)),
            branch: self.branch(node, ceiling.as_ref()),
            kubelet: node.max_pods(),
            subnets: self.subnets(node),
            schedulable: !node.spec.unschedulable && node.is_ready() != Some(false),
            node,
        }
    }

    /// Windows uses the primary interface alone.
    fn windows_addresses(&self, limits: &Limits) -> u32 {
        let slots = limits.ipv4.saturating_sub(1);
        let prefixes = list(&self.snapshot.kubernetes.configmaps)
            .iter()
            .any(|map| {
                map.metadata.name == "amazon-vpc-cni"
                    && map
                        .data
                        .get("enable-windows-prefix-delegation")
                        .map(String::as_str)
                        == Some("true")
            });
        if prefixes { slots * PREFIX } else { slots }
    }

    /// Interfaces on the default card, where all of the VPC's are known.
    fn interfaces(&self, node: &Node) -> Option<Vec<&'a NetworkInterface>> {
        if !self.snapshot.aws.network_interfaces.is_complete() {
            return None;
        }
        let id = self
            .topology
            .instance_of(node)
            .map(|instance| instance.instance_id.as_str())
            .or_else(|| node.instance_id())?;
        let mut all = self.topology.interfaces_of(id);
        all.retain(|one| {
            let card = one.attachment.as_ref().and_then(|a| a.network_card_index);
            card.unwrap_or(0) == 0 && one.interface_type != "branch"
        });
        // An instance that runs has one; without any, it is not in this account's answer.
        (!all.is_empty()).then_some(all)
    }

    fn carrying(
        &self,
        all: &[&'a NetworkInterface],
        mode: Option<Mode>,
        ceiling: Option<&Ceiling<'_>>,
    ) -> Vec<&'a NetworkInterface> {
        let unmanaged = |one: &NetworkInterface| {
            ceiling.is_some_and(|ceiling| {
                ceiling
                    .unmanaged
                    .iter()
                    .any(|other| other.network_interface_id == one.network_interface_id)
            })
        };
        let custom = mode.is_some_and(|mode| mode.custom_networking);
        let primary = |one: &NetworkInterface| {
            one.attachment
                .as_ref()
                .is_some_and(|attachment| attachment.device_index == Some(0))
        };
        all.iter()
            .copied()
            .filter(|one| {
                one.interface_type != "trunk" && !unmanaged(one) && !(custom && primary(one))
            })
            .collect()
    }

    fn branch(&self, node: &Node, ceiling: Option<&Ceiling<'_>>) -> Option<u32> {
        let resource = node.status.allocatable.get("vpc.amazonaws.com/pod-eni");
        match resource {
            Some(quantity) => bytes(quantity).and_then(|n| u32::try_from(n).ok()),
            None => ceiling?.branch_pods(),
        }
    }

    fn subnets(&self, node: &Node) -> Vec<usize> {
        let found = match self.settings.filter(|_| node.has_cni_pod()) {
            Some(settings) => pod_subnets(
                self.topology,
                settings,
                list(&self.snapshot.kubernetes.eniconfigs),
                list(&self.snapshot.aws.subnets),
                node,
            ),
            None => self.topology.subnet_of_node(node).into_iter().collect(),
        };
        found
            .iter()
            .filter_map(|subnet| self.places.get(subnet.subnet_id.as_str()).copied())
            .collect()
    }
}

/// Addresses for pods on an interface.
fn addresses(one: &NetworkInterface) -> u32 {
    let secondary = one.private_ip_addresses.iter().filter(|ip| !ip.primary);
    count(secondary.count()) + count(one.ipv4_prefixes.len()) * PREFIX
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts, and checked
fn number(metrics: Option<&CniMetrics>, name: &str) -> Option<u32> {
    let value = metrics?.value(name)?;
    (value >= 0.0 && value < f64::from(u32::MAX)).then_some(value as u32)
}
