//! Where the packets of nodes and pods leave: which interface, with which security groups.

use std::net::IpAddr;

use super::End;
use crate::aws::{GroupIdentifier, NetworkInterface, tag};
use crate::kubernetes::{Node, Pod};
use crate::{Topology, path::AclEnd};

/// An interface through which packets leave a node, with what rules see of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uplink<'a> {
    /// Ids of its security groups, sorted.
    pub groups: Vec<&'a str>,
    /// An address of it.
    pub address: IpAddr,
    /// Id of its subnet; empty where not known.
    pub subnet: &'a str,
    /// Whether pods with an address of their own send through it.
    pub pods: bool,
    /// Whether the node itself and pods on its network send through it.
    pub host: bool,
}

impl Uplink<'_> {
    /// What security groups see.
    #[must_use]
    pub fn end(&self) -> End<'_> {
        End {
            groups: &self.groups,
            address: self.address,
        }
    }

    /// What network ACLs see: this one address.
    #[must_use]
    pub fn acl_end(&self) -> AclEnd<'_> {
        AclEnd {
            subnet: self.subnet,
            block: self.address.into(),
        }
    }
}

/// The ways out of a node that differ in subnet or security groups: its primary interface, and those
/// that the VPC CNI attached for pods. Empty when neither the instance nor an interface is known.
///
/// Pods send through the primary interface too, unless custom networking keeps them off it. Trunk
/// and branch interfaces (security groups for pods) and those that the CNI does not manage carry no
/// ordinary pods and are left out.
#[must_use]
pub fn uplinks<'a>(
    topology: &Topology<'a>,
    node: &Node,
    custom_networking: bool,
) -> Vec<Uplink<'a>> {
    let own: Option<IpAddr> = node.internal_ip().and_then(|ip| ip.parse().ok());
    let instance = topology.instance_of(node);
    let mut found = Vec::new();
    if let Some(instance) = instance {
        let address = own.or_else(|| instance.private_ip_address.as_deref()?.parse().ok());
        if let Some(address) = address.filter(|_| !instance.security_groups.is_empty()) {
            found.push(Uplink {
                groups: ids(&instance.security_groups),
                address,
                subnet: &instance.subnet_id,
                pods: !custom_networking,
                host: true,
            });
        }
    } else if let Some((address, interface)) = own.and_then(|address| {
        topology
            .interface_by_ip(address)
            .map(|interface| (address, interface))
    }) {
        found.push(Uplink {
            groups: ids(&interface.groups),
            address,
            subnet: &interface.subnet_id,
            pods: true,
            host: true,
        });
    }
    let id = instance
        .map(|instance| instance.instance_id.as_str())
        .or_else(|| node.instance_id());
    for interface in id.map(|id| topology.interfaces_of(id)).unwrap_or_default() {
        let Some(uplink) = of_pods(interface) else {
            continue;
        };
        let same = |other: &Uplink<'_>| {
            other.pods && other.groups == uplink.groups && other.subnet == uplink.subnet
        };
        if !found.iter().any(same) && own != Some(uplink.address) {
            found.push(uplink);
        }
    }
    found
}

fn of_pods(interface: &NetworkInterface) -> Option<Uplink<'_>> {
    let carries_pods = matches!(interface.interface_type.as_str(), "" | "interface")
        && tag(&interface.tag_set, "node.k8s.amazonaws.com/no_manage") != Some("true");
    if !carries_pods || interface.groups.is_empty() {
        return None;
    }
    Some(Uplink {
        groups: ids(&interface.groups),
        address: interface.private_ip_address.parse().ok()?,
        subnet: &interface.subnet_id,
        pods: true,
        host: false,
    })
}

/// The way in to a pod: the interface that holds its address, by itself, as a secondary address or in
/// a delegated prefix; else its node's, where interfaces are not known and all of a node's carry the
/// same groups. `None` when the pod has no address or nothing is known.
#[must_use]
pub fn uplink_of_pod<'a>(
    topology: &Topology<'a>,
    pod: &Pod,
    custom_networking: bool,
) -> Option<Uplink<'a>> {
    let address: IpAddr = pod.ips().next()?.parse().ok()?;
    let host = pod.on_host_network();
    if let Some(interface) = topology.interface_by_ip(address) {
        return Some(Uplink {
            groups: ids(&interface.groups),
            address,
            subnet: &interface.subnet_id,
            pods: !host,
            host,
        });
    }
    if custom_networking && !host {
        return None;
    }
    let node = topology.node(&pod.spec.node_name)?;
    let primary = uplinks(topology, node, custom_networking)
        .into_iter()
        .next()?;
    Some(Uplink {
        address,
        subnet: topology.subnet_by_ip(address).map_or("", |s| &s.subnet_id),
        ..primary
    })
}

fn ids(groups: &[GroupIdentifier]) -> Vec<&str> {
    let mut ids: Vec<&str> = groups.iter().map(|group| group.group_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Snapshot;

    fn snapshot() -> Snapshot {
        serde_json::from_value(serde_json::json!({
            "kubernetes": {
                "nodes": [{"metadata": {"name": "n"}, "spec": {"providerID": "aws:///a/i-1"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.1.5"}]}}],
                "pods": [
                    {"metadata": {"name": "p", "namespace": "x"}, "spec": {"nodeName": "n"}, "status": {"podIP": "10.64.0.18"}},
                    {"metadata": {"name": "q", "namespace": "x"}, "spec": {"nodeName": "n"}, "status": {"podIP": "10.64.7.9"}}
                ]
            },
            "aws": {
                "instances": [{"InstanceId": "i-1", "SubnetId": "subnet-n", "SecurityGroups": [{"GroupId": "sg-n"}]}],
                "networkInterfaces": [
                    {"NetworkInterfaceId": "eni-0", "SubnetId": "subnet-n", "InterfaceType": "interface", "PrivateIpAddress": "10.0.1.5", "Groups": [{"GroupId": "sg-n"}], "Attachment": {"InstanceId": "i-1", "DeviceIndex": 0}},
                    {"NetworkInterfaceId": "eni-1", "SubnetId": "subnet-p", "InterfaceType": "interface", "PrivateIpAddress": "10.64.0.5", "Groups": [{"GroupId": "sg-p"}], "Ipv4Prefixes": [{"Ipv4Prefix": "10.64.0.16/28"}], "Attachment": {"InstanceId": "i-1", "DeviceIndex": 1}},
                    {"NetworkInterfaceId": "eni-2", "SubnetId": "subnet-p", "InterfaceType": "trunk", "PrivateIpAddress": "10.64.0.6", "Groups": [{"GroupId": "sg-t"}], "Attachment": {"InstanceId": "i-1", "DeviceIndex": 2}},
                    {"NetworkInterfaceId": "eni-3", "SubnetId": "subnet-x", "InterfaceType": "interface", "PrivateIpAddress": "10.0.8.6", "Groups": [{"GroupId": "sg-x"}], "Attachment": {"InstanceId": "i-1", "DeviceIndex": 3}, "TagSet": [{"Key": "node.k8s.amazonaws.com/no_manage", "Value": "true"}]}
                ]
            }
        }))
        .unwrap()
    }

    #[test]
    fn custom_networking_sends_pods_through_their_own_interfaces() {
        let snapshot = snapshot();
        let topology = Topology::of(&snapshot);
        let node = topology.node("n").unwrap();
        let ways: Vec<_> = uplinks(&topology, node, true)
            .into_iter()
            .map(|way| (way.groups, way.host, way.pods))
            .collect();
        assert_eq!(
            ways,
            [(vec!["sg-n"], true, false), (vec!["sg-p"], false, true)]
        );
    }

    #[test]
    fn a_pod_is_reached_through_the_interface_that_holds_its_prefix() {
        let snapshot = snapshot();
        let topology = Topology::of(&snapshot);
        let of = |name| uplink_of_pod(&topology, topology.pod("x", name).unwrap(), true);
        assert_eq!(of("p").unwrap().groups, ["sg-p"]);
        assert_eq!(
            of("q"),
            None,
            "no interface holds it, and the node's does not stand for it"
        );
    }
}
