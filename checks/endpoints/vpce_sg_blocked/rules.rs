//! What security groups say of nodes and interface endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use eksnet_model::path::{End, Flow, Passage, SecurityGroups, Side, Uplink, uplinks};
use eksnet_model::{CniSettings, Cx, Stop};

/// Security groups and subnet of a sender.
type Alike<'a> = (Vec<&'a str>, &'a str);

/// An endpoint that some senders cannot reach.
pub(super) struct Blocked<'a> {
    pub id: &'a str,
    pub service: String,
    pub side: Side,
    /// Groups that lack the rule.
    pub groups: Vec<String>,
    /// Groups of the senders.
    pub sources: Vec<String>,
    pub nodes: BTreeSet<&'a str>,
}

/// The verdict over all endpoints.
#[derive(Default)]
pub(super) struct Rules<'a> {
    pub blocked: Vec<Blocked<'a>>,
    /// Services that every sender is admitted to.
    pub admitted: BTreeSet<String>,
    /// Whether the VPC has no interface endpoint.
    pub none: bool,
    pub missing: Option<String>,
}

impl<'a> Rules<'a> {
    pub(super) fn of(cx: &'a Cx<'_>) -> Result<Self, Stop> {
        let nodes = cx.nodes().some();
        let _ = cx.instances().some();
        let interfaces = cx.network_interfaces().some();
        let groups = cx.security_groups().some();
        let endpoints = cx.vpc_endpoints().some();
        let custom = cx
            .daemonsets()
            .optional()
            .and_then(|all| CniSettings::of(all))
            .is_some_and(|cni| cni.custom_networking);
        let lists = cx.prefix_lists().optional().map_or(&[][..], Vec::as_slice);
        let endpoints = endpoints?;
        let mut found = Self::default();
        let interface_endpoints: Vec<_> = endpoints
            .iter()
            .filter(|one| !one.is_gateway() && one.is_available())
            .collect();
        found.none = interface_endpoints.is_empty();
        if found.none {
            return Ok(found);
        }
        let (nodes, interfaces) = (nodes?, interfaces?);
        let groups = SecurityGroups::new(groups?, lists);
        let topology = cx.topology();
        // Senders with the same groups and subnet are judged once.
        let mut senders: BTreeMap<Alike<'_>, (Uplink<'_>, BTreeSet<&str>)> = BTreeMap::new();
        for node in nodes {
            for way in uplinks(topology, node, custom) {
                let key = (way.groups.clone(), way.subnet);
                let entry = senders.entry(key).or_insert((way, BTreeSet::new()));
                entry.1.insert(&node.metadata.name);
            }
        }
        if senders.is_empty() {
            found.missing = Some("the interfaces of the nodes".to_owned());
        }
        for endpoint in interface_endpoints {
            let service = endpoint
                .service_name
                .rsplit("amazonaws.")
                .next()
                .unwrap_or_default();
            let service = service
                .split_once('.')
                .map_or(service, |(_, name)| name)
                .to_owned();
            let own: Vec<&str> = endpoint
                .groups
                .iter()
                .map(|group| group.group_id.as_str())
                .collect();
            let addresses: Vec<IpAddr> = interfaces
                .iter()
                .filter(|one| {
                    endpoint
                        .network_interface_ids
                        .contains(&one.network_interface_id)
                })
                .filter_map(|one| one.private_ip_address.parse().ok())
                .collect();
            if addresses.is_empty() || own.is_empty() {
                found.missing = Some(format!("the interfaces of {}", endpoint.vpc_endpoint_id));
                continue;
            }
            let mut blocked: Option<Blocked<'a>> = None;
            let mut open = true;
            for (way, names) in senders.values() {
                for address in &addresses {
                    let server = End {
                        groups: &own,
                        address: *address,
                    };
                    match groups.passage(Flow::tcp(443), way.end(), server) {
                        Passage::Allowed(_) => {}
                        Passage::Undecided(missing) => {
                            open = false;
                            found.missing = missing.first().map(ToString::to_string);
                        }
                        Passage::Denied(denials) => {
                            open = false;
                            let Some(denial) = denials.into_iter().next() else {
                                continue;
                            };
                            let one = blocked.get_or_insert_with(|| Blocked {
                                id: &endpoint.vpc_endpoint_id,
                                service: service.clone(),
                                side: denial.side,
                                groups: denial.groups.iter().map(ToString::to_string).collect(),
                                sources: Vec::new(),
                                nodes: BTreeSet::new(),
                            });
                            for group in &way.groups {
                                if !one.sources.iter().any(|known| known == group) {
                                    one.sources.push((*group).to_owned());
                                }
                            }
                            one.nodes.extend(names.iter().copied());
                        }
                    }
                }
            }
            if open && !senders.is_empty() {
                found.admitted.insert(service);
            }
            found.blocked.extend(blocked);
        }
        Ok(found)
    }
}
