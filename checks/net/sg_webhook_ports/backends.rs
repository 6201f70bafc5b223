//! Whether security groups admit the control plane's interfaces to the pods behind a Service.

use std::net::IpAddr;

use eksnet_model::aws::NetworkInterface;
use eksnet_model::kubernetes::{EndpointSlice, Service};
use eksnet_model::path::{End, Flow, GroupDenial, Passage, SecurityGroups, Side};
use eksnet_model::{Cx, Stop, Topology};

use super::called::Callee;

/// What the rules say of one callee.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Judged {
    Allowed,
    Denied(Denied),
    /// No ready pod is behind it.
    NoBackend,
    /// Interfaces or rules are not known.
    Unknown,
}

/// What stops the call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Denied {
    pub side: Side,
    pub port: u16,
    /// Groups that lack the rule.
    pub groups: Vec<String>,
    /// Groups of the control plane's interface.
    pub caller: Vec<String>,
    /// Groups of the pod's interface.
    pub server: Vec<String>,
    /// The end beyond, for a reader.
    pub peer: String,
}

/// Everything that it takes.
pub(super) struct Judge<'a> {
    topology: &'a Topology<'a>,
    services: &'a [Service],
    slices: &'a [EndpointSlice],
    callers: Vec<&'a NetworkInterface>,
    groups: SecurityGroups<'a>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(cx: &'a Cx<'_>) -> Result<Self, Stop> {
        let services = cx.services().some();
        let slices = cx.endpoint_slices().some();
        let interfaces = cx.network_interfaces().some();
        let groups = cx.security_groups().some();
        let lists = cx.prefix_lists().optional().map_or(&[][..], Vec::as_slice);
        Ok(Self {
            topology: cx.topology(),
            services: services?,
            slices: slices?,
            callers: interfaces?
                .iter()
                .filter(|one| one.description.starts_with("Amazon EKS "))
                .collect(),
            groups: SecurityGroups::new(groups?, lists),
        })
    }

    pub(super) fn judge(&self, callee: &Callee) -> Judged {
        let mut unknown = self.callers.is_empty();
        let mut any = false;
        for (address, port) in self.backends(callee) {
            any = true;
            let Some(server) = self.topology.interface_by_ip(address) else {
                unknown = true;
                continue;
            };
            for caller in &self.callers {
                let Ok(from) = caller.private_ip_address.parse() else {
                    continue;
                };
                let (own, theirs) = (ids(caller), ids(server));
                let passage = self.groups.passage(
                    Flow::tcp(port),
                    End {
                        groups: &own,
                        address: from,
                    },
                    End {
                        groups: &theirs,
                        address,
                    },
                );
                match passage {
                    Passage::Allowed(_) => {}
                    Passage::Undecided(_) => unknown = true,
                    Passage::Denied(denials) => {
                        if let Some(denial) = denials.first() {
                            return Judged::Denied(denied(denial, port, &own, &theirs));
                        }
                    }
                }
            }
        }
        match (any, unknown) {
            (false, _) => Judged::NoBackend,
            (true, true) => Judged::Unknown,
            (true, false) => Judged::Allowed,
        }
    }

    /// Addresses and ports of the pods behind the Service's port.
    fn backends(&self, callee: &Callee) -> Vec<(IpAddr, u16)> {
        let wanted = &callee.service;
        let number = wanted.port.unwrap_or(443);
        let name = self
            .services
            .iter()
            .find(|one| {
                one.metadata.namespace == wanted.namespace && one.metadata.name == wanted.name
            })
            .and_then(|service| service.spec.ports.iter().find(|port| port.port == number))
            .map(|port| port.name.as_str());
        let mut found = Vec::new();
        for slice in self.slices.iter().filter(|slice| {
            slice.metadata.namespace == wanted.namespace
                && slice.service() == Some(wanted.name.as_str())
        }) {
            let port = slice
                .ports
                .iter()
                .find(|port| name.is_none_or(|name| port.name == name))
                .and_then(|port| port.port);
            let Some(port) = port else { continue };
            for endpoint in slice.endpoints.iter().filter(|one| one.is_ready()) {
                let addresses = endpoint.addresses.iter();
                found.extend(
                    addresses
                        .filter_map(|address| address.parse().ok())
                        .map(|address| (address, port)),
                );
            }
        }
        found
    }
}

fn ids(interface: &NetworkInterface) -> Vec<&str> {
    let groups = interface.groups.iter();
    groups.map(|group| group.group_id.as_str()).collect()
}

fn denied(denial: &GroupDenial, port: u16, own: &[&str], theirs: &[&str]) -> Denied {
    let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let peer = match denial.side {
        Side::Ingress => own,
        Side::Egress => theirs,
    };
    Denied {
        side: denial.side,
        port,
        groups: denial.groups.iter().map(ToString::to_string).collect(),
        caller: owned(own),
        server: owned(theirs),
        peer: peer.join(", "),
    }
}
