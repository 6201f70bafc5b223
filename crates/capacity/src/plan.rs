//! Planning without a cluster: what instance types and subnets can hold.

use eksnet_model::CniSettings;
use eksnet_model::capacity::{Held, Limits, Mode, known_types};
use ipnet::Ipv4Net;
use serde::Serialize;

use crate::TypeLimits;
use crate::plan_subnets::{Need, SubnetsPlan};

/// Interfaces that EKS places in the cluster's subnets for its control plane: two to four
/// (<https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html>, read 2026-05).
const CONTROL_PLANE: u32 = 4;
/// Addresses that an update of the control plane needs on top (same page).
const CONTROL_PLANE_UPDATE: u32 = 5;
/// Host-network pods of a node that calculators count.
const HOST_PODS: u32 = 2;

/// Which instance types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Types {
    /// Every known one.
    All,
    /// These.
    Named(Vec<String>),
}

/// What to plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRequest {
    /// Types; several are alternatives.
    pub types: Types,
    /// How many nodes of a type.
    pub nodes: Option<u32>,
    /// Subnets that pods' addresses come from, one per zone.
    pub subnets: Vec<Ipv4Net>,
    /// Nodes more than those while a node group is updated; twice the subnets unless given.
    pub surge: Option<u32>,
    /// Settings of the CNI.
    pub settings: CniSettings,
}

/// Why a plan cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A type that the table does not have.
    #[error(
        "instance type {name:?} is not known{near}; `capacity --instance-type ALL` lists the known ones"
    )]
    UnknownType {
        /// The name.
        name: String,
        /// A name like it, as words.
        near: String,
    },
    /// A block that cannot be a subnet.
    #[error("{0} cannot be a subnet: AWS takes /16 to /28, starting at the block's own address")]
    NoSubnet(Ipv4Net),
    /// Two subnets that overlap.
    #[error("subnets {0} and {1} overlap")]
    Overlap(Ipv4Net, Ipv4Net),
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// A plan for each type.
    pub types: Vec<PlannedType>,
    /// What was assumed, as sentences.
    pub assumes: Vec<String>,
}

/// A type, and what nodes of it take.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedType {
    /// Its limits.
    #[serde(flatten)]
    pub limits: TypeLimits,
    /// With the settings that were asked for, where any were, or nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodesPlan>,
}

/// What nodes of a type take.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodesPlan {
    /// Nodes.
    pub nodes: u32,
    /// The kubelet's maximum of pods that EKS would set; the uncapped figure where vCPUs are not known.
    pub max_pods_per_node: u32,
    /// Addresses that the CNI can give on a node.
    pub addresses_per_node: u32,
    /// Interfaces that the CNI may attach to a node.
    pub enis_per_node: u32,
    /// Pods on all nodes that need an address.
    pub pods: u32,
    /// Branch interfaces on a node, for pods with security groups; `null` where not known or off.
    pub branch_pods_per_node: Option<u32>,
    /// Addresses of a node when its first pod runs, its own and the warm stock included.
    pub fresh_per_node: u32,
    /// Addresses of a node that is full.
    pub full_per_node: u32,
    /// Addresses of all nodes when fresh.
    pub fresh: u32,
    /// Addresses of all nodes when full.
    pub full: u32,
    /// Addresses of all nodes from the nodes' own subnets, where pods have subnets of their own.
    pub node_subnets: u32,
    /// Nodes more than those while a node group is updated.
    pub surge_nodes: u32,
    /// Addresses while full nodes are updated, with the control plane's.
    pub during_update: u32,
    /// Interfaces of the control plane, while nothing is updated.
    pub control_plane: u32,
    /// The subnets; `null` where none were given.
    pub subnets: Option<SubnetsPlan>,
}

/// Makes a plan.
///
/// # Errors
/// [`PlanError`] for types and subnets that there are not.
pub fn plan(request: &PlanRequest) -> Result<Plan, PlanError> {
    check_subnets(&request.subnets)?;
    let named: Vec<(String, Limits)> = match &request.types {
        Types::All => known_types()
            .map(|(name, limits)| (name.to_owned(), limits))
            .collect(),
        Types::Named(names) => names
            .iter()
            .map(|name| match Limits::of(name, &[]) {
                Some(limits) => Ok((name.clone(), limits)),
                None => Err(PlanError::UnknownType {
                    near: near(name),
                    name: name.clone(),
                }),
            })
            .collect::<Result<_, _>>()?,
    };
    let wants_nodes = request.nodes.is_some()
        || !request.subnets.is_empty()
        || request.settings != CniSettings::default();
    let types = named
        .iter()
        .map(|(name, limits)| PlannedType {
            limits: TypeLimits::of(name, limits),
            nodes: if wants_nodes {
                nodes_plan(request, limits)
            } else {
                None
            },
        })
        .collect();
    Ok(Plan {
        types,
        assumes: if wants_nodes {
            assumes(request)
        } else {
            Vec::new()
        },
    })
}

/// `None` where prefixes are on and nothing is known of the type's hypervisor.
fn nodes_plan(request: &PlanRequest, limits: &Limits) -> Option<NodesPlan> {
    let settings = &request.settings;
    let mode = Mode::of(settings, limits)?;
    let nodes = request.nodes.unwrap_or(1);
    let kubelet = limits
        .recommended(mode)
        .unwrap_or_else(|| limits.max_pods(mode));
    let ceiling = limits.addresses(mode, 0);
    let slots = kubelet.saturating_sub(HOST_PODS);
    let (pods_per_node, fresh, full) = if settings.ipv6 {
        // One /80 prefix holds every pod; of IPv4 there is the node's own address alone.
        (slots, Held::default(), Held::default())
    } else {
        let pods = slots.min(ceiling);
        (
            pods,
            Held::by_a_node(settings, limits, mode, 1, Some(kubelet)),
            Held::by_a_node(settings, limits, mode, pods, Some(kubelet)),
        )
    };
    let own = u32::from(settings.ipv6);
    let surge = request.surge.unwrap_or_else(|| {
        let zones = u32::try_from(request.subnets.len()).unwrap_or(u32::MAX);
        2 * zones.max(1)
    });
    let plane = if mode.custom_networking {
        (0, 0)
    } else {
        (CONTROL_PLANE, CONTROL_PLANE_UPDATE)
    };
    let need = Need {
        nodes,
        surge,
        fresh,
        full,
        own,
        prefixes: mode.prefixes && !settings.ipv6,
        plane,
    };
    let full_per_node = full.of_subnet() + own;
    let fresh_per_node = fresh.of_subnet() + own;
    Some(NodesPlan {
        nodes,
        max_pods_per_node: kubelet,
        addresses_per_node: ceiling,
        enis_per_node: limits.enis_allowed(mode),
        pods: nodes.saturating_mul(pods_per_node),
        branch_pods_per_node: if mode.trunk { limits.branch_enis } else { None },
        fresh_per_node,
        full_per_node,
        fresh: nodes.saturating_mul(fresh_per_node),
        full: nodes.saturating_mul(full_per_node),
        node_subnets: if mode.custom_networking { nodes } else { 0 },
        surge_nodes: surge,
        during_update: nodes
            .saturating_add(surge)
            .saturating_mul(full_per_node)
            .saturating_add(plane.0 + plane.1),
        control_plane: plane.0,
        subnets: (!request.subnets.is_empty()).then(|| SubnetsPlan::of(&request.subnets, &need)),
    })
}

fn assumes(request: &PlanRequest) -> Vec<String> {
    let mut all = vec![
        "kubelets have the maximum that EKS recommends: 110, or 250 with more than 30 vCPUs, where the type has addresses for more".to_owned(),
        "AWS keeps 5 addresses of each subnet".to_owned(),
    ];
    if request.surge.is_none() {
        all.push("a managed node group that is updated adds two nodes per zone".to_owned());
    }
    if request.settings.custom_networking {
        all.push("pods have these subnets; nodes and the control plane have others".to_owned());
    } else {
        all.push(format!("the control plane has {CONTROL_PLANE} interfaces in these subnets, and needs {CONTROL_PLANE_UPDATE} addresses more while it is updated"));
    }
    all
}

fn check_subnets(subnets: &[Ipv4Net]) -> Result<(), PlanError> {
    for (at, one) in subnets.iter().enumerate() {
        if !(16..=28).contains(&one.prefix_len()) || one.addr() != one.network() {
            return Err(PlanError::NoSubnet(*one));
        }
        for other in &subnets[..at] {
            if other.contains(&one.network()) || one.contains(&other.network()) {
                return Err(PlanError::Overlap(*other, *one));
            }
        }
    }
    Ok(())
}

/// The known name that differs least, as words, where it does not differ in much.
fn near(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    known_types()
        .map(|(known, _)| (distance(&lower, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, known)| format!(", did you mean {known}"))
        .unwrap_or_default()
}

/// Letters to put in, leave out or change to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (place, another) in other.iter().enumerate() {
            let changed = corner + usize::from(letter != *another);
            corner = row[place + 1];
            row[place + 1] = changed.min(row[place] + 1).min(corner + 1);
        }
    }
    row[other.len()]
}
