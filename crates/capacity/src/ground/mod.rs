//! What a snapshot says of nodes and subnets, in the form that measuring and simulating start from.

mod node;
mod subnet;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;

use eksnet_model::kubernetes::Pod;
use eksnet_model::{CniSettings, Evidence, Gap, NodeUse, Snapshot, Source, Text, Topology};

pub(crate) use node::{Asked, NodeGround};
pub(crate) use subnet::SubnetGround;

/// What a snapshot says of nodes and subnets.
pub(crate) struct Ground<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) topology: Topology<'a>,
    /// `None` where aws-node's DaemonSet is not known, or not there.
    pub(crate) settings: Option<CniSettings>,
    /// By name.
    pub(crate) nodes: Vec<NodeGround<'a>>,
    /// Names of the groups, by name.
    pub(crate) groups: Vec<Text>,
    /// Those that nodes, pods or the control plane use, by id; all where none is known to be used.
    pub(crate) subnets: Vec<SubnetGround<'a>>,
    /// Sources that are missing in whole or in part.
    pub(crate) gaps: Vec<Gap>,
}

/// Sources that the figures are made of.
pub(crate) const NEEDS: [Source; 17] = [
    Source::Nodes,
    Source::Pods,
    Source::DaemonSets,
    Source::EniConfigs,
    Source::CniMetrics,
    Source::Cluster,
    Source::Nodegroups,
    Source::Instances,
    Source::InstanceTypes,
    Source::Subnets,
    Source::SubnetCidrReservations,
    Source::NetworkInterfaces,
    Source::AutoScalingGroups,
    Source::Deployments,
    Source::ConfigMaps,
    Source::RouteTables,
    Source::Vpcs,
];

impl<'a> Ground<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot) -> Self {
        let topology = Topology::of(snapshot);
        let sets = snapshot.kubernetes.daemonsets.value();
        let settings = sets.and_then(|sets| CniSettings::of(sets));
        let pod_addresses = pod_addresses(&topology);
        let subnets = subnet::subnets(snapshot, &topology, settings.as_ref(), &pod_addresses);
        let places: HashMap<&str, usize> = subnets
            .iter()
            .enumerate()
            .map(|(at, one)| (one.subnet.subnet_id.as_str(), at))
            .collect();
        let pods_known = snapshot.kubernetes.pods.is_complete();
        let uses = NodeUse::of_nodes(&topology);
        let asked = asked(&topology);
        let metrics: HashMap<&str, _> = list(&snapshot.kubernetes.cni_metrics)
            .iter()
            .map(|one| (one.node.as_str(), one))
            .collect();
        let mut groups: Vec<Text> = topology
            .nodes()
            .map(|node| topology.group_of(node))
            .collect();
        groups.sort();
        groups.dedup();
        let reader = node::Reader {
            snapshot,
            topology: &topology,
            settings: settings.as_ref(),
            places: &places,
            metrics: &metrics,
            groups: &groups,
        };
        let nodes = topology
            .nodes()
            .map(|node| {
                let name = node.metadata.name.as_str();
                let of_pods = pods_known.then(|| {
                    (
                        uses.get(name).copied().unwrap_or_default(),
                        asked.get(name).copied().unwrap_or_default(),
                    )
                });
                reader.read(node, of_pods)
            })
            .collect();
        let mut gaps = gaps(snapshot);
        if settings.is_none() && snapshot.kubernetes.daemonsets.is_complete() {
            gaps.push(Gap::new(
                Source::DaemonSets,
                eksnet_model::Why::NotInstalled,
                "there is no DaemonSet kube-system/aws-node: how pods get addresses is not known",
            ));
        }
        Self {
            snapshot,
            settings,
            nodes,
            groups,
            subnets,
            gaps,
            topology,
        }
    }
}

pub(crate) fn list<T>(evidence: &Evidence<Vec<T>>) -> &[T] {
    evidence.value().map_or(&[], Vec::as_slice)
}

fn pod_addresses(topology: &Topology<'_>) -> HashSet<Ipv4Addr> {
    topology
        .pods()
        .filter(|pod| !pod.is_terminal() && !pod.on_host_network())
        .flat_map(Pod::ips)
        .filter_map(|ip| ip.parse().ok())
        .collect()
}

/// What the pods of each node ask for.
fn asked<'a>(topology: &Topology<'a>) -> BTreeMap<&'a str, Asked> {
    let mut found: BTreeMap<&str, Asked> = BTreeMap::new();
    for pod in topology.pods() {
        if pod.is_terminal() || pod.spec.node_name.is_empty() {
            continue;
        }
        let of_daemon = pod.owner_kind() == Some("DaemonSet") || pod.owner_kind() == Some("Node");
        found
            .entry(&pod.spec.node_name)
            .or_default()
            .add(pod, of_daemon);
    }
    found
}

fn gaps(snapshot: &Snapshot) -> Vec<Gap> {
    let kubernetes = &snapshot.kubernetes;
    let aws = &snapshot.aws;
    let all = [
        kubernetes.nodes.gap(),
        kubernetes.pods.gap(),
        kubernetes.daemonsets.gap(),
        kubernetes.cni_metrics.gap(),
        aws.instances.gap(),
        aws.instance_types.gap(),
        aws.subnets.gap(),
        aws.subnet_cidr_reservations.gap(),
        aws.network_interfaces.gap(),
        aws.auto_scaling_groups.gap(),
        aws.nodegroups.gap(),
    ];
    all.into_iter().flatten().cloned().collect()
}
