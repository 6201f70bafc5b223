//! What security groups say of nodes and the control plane's interfaces.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::aws::NetworkInterface;
use eksnet_model::path::{End, Flow, GroupDenial, Passage, SecurityGroups, Side, Uplink, uplinks};
use eksnet_model::{Cx, Stop};

/// A way between nodes and the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// From nodes to the API server.
    Api,
    /// From the API server to kubelets.
    Kubelet,
}

impl Way {
    pub(super) fn port(self) -> u16 {
        match self {
            Self::Api => 443,
            Self::Kubelet => 10250,
        }
    }
}

/// A way that is closed for some nodes.
pub(super) struct Closed<'a> {
    pub way: Way,
    pub side: Side,
    /// Groups that lack the rule.
    pub groups: Vec<String>,
    /// Groups of the other end.
    pub peers: Vec<String>,
    pub nodes: BTreeSet<&'a str>,
}

/// The verdict.
#[derive(Default)]
pub(super) struct Rules<'a> {
    pub closed: Vec<Closed<'a>>,
    /// Ways that are open to every node.
    pub open: BTreeSet<Way>,
    pub missing: Option<String>,
}

impl<'a> Rules<'a> {
    pub(super) fn of(cx: &'a Cx<'_>) -> Result<Self, Stop> {
        let cluster = cx.eks_cluster().some();
        let nodes = cx.nodes().some();
        let _ = cx.instances().some();
        let interfaces = cx.network_interfaces().some();
        let groups = cx.security_groups().some();
        let lists = cx.prefix_lists().optional().map_or(&[][..], Vec::as_slice);
        let private = cluster?.resources_vpc_config.endpoint_private_access;
        let nodes = nodes?;
        let callers: Vec<&NetworkInterface> = interfaces?
            .iter()
            .filter(|one| one.description.starts_with("Amazon EKS "))
            .collect();
        let groups = SecurityGroups::new(groups?, lists);
        let mut senders: BTreeMap<Vec<&str>, (Uplink<'_>, BTreeSet<&str>)> = BTreeMap::new();
        for node in nodes
            .iter()
            .filter(|node| node.compute_type() != Some("hybrid"))
        {
            for way in uplinks(cx.topology(), node, false)
                .into_iter()
                .filter(|way| way.host)
            {
                let entry = senders
                    .entry(way.groups.clone())
                    .or_insert((way, BTreeSet::new()));
                entry.1.insert(&node.metadata.name);
            }
        }
        let mut found = Self::default();
        if callers.is_empty() {
            found.missing = Some("the control plane's interfaces".to_owned());
        }
        if senders.is_empty() {
            found.missing = Some("the interfaces of the nodes".to_owned());
        }
        // Without the private endpoint nodes call the public address.
        let ways = if private {
            &[Way::Api, Way::Kubelet][..]
        } else {
            &[Way::Kubelet]
        };
        for way in ways {
            found.judge(*way, &groups, &callers, &senders);
        }
        Ok(found)
    }

    fn judge(
        &mut self,
        way: Way,
        groups: &SecurityGroups<'_>,
        callers: &[&NetworkInterface],
        senders: &BTreeMap<Vec<&'a str>, (Uplink<'a>, BTreeSet<&'a str>)>,
    ) {
        let mut open = !callers.is_empty() && !senders.is_empty();
        let mut closed: BTreeMap<(Side, Vec<String>), Closed<'a>> = BTreeMap::new();
        for (uplink, names) in senders.values() {
            for caller in callers {
                let Ok(address) = caller.private_ip_address.parse() else {
                    continue;
                };
                let own: Vec<&str> = caller
                    .groups
                    .iter()
                    .map(|group| group.group_id.as_str())
                    .collect();
                let plane = End {
                    groups: &own,
                    address,
                };
                let (client, server) = match way {
                    Way::Api => (uplink.end(), plane),
                    Way::Kubelet => (plane, uplink.end()),
                };
                match groups.passage(Flow::tcp(way.port()), client, server) {
                    Passage::Allowed(_) => {}
                    Passage::Undecided(missing) => {
                        open = false;
                        self.missing = missing.first().map(ToString::to_string);
                    }
                    Passage::Denied(denials) => {
                        open = false;
                        for denial in denials.into_iter().take(1) {
                            let peers = match (way, denial.side) {
                                (Way::Api, Side::Ingress) | (Way::Kubelet, Side::Egress) => {
                                    &uplink.groups
                                }
                                _ => &own,
                            };
                            add(&mut closed, way, &denial, peers, names);
                        }
                    }
                }
            }
        }
        if open {
            self.open.insert(way);
        }
        self.closed.extend(closed.into_values());
    }
}

fn add<'a>(
    closed: &mut BTreeMap<(Side, Vec<String>), Closed<'a>>,
    way: Way,
    denial: &GroupDenial,
    peers: &[&str],
    nodes: &BTreeSet<&'a str>,
) {
    let groups: Vec<String> = denial.groups.iter().map(ToString::to_string).collect();
    let one = closed
        .entry((denial.side, groups.clone()))
        .or_insert_with(|| Closed {
            way,
            side: denial.side,
            groups,
            peers: peers.iter().map(|group| (*group).to_owned()).collect(),
            nodes: BTreeSet::new(),
        });
    one.nodes.extend(nodes.iter().copied());
}
