//! The graph pod -> node -> instance -> ENI -> subnet -> VPC.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::aws::{
    self, GroupIdentifier, Instance, NetworkAcl, NetworkInterface, RouteTable, Subnet,
};
use crate::kubernetes::{DaemonSet, EndpointSlice, Node, Pod, Service};
use crate::{Component, Snapshot, Text};

/// Indices over a snapshot. Built from the sources that are there: what is not found here may be
/// missing for lack of evidence.
#[derive(Debug)]
pub struct Topology<'a> {
    snapshot: &'a Snapshot,
    nodes: BTreeMap<&'a str, &'a Node>,
    pods: BTreeMap<(&'a str, &'a str), &'a Pod>,
    pods_by_ip: BTreeMap<IpAddr, &'a Pod>,
    instances: BTreeMap<&'a str, &'a Instance>,
    interfaces_by_ip: BTreeMap<IpAddr, &'a NetworkInterface>,
    prefixes: Vec<(IpNet, &'a NetworkInterface)>,
    interfaces_by_instance: BTreeMap<&'a str, Vec<&'a NetworkInterface>>,
    subnets: BTreeMap<&'a str, &'a Subnet>,
}

/// Nodes that are made alike: a managed node group, a Karpenter pool, an Auto Scaling group.
#[derive(Clone, Debug)]
pub struct NodeGroup<'a> {
    /// Name.
    pub name: Text,
    /// Its nodes, by name.
    pub nodes: Vec<&'a Node>,
}

/// Nodes whose network is the same: one probe stands for all.
#[derive(Clone, Debug)]
pub struct NodeClass<'a> {
    /// Name, such as `c5/us-west-2a`; unique among the classes.
    pub name: Text,
    /// Its nodes, by name.
    pub nodes: Vec<&'a Node>,
}

impl<'a> Topology<'a> {
    /// Builds the indices.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let kubernetes = &snapshot.kubernetes;
        let nodes = list(kubernetes.nodes.value());
        let pods = list(kubernetes.pods.value());
        let interfaces = list(snapshot.aws.network_interfaces.value());
        let mut pods_by_ip = BTreeMap::new();
        for pod in pods
            .iter()
            .filter(|pod| !pod.is_terminal() && !pod.on_host_network())
        {
            for ip in pod.ips().filter_map(|ip| ip.parse().ok()) {
                pods_by_ip.insert(ip, pod);
            }
        }
        let mut interfaces_by_ip = BTreeMap::new();
        let mut prefixes = Vec::new();
        for interface in interfaces {
            let secondary = interface
                .private_ip_addresses
                .iter()
                .map(|one| &one.private_ip_address);
            let v6 = interface.ipv6_addresses.iter().map(|one| &one.ipv6_address);
            for ip in std::iter::once(&interface.private_ip_address)
                .chain(secondary)
                .chain(v6)
            {
                if let Ok(ip) = ip.parse() {
                    interfaces_by_ip.insert(ip, interface);
                }
            }
            for prefix in &interface.ipv4_prefixes {
                if let Ok(net) = prefix.ipv4_prefix.parse() {
                    prefixes.push((net, interface));
                }
            }
        }
        Self {
            snapshot,
            nodes: nodes
                .iter()
                .map(|node| (node.metadata.name.as_str(), node))
                .collect(),
            pods: pods
                .iter()
                .map(|pod| {
                    (
                        (pod.metadata.namespace.as_str(), pod.metadata.name.as_str()),
                        pod,
                    )
                })
                .collect(),
            pods_by_ip,
            instances: list(snapshot.aws.instances.value())
                .iter()
                .map(|instance| (instance.instance_id.as_str(), instance))
                .collect(),
            interfaces_by_ip,
            prefixes,
            interfaces_by_instance: by_instance(interfaces),
            subnets: list(snapshot.aws.subnets.value())
                .iter()
                .map(|subnet| (subnet.subnet_id.as_str(), subnet))
                .collect(),
        }
    }

    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&'a Node> {
        self.nodes.get(name).copied()
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &'a Node> {
        self.nodes.values().copied()
    }

    /// The pod of that namespace and name.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&'a Pod> {
        self.pods.get(&(namespace, name)).copied()
    }

    /// The pod that has this address and does not share it with its node.
    #[must_use]
    pub fn pod_by_ip(&self, ip: IpAddr) -> Option<&'a Pod> {
        self.pods_by_ip.get(&ip).copied()
    }

    /// All pods, by namespace and name.
    pub fn pods(&self) -> impl Iterator<Item = &'a Pod> {
        self.pods.values().copied()
    }

    /// The Service of that namespace and name.
    #[must_use]
    pub fn service(&self, namespace: &str, name: &str) -> Option<&'a Service> {
        list(self.snapshot.kubernetes.services.value())
            .iter()
            .find(|service| {
                service.metadata.namespace == namespace && service.metadata.name == name
            })
    }

    /// All EndpointSlices.
    pub fn endpoint_slices(&self) -> impl Iterator<Item = &'a EndpointSlice> {
        list(self.snapshot.kubernetes.endpointslices.value()).iter()
    }

    /// All DaemonSets.
    pub fn daemonsets(&self) -> impl Iterator<Item = &'a DaemonSet> {
        list(self.snapshot.kubernetes.daemonsets.value()).iter()
    }

    /// Whether EKS Pod Identity has an association in this cluster.
    #[must_use]
    pub fn uses_pod_identity(&self) -> bool {
        !list(self.snapshot.aws.pod_identity_associations.value()).is_empty()
    }

    /// The pods that run a component, by namespace and name.
    pub fn pods_of(&self, component: Component) -> impl Iterator<Item = &'a Pod> {
        self.pods
            .values()
            .copied()
            .filter(move |pod| Component::of_pod(pod) == component)
    }

    /// The node whose internal address this is.
    #[must_use]
    pub fn node_by_ip(&self, ip: IpAddr) -> Option<&'a Node> {
        self.nodes()
            .find(|node| node.internal_ip().and_then(|own| own.parse().ok()) == Some(ip))
    }

    /// The instance behind a node: by provider id, else by private DNS name.
    #[must_use]
    pub fn instance_of(&self, node: &Node) -> Option<&'a Instance> {
        match node.instance_id() {
            Some(id) => self.instances.get(id).copied(),
            None => self
                .instances
                .values()
                .copied()
                .find(|instance| instance.private_dns_name == node.metadata.name),
        }
    }

    /// The interface that holds an address, by itself or in a delegated prefix.
    #[must_use]
    pub fn interface_by_ip(&self, ip: IpAddr) -> Option<&'a NetworkInterface> {
        self.interfaces_by_ip.get(&ip).copied().or_else(|| {
            self.prefixes
                .iter()
                .find(|(net, _)| net.contains(&ip))
                .map(|(_, interface)| *interface)
        })
    }

    /// The interfaces of an instance, in the order of their device index.
    #[must_use]
    pub fn interfaces_of(&self, instance_id: &str) -> Vec<&'a NetworkInterface> {
        self.interfaces_by_instance
            .get(instance_id)
            .cloned()
            .unwrap_or_default()
    }

    /// The subnet of that id.
    #[must_use]
    pub fn subnet(&self, id: &str) -> Option<&'a Subnet> {
        self.subnets.get(id).copied()
    }

    /// The subnet that holds an address: that of its interface, else the one whose block contains it.
    #[must_use]
    pub fn subnet_by_ip(&self, ip: IpAddr) -> Option<&'a Subnet> {
        self.interface_by_ip(ip)
            .and_then(|interface| self.subnet(&interface.subnet_id))
            .or_else(|| {
                self.subnets.values().copied().find(|subnet| {
                    subnet
                        .cidr_block
                        .parse()
                        .is_ok_and(|net: IpNet| net.contains(&ip))
                })
            })
    }

    /// The subnet of a node's primary interface.
    #[must_use]
    pub fn subnet_of_node(&self, node: &Node) -> Option<&'a Subnet> {
        self.instance_of(node)
            .and_then(|instance| self.subnet(&instance.subnet_id))
            .or_else(|| self.subnet_by_ip(node.internal_ip()?.parse().ok()?))
    }

    /// The security groups that hold for an address: those of its interface.
    #[must_use]
    pub fn security_groups_of_ip(&self, ip: IpAddr) -> Option<&'a [GroupIdentifier]> {
        self.interface_by_ip(ip)
            .map(|interface| interface.groups.as_slice())
    }

    /// The security groups of a node's primary interface.
    #[must_use]
    pub fn security_groups_of_node(&self, node: &Node) -> Option<&'a [GroupIdentifier]> {
        self.instance_of(node)
            .map(|instance| instance.security_groups.as_slice())
    }

    /// The network ACL of a subnet: its own, else the VPC's default.
    #[must_use]
    pub fn network_acl_of(&self, subnet: &Subnet) -> Option<&'a NetworkAcl> {
        let acls = list(self.snapshot.aws.network_acls.value());
        acls.iter()
            .find(|acl| {
                acl.associations
                    .iter()
                    .any(|one| one.subnet_id == subnet.subnet_id)
            })
            .or_else(|| {
                acls.iter()
                    .find(|acl| acl.is_default && acl.vpc_id == subnet.vpc_id)
            })
    }

    /// The route table of a subnet: its own, else the VPC's main one.
    #[must_use]
    pub fn route_table_of(&self, subnet: &Subnet) -> Option<&'a RouteTable> {
        let tables = list(self.snapshot.aws.route_tables.value());
        let own = |table: &&RouteTable| {
            table
                .associations
                .iter()
                .any(|one| one.subnet_id.as_deref() == Some(&subnet.subnet_id))
        };
        let main = |table: &&RouteTable| {
            table.vpc_id == subnet.vpc_id && table.associations.iter().any(|one| one.main)
        };
        tables.iter().find(own).or_else(|| tables.iter().find(main))
    }

    /// Name of the group that a node belongs to: managed node group, Karpenter pool, eksctl group,
    /// Auto Scaling group; else its instance type; else `nodes`.
    #[must_use]
    pub fn group_of(&self, node: &Node) -> Text {
        const LABELS: [&str; 5] = [
            "eks.amazonaws.com/nodegroup",
            "karpenter.sh/nodepool",
            "karpenter.sh/provisioner-name",
            "alpha.eksctl.io/nodegroup-name",
            "eks.amazonaws.com/fargate-profile",
        ];
        LABELS
            .iter()
            .find_map(|label| node.label(label))
            .or_else(|| {
                self.instance_of(node)
                    .and_then(Instance::auto_scaling_group)
            })
            .or_else(|| node.instance_type())
            .unwrap_or("nodes")
            .into()
    }

    /// All groups, by name.
    #[must_use]
    pub fn groups(&self) -> Vec<NodeGroup<'a>> {
        let mut groups: BTreeMap<Text, Vec<&Node>> = BTreeMap::new();
        for node in self.nodes() {
            groups.entry(self.group_of(node)).or_default().push(node);
        }
        groups
            .into_iter()
            .map(|(name, nodes)| NodeGroup { name, nodes })
            .collect()
    }

    /// Classes of nodes that share group, subnet, security groups, instance family, architecture and
    /// zone; without AWS, node labels decide. Sorted by name.
    #[must_use]
    pub fn classes(&self) -> Vec<NodeClass<'a>> {
        let mut classes: BTreeMap<(Text, Vec<String>), Vec<&Node>> = BTreeMap::new();
        for node in self.nodes() {
            let mut traits = vec![
                node.zone().unwrap_or("").to_owned(),
                family(node.instance_type().unwrap_or("")).to_owned(),
                node.label("kubernetes.io/arch").unwrap_or("").to_owned(),
                node.label("kubernetes.io/os").unwrap_or("").to_owned(),
            ];
            traits.push(
                self.subnet_of_node(node)
                    .map_or("", |subnet| &subnet.subnet_id)
                    .to_owned(),
            );
            let mut groups: Vec<&str> = self
                .security_groups_of_node(node)
                .unwrap_or_default()
                .iter()
                .map(|group| group.group_id.as_str())
                .collect();
            groups.sort_unstable();
            traits.push(groups.join("+"));
            classes
                .entry((self.group_of(node), traits))
                .or_default()
                .push(node);
        }
        let mut names: BTreeMap<String, u32> = BTreeMap::new();
        classes
            .into_iter()
            .map(|((group, traits), nodes)| {
                let base = if traits[0].is_empty() {
                    group.to_string()
                } else {
                    format!("{group}/{}", traits[0])
                };
                let seen = names.entry(base.clone()).or_default();
                *seen += 1;
                let name = if *seen == 1 {
                    base
                } else {
                    format!("{base}#{seen}")
                };
                NodeClass {
                    name: name.into(),
                    nodes,
                }
            })
            .collect()
    }

    /// The class that a node belongs to.
    #[must_use]
    pub fn class_of(&self, node: &str) -> Option<NodeClass<'a>> {
        self.classes().into_iter().find(|class| {
            class
                .nodes
                .iter()
                .any(|member| member.metadata.name == node)
        })
    }

    /// The VPC of the cluster: by EKS, else the one that its nodes' instances are in.
    #[must_use]
    pub fn vpc_id(&self) -> Option<&'a str> {
        let by_eks = self
            .snapshot
            .aws
            .cluster
            .value()
            .map(|cluster| cluster.resources_vpc_config.vpc_id.as_str());
        by_eks.filter(|id| !id.is_empty()).or_else(|| {
            self.nodes()
                .find_map(|node| self.instance_of(node))
                .map(|i| i.vpc_id.as_str())
        })
    }

    /// The VPC of the cluster.
    #[must_use]
    pub fn vpc(&self) -> Option<&'a aws::Vpc> {
        let id = self.vpc_id()?;
        list(self.snapshot.aws.vpcs.value())
            .iter()
            .find(|vpc| vpc.vpc_id == id)
    }
}

/// The interfaces of each instance, in the order of their card and device index.
fn by_instance(interfaces: &[NetworkInterface]) -> BTreeMap<&str, Vec<&NetworkInterface>> {
    let mut found: BTreeMap<&str, Vec<&NetworkInterface>> = BTreeMap::new();
    for interface in interfaces {
        let attachment = interface.attachment.as_ref();
        if let Some(id) = attachment.and_then(|a| a.instance_id.as_deref()) {
            found.entry(id).or_default().push(interface);
        }
    }
    for all in found.values_mut() {
        all.sort_by_key(|interface| {
            let attachment = interface.attachment.as_ref();
            (
                attachment.and_then(|a| a.network_card_index),
                attachment.and_then(|a| a.device_index),
            )
        });
    }
    found
}

fn list<T>(value: Option<&Vec<T>>) -> &[T] {
    value.map_or(&[], Vec::as_slice)
}

/// `c5` of `c5.xlarge`.
fn family(instance_type: &str) -> &str {
    instance_type.split('.').next().unwrap_or(instance_type)
}
