//! Which packets cross the borders of which subnets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use eksnet_model::aws::NetworkInterface;
use eksnet_model::path::{
    AclDenial, AclEnd, EPHEMERAL, Flow, Leg, Missing, NetworkAcls, Passage, Side, dns_flows,
    uplinks,
};
use eksnet_model::{ClusterDns, ProbeRun, Topology};
use eksnet_probe::TcpState;
use ipnet::IpNet;

/// The kernel's `ip_local_port_range` unless set otherwise.
const LINUX_PORTS: RangeInclusive<u16> = 32768..=60999;

/// A hardened ACL denies single ports such as 3389, and with them an answer now and then: below one
/// in this many ports of the range nobody will notice.
const FEW: u32 = 100;

/// What a cut flow is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// Pods ask CoreDNS.
    Dns,
    /// Nodes and pods call the API server, AWS or others.
    Https,
    /// The API server calls kubelets.
    Kubelet,
}

/// Where a flow ends, outside the VPC without a subnet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target<'a> {
    pub purpose: Purpose,
    pub flow: Flow,
    pub subnet: Option<&'a str>,
    pub address: IpAddr,
    /// Name of the CoreDNS pod's node; traffic within it crosses no border.
    pub node: &'a str,
}

/// An address of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sender<'a> {
    pub node: &'a str,
    pub subnet: &'a str,
    pub address: IpAddr,
    /// Whether it is the node's own: where its kubelet listens.
    pub host: bool,
}

/// What an ACL drops, and which nodes suffer.
#[derive(Default)]
pub(super) struct Cut<'a> {
    pub nodes: BTreeSet<&'a str>,
    /// Subnets whose nodes suffer.
    pub subnets: BTreeSet<&'a str>,
    /// CoreDNS pods that are cut off, by address.
    pub servers: BTreeSet<IpAddr>,
    pub drops: BTreeSet<Drop<'a>>,
}

/// One reason for one purpose.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Drop<'a> {
    pub purpose: Purpose,
    pub leg: Leg,
    pub side: Side,
    pub flow: Flow,
    pub entry: Option<u32>,
    pub ports: (u16, u16),
    pub port: u16,
    /// Whether the ports that Linux sends from by itself are hit: not only those of Windows, NAT and
    /// randomised translation.
    pub common: bool,
    /// Subnet at whose border it happens.
    pub border: String,
    /// Subnet beyond the border; none outside the VPC.
    pub beyond: Option<&'a str>,
    /// An address beyond the border.
    pub peer: IpAddr,
}

#[derive(Default)]
pub(super) struct Judged<'a> {
    /// By id of the ACL.
    pub cuts: BTreeMap<String, Cut<'a>>,
    pub missing: BTreeSet<Missing>,
}

/// Where each node's packets leave.
pub(super) fn senders<'a>(topology: &Topology<'a>, custom_networking: bool) -> Vec<Sender<'a>> {
    let mut found = Vec::new();
    for node in topology.nodes() {
        if node.compute_type() == Some("hybrid") || node.metadata.deletion_timestamp.is_some() {
            continue;
        }
        for way in uplinks(topology, node, custom_networking) {
            found.push(Sender {
                node: &node.metadata.name,
                subnet: way.subnet,
                address: way.address,
                host: way.host,
            });
        }
    }
    found.retain(|sender| !sender.subnet.is_empty());
    found.sort();
    found.dedup();
    found
}

/// What pods and nodes must reach: CoreDNS, the control plane's interfaces, interface endpoints, and
/// addresses that a probe could not connect to.
pub(super) fn targets<'a>(
    topology: &Topology<'a>,
    interfaces: &'a [NetworkInterface],
    dns: &ClusterDns<'a>,
    probes: Option<&ProbeRun>,
) -> BTreeSet<Target<'a>> {
    let mut found = BTreeSet::new();
    for pod in &dns.pods {
        let Some(address) = pod.ips().next().and_then(|ip| ip.parse().ok()) else {
            continue;
        };
        let subnet = topology.subnet_by_ip(address).map(|s| s.subnet_id.as_str());
        for flow in dns_flows(dns.service, pod) {
            found.insert(Target {
                purpose: Purpose::Dns,
                flow,
                subnet,
                address,
                node: &pod.spec.node_name,
            });
        }
    }
    for interface in interfaces
        .iter()
        .filter(|one| is_control_plane(one) || one.interface_type == "vpc_endpoint")
    {
        let Ok(address) = interface.private_ip_address.parse() else {
            continue;
        };
        found.insert(Target {
            purpose: Purpose::Https,
            flow: Flow::tcp(443),
            subnet: Some(&interface.subnet_id),
            address,
            node: "",
        });
    }
    let dead = probes
        .into_iter()
        .flat_map(|run| &run.pods)
        .flat_map(|pod| pod.tcp())
        .filter(|(_, port, _)| *port == 443)
        .flat_map(|(_, _, tcp)| &tcp.tries)
        .filter(|each| each.state == TcpState::Timeout)
        .map(|each| each.address);
    for address in dead {
        let subnet = topology.subnet_by_ip(address).map(|s| s.subnet_id.as_str());
        found.insert(Target {
            purpose: Purpose::Https,
            flow: Flow::tcp(443),
            subnet,
            address,
            node: "",
        });
    }
    found
}

/// The interfaces through which the API server calls into the VPC. Source: EKS user guide, "View
/// Amazon EKS networking requirements": their description is `Amazon EKS CLUSTER`.
pub(super) fn is_control_plane(interface: &NetworkInterface) -> bool {
    interface.description.starts_with("Amazon EKS ")
}

/// Judges all that must pass.
pub(super) fn judge<'a>(
    topology: &Topology<'a>,
    acls: &NetworkAcls<'_>,
    senders: &[Sender<'a>],
    targets: &BTreeSet<Target<'a>>,
    interfaces: &'a [NetworkInterface],
) -> Judged<'a> {
    let mut judged = Judged::default();
    let mut free = BTreeSet::new();
    for target in targets {
        for sender in senders.iter().filter(|sender| sender.node != target.node) {
            // The border of a whole subnet is judged once: single nodes only where it is not free.
            let border = (sender.subnet, *target);
            if free.contains(&border) {
                continue;
            }
            let whole = topology
                .subnet(sender.subnet)
                .and_then(|subnet| subnet.cidr_block.parse::<IpNet>().ok());
            let free_border = whole.is_some_and(|block| {
                passage(acls, sender.subnet, block, target, EPHEMERAL).is_allowed()
            });
            if free_border {
                free.insert(border);
            } else {
                judged.judge(acls, target, (sender.subnet, sender.address), sender);
            }
        }
    }
    for caller in interfaces.iter().filter(|one| is_control_plane(one)) {
        let Ok(address) = caller.private_ip_address.parse() else {
            continue;
        };
        for node in senders.iter().filter(|sender| sender.host) {
            let target = Target {
                purpose: Purpose::Kubelet,
                flow: Flow::tcp(10250),
                subnet: Some(node.subnet),
                address: node.address,
                node: "",
            };
            judged.judge(acls, &target, (&caller.subnet_id, address), node);
        }
    }
    judged
}

fn passage(
    acls: &NetworkAcls<'_>,
    subnet: &str,
    block: IpNet,
    target: &Target<'_>,
    answers: RangeInclusive<u16>,
) -> Passage<AclDenial> {
    let client = AclEnd { subnet, block };
    match target.subnet {
        Some(subnet) => {
            let server = AclEnd {
                subnet,
                block: target.address.into(),
            };
            acls.passage(target.flow, client, server, answers)
        }
        None => acls.passage_out(target.flow, client, target.address.into(), answers),
    }
}

impl<'a> Judged<'a> {
    /// Judges one flow from an address; `sufferer` is the node that needs it.
    fn judge(
        &mut self,
        acls: &NetworkAcls<'_>,
        target: &Target<'a>,
        (from, address): (&'a str, IpAddr),
        sufferer: &Sender<'a>,
    ) {
        let ask = |answers| passage(acls, from, address.into(), target, answers);
        let denials = match ask(EPHEMERAL) {
            Passage::Allowed(_) => return,
            Passage::Undecided(missing) => return self.missing.extend(missing),
            Passage::Denied(denials) => denials,
        };
        let common = match ask(LINUX_PORTS) {
            Passage::Denied(denials) => denials,
            _ => Vec::new(),
        };
        for denial in denials {
            let all = u32::from(denial.ports.1 - denial.ports.0) + 1;
            if denial.leg == Leg::Return && denial.count * FEW < all {
                continue;
            }
            let cut = self.cuts.entry(denial.acl.to_string()).or_default();
            cut.nodes.insert(sufferer.node);
            cut.subnets.insert(sufferer.subnet);
            if target.purpose == Purpose::Dns {
                cut.servers.insert(target.address);
            }
            let (beyond, peer) = if *denial.subnet == *from {
                (target.subnet, target.address)
            } else {
                (Some(from), address)
            };
            let drop = Drop {
                purpose: target.purpose,
                leg: denial.leg,
                side: denial.side,
                flow: target.flow,
                entry: denial.entry,
                ports: denial.ports,
                port: denial.port,
                common: common
                    .iter()
                    .any(|one| (one.leg, one.side) == (denial.leg, denial.side)),
                border: denial.subnet.to_string(),
                beyond,
                peer,
            };
            if !cut.drops.iter().any(|other| other.is_like(&drop)) {
                cut.drops.insert(drop);
            }
        }
    }
}

impl Drop<'_> {
    /// Whether both are mended by the same entry.
    fn is_like(&self, other: &Self) -> bool {
        self.purpose == other.purpose
            && (self.flow, self.leg, self.side, self.entry)
                == (other.flow, other.leg, other.side, other.entry)
            && self.border == other.border
            && self.beyond == other.beyond
    }
}
