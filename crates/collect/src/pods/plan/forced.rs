//! Queries that CoreDNS has to ask its upstream for, because no cache can hold the answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use eksnet_model::dns::MADE_UP;
use eksnet_probe::{ProbeKind, ProbeSpec, QueryType, Transport};

use super::Targets;

/// Names that each CoreDNS pod is asked for, each once.
const NAMES: usize = 5;
/// Most of these queries through the CoreDNS pods of one node, in a run. Runs and rounds of a run are more
/// than a second apart, so that no second sees more: an interface passes 1024 packets a second to the VPC's
/// resolver and drops what is above, of everybody
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html>, read November 2026).
pub(super) const MOST_PER_NODE: usize = 100;

impl Targets {
    /// What each standpoint asks, by its place in `stands`. Every pod is asked by one of them alone: by the
    /// one on its own node, so that nothing but its upstream lies between, else by any.
    pub(crate) fn forced(&self, stands: &[&str]) -> Vec<Vec<ProbeKind>> {
        let mut plans = vec![Vec::new(); stands.len()];
        let Some(region) = self.region().filter(|_| !stands.is_empty()) else {
            return plans;
        };
        let mut through: BTreeMap<&str, usize> = BTreeMap::new();
        for (number, pod) in self.dns_pods.iter().enumerate() {
            let node = self.dns_nodes.get(pod).map_or("", String::as_str);
            let sent = through.entry(node).or_default();
            if *sent + NAMES > MOST_PER_NODE {
                continue;
            }
            *sent += NAMES;
            let own = stands.iter().position(|stand| *stand == node);
            let at = own.unwrap_or(number % stands.len());
            plans[at].extend((0..NAMES).map(|name| ProbeKind::Dns {
                server: SocketAddr::new(*pod, 53),
                transport: Transport::Udp,
                name: format!(
                    "{MADE_UP}{}-{number}-{name}.{region}.amazonaws.com.",
                    self.salt
                ),
                query: QueryType::A,
                tries: 1,
                gap_ms: 0,
                timeout_ms: 2000,
            }));
        }
        plans
    }
}

/// The plan with these at its end.
pub(crate) fn with(mut plan: Vec<ProbeSpec>, more: Vec<ProbeKind>) -> Vec<ProbeSpec> {
    for kind in more {
        let id = u32::try_from(plan.len() + 1).unwrap_or(u32::MAX);
        plan.push(ProbeSpec { id, kind });
    }
    plan
}
