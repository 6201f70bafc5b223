//! A node with room for pods, and its stock of addresses.

use eksnet_model::CniSettings;
use eksnet_model::capacity::{Held, Limits, Mode};

use crate::Limit;
use crate::ground::{Asked, NodeGround};

/// A node that takes pods.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Place of its node among the nodes; for a new node, of the one that it is made after.
    pub(crate) of: usize,
    pub(crate) group: usize,
    pub(crate) schedulable: bool,
    /// Pods on it.
    pub(crate) pods: u32,
    /// Free slots of the kubelet.
    pub(crate) slots: u32,
    pub(crate) kubelet: u32,
    /// `None` where addresses cannot run dry: IPv6, another CNI.
    pub(crate) stock: Option<Stock>,
    /// What can still be asked for; `None` where not known.
    pub(crate) cpu_m: Option<u64>,
    pub(crate) memory: Option<u64>,
    pub(crate) branch: Option<u32>,
    /// Subnets of its pods.
    pub(crate) subnets: Vec<usize>,
}

/// Addresses of a node's pods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stock {
    /// Limits, without the interfaces that carry no pods.
    pub(super) limits: Limits,
    pub(super) mode: Mode,
    /// Most addresses.
    pub(crate) most: u32,
    /// What is short when these are all in use.
    pub(crate) limit: Limit,
    pub(crate) held: Held,
    /// Those that pods have.
    pub(crate) assigned: u32,
}

impl Stock {
    /// What ipamd holds on a node on which `pods` pods have an address.
    pub(crate) fn fresh(
        settings: &CniSettings,
        limits: Limits,
        mode: Mode,
        kubelet: u32,
        unusable: u32,
    ) -> Self {
        let most = limits.addresses(mode, unusable);
        let allowed = limits.enis_allowed(mode).saturating_sub(unusable);
        let used = Limits {
            enis: allowed,
            ..limits
        };
        // A node starts with its primary interface; with custom networking the first of its pods' own
        // comes with the first pod.
        let held = Held::by_a_node(settings, &used, mode, 0, Some(kubelet));
        let full = limits.addresses(
            Mode {
                prefixes: mode.prefixes,
                ..Mode::default()
            },
            0,
        );
        Self {
            limits: used,
            mode,
            most,
            limit: if most < full {
                Limit::EniSlots
            } else {
                Limit::AddressesPerEni
            },
            held: if most == 0 { Held::default() } else { held },
            assigned: 0,
        }
    }

    pub(super) fn slots_per_eni(&self) -> u32 {
        self.limits.per_eni(self.mode).max(1)
    }

    pub(super) fn is_full(&self) -> bool {
        self.assigned >= self.most
    }
}

/// What is short where the subnets have no more.
pub(super) fn dry(stock: &Stock) -> Limit {
    if stock.mode.prefixes {
        Limit::PrefixBlocks
    } else {
        Limit::SubnetAddresses
    }
}

/// The node as it is; `None` where its pods or the kubelet's maximum are not known.
pub(super) fn place(at: usize, node: &NodeGround<'_>, settings: &CniSettings) -> Option<Place> {
    let used = node.used?;
    let asked = node.asked?;
    let kubelet = node.kubelet?;
    // Where it is not known how many addresses a node can have, they do not bind.
    let stock = match (node.takes_addresses, node.limits, node.mode) {
        (Some(true), Some(limits), Some(mode)) => {
            let mut stock = Stock::fresh(settings, limits, mode, kubelet, node.unusable);
            stock.most = node.ceiling.unwrap_or(stock.most);
            stock.assigned = used.ordinary();
            stock.held = match (node.pod_enis, node.allocated) {
                (Some(enis), Some(addresses)) => Held { enis, addresses },
                // What ipamd would hold, where nothing tells.
                _ => Held::by_a_node(settings, &stock.limits, mode, stock.assigned, Some(kubelet)),
            };
            Some(stock)
        }
        _ => None,
    };
    Some(Place {
        of: at,
        group: node.group,
        schedulable: node.schedulable,
        pods: used.pods,
        slots: kubelet.saturating_sub(used.pods),
        kubelet,
        stock,
        cpu_m: left(node.cpu_m, &asked, asked.all.cpu_m),
        memory: left(node.memory, &asked, asked.all.memory),
        branch: node.branch.map(|most| most.saturating_sub(used.branch)),
        subnets: node.subnets.clone(),
    })
}

/// What is left of an allocatable amount; `None` where what pods ask for is not known.
pub(super) fn left(allocatable: Option<u64>, asked: &Asked, taken: u64) -> Option<u64> {
    if asked.unknown {
        return None;
    }
    allocatable.map(|all| all.saturating_sub(taken))
}
