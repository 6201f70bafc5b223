//! How a refusal reads: title, proof, and commands with the user's own ids.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::path::{Flow, GroupDenial, Side};
use eksnet_model::{Fact, Source, Text, Topology};

use super::packets::Packets;
use super::pairs::{Key, Refused, Server};

pub(super) struct Wording<'a, 'r> {
    refused: &'r Refused<'a>,
    client: &'r str,
    server_groups: &'r [&'a str],
    /// Node groups on which the refused CoreDNS pods run.
    homes: BTreeSet<Text>,
    /// Node groups on which any CoreDNS pod runs.
    all_homes: BTreeSet<Text>,
    /// Number of CoreDNS pods.
    servers: usize,
}

impl<'a, 'r> Wording<'a, 'r> {
    pub(super) fn new(
        topology: &Topology<'_>,
        servers: &[Server<'_>],
        key: &'r Key<'a>,
        refused: &'r Refused<'a>,
    ) -> Self {
        let home = |server: &Server<'_>| {
            let node = topology.node(&server.pod.spec.node_name)?;
            Some(topology.group_of(node))
        };
        Self {
            refused,
            client: &key.0,
            server_groups: &key.1,
            homes: refused
                .servers
                .iter()
                .filter_map(|at| home(&servers[*at]))
                .collect(),
            all_homes: servers.iter().filter_map(home).collect(),
            servers: servers.len(),
        }
    }

    /// Such as: Security group sg-0b5 of node group "c5" does not admit DNS from "t2".
    pub(super) fn title(&self, packets: &Packets) -> String {
        let homes = quoted(&self.homes);
        let client = self.client;
        if disproved(packets) {
            let groups = named(self.server_groups);
            return format!(
                "{groups} of {homes}: rules refuse DNS from \"{client}\", packets pass"
            );
        }
        if self.lacks(Side::Ingress) {
            let subject = named(self.server_groups);
            let verb = if self.server_groups.len() == 1 {
                "does"
            } else {
                "do"
            };
            let from = if !self.refused.pods {
                format!("the host network of \"{client}\"")
            } else if self.homes.iter().all(|home| *home == *client) {
                "its other nodes".to_owned()
            } else {
                format!("\"{client}\"")
            };
            format!(
                "{subject} of {homes} {verb} not admit {} from {from}",
                self.what()
            )
        } else {
            let groups: Vec<&str> = self.refused.clients.iter().flatten().copied().collect();
            let verb = if groups.len() == 1 { "does" } else { "do" };
            format!(
                "{} of node group \"{client}\" {verb} not let {} out to {homes}",
                named(&groups),
                self.what()
            )
        }
    }

    pub(super) fn detail(&self, packets: &Packets, reached: usize) -> String {
        let client = self.client;
        if disproved(packets) {
            return format!(
                "The rules as they were read refuse it, and yet probes from \"{client}\" are answered: \
                 the rules were changed since, or another rule is missing here. Nothing is broken by it now."
            );
        }
        if !self.refused.pods {
            return format!(
                "Pods of node group \"{client}\" with addresses of their own can ask CoreDNS. What runs on the nodes' network cannot: \
                 NodeLocal DNSCache, and host-network pods with dnsPolicy ClusterFirstWithHostNet."
            );
        }
        if !self.udp() {
            return format!(
                "UDP passes: what fails in node group \"{client}\" are answers too long for UDP, and a \
                 NodeLocal DNSCache, which asks over TCP."
            );
        }
        if reached == 0 {
            return format!(
                "CoreDNS runs only on {}; no pod of node group \"{client}\" can ask it. Names in the cluster fail there.",
                quoted(&self.all_homes)
            );
        }
        format!(
            "From node group \"{client}\", {reached} of {} CoreDNS pods can be asked. kube-proxy picks one for each \
             lookup by chance, so a part of the lookups waits for an answer that never comes.",
            self.servers
        )
    }

    /// One fact for each side that lacks a rule.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let mut by_side: BTreeMap<(Side, &[Text]), BTreeSet<Flow>> = BTreeMap::new();
        for GroupDenial { side, groups, flow } in &self.refused.denials {
            by_side.entry((*side, groups)).or_default().insert(*flow);
        }
        by_side
            .into_iter()
            .map(|((side, own), flows)| {
                let own = own.join("+");
                let flows: Vec<String> = flows.iter().map(Flow::to_string).collect();
                let peer = match side {
                    Side::Ingress => {
                        let sets: Vec<String> = self
                            .refused
                            .clients
                            .iter()
                            .map(|set| set.join("+"))
                            .collect();
                        let from = self
                            .refused
                            .from
                            .map_or(String::new(), |ip| format!(" ({ip})"));
                        format!("that admits {}{from}", sets.join(" or "))
                    }
                    Side::Egress => format!("to {}", self.server_groups.join("+")),
                };
                Fact::new(
                    Source::SecurityGroups,
                    own,
                    side.name(),
                    format!("no rule for {} {peer}", flows.join(" or ")),
                )
            })
            .collect()
    }

    pub(super) fn confirm(&self) -> Vec<Text> {
        let denials = &self.refused.denials;
        let groups: BTreeSet<&str> = denials
            .iter()
            .flat_map(|denial| denial.groups.iter().map(Text::as_str))
            .collect();
        let mut commands: Vec<Text> = groups
            .iter()
            .map(|id| {
                Text::from(format!(
                    "aws ec2 describe-security-group-rules --filters Name=group-id,Values={id} --output table"
                ))
            })
            .collect();
        if let Some(node) = self.refused.nodes.first() {
            commands.push(
                format!("kubectl eksnet doctor --only net/sg-node-dns --nodes {node}").into(),
            );
        }
        commands
    }

    /// One command for each pair of groups that lacks a rule.
    pub(super) fn fix(&self, packets: &Packets) -> Vec<Text> {
        if disproved(packets) {
            return vec![
                "Nothing while packets pass; read the rules again to see what changed".into(),
            ];
        }
        let mut wanted: BTreeMap<(Side, Text, &str), BTreeSet<Flow>> = BTreeMap::new();
        for denial in &self.refused.denials {
            let Some(own) = denial.groups.first() else {
                continue;
            };
            let peers: Vec<&str> = match denial.side {
                Side::Ingress => self
                    .refused
                    .clients
                    .iter()
                    .filter_map(|set| set.first().copied())
                    .collect(),
                Side::Egress => self.server_groups.first().copied().into_iter().collect(),
            };
            for peer in peers {
                wanted
                    .entry((denial.side, own.clone(), peer))
                    .or_default()
                    .insert(denial.flow);
            }
        }
        wanted
            .into_iter()
            .map(|((side, own, peer), flows)| {
                let permissions: Vec<String> = flows
                    .iter()
                    .map(|flow| {
                        let (protocol, port) = (flow.protocol.name(), flow.port);
                        format!("'IpProtocol={protocol},FromPort={port},ToPort={port},UserIdGroupPairs=[{{GroupId={peer}}}]'")
                    })
                    .collect();
                let side = side.name();
                format!("aws ec2 authorize-security-group-{side} --group-id {own} --ip-permissions {}", permissions.join(" ")).into()
            })
            .collect()
    }

    fn lacks(&self, side: Side) -> bool {
        self.refused
            .denials
            .iter()
            .any(|denial| denial.side == side)
    }

    fn udp(&self) -> bool {
        self.refused
            .denials
            .iter()
            .any(|denial| denial.flow.protocol == eksnet_model::path::Protocol::Udp)
    }

    /// `DNS`, or `DNS over TCP` where UDP passes.
    fn what(&self) -> &'static str {
        let tcp = self
            .refused
            .denials
            .iter()
            .any(|denial| denial.flow.protocol == eksnet_model::path::Protocol::Tcp);
        match (self.udp(), tcp) {
            (true, false) => "DNS over UDP",
            (false, _) => "DNS over TCP",
            (true, true) => "DNS",
        }
    }
}

/// Whether packets pass that the rules refuse.
fn disproved(packets: &Packets) -> bool {
    packets.passed > 0 && packets.blocked == 0
}

/// `node group "c5"`.
fn quoted(homes: &BTreeSet<Text>) -> String {
    let names: Vec<String> = homes.iter().map(|home| format!("\"{home}\"")).collect();
    match names.len() {
        0 => "nodes that are not known".to_owned(),
        1 => format!("node group {}", names[0]),
        _ => format!("node groups {}", names.join(" and ")),
    }
}

/// `Security group sg-1`, `Security groups sg-1 and sg-2`.
fn named(groups: &[&str]) -> String {
    let (first, rest) = match groups {
        [one] => return format!("Security group {one}"),
        [first, rest @ ..] => (first, rest),
        [] => return "No security group".to_owned(),
    };
    format!("Security groups {first} and {}", rest.join(" and "))
}
