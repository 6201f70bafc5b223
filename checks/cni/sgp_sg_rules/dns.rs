//! Whether the security groups of pods and of CoreDNS admit look-ups.

use eksnet_model::kubernetes::Pod;
use eksnet_model::path::{End, Flow, Passage, SecurityGroups, Side, dns_flows, uplink_of_pod};
use eksnet_model::{ClusterDns, Cx, Stop};

/// A pod that may not ask CoreDNS.
pub(super) struct Blocked<'a> {
    pub pod: &'a Pod,
    pub side: Side,
    pub flows: Vec<Flow>,
    /// Groups that lack the rule.
    pub groups: Vec<String>,
    /// Groups of the other end.
    pub peers: Vec<String>,
}

impl Blocked<'_> {
    /// `to` or `from`, as the rule that is missing reads.
    pub(super) fn way(&self) -> &'static str {
        match self.side {
            Side::Egress => "out to",
            Side::Ingress => "in from",
        }
    }
}

/// The verdict over all pods that have security groups of their own.
#[derive(Default)]
pub(super) struct Rules<'a> {
    pub blocked: Vec<Blocked<'a>>,
    pub missing: Option<String>,
}

impl<'a> Rules<'a> {
    pub(super) fn of(cx: &Cx<'_>, pods: &[&'a Pod]) -> Result<Self, Stop> {
        let interfaces = cx.network_interfaces().some();
        let groups = cx.security_groups().some();
        let lists = cx.prefix_lists().optional().map_or(&[][..], Vec::as_slice);
        let _ = cx.services().optional();
        let _ = interfaces?;
        let groups = SecurityGroups::new(groups?, lists);
        let topology = cx.topology();
        let dns = ClusterDns::of(topology);
        let mut found = Self::default();
        if dns.pods.is_empty() && !pods.is_empty() {
            found.missing = Some("the pods of CoreDNS".to_owned());
        }
        for pod in pods {
            let Some(client) = uplink_of_pod(topology, pod, false) else {
                found.missing = Some(format!("the interface of pod {}", pod.key()));
                continue;
            };
            let mut blocked: Option<Blocked<'a>> = None;
            for server in &dns.pods {
                let Some(way) = uplink_of_pod(topology, server, false) else {
                    found.missing = Some(format!("the interface of pod {}", server.key()));
                    continue;
                };
                for flow in dns_flows(dns.service, server) {
                    let own = End {
                        groups: &client.groups,
                        address: client.address,
                    };
                    let theirs = End {
                        groups: &way.groups,
                        address: way.address,
                    };
                    match groups.passage(flow, own, theirs) {
                        Passage::Allowed(_) => {}
                        Passage::Undecided(missing) => {
                            found.missing = missing.first().map(ToString::to_string)
                        }
                        Passage::Denied(denials) => {
                            let Some(denial) = denials.into_iter().next() else {
                                continue;
                            };
                            let peers = match denial.side {
                                Side::Egress => &way.groups,
                                Side::Ingress => &client.groups,
                            };
                            let one = blocked.get_or_insert_with(|| Blocked {
                                pod,
                                side: denial.side,
                                flows: Vec::new(),
                                groups: denial.groups.iter().map(ToString::to_string).collect(),
                                peers: peers.iter().map(|id| (*id).to_owned()).collect(),
                            });
                            if !one.flows.contains(&flow) {
                                one.flows.push(flow);
                            }
                        }
                    }
                }
            }
            found.blocked.extend(blocked);
        }
        Ok(found)
    }
}
