//! A cluster of any size, made up: three zones, groups of 250 nodes, thirty pods on each node.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use eksnet_model::aws::{
    Attachment, AutoScalingGroup, NetworkInterface, PrivateIpAddress, Subnet, Tag,
};
use eksnet_model::kubernetes::{
    Container, DaemonSet, EnvVar, Meta, Node, NodeAddress, NodeCondition, OwnerReference, Pod,
    PodRequests,
};
use eksnet_model::{Evidence, Snapshot};

const ZONES: [&str; 3] = ["us-west-2a", "us-west-2b", "us-west-2c"];
/// Nodes of a group; each group has a /18 in each zone.
const GROUP: usize = 250;
/// Ordinary pods of a node.
const PODS: u32 = 28;

/// A cluster of that many m5.xlarge nodes, of which each eighth is full.
pub(crate) fn cluster(nodes: usize) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut all = Vec::with_capacity(nodes);
    let mut pods = Vec::with_capacity(nodes * 30);
    let mut interfaces = Vec::with_capacity(nodes * 4);
    let groups = nodes.div_ceil(GROUP);
    let mut next = vec![0_u32; groups * ZONES.len()];
    for at in 0..nodes {
        let (group, zone) = (at / GROUP, at % ZONES.len());
        let subnet = group * ZONES.len() + zone;
        let name = format!("ip-10-{}-{}.us-west-2.compute.internal", at / 256, at % 256);
        let id = format!("i-{at:017x}");
        let wanted = if at % 8 == 0 { 56 } else { PODS };
        let enis = (wanted.div_ceil(14) + 1).clamp(2, 4);
        let mut addresses = Vec::new();
        for index in 0..enis {
            let own = address(subnet, &mut next[subnet]);
            if index == 0 {
                all.push(node(&name, &id, group, zone, &own));
            }
            let mut held = vec![PrivateIpAddress {
                private_ip_address: own.clone(),
                primary: true,
            }];
            for _ in 1..15 {
                let one = address(subnet, &mut next[subnet]);
                addresses.push(one.clone());
                held.push(PrivateIpAddress {
                    private_ip_address: one,
                    primary: false,
                });
            }
            interfaces.push(NetworkInterface {
                network_interface_id: format!("eni-{at:012x}{index}"),
                subnet_id: format!("subnet-{subnet:04}"),
                vpc_id: "vpc-1".to_owned(),
                status: "in-use".to_owned(),
                interface_type: "interface".to_owned(),
                private_ip_address: own,
                private_ip_addresses: held,
                attachment: Some(Attachment {
                    instance_id: Some(id.clone()),
                    device_index: Some(index),
                    network_card_index: Some(0),
                    ..Attachment::default()
                }),
                ..NetworkInterface::default()
            });
        }
        for daemon in ["aws-node", "kube-proxy"] {
            pods.push(pod(&format!("{daemon}-{at}"), &name, daemon, None));
        }
        for (count, address) in (0..wanted).zip(&addresses) {
            pods.push(pod(
                &format!("web-{at}-{count}"),
                &name,
                "web",
                Some(address),
            ));
        }
    }
    snapshot.taken_at = None;
    snapshot.cluster.name = Some("large".into());
    snapshot.kubernetes.nodes = Evidence::Present(all);
    snapshot.kubernetes.pods = Evidence::Present(pods);
    snapshot.kubernetes.daemonsets = Evidence::Present(vec![aws_node()]);
    snapshot.aws.network_interfaces = Evidence::Present(interfaces);
    snapshot.aws.subnet_cidr_reservations = Evidence::Present(Vec::new());
    snapshot.aws.subnets = Evidence::Present(
        next.iter()
            .enumerate()
            .map(|(at, used)| subnet(at, *used))
            .collect(),
    );
    snapshot.aws.auto_scaling_groups = Evidence::Present(
        (0..groups)
            .map(|group| AutoScalingGroup {
                auto_scaling_group_name: format!("asg-{group}"),
                max_size: 300,
                desired_capacity: 250,
                tags: vec![Tag {
                    key: "eks:nodegroup-name".to_owned(),
                    value: format!("group-{group:02}"),
                    ..Tag::default()
                }],
                ..AutoScalingGroup::default()
            })
            .collect(),
    );
    snapshot
}

fn first(subnet: usize) -> u32 {
    0x0a00_0000 + u32::try_from(subnet).expect("a small number") * (1 << 14)
}

/// The next address of a /18, now and then with a hole.
fn address(subnet: usize, next: &mut u32) -> String {
    *next += 1;
    Ipv4Addr::from(first(subnet) + 4 + *next + *next / 64 * 16).to_string()
}

fn subnet(at: usize, used: u32) -> Subnet {
    Subnet {
        subnet_id: format!("subnet-{at:04}"),
        vpc_id: "vpc-1".to_owned(),
        cidr_block: format!("{}/18", Ipv4Addr::from(first(at))),
        availability_zone: ZONES[at % ZONES.len()].to_owned(),
        available_ip_address_count: Some((1 << 14) - 5 - used),
        ..Subnet::default()
    }
}

fn node(name: &str, id: &str, group: usize, zone: usize, own: &str) -> Node {
    let mut node = Node::default();
    node.metadata.name = name.to_owned();
    node.metadata.labels = BTreeMap::from([
        (
            "node.kubernetes.io/instance-type".to_owned(),
            "m5.xlarge".to_owned(),
        ),
        (
            "topology.kubernetes.io/zone".to_owned(),
            ZONES[zone].to_owned(),
        ),
        (
            "eks.amazonaws.com/nodegroup".to_owned(),
            format!("group-{group:02}"),
        ),
        ("kubernetes.io/hostname".to_owned(), name.to_owned()),
    ]);
    node.spec.provider_id = Some(format!("aws:///{}/{id}", ZONES[zone]));
    node.status.capacity = BTreeMap::from([("pods".to_owned(), "58".to_owned())]);
    node.status.allocatable = BTreeMap::from([
        ("pods".to_owned(), "58".to_owned()),
        ("cpu".to_owned(), "3920m".to_owned()),
        ("memory".to_owned(), "15000000Ki".to_owned()),
    ]);
    node.status.conditions = vec![NodeCondition {
        kind: "Ready".to_owned(),
        status: "True".to_owned(),
        ..NodeCondition::default()
    }];
    // What finds a node's subnet, without a list of instances.
    node.status.addresses = vec![NodeAddress {
        kind: "InternalIP".to_owned(),
        address: own.to_owned(),
    }];
    node
}

fn pod(name: &str, node: &str, app: &str, address: Option<&String>) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.namespace = "default".to_owned();
    pod.metadata.name = name.to_owned();
    pod.metadata.labels = BTreeMap::from([("app".to_owned(), app.to_owned())]);
    let kind = if address.is_some() {
        "ReplicaSet"
    } else {
        "DaemonSet"
    };
    pod.metadata.owner_references = vec![OwnerReference {
        kind: kind.to_owned(),
        name: app.to_owned(),
        controller: true,
    }];
    pod.spec.node_name = node.to_owned();
    pod.spec.host_network = address.is_none();
    pod.spec.requested = Some(PodRequests {
        cpu_m: 50,
        memory: 64 << 20,
        branch: 0,
    });
    pod.status.phase = "Running".to_owned();
    pod.status.pod_ip = address.cloned().unwrap_or_default();
    pod
}

fn aws_node() -> DaemonSet {
    let mut set = DaemonSet {
        metadata: Meta {
            namespace: "kube-system".to_owned(),
            name: "aws-node".to_owned(),
            ..Meta::default()
        },
        ..DaemonSet::default()
    };
    set.spec.template.spec.containers = vec![Container {
        name: "aws-node".to_owned(),
        image: "x/amazon-k8s-cni:v1.20.1".to_owned(),
        env: vec![EnvVar {
            name: "WARM_ENI_TARGET".to_owned(),
            value: Some("1".to_owned()),
        }],
        ..Container::default()
    }];
    set
}
