//! Nodes that are replaced, and nodes that are added.

use eksnet_model::capacity::{Held, Mode};

use crate::BlockMap;
use crate::ground::Ground;
use crate::simulate::Engine;
use crate::simulate::engine::take;
use crate::simulate::place::{Place, Stock, left};

impl Engine {
    /// Nodes replaced by new ones of the same types, under the engine's settings: what ipamd holds goes
    /// back to the subnets, kubelets get the maximum that EKS recommends, and the pods that there are get
    /// addresses again. How many of these get none.
    pub(crate) fn replace_all(&mut self, ground: &Ground<'_>) -> u32 {
        let mut returned = false;
        for place in &mut self.places {
            let source = &ground.nodes[place.of];
            let (Some(stock), Some(limits)) = (&mut place.stock, source.limits) else {
                continue;
            };
            let Some(mode) = Mode::of(&self.settings, &limits) else {
                continue;
            };
            returned = true;
            if let Some(at) = place.subnets.first()
                && let Some(free) = &mut self.free[*at]
            {
                *free += stock.held.addresses + stock.held.enis.saturating_sub(1);
            }
            let kubelet = limits.recommended(mode).unwrap_or(place.kubelet);
            let used = place.kubelet.saturating_sub(place.slots);
            place.slots = kubelet.saturating_sub(used);
            place.kubelet = kubelet;
            *stock = Stock::fresh(&self.settings, limits, mode, kubelet, source.unusable);
            stock.held = Held {
                enis: u32::from(!mode.custom_networking),
                addresses: 0,
            };
        }
        if returned {
            for (blocks, subnet) in self.blocks.iter_mut().zip(&ground.subnets) {
                *blocks = subnet.map.as_ref().map(BlockMap::blocks_without_pods);
            }
        }
        let mut lost = 0;
        for at in 0..self.places.len() {
            let node = &ground.nodes[self.places[at].of];
            if self.places[at].stock.is_some() {
                for _ in 0..node.used.map_or(0, |used| used.ordinary()) {
                    lost += u32::from(!self.give(at));
                }
            }
        }
        lost
    }

    /// Adds a node like the one at `at`, as it is when it has just started; `None` when no subnet has
    /// addresses for it.
    pub(crate) fn add_like(&mut self, at: usize, ground: &Ground<'_>) -> Option<usize> {
        let model = &self.places[at];
        let source = &ground.nodes[model.of];
        let asked = source.asked.unwrap_or_default();
        let daemons = asked.daemon_use;
        let mut place = Place {
            schedulable: true,
            pods: daemons.pods,
            slots: model.kubelet.saturating_sub(daemons.pods),
            cpu_m: left(source.cpu_m, &asked, asked.daemons.cpu_m),
            memory: left(source.memory, &asked, asked.daemons.memory),
            branch: source.branch,
            ..model.clone()
        };
        let subnets = place.subnets.clone();
        if let (Some(old), Some(limits), Some(mode)) = (model.stock, source.limits, source.mode) {
            let mode = Mode {
                prefixes: old.mode.prefixes,
                ..mode
            };
            let mut stock = Stock::fresh(&self.settings, limits, mode, place.kubelet, 0);
            // Its own address, where it is of the pods' subnet.
            let first = u32::from(!mode.custom_networking);
            if first > 0 && !take(&mut self.free, &subnets, first) {
                return None;
            }
            stock.held = Held {
                enis: first,
                addresses: 0,
            };
            place.stock = Some(stock);
        }
        self.places.push(place);
        let new = self.places.len() - 1;
        for _ in 0..daemons.ordinary() {
            self.give(new);
        }
        Some(new)
    }
}
