//! One node, measured.

use eksnet_model::Text;
use serde::Serialize;

use crate::Limit;
use crate::ground::{Ground, NodeGround};

/// Something in use, and how much of it there can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// In use.
    pub used: Option<u64>,
    /// At most.
    pub possible: Option<u64>,
}

impl Share {
    pub(crate) fn new(used: Option<u32>, possible: Option<u32>) -> Self {
        Self {
            used: used.map(u64::from),
            possible: possible.map(u64::from),
        }
    }

    /// What is known of all of them; `None` where one is not known.
    pub(crate) fn sum(all: impl Iterator<Item = Self>) -> Self {
        let zero = Self {
            used: Some(0),
            possible: Some(0),
        };
        all.fold(zero, |sum, one| Self {
            used: add(sum.used, one.used),
            possible: add(sum.possible, one.possible),
        })
    }
}

fn add(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.saturating_add(other?))
}

/// Addresses of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    /// Those that pods have.
    pub assigned: Option<u64>,
    /// Those that interfaces hold for pods.
    pub allocated: Option<u64>,
    /// Those that interfaces can hold for pods at most.
    pub possible: Option<u64>,
}

impl Addresses {
    pub(crate) fn sum(all: impl Iterator<Item = Self>) -> Self {
        let zero = Self {
            assigned: Some(0),
            allocated: Some(0),
            possible: Some(0),
        };
        all.fold(zero, |sum, one| Self {
            assigned: add(sum.assigned, one.assigned),
            allocated: add(sum.allocated, one.allocated),
            possible: add(sum.possible, one.possible),
        })
    }
}

/// Pods by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodKinds {
    /// Those that take an address of the CNI's stock.
    pub ordinary: u32,
    /// Those on the node's network.
    pub host_network: u32,
    /// Those with a branch interface.
    pub branch: u32,
}

impl PodKinds {
    pub(crate) fn sum(mut all: impl Iterator<Item = Option<Self>>) -> Option<Self> {
        all.try_fold(Self::default(), |sum, one| {
            let one = one?;
            Some(Self {
                ordinary: sum.ordinary + one.ordinary,
                host_network: sum.host_network + one.host_network,
                branch: sum.branch + one.branch,
            })
        })
    }
}

/// How many pods a limit leaves room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// The limit.
    pub limit: Limit,
    /// Pods; `null` where not known.
    pub pods: Option<u32>,
}

/// One node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeState {
    /// Name.
    pub name: Text,
    /// Node group.
    pub group: Text,
    /// Instance type.
    pub instance_type: Option<Text>,
    /// Zone.
    pub zone: Option<Text>,
    /// Subnets of its pods.
    pub pod_subnets: Vec<Text>,
    /// `ec2` or `table`: who says what the type can hold.
    pub limits_source: Option<&'static str>,
    /// Interfaces on the default network card.
    pub enis: Share,
    /// Those of them that carry no pods, for other reasons than the CNI's own: foreign, excluded.
    pub unusable_enis: Option<u32>,
    /// Addresses of pods.
    pub addresses: Addresses,
    /// Slots of the kubelet.
    pub slots: Share,
    /// Pods by kind.
    pub pods: Option<PodKinds>,
    /// Branch interfaces.
    pub branch_enis: Share,
    /// CPU requests, in thousandths of a core.
    pub cpu_m: Share,
    /// Memory requests, in bytes.
    pub memory: Share,
    /// Ordinary pods without requests that can still start; `null` where a limit is not known.
    pub can_start: Option<u32>,
    /// The same by the limits that are known: not more than these.
    pub can_start_at_most: Option<u32>,
    /// The limits that this is due to.
    pub binds: Vec<Limit>,
    /// Room by limit.
    pub rooms: Vec<Room>,
}

/// Which limit the interfaces of a node are.
pub(crate) fn eni_limit(one: &NodeGround<'_>) -> Limit {
    match (one.ceiling, one.limits, one.mode) {
        (Some(most), Some(limits), Some(mode)) => {
            let full = limits.enis.saturating_mul(limits.per_eni(mode));
            if most < full && one.node.is_linux() {
                Limit::EniSlots
            } else {
                Limit::AddressesPerEni
            }
        }
        _ => Limit::AddressesPerEni,
    }
}

pub(crate) fn state(ground: &Ground<'_>, one: &NodeGround<'_>) -> NodeState {
    let used = one.used;
    let ordinary = used.map(|used| used.ordinary());
    let takes = one.takes_addresses;
    let rooms = rooms(ground, one);
    let needed = rooms.iter().filter(|room| counts(room, &rooms));
    let known: Option<u32> = needed
        .clone()
        .map(|room| room.pods)
        .try_fold(u32::MAX, |least, pods| Some(least.min(pods?)));
    let known = known.filter(|_| takes.is_some());
    let at_most = rooms
        .iter()
        .any(|room| room.limit == Limit::KubeletSlots && room.pods.is_some())
        .then(|| rooms.iter().filter_map(|room| room.pods).min())
        .flatten();
    let binds = rooms
        .iter()
        .filter(|room| room.pods.is_some() && room.pods == at_most)
        .map(|room| room.limit)
        .collect();
    let assigned = one.assigned_by_metrics.or(ordinary);
    let addresses = if takes == Some(true) {
        Addresses {
            assigned: assigned.map(u64::from),
            allocated: one.allocated.map(u64::from),
            possible: one.ceiling.map(u64::from),
        }
    } else {
        Addresses::default()
    };
    let asked = one.asked.filter(|asked| !asked.unknown);
    NodeState {
        name: one.node.metadata.name.as_str().into(),
        group: ground.groups[one.group].clone(),
        instance_type: one.node.instance_type().map(Text::from),
        zone: one.node.zone().map(Text::from),
        pod_subnets: one
            .subnets
            .iter()
            .map(|at| ground.subnets[*at].subnet.subnet_id.as_str().into())
            .collect(),
        limits_source: one.limits.map(|limits| limits.source.name()),
        enis: Share::new(one.enis, one.limits.map(|limits| limits.enis)),
        unusable_enis: one.ceiling.map(|_| one.unusable),
        addresses,
        slots: Share::new(used.map(|used| used.pods), one.kubelet),
        pods: used.map(|used| PodKinds {
            ordinary: used.ordinary(),
            host_network: used.host,
            branch: used.branch,
        }),
        branch_enis: Share::new(used.map(|used| used.branch), one.branch),
        cpu_m: Share {
            used: asked.map(|asked| asked.all.cpu_m),
            possible: one.cpu_m,
        },
        memory: Share {
            used: asked.map(|asked| asked.all.memory),
            possible: one.memory,
        },
        can_start: known,
        can_start_at_most: at_most,
        binds,
        rooms,
    }
}

/// Whether a room must be known: a subnet need not where the node's own stock is enough.
fn counts(room: &Room, all: &[Room]) -> bool {
    if room.pods.is_some() || !matches!(room.limit, Limit::SubnetAddresses | Limit::PrefixBlocks) {
        return true;
    }
    // Nothing else leaves room: what the subnet has does not matter.
    !all.iter().any(|other| other.pods == Some(0))
}

fn rooms(ground: &Ground<'_>, one: &NodeGround<'_>) -> Vec<Room> {
    let mut rooms = Vec::new();
    if !one.schedulable {
        rooms.push(Room {
            limit: Limit::NotSchedulable,
            pods: Some(0),
        });
    }
    let slots = match (one.kubelet, one.used) {
        (Some(most), Some(used)) => Some(most.saturating_sub(used.pods)),
        _ => None,
    };
    rooms.push(Room {
        limit: Limit::KubeletSlots,
        pods: slots,
    });
    if one.takes_addresses != Some(true) {
        return rooms;
    }
    let ordinary = one.used.map(|used| used.ordinary());
    let left = match (one.ceiling, ordinary) {
        (Some(most), Some(ordinary)) => Some(most.saturating_sub(ordinary)),
        _ => None,
    };
    rooms.push(Room {
        limit: eni_limit(one),
        pods: left,
    });
    let prefixes = one.mode.is_some_and(|mode| mode.prefixes);
    rooms.push(Room {
        limit: if prefixes {
            Limit::PrefixBlocks
        } else {
            Limit::SubnetAddresses
        },
        pods: by_subnets(ground, one, prefixes),
    });
    rooms
}

/// What the node's stock and its subnets have addresses for, whatever its interfaces can hold.
fn by_subnets(ground: &Ground<'_>, one: &NodeGround<'_>, prefixes: bool) -> Option<u32> {
    let stock = one.allocated?.saturating_sub(one.used?.ordinary());
    if one.subnets.is_empty() {
        return None;
    }
    let mut sum = 0_u32;
    for at in &one.subnets {
        let subnet = &ground.subnets[*at];
        let more = if prefixes {
            subnet.blocks()?.saturating_mul(16)
        } else {
            subnet.free()?
        };
        sum = sum.saturating_add(more);
    }
    if prefixes {
        return Some(stock.saturating_add(sum));
    }
    // Addresses on interfaces that are there cost one each; a further interface one for itself.
    let slots = one.limits?.ipv4.saturating_sub(1).max(1);
    let room = (one.pod_enis? * slots).saturating_sub(one.allocated?);
    let cheap = room.min(sum);
    let rest = sum - cheap;
    let whole = rest / (slots + 1);
    let more = whole * slots + (rest % (slots + 1)).saturating_sub(1);
    Some(stock.saturating_add(cheap).saturating_add(more))
}
