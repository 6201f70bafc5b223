//! Nodes with room, subnets with addresses, and one pod after the other.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::CniSettings;
use eksnet_model::capacity::{Held, PREFIX};

use crate::Limit;
use crate::ground::Ground;
use crate::simulate::place::{Place, dry, place};
use crate::simulate::{PodShape, Rules};

/// Nodes and subnets.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) settings: CniSettings,
    pub(crate) places: Vec<Place>,
    /// Free addresses of each subnet; `None` where not known: they then do not run dry.
    pub(crate) free: Vec<Option<u32>>,
    /// Free /28 blocks of each subnet.
    pub(crate) blocks: Vec<Option<u32>>,
}

impl Engine {
    /// The nodes of a cluster as they are. Nodes of which the kubelet's maximum or the pods are not known
    /// take none.
    pub(crate) fn of(ground: &Ground<'_>) -> Self {
        let settings = ground.settings.clone().unwrap_or_default();
        let places = ground
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(at, node)| place(at, node, &settings))
            .collect();
        let (free, blocks) = ground
            .subnets
            .iter()
            .map(|subnet| (subnet.free(), subnet.blocks()))
            .unzip();
        Self {
            settings,
            places,
            free,
            blocks,
        }
    }

    /// Why the scheduler places no such pod on a node, whatever other pods are around.
    pub(crate) fn refusal(&self, at: usize, pod: &PodShape) -> Option<Limit> {
        let place = &self.places[at];
        let lacks =
            |free: Option<u64>, asked: u64| asked > 0 && free.is_some_and(|free| free < asked);
        if !place.schedulable {
            Some(Limit::NotSchedulable)
        } else if !pod.fits[place.of] {
            Some(Limit::Placement)
        } else if place.slots == 0 {
            Some(Limit::KubeletSlots)
        } else if lacks(place.cpu_m, pod.requests.cpu_m) {
            Some(Limit::Cpu)
        } else if lacks(place.memory, pod.requests.memory) {
            Some(Limit::Memory)
        } else if pod.requests.branch > 0
            && place.branch.is_some_and(|free| free < pod.requests.branch)
        {
            Some(Limit::BranchEnis)
        } else {
            None
        }
    }

    /// Every limit that a node has reached for such a pod.
    pub(crate) fn reached(&self, at: usize, pod: &PodShape) -> Vec<Limit> {
        let place = &self.places[at];
        if let Some(first @ (Limit::NotSchedulable | Limit::Placement)) = self.refusal(at, pod) {
            return vec![first];
        }
        let mut all = Vec::new();
        let lacks =
            |free: Option<u64>, asked: u64| asked > 0 && free.is_some_and(|free| free < asked);
        for (reached, limit) in [
            (place.slots == 0, Limit::KubeletSlots),
            (lacks(place.cpu_m, pod.requests.cpu_m), Limit::Cpu),
            (lacks(place.memory, pod.requests.memory), Limit::Memory),
            (
                pod.requests.branch > 0
                    && place.branch.is_some_and(|free| free < pod.requests.branch),
                Limit::BranchEnis,
            ),
        ] {
            if reached {
                all.push(limit);
            }
        }
        if pod.takes_address()
            && let Some(stock) = &place.stock
        {
            if stock.is_full() {
                all.push(stock.limit);
            } else if stock.held.addresses <= stock.assigned && !self.can_grow(place) {
                all.push(dry(stock));
            }
        }
        all
    }

    /// Puts a pod on a node, which the scheduler allows; whether it gets an address.
    pub(crate) fn put(&mut self, at: usize, pod: &PodShape) -> bool {
        let place = &mut self.places[at];
        place.pods += 1;
        place.slots -= 1;
        let less = |free: Option<u64>, asked: u64| free.map(|free| free.saturating_sub(asked));
        place.cpu_m = less(place.cpu_m, pod.requests.cpu_m);
        place.memory = less(place.memory, pod.requests.memory);
        place.branch = place
            .branch
            .map(|free| free.saturating_sub(pod.requests.branch));
        !pod.takes_address() || self.give(at)
    }

    /// Gives a pod an address on a node.
    pub(super) fn give(&mut self, at: usize) -> bool {
        let Some(stock) = self.places[at].stock else {
            return true;
        };
        if stock.is_full() {
            return false;
        }
        self.grow(at, stock.assigned + 1);
        if let Some(stock) = &mut self.places[at].stock
            && stock.held.addresses > stock.assigned
        {
            stock.assigned += 1;
            return true;
        }
        false
    }

    /// Takes what ipamd would hold for `pods` pods, as far as the subnets go.
    fn grow(&mut self, at: usize, pods: u32) {
        let place = &self.places[at];
        let Some(mut stock) = place.stock else {
            return;
        };
        let want = Held::by_a_node(
            &self.settings,
            &stock.limits,
            stock.mode,
            pods,
            Some(place.kubelet),
        );
        let unit = if stock.mode.prefixes { PREFIX } else { 1 };
        let most = want.addresses.min(stock.most.div_ceil(unit) * unit);
        let subnets = place.subnets.clone();
        let per_eni = stock.slots_per_eni();
        while stock.held.addresses < most {
            if stock.held.addresses >= stock.held.enis * per_eni {
                // A further interface needs an address of its own.
                if !take(&mut self.free, &subnets, 1) {
                    break;
                }
                stock.held.enis += 1;
            }
            let room = stock.held.enis * per_eni - stock.held.addresses;
            let lacking = (most - stock.held.addresses).min(room);
            let got = if stock.mode.prefixes {
                self.take_block(&subnets)
            } else {
                take_up_to(&mut self.free, &subnets, lacking)
            };
            if got == 0 {
                break;
            }
            stock.held.addresses += got;
        }
        self.places[at].stock = Some(stock);
    }

    fn take_block(&mut self, subnets: &[usize]) -> u32 {
        let best = subnets
            .iter()
            .copied()
            .max_by_key(|at| self.blocks[*at].unwrap_or(u32::MAX));
        let Some(at) = best else {
            return PREFIX;
        };
        match &mut self.blocks[at] {
            Some(0) => return 0,
            Some(blocks) => *blocks -= 1,
            None => {}
        }
        if let Some(free) = &mut self.free[at] {
            *free = free.saturating_sub(PREFIX);
        }
        PREFIX
    }

    fn can_grow(&self, place: &Place) -> bool {
        let Some(stock) = &place.stock else {
            return true;
        };
        let free = |at: &usize| self.free[*at].unwrap_or(u32::MAX);
        let blocks = |at: &usize| self.blocks[*at].unwrap_or(u32::MAX);
        if place.subnets.is_empty() {
            return true;
        }
        let total = place.subnets.iter().map(free).fold(0, u32::saturating_add);
        let needs_eni = stock.held.addresses >= stock.held.enis * stock.slots_per_eni();
        if stock.mode.prefixes {
            place.subnets.iter().any(|at| blocks(at) > 0) && (!needs_eni || total > PREFIX)
        } else {
            total > u32::from(needs_eni)
        }
    }

    /// Places up to `count` pods. With `blind`, as the scheduler does, which knows of no addresses;
    /// without, only where there is an address.
    pub(crate) fn run(
        &mut self,
        pod: &PodShape,
        rules: &mut Rules,
        count: u32,
        blind: bool,
    ) -> Ran {
        let mut open: BTreeSet<(u32, u32, usize)> = (0..self.places.len())
            .filter(|at| self.refusal(*at, pod).is_none())
            .map(|at| (rules.own(at), self.places[at].pods, at))
            .collect();
        let mut ran = Ran::default();
        while ran.placed() < count {
            let next = open.iter().copied().find(|(_, _, at)| rules.allow(*at));
            let Some(key @ (own, pods, at)) = next else {
                break;
            };
            open.remove(&key);
            if !blind && pod.takes_address() && !self.has_address(at) {
                continue;
            }
            if self.put(at, pod) {
                ran.running += 1;
            } else {
                ran.without_address += 1;
                if ran.first.is_none() {
                    let limits = self.reached(at, pod).into_iter().map(|limit| (limit, 1));
                    ran.first = Some(First {
                        pod: ran.running + 1,
                        has_node: true,
                        limits: limits.collect(),
                    });
                }
            }
            rules.placed(at);
            if self.refusal(at, pod).is_none() {
                open.insert((own + 1, pods + 1, at));
            }
        }
        ran.waiting = count.saturating_sub(ran.placed());
        ran.blocked = open.iter().map(|(_, _, at)| *at).collect();
        if ran.waiting > 0 && ran.first.is_none() {
            ran.first = Some(First {
                pod: ran.running + 1,
                has_node: false,
                limits: self.tally(pod, &ran),
            });
        }
        ran
    }

    /// Whether one more pod would get an address.
    fn has_address(&self, at: usize) -> bool {
        let place = &self.places[at];
        place.stock.as_ref().is_none_or(|stock| {
            !stock.is_full() && (stock.held.addresses > stock.assigned || self.can_grow(place))
        })
    }

    /// How many nodes have reached which limit for such a pod.
    pub(crate) fn tally(&self, pod: &PodShape, ran: &Ran) -> BTreeMap<Limit, u32> {
        let mut found = BTreeMap::new();
        for at in 0..self.places.len() {
            let reached = self.reached(at, pod);
            if reached.is_empty() && ran.blocked.contains(&at) {
                *found.entry(Limit::Spread).or_default() += 1;
            }
            for limit in reached {
                *found.entry(limit).or_default() += 1;
            }
        }
        found
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ran {
    pub(crate) running: u32,
    pub(crate) without_address: u32,
    pub(crate) waiting: u32,
    /// The first pod that does not run.
    pub(crate) first: Option<First>,
    /// Nodes with room that other pods keep closed.
    pub(crate) blocked: BTreeSet<usize>,
}

/// The first pod that does not run.
#[derive(Clone, Debug)]
pub(crate) struct First {
    /// Counted from 1.
    pub(crate) pod: u32,
    /// Whether it has a node, and only no address.
    pub(crate) has_node: bool,
    /// What stops it, and on how many nodes.
    pub(crate) limits: BTreeMap<Limit, u32>,
}

impl Ran {
    fn placed(&self) -> u32 {
        self.running + self.without_address
    }
}

/// Takes addresses of the subnets, from the one with most free first; whether all were there.
pub(super) fn take(free: &mut [Option<u32>], subnets: &[usize], wanted: u32) -> bool {
    take_up_to(free, subnets, wanted) == wanted
}

fn take_up_to(free: &mut [Option<u32>], subnets: &[usize], wanted: u32) -> u32 {
    let best = subnets
        .iter()
        .copied()
        .max_by_key(|at| free[*at].unwrap_or(u32::MAX));
    // Where the subnet is not known, it does not run dry.
    let Some(at) = best else {
        return wanted;
    };
    match &mut free[at] {
        None => wanted,
        Some(left) => {
            let got = wanted.min(*left);
            *left -= got;
            got
        }
    }
}
