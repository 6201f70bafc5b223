//! Nodes with room, subnets with addresses, and one pod after the other.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::CniSettings;
use eksnet_model::capacity::{Held, Limits, Mode, PREFIX};

use crate::ground::{Ground, NodeGround};
use crate::simulate::{PodShape, Rules};
use crate::{BlockMap, Limit};

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
    limits: Limits,
    mode: Mode,
    /// Most addresses.
    pub(crate) most: u32,
    /// What is short when these are all in use.
    pub(crate) limit: Limit,
    pub(crate) held: Held,
    /// Those that pods have.
    pub(crate) assigned: u32,
}

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

    fn slots_per_eni(&self) -> u32 {
        self.limits.per_eni(self.mode).max(1)
    }

    fn is_full(&self) -> bool {
        self.assigned >= self.most
    }
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
    fn give(&mut self, at: usize) -> bool {
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

fn dry(stock: &Stock) -> Limit {
    if stock.mode.prefixes {
        Limit::PrefixBlocks
    } else {
        Limit::SubnetAddresses
    }
}

fn place(at: usize, node: &NodeGround<'_>, settings: &CniSettings) -> Option<Place> {
    let used = node.used?;
    let asked = node.asked?;
    let kubelet = node.kubelet?;
    let stock = match node.takes_addresses {
        Some(true) => {
            let (limits, mode) = (node.limits?, node.mode?);
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
        Some(false) => None,
        None => return None,
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
fn left(allocatable: Option<u64>, asked: &crate::ground::Asked, taken: u64) -> Option<u64> {
    if asked.unknown {
        return None;
    }
    allocatable.map(|all| all.saturating_sub(taken))
}

/// Takes addresses of the subnets, from the one with most free first; whether all were there.
fn take(free: &mut [Option<u32>], subnets: &[usize], wanted: u32) -> bool {
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
