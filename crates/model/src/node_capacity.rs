//! How full nodes are, and how full they can get.

use std::collections::BTreeMap;

use crate::aws::{InstanceType, NetworkInterface, tag};
use crate::capacity::{Limits, Mode};
use crate::kubernetes::Node;
use crate::{CniSettings, Topology};

/// Pods on one node that have not ended. Those of ended Jobs hold no slot and no address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeUse {
    /// All: each takes a slot of the kubelet.
    pub pods: u32,
    /// Those on the node's own network: no address.
    pub host: u32,
    /// Those with a branch interface of their own: no address of the CNI's stock.
    pub branch: u32,
}

impl NodeUse {
    /// Of every node that has pods, by name.
    #[must_use]
    pub fn of_nodes<'a>(topology: &Topology<'a>) -> BTreeMap<&'a str, Self> {
        let mut found: BTreeMap<&str, Self> = BTreeMap::new();
        for pod in topology.pods() {
            if pod.is_terminal() || pod.spec.node_name.is_empty() {
                continue;
            }
            let one = found.entry(&pod.spec.node_name).or_default();
            one.pods += 1;
            let annotations = &pod.metadata.annotations;
            if pod.on_host_network() {
                one.host += 1;
            } else if annotations.contains_key("vpc.amazonaws.com/pod-eni") {
                one.branch += 1;
            }
        }
        found
    }

    /// Pods that take an address of the CNI's stock.
    #[must_use]
    pub fn ordinary(self) -> u32 {
        self.pods - self.host - self.branch
    }
}

/// The most that the CNI can give on a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Ceiling<'a> {
    /// Limits of the instance type.
    pub limits: Limits,
    /// How addresses are given.
    pub mode: Mode,
    /// Interfaces that hold a slot and give no address to pods.
    pub unmanaged: Vec<&'a NetworkInterface>,
    /// Addresses for ordinary pods.
    pub addresses: u32,
}

impl<'a> Ceiling<'a> {
    /// The ceiling of a node; `None` where its instance type or hypervisor is not known.
    #[must_use]
    pub fn of(
        topology: &Topology<'a>,
        node: &Node,
        settings: &CniSettings,
        ec2: &[InstanceType],
    ) -> Option<Self> {
        let limits = Limits::of(node.instance_type()?, ec2)?;
        let mode = Mode::of(settings, &limits)?;
        let unmanaged = unmanaged_interfaces(topology, node, settings);
        // A subnet that a tag takes out of use leaves the primary interface without pods.
        let excluded = settings.subnet_discovery
            && !mode.custom_networking
            && topology
                .subnet_of_node(node)
                .is_some_and(|subnet| tag(&subnet.tags, "kubernetes.io/role/cni") == Some("0"));
        let unusable = u32::try_from(unmanaged.len()).unwrap_or(u32::MAX);
        Some(Self {
            limits,
            mode,
            addresses: limits.addresses(mode, unusable.saturating_add(u32::from(excluded))),
            unmanaged,
        })
    }

    /// Pods with branch interfaces that come on top; `None` where that is not known.
    #[must_use]
    pub fn branch_pods(&self) -> Option<u32> {
        if self.mode.trunk {
            self.limits.branch_enis
        } else {
            Some(0)
        }
    }
}

/// Interfaces on a node's default network card that the CNI leaves alone: tagged so, without addresses
/// (EFA), or made by others while it manages only its own. Source: `pkg/awsutils` of
/// amazon-vpc-cni-k8s (read 2026-05).
#[must_use]
pub fn unmanaged_interfaces<'a>(
    topology: &Topology<'a>,
    node: &Node,
    settings: &CniSettings,
) -> Vec<&'a NetworkInterface> {
    let id = topology
        .instance_of(node)
        .map(|instance| instance.instance_id.as_str())
        .or_else(|| node.instance_id());
    let mut found = id.map(|id| topology.interfaces_of(id)).unwrap_or_default();
    found.retain(|one| {
        let attachment = one.attachment.as_ref();
        let primary = attachment.is_some_and(|a| a.device_index == Some(0));
        let default_card = attachment.is_none_or(|a| a.network_card_index.unwrap_or(0) == 0);
        let of_cni = matches!(one.interface_type.as_str(), "trunk" | "branch");
        let foreign = tag(&one.tag_set, "node.k8s.amazonaws.com/no_manage") == Some("true")
            || one.interface_type == "efa-only"
            || (!settings.manages_untagged
                && tag(&one.tag_set, "node.k8s.amazonaws.com/instance_id").is_none());
        !primary && default_card && !of_cni && foreign
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Snapshot;

    fn snapshot() -> Snapshot {
        let pod = |name: &str, extra: serde_json::Value| {
            let mut pod = serde_json::json!({"metadata": {"name": name, "namespace": "x"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
            for (key, value) in extra.as_object().unwrap() {
                for (inner, value) in value.as_object().unwrap() {
                    pod[key][inner] = value.clone();
                }
            }
            pod
        };
        let eni = |id: &str, index: u32, kind: &str, tags: serde_json::Value| serde_json::json!({"NetworkInterfaceId": id, "InterfaceType": kind, "TagSet": tags, "Attachment": {"InstanceId": "i-1", "DeviceIndex": index}});
        serde_json::from_value(serde_json::json!({
            "kubernetes": {
                "nodes": [{"metadata": {"name": "n", "labels": {"node.kubernetes.io/instance-type": "m5.large"}}, "spec": {"providerID": "aws:///a/i-1"}}],
                "pods": [
                    pod("a", serde_json::json!({})),
                    pod("b", serde_json::json!({"spec": {"hostNetwork": true}})),
                    pod("c", serde_json::json!({"metadata": {"annotations": {"vpc.amazonaws.com/pod-eni": "[]"}}})),
                    pod("done", serde_json::json!({"status": {"phase": "Succeeded"}})),
                    pod("waits", serde_json::json!({"spec": {"nodeName": ""}}))
                ]
            },
            "aws": {"networkInterfaces": [
                eni("eni-0", 0, "interface", serde_json::json!([])),
                eni("eni-1", 1, "interface", serde_json::json!([{"Key": "node.k8s.amazonaws.com/instance_id", "Value": "i-1"}])),
                eni("eni-2", 2, "interface", serde_json::json!([])),
                eni("eni-3", 3, "interface", serde_json::json!([{"Key": "node.k8s.amazonaws.com/no_manage", "Value": "true"}])),
                eni("eni-4", 4, "trunk", serde_json::json!([]))
            ]}
        }))
        .unwrap()
    }

    fn settings(env: serde_json::Value) -> CniSettings {
        let set = serde_json::json!([{"metadata": {"namespace": "kube-system", "name": "aws-node"}, "spec": {"template": {"spec": {"containers": [{"name": "aws-node", "image": "amazon-k8s-cni:v1.19.0", "env": env}]}}}}]);
        CniSettings::of(&serde_json::from_value::<Vec<_>>(set).unwrap()).unwrap()
    }

    #[test]
    fn ended_pods_hold_nothing_and_host_and_branch_pods_no_address() {
        let snapshot = snapshot();
        let topology = Topology::of(&snapshot);
        let of = NodeUse::of_nodes(&topology)["n"];
        assert_eq!((of.pods, of.host, of.branch, of.ordinary()), (3, 1, 1, 1));
    }

    #[test]
    fn foreign_interfaces_lower_the_ceiling() {
        let snapshot = snapshot();
        let topology = Topology::of(&snapshot);
        let node = topology.node("n").unwrap();
        let ids = |settings: &CniSettings| -> (Vec<String>, u32) {
            let ceiling = Ceiling::of(&topology, node, settings, &[]).unwrap();
            let ids = ceiling
                .unmanaged
                .iter()
                .map(|one| one.network_interface_id.clone());
            (ids.collect(), ceiling.addresses)
        };
        assert_eq!(
            ids(&settings(serde_json::json!([]))),
            (vec!["eni-3".to_owned()], 18)
        );
        let own_only =
            settings(serde_json::json!([{"name": "MANAGE_UNTAGGED_ENI", "value": "false"}]));
        assert_eq!(
            ids(&own_only),
            (vec!["eni-2".to_owned(), "eni-3".to_owned()], 9)
        );
    }
}
