//! The state of a cluster, measured.

mod group;
mod metrics;
mod node;
mod subnet;

use std::collections::BTreeMap;

use eksnet_model::{CniSettings, Gap, Snapshot, Text, Time};
use serde::Serialize;

use crate::Limit;
use crate::ground::Ground;
use crate::simulate::{Engine, PodShape, Ran, Rules};

pub(crate) use group::sizes;
pub use group::{GroupUse, Sizes};
pub use metrics::HelperMetrics;
pub use node::{Addresses, NodeState, PodKinds, Room, Share};
pub use subnet::SubnetState;

/// Version of the JSON.
pub const CAPACITY_SCHEMA: &str = "eksnet.capacity/v1";

/// The state of a cluster. What is not known is `null`, and `gaps` says why.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// [`CAPACITY_SCHEMA`].
    pub schema: &'static str,
    /// When the evidence was taken.
    pub taken_at: Option<Time>,
    /// Name of the cluster.
    pub cluster: Option<Text>,
    /// Region.
    pub region: Option<Text>,
    /// Kubernetes version.
    pub version: Option<Text>,
    /// How the CNI is set up; `null` where its DaemonSet is not known.
    pub settings: Option<Settings>,
    /// All nodes together.
    pub totals: Totals,
    /// Node groups, by name.
    pub groups: Vec<GroupUse>,
    /// Subnets, by id.
    pub subnets: Vec<SubnetState>,
    /// Nodes: those that can start least first.
    pub nodes: Vec<NodeState>,
    /// The figures of CNI Metrics Helper, by its names.
    pub cni_metrics: HelperMetrics,
    /// What could not be seen.
    pub gaps: Vec<Gap>,
}

/// How the CNI is set up, as far as capacity goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Whole prefixes instead of addresses.
    pub prefix_delegation: bool,
    /// Pods have subnets of their own.
    pub custom_networking: bool,
    /// Security groups for pods.
    pub pod_eni: bool,
    /// Pods have IPv6 addresses.
    pub ipv6: bool,
    /// Most interfaces, where set.
    pub max_eni: Option<u32>,
    /// Interfaces kept spare.
    pub warm_eni_target: u32,
    /// Addresses kept spare, instead.
    pub warm_ip_target: Option<u32>,
    /// Addresses had at least.
    pub minimum_ip_target: Option<u32>,
    /// Prefixes kept spare.
    pub warm_prefix_target: Option<u32>,
}

impl From<&CniSettings> for Settings {
    fn from(from: &CniSettings) -> Self {
        Self {
            prefix_delegation: from.prefix_delegation,
            custom_networking: from.custom_networking,
            pod_eni: from.pod_eni,
            ipv6: from.ipv6,
            max_eni: from.max_enis,
            warm_eni_target: from.warm_enis,
            warm_ip_target: from.warm_ips,
            minimum_ip_target: from.minimum_ips,
            warm_prefix_target: from.warm_prefixes,
        }
    }
}

/// All nodes together.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Nodes.
    pub nodes: u32,
    /// Interfaces attached, and possible.
    pub enis: Share,
    /// Addresses of pods.
    pub addresses: Addresses,
    /// Slots of the kubelets.
    pub slots: Share,
    /// Pods, by kind.
    pub pods: Option<PodKinds>,
    /// Pods that have no node yet.
    pub pods_without_node: Option<u32>,
    /// Ordinary pods without requests that can still start on the nodes there are; `null` where a limit
    /// is not known.
    pub can_start: Option<u32>,
    /// The same by the limits that are known: not more than these.
    pub can_start_at_most: Option<u32>,
    /// What stops the pod after those, and on how many nodes; most nodes first.
    pub stopped_by: Vec<StoppedBy>,
}

/// A limit, and how many nodes have reached it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoppedBy {
    /// The limit.
    pub limit: Limit,
    /// Nodes.
    pub nodes: u32,
}

/// Reads the state of a cluster off a snapshot.
#[must_use]
pub fn measure(snapshot: &Snapshot) -> Measured {
    of_ground(&Ground::of(snapshot))
}

pub(crate) fn of_ground(ground: &Ground<'_>) -> Measured {
    let snapshot = ground.snapshot;
    let mut nodes: Vec<NodeState> = ground
        .nodes
        .iter()
        .map(|one| node::state(ground, one))
        .collect();
    let engine = Engine::of(ground);
    let pod = PodShape::anywhere(ground);
    let groups = group::groups(ground, &nodes, &engine, &pod);
    let all = fill(&engine, &pod, |_| true);
    let known = all_known(&nodes);
    let gaps = gaps(ground);
    let totals = Totals {
        nodes: u32::try_from(nodes.len()).unwrap_or(u32::MAX),
        enis: Share::sum(nodes.iter().map(|one| one.enis)),
        addresses: Addresses::sum(nodes.iter().map(|one| one.addresses)),
        slots: Share::sum(nodes.iter().map(|one| one.slots)),
        pods: PodKinds::sum(nodes.iter().map(|one| one.pods)),
        pods_without_node: snapshot.kubernetes.pods.is_complete().then(|| {
            let waiting = ground
                .topology
                .pods()
                .filter(|pod| !pod.is_terminal() && pod.spec.node_name.is_empty());
            u32::try_from(waiting.count()).unwrap_or(u32::MAX)
        }),
        can_start: known.then_some(all.0),
        can_start_at_most: countable(&nodes).then_some(all.0),
        stopped_by: stopped_by(all.1),
    };
    nodes.sort_by(|a, b| {
        let key = |one: &NodeState| one.can_start.or(one.can_start_at_most).unwrap_or(u32::MAX);
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    Measured {
        schema: CAPACITY_SCHEMA,
        taken_at: snapshot.taken_at,
        cluster: snapshot.cluster.name.clone(),
        region: snapshot.cluster.region.clone(),
        version: snapshot.cluster.version.clone(),
        settings: ground.settings.as_ref().map(Settings::from),
        cni_metrics: metrics::metrics(ground, &totals),
        subnets: ground
            .subnets
            .iter()
            .enumerate()
            .map(|(at, one)| subnet::state(ground, at, one))
            .collect(),
        totals,
        groups,
        nodes,
        gaps,
    }
}

fn all_known(nodes: &[NodeState]) -> bool {
    !nodes.is_empty() && nodes.iter().all(|one| one.can_start.is_some())
}

fn countable(nodes: &[NodeState]) -> bool {
    !nodes.is_empty() && nodes.iter().all(|one| one.can_start_at_most.is_some())
}

/// How many plain pods start on the chosen nodes alone, and what stops the next one.
fn fill(
    engine: &Engine,
    pod: &PodShape,
    chosen: impl Fn(usize) -> bool,
) -> (u32, BTreeMap<Limit, u32>) {
    let mut engine = engine.clone();
    engine.places.retain(|place| chosen(place.of));
    let ran: Ran = engine.run(pod, &mut Rules::none(), u32::MAX, false);
    let tally = engine.tally(pod, &ran);
    (ran.running, tally)
}

pub(crate) fn stopped_by(tally: BTreeMap<Limit, u32>) -> Vec<StoppedBy> {
    let mut all: Vec<StoppedBy> = tally
        .into_iter()
        .map(|(limit, nodes)| StoppedBy { limit, nodes })
        .collect();
    all.sort_by(|a, b| b.nodes.cmp(&a.nodes).then_with(|| a.limit.cmp(&b.limit)));
    all
}

/// The gaps of the sources, and what the figures themselves leave open.
fn gaps(ground: &Ground<'_>) -> Vec<Gap> {
    use eksnet_model::{Source, Why};
    let mut all = ground.gaps.clone();
    let mut kinds: Vec<&str> = ground
        .nodes
        .iter()
        .filter(|one| one.limits.is_none())
        .map(|one| one.node.instance_type().unwrap_or("(no label)"))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    if !kinds.is_empty() {
        all.push(Gap::new(
            Source::InstanceTypes,
            Why::Failed,
            format!("limits of instance type {} are not known", kinds.join(", ")),
        ));
    }
    let unseen: Vec<String> = ground
        .subnets
        .iter()
        .filter_map(|subnet| {
            let count = subnet.unseen.filter(|count| *count > 0)?;
            Some(format!("{} in {}", count, subnet.subnet.subnet_id))
        })
        .collect();
    if !unseen.is_empty() {
        let more = unseen.len().saturating_sub(3);
        let rest = if more > 0 {
            format!(" and {more} subnets more")
        } else {
            String::new()
        };
        all.push(Gap::new(
            Source::NetworkInterfaces,
            Why::Truncated,
            format!(
                "EC2 counts more addresses as used than the interfaces that were seen hold: {}{rest}; fewer /28 blocks may be free than shown",
                unseen[..unseen.len().min(3)].join(", ")
            ),
        ));
    }
    all
}
