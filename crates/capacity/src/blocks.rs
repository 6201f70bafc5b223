//! A subnet address by address, and its /28 blocks.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Serialize;

/// Addresses of a delegated prefix.
const BLOCK: usize = 16;

/// Who uses an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// Nobody.
    #[default]
    Free,
    /// Nobody, in a range that is set aside for prefixes.
    FreeForPrefixes,
    /// AWS: the first four and the last address of a subnet.
    Aws,
    /// Nobody, in a range that is set aside and given out by address alone.
    Reserved,
    /// An interface of a node, for itself.
    Node,
    /// A pod.
    Pod,
    /// The CNI's stock: on an interface of a node, and no pod has it.
    Warm,
    /// An interface that the CNI made and left behind.
    Leaked,
    /// The control plane's interface.
    ControlPlane,
    /// Somebody else: load balancers, endpoints, databases, functions.
    Foreign,
}

/// How many addresses of each use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Free for everything.
    pub free: u32,
    /// Free for prefixes alone.
    pub free_for_prefixes: u32,
    /// AWS's own five.
    pub aws: u32,
    /// Set aside, and given out by address alone.
    pub reserved: u32,
    /// Nodes' interfaces.
    pub nodes: u32,
    /// Pods.
    pub pods: u32,
    /// Stock of the CNI.
    pub warm: u32,
    /// Left behind.
    pub leaked: u32,
    /// The control plane.
    pub control_plane: u32,
    /// Others.
    pub foreign: u32,
}

/// A subnet address by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockMap {
    net: Ipv4Net,
    cells: Vec<Cell>,
}

impl BlockMap {
    /// A subnet in which nothing stands yet. AWS keeps its first four addresses and its last
    /// (<https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html>, read 2026-05).
    #[must_use]
    pub fn empty(net: Ipv4Net) -> Self {
        let net = net.trunc();
        let size = 1_usize << (32 - net.prefix_len());
        let mut cells = vec![Cell::Free; size];
        for at in [0, 1, 2, 3, size.saturating_sub(1)] {
            if let Some(cell) = cells.get_mut(at) {
                *cell = Cell::Aws;
            }
        }
        Self { net, cells }
    }

    /// Its block.
    #[must_use]
    pub fn net(&self) -> Ipv4Net {
        self.net
    }

    /// Every address, from the first to the last.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn index(&self, address: Ipv4Addr) -> Option<usize> {
        self.net
            .contains(&address)
            .then(|| (u32::from(address) - u32::from(self.net.network())) as usize)
    }

    /// Marks an address as used. What is outside is left alone, and so are AWS's own.
    pub fn take(&mut self, address: Ipv4Addr, by: Cell) {
        if let Some(at) = self.index(address)
            && self.cells[at] != Cell::Aws
        {
            self.cells[at] = by;
        }
    }

    /// Marks what is free of a range as set aside: for prefixes, or for nothing that asks for any
    /// address.
    pub fn reserve(&mut self, range: Ipv4Net, for_prefixes: bool) {
        let first = u32::from(range.network()).max(u32::from(self.net.network()));
        let last = u32::from(range.broadcast()).min(u32::from(self.net.broadcast()));
        if first > last {
            return;
        }
        let start = u32::from(self.net.network());
        for cell in &mut self.cells[(first - start) as usize..=(last - start) as usize] {
            if matches!(cell, Cell::Free | Cell::FreeForPrefixes) {
                *cell = if for_prefixes {
                    Cell::FreeForPrefixes
                } else {
                    Cell::Reserved
                };
            }
        }
    }

    /// The /28 blocks that a prefix can be made of: aligned, and free from the first address to the
    /// last.
    #[must_use]
    pub fn free_blocks(&self) -> Vec<Ipv4Net> {
        let start = u32::from(self.net.network());
        self.cells
            .chunks_exact(BLOCK)
            .zip((start..).step_by(BLOCK))
            .filter(|(block, _)| {
                block
                    .iter()
                    .all(|cell| matches!(cell, Cell::Free | Cell::FreeForPrefixes))
            })
            .filter_map(|(_, first)| Ipv4Net::new(Ipv4Addr::from(first), 28).ok())
            .collect()
    }

    /// How many /28 blocks are free.
    #[must_use]
    pub fn free_block_count(&self) -> u32 {
        let free = self.cells.chunks_exact(BLOCK).filter(|block| {
            block
                .iter()
                .all(|cell| matches!(cell, Cell::Free | Cell::FreeForPrefixes))
        });
        u32::try_from(free.count()).unwrap_or(u32::MAX)
    }

    /// How many /28 blocks would be free if no pod and no stock of the CNI were there.
    #[must_use]
    pub fn blocks_without_pods(&self) -> u32 {
        let free = self.cells.chunks_exact(BLOCK).filter(|block| {
            block.iter().all(|cell| {
                matches!(
                    cell,
                    Cell::Free | Cell::FreeForPrefixes | Cell::Pod | Cell::Warm
                )
            })
        });
        u32::try_from(free.count()).unwrap_or(u32::MAX)
    }

    /// How many addresses of each use.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for cell in &self.cells {
            *match cell {
                Cell::Free => &mut counts.free,
                Cell::FreeForPrefixes => &mut counts.free_for_prefixes,
                Cell::Aws => &mut counts.aws,
                Cell::Reserved => &mut counts.reserved,
                Cell::Node => &mut counts.nodes,
                Cell::Pod => &mut counts.pods,
                Cell::Warm => &mut counts.warm,
                Cell::Leaked => &mut counts.leaked,
                Cell::ControlPlane => &mut counts.control_plane,
                Cell::Foreign => &mut counts.foreign,
            } += 1;
        }
        counts
    }
}
