//! What would happen: places pods, and says where that stops and why.

mod change;
mod growth;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::{Meta, PodRequests, PodSpec};
use eksnet_model::{Snapshot, Text};
use ipnet::Ipv4Net;
use serde::Serialize;

use crate::Limit;
use crate::ground::{Ground, NodeGround};
use crate::measure::{StoppedBy, stopped_by};
use crate::simulate::{Engine, First, PodShape, Ran, Rules};
use crate::what_if::change::change;
use crate::what_if::growth::{Growth, grow, room_of};
use crate::workload::{Workload, WorkloadName, find};

/// What to suppose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ask {
    /// Pods more than there are.
    pub pods: Option<u32>,
    /// What each of those requests.
    pub requests: PodRequests,
    /// A workload, with the number of its replicas.
    pub workload: Option<(WorkloadName, u32)>,
    /// Variables of the CNI, by name.
    pub set: Vec<(String, String)>,
    /// Blocks more for pods' addresses.
    pub add_cidr: Vec<Ipv4Net>,
    /// A node group, with its most nodes.
    pub group: Option<(String, u32)>,
}

/// Why that cannot be supposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Neither pods nor nodes are known.
    #[error("the evidence holds no nodes with their pods: nothing can be placed")]
    NoNodes,
    /// No such workload.
    #[error("the evidence holds no workload {0}")]
    NoWorkload(String),
    /// What a workload asks for is not known.
    #[error("the evidence does not tell what the pods of {0} ask for")]
    NoRequests(String),
    /// No such node group.
    #[error("there is no node group {name:?}; there are {known}")]
    NoGroup {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A variable that is none, or a value.
    #[error("{0}")]
    Setting(String),
    /// A block that the VPC cannot take.
    #[error("{0}")]
    Block(String),
}

/// What would happen.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WhatIf {
    /// Pods to be placed; `null` where it was asked how many there can be.
    pub asked: Option<u32>,
    /// What they are.
    pub pod: PodView,
    /// What was supposed, as sentences.
    pub supposes: Vec<String>,
    /// Pods that run on the nodes there are.
    pub running: u32,
    /// Pods that have a node and no address.
    pub without_address: u32,
    /// Pods that no node takes.
    pub waiting: u32,
    /// The first pod that does not run on the nodes there are.
    pub stops: Option<Stop>,
    /// Nodes that would be added for those that wait.
    pub new_nodes: Vec<NewNodes>,
    /// Pods that run with them.
    pub running_with_new_nodes: u32,
    /// The first pod that does not run even then.
    pub stops_with_new_nodes: Option<Stop>,
    /// Where everything runs: how many more of the same start on those nodes, and what stops the next.
    pub next: Option<Next>,
    /// Room that each limit leaves by itself when the pods are placed.
    pub rooms: Vec<LimitRoom>,
}

/// The pods that are placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodView {
    /// Workload.
    pub workload: Option<Text>,
    /// Requests of each.
    pub requests: PodRequests,
    /// Whether they use the nodes' network.
    pub host_network: bool,
}

/// A pod that does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// Which one, counted from 1.
    pub pod: u32,
    /// Whether it has a node, and only no address.
    pub has_node: bool,
    /// What stops it, and on how many nodes; most nodes first.
    pub limits: Vec<StoppedBy>,
}

/// Nodes that would be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewNodes {
    /// Node group.
    pub group: Text,
    /// How many.
    pub nodes: u32,
    /// How many it could have more in all.
    pub possible: u32,
    /// Most nodes of the group.
    pub max: u32,
}

/// How far the next limit is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Next {
    /// Pods that still start.
    pub pods: u32,
    /// What stops the one after those.
    pub limits: Vec<StoppedBy>,
}

/// Room that a limit leaves by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitRoom {
    /// The limit.
    pub limit: Limit,
    /// Pods; nodes for the maximum of node groups.
    pub room: u64,
}

/// Places pods on the nodes of a snapshot, and on new ones where node groups may grow.
///
/// # Errors
/// [`AskError`] for what cannot be supposed.
pub fn what_if(snapshot: &Snapshot, ask: &Ask) -> Result<WhatIf, AskError> {
    let ground = Ground::of(snapshot);
    let mut engine = Engine::of(&ground);
    if engine.places.is_empty() {
        return Err(AskError::NoNodes);
    }
    let mut supposes = Vec::new();
    change(&ground, &mut engine, ask, &mut supposes)?;
    let wanted = wanted(&ground, ask, &mut supposes)?;
    let places: Vec<usize> = engine.places.iter().map(|place| place.of).collect();
    let mut rules = Rules::of(&ground, &wanted.meta, &wanted.spec, &places);
    let mut pod = PodShape::of(&ground, &wanted.spec);
    pod.requests = wanted.requests;
    if pod.requests.cpu_m > 0 && engine.places.iter().any(|place| place.cpu_m.is_none()) {
        supposes.push(
            "CPU and memory do not run out on nodes of which requests are not known".to_owned(),
        );
    }
    if pod.takes_address()
        && (engine.free.iter().any(Option::is_none)
            || engine
                .places
                .iter()
                .any(|place| place.stock.is_some() && place.subnets.is_empty()))
    {
        supposes
            .push("subnets of which the free addresses are not known do not run dry".to_owned());
    }
    let unlimited = |one: &NodeGround<'_>| {
        one.takes_addresses.is_none()
            || (one.takes_addresses == Some(true) && (one.limits.is_none() || one.mode.is_none()))
    };
    if pod.takes_address() && ground.nodes.iter().any(unlimited) {
        supposes.push(
            "nodes of which the addresses are not known have enough of them: see the gaps"
                .to_owned(),
        );
    }
    let count = wanted.count.unwrap_or(u32::MAX);
    let ran = engine.run(&pod, &mut rules, count, wanted.count.is_some());
    let stops = ran.first.as_ref().map(stop);
    let mut grown = Growth::default();
    if wanted.count.is_some() && ran.waiting > 0 {
        grown = grow(&ground, &mut engine, &mut rules, &pod, ran.waiting, ask)?;
    }
    let running = ran.running + grown.running;
    let all_run = wanted.count.is_some_and(|count| running == count);
    let next = all_run.then(|| next(&engine, &rules, &pod));
    Ok(WhatIf {
        asked: wanted.count,
        pod: PodView {
            workload: ask
                .workload
                .as_ref()
                .map(|(name, _)| name.to_string().into()),
            requests: pod.requests,
            host_network: pod.on_host_network,
        },
        supposes,
        running: ran.running,
        without_address: ran.without_address,
        waiting: if wanted.count.is_some() {
            ran.waiting
        } else {
            0
        },
        stops_with_new_nodes: (wanted.count.is_some() && !all_run)
            .then(|| stop_after_growth(&ground, &engine, &pod, &ran, &grown, ask))
            .flatten(),
        stops,
        new_nodes: grown.nodes,
        running_with_new_nodes: running,
        next,
        rooms: rooms(&engine, &pod),
    })
}

/// What is to be placed.
struct Wanted {
    count: Option<u32>,
    meta: Meta,
    spec: PodSpec,
    requests: PodRequests,
}

fn wanted(ground: &Ground<'_>, ask: &Ask, supposes: &mut Vec<String>) -> Result<Wanted, AskError> {
    let Some((name, replicas)) = &ask.workload else {
        return Ok(Wanted {
            count: ask.pods,
            meta: Meta::default(),
            spec: PodSpec::default(),
            requests: ask.requests,
        });
    };
    let Workload {
        meta,
        spec,
        placed,
        by_pod,
        branch,
    } = find(ground, name).ok_or_else(|| AskError::NoWorkload(name.to_string()))?;
    let mut requests = spec
        .requests()
        .ok_or_else(|| AskError::NoRequests(name.to_string()))?;
    if by_pod {
        supposes.push(format!(
            "{name} is known by its pods alone: node affinity and spread constraints of pods that run are not kept"
        ));
    }
    if branch && requests.branch == 0 {
        requests.branch = 1;
        supposes.push("each pod has a branch interface, as those that run".to_owned());
    }
    if placed > 0 {
        supposes.push(format!(
            "{placed} of {replicas} replicas have a node already"
        ));
    }
    Ok(Wanted {
        count: Some(replicas.saturating_sub(placed)),
        meta,
        spec,
        requests,
    })
}

fn stop(first: &First) -> Stop {
    Stop {
        pod: first.pod,
        has_node: first.has_node,
        limits: stopped_by(first.limits.clone()),
    }
}

fn stop_after_growth(
    ground: &Ground<'_>,
    engine: &Engine,
    pod: &PodShape,
    ran: &Ran,
    grown: &Growth,
    ask: &Ask,
) -> Option<Stop> {
    if ran.waiting == 0 {
        return ran.first.as_ref().map(stop);
    }
    let mut limits = engine.tally(pod, ran);
    let waits = grown.running + grown.without_address < ran.waiting;
    if let Some(first) = grown
        .first
        .as_ref()
        .or(ran.first.as_ref().filter(|one| one.has_node))
    {
        return Some(Stop {
            pod: ran.running + grown.running.min(first.pod.saturating_sub(1)) + 1,
            has_node: true,
            limits: stopped_by(first.limits.clone()),
        });
    }
    let known = (0..ground.groups.len()).any(|group| room_of(ground, group, ask).is_some());
    if waits && grown.no_address {
        limits.insert(Limit::SubnetAddresses, 0);
    } else if waits && (grown.hit_max || known) {
        limits.insert(Limit::AsgMaximum, 0);
    }
    Some(Stop {
        pod: ran.running + grown.running + 1,
        has_node: false,
        limits: stopped_by(limits),
    })
}

fn next(engine: &Engine, rules: &Rules, pod: &PodShape) -> Next {
    let mut engine = engine.clone();
    let mut rules = rules.clone();
    let ran = engine.run(pod, &mut rules, u32::MAX, true);
    match &ran.first {
        Some(first) => Next {
            pods: first.pod - 1,
            limits: stopped_by(first.limits.clone()),
        },
        None => Next {
            pods: ran.running,
            limits: Vec::new(),
        },
    }
}

/// What each limit leaves by itself, over the nodes that such a pod may run on.
fn rooms(engine: &Engine, pod: &PodShape) -> Vec<LimitRoom> {
    let mut found: BTreeMap<Limit, u64> = BTreeMap::new();
    let mut add = |limit, room: u64| *found.entry(limit).or_default() += room;
    let mut subnets = BTreeSet::new();
    for place in engine
        .places
        .iter()
        .filter(|place| place.schedulable && pod.fits[place.of])
    {
        add(Limit::KubeletSlots, u64::from(place.slots));
        if let Some(cpu) = place.cpu_m.filter(|_| pod.requests.cpu_m > 0) {
            add(Limit::Cpu, cpu / pod.requests.cpu_m);
        }
        if let Some(memory) = place.memory.filter(|_| pod.requests.memory > 0) {
            add(Limit::Memory, memory / pod.requests.memory);
        }
        if let Some(stock) = place.stock.as_ref().filter(|_| pod.takes_address()) {
            add(
                stock.limit,
                u64::from(stock.most.saturating_sub(stock.assigned)),
            );
            add(
                Limit::SubnetAddresses,
                u64::from(stock.held.addresses.saturating_sub(stock.assigned)),
            );
            subnets.extend(place.subnets.iter().copied());
        }
    }
    for at in &subnets {
        if let Some(free) = engine.free[*at] {
            add(Limit::SubnetAddresses, u64::from(free));
        }
    }
    if subnets.is_empty() || subnets.iter().any(|at| engine.free[*at].is_none()) {
        found.remove(&Limit::SubnetAddresses);
    }
    found
        .into_iter()
        .map(|(limit, room)| LimitRoom { limit, room })
        .collect()
}
