//! Which nodes may ask which CoreDNS pods, by the rules of their security groups.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::kubernetes::{Node, Pod};
use eksnet_model::path::{
    Flow, GroupDenial, Missing, Passage, SecurityGroups, Side, Uplink, dns_flows, uplink_of_pod,
    uplinks,
};
use eksnet_model::{ClusterDns, Text, Topology};

/// A CoreDNS pod and the way in to it.
pub(super) struct Server<'a> {
    pub pod: &'a Pod,
    pub way: Uplink<'a>,
    /// What it listens on.
    pub flows: [Flow; 2],
}

/// A node that asks, and its ways out.
pub(super) struct Client<'a> {
    pub node: &'a Node,
    pub ways: Vec<Uplink<'a>>,
}

/// What is refused between the nodes of one group and the CoreDNS pods behind one set of security
/// groups.
#[derive(Default)]
pub(super) struct Refused<'a> {
    /// Names of the nodes.
    pub nodes: BTreeSet<&'a str>,
    /// Sets of security groups that the nodes send with.
    pub clients: BTreeSet<Vec<&'a str>>,
    /// Pods, by their index among the servers.
    pub servers: BTreeSet<usize>,
    /// What is not admitted, on which side, by which groups.
    pub denials: BTreeSet<GroupDenial>,
    /// An address of a client.
    pub from: Option<std::net::IpAddr>,
    /// Pods of the nodes are refused, not only what runs on the nodes' own network.
    pub pods: bool,
}

/// Node group and set of the server's security groups.
pub(super) type Key<'a> = (Text, Vec<&'a str>);

/// What came of all pairs.
#[derive(Default)]
pub(super) struct Judged<'a> {
    pub refused: BTreeMap<Key<'a>, Refused<'a>>,
    /// Per node, the CoreDNS pods that its pods may ask over every protocol.
    pub reachable: BTreeMap<&'a str, BTreeSet<usize>>,
    pub missing: BTreeSet<Missing>,
}

impl Judged<'_> {
    /// Number of CoreDNS pods that the worst-off of these nodes may ask.
    pub(super) fn reached_by(&self, nodes: &BTreeSet<&str>) -> usize {
        let of = |node: &&str| self.reachable.get(node).map_or(0, BTreeSet::len);
        nodes.iter().map(of).min().unwrap_or(0)
    }
}

/// CoreDNS pods with an address. The second list holds those whose interface is not known.
pub(super) fn servers<'a>(
    topology: &Topology<'a>,
    dns: &ClusterDns<'a>,
    custom_networking: bool,
) -> (Vec<Server<'a>>, Vec<&'a Pod>) {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for pod in dns.pods.iter().copied() {
        if pod.ips().next().is_none() {
            continue;
        }
        match uplink_of_pod(topology, pod, custom_networking) {
            Some(way) => found.push(Server {
                pod,
                way,
                flows: dns_flows(dns.service, pod),
            }),
            None => unknown.push(pod),
        }
    }
    (found, unknown)
}

/// Nodes whose pods ask CoreDNS pods. Nodes of EKS Auto Mode answer by themselves and hybrid nodes
/// have no security groups. The second list holds those whose interfaces are not known.
pub(super) fn clients<'a>(
    topology: &Topology<'a>,
    custom_networking: bool,
) -> (Vec<Client<'a>>, Vec<&'a Node>) {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for node in topology.nodes() {
        if matches!(node.compute_type(), Some("auto" | "hybrid"))
            || node.metadata.deletion_timestamp.is_some()
        {
            continue;
        }
        let ways = uplinks(topology, node, custom_networking);
        if ways.is_empty() {
            unknown.push(node);
        } else {
            found.push(Client { node, ways });
        }
    }
    (found, unknown)
}

/// Judges every client against every server. Traffic within a node does not meet security groups,
/// unless the pod has a branch interface of its own.
pub(super) fn judge<'a>(
    topology: &Topology<'a>,
    rules: &SecurityGroups<'_>,
    clients: &[Client<'a>],
    servers: &[Server<'a>],
) -> Judged<'a> {
    let mut judged = Judged::default();
    let mut sides = Sides {
        rules,
        known: BTreeMap::new(),
    };
    for client in clients {
        let group = topology.group_of(client.node);
        let mut reachable = BTreeSet::new();
        for (at, server) in servers.iter().enumerate() {
            if client.node.metadata.name == server.pod.spec.node_name
                && !on_branch(topology, server)
            {
                reachable.insert(at);
                continue;
            }
            for way in &client.ways {
                let mut admitted = 0;
                for flow in &server.flows {
                    match sides.passage(*flow, way, &server.way) {
                        Passage::Allowed(_) => admitted += 1,
                        Passage::Undecided(missing) => judged.missing.extend(missing),
                        Passage::Denied(denials) => {
                            let key = (group.clone(), server.way.groups.clone());
                            let refused = judged.refused.entry(key).or_default();
                            refused.nodes.insert(&client.node.metadata.name);
                            refused.clients.insert(way.groups.clone());
                            refused.servers.insert(at);
                            refused.denials.extend(denials);
                            refused.from.get_or_insert(way.address);
                            refused.pods |= way.pods;
                        }
                    }
                }
                if admitted == server.flows.len() && way.pods {
                    reachable.insert(at);
                }
            }
        }
        judged
            .reachable
            .insert(&client.node.metadata.name, reachable);
    }
    judged
}

fn on_branch(topology: &Topology<'_>, server: &Server<'_>) -> bool {
    topology
        .interface_by_ip(server.way.address)
        .is_some_and(|interface| interface.interface_type == "branch")
}

/// What one side's rules depend on: its family and groups, the other side's groups and address, and the
/// flow.
type Question<'a> = (
    Side,
    Flow,
    bool,
    Vec<&'a str>,
    Vec<&'a str>,
    std::net::IpAddr,
);

/// Nodes of a group ask alike, so each side is judged once.
struct Sides<'a, 'r> {
    rules: &'r SecurityGroups<'r>,
    known: BTreeMap<Question<'a>, Passage<GroupDenial>>,
}

impl<'a> Sides<'a, '_> {
    fn passage(
        &mut self,
        flow: Flow,
        client: &Uplink<'a>,
        server: &Uplink<'a>,
    ) -> Passage<GroupDenial> {
        self.side(Side::Egress, flow, client, server).and(self.side(
            Side::Ingress,
            flow,
            server,
            client,
        ))
    }

    fn side(
        &mut self,
        side: Side,
        flow: Flow,
        own: &Uplink<'a>,
        peer: &Uplink<'a>,
    ) -> Passage<GroupDenial> {
        let question = (
            side,
            flow,
            own.address.is_ipv4(),
            own.groups.clone(),
            peer.groups.clone(),
            peer.address,
        );
        self.known
            .entry(question)
            .or_insert_with(|| self.rules.side(flow, side, own.end(), peer.end()))
            .clone()
    }
}
