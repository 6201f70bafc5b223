//! Services that are called from subnets without a way out, and have no endpoint there.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::path::{Egress, sending_subnets};
use eksnet_model::vpce::endpoint_service;
use eksnet_model::{AwsEndpoint, CniSettings, Cx, Gap, ProbePod, Source, Stop, Text, Why};
use eksnet_probe::TcpState;

/// A service without an endpoint.
pub(super) struct Lacking<'a> {
    pub service: Text,
    pub host: Text,
    pub wanted_by: Text,
    pub subnets: BTreeSet<&'a str>,
    pub nodes: BTreeSet<&'a str>,
    /// Route tables, each with its subnet.
    pub tables: BTreeSet<(&'a str, &'a str)>,
}

/// What the route tables and endpoints say.
pub(super) struct Needed<'a> {
    pub lacking: BTreeMap<Text, Lacking<'a>>,
    /// Subnets whose default route leads to another network, where a service has no endpoint.
    pub elsewhere: Vec<&'a str>,
}

impl<'a> Needed<'a> {
    pub(super) fn of(cx: &'a Cx<'_>) -> Result<Self, Stop> {
        let nodes = cx.nodes().some();
        let (subnets, tables, endpoints) = (
            cx.subnets().some(),
            cx.route_tables().all(),
            cx.vpc_endpoints().all(),
        );
        let _ = (cx.pods().optional(), cx.instances().optional());
        let _ = cx.pod_identity_associations().optional();
        let custom = cx
            .daemonsets()
            .optional()
            .and_then(|all| CniSettings::of(all))
            .is_some_and(|cni| cni.custom_networking);
        let _ = (nodes?, subnets?, tables?);
        let endpoints = endpoints?;
        if let Some(nameless) = endpoints.iter().find(|one| one.service_name.is_empty()) {
            return Err(Stop::unknown(Gap::new(
                Source::VpcEndpoints,
                Why::Truncated,
                format!(
                    "which service {} is for is not in what was pasted",
                    nameless.vpc_endpoint_id
                ),
            )));
        }
        let topology = cx.topology();
        let reached = reached(cx);
        let expected = AwsEndpoint::expected(cx.cluster(), topology);
        let mut found = Self {
            lacking: BTreeMap::new(),
            elsewhere: Vec::new(),
        };
        for (id, senders) in sending_subnets(topology, custom) {
            let Some(table) = topology
                .subnet(id)
                .and_then(|subnet| topology.route_table_of(subnet))
            else {
                continue;
            };
            let egress = Egress::of(table);
            if !matches!(egress, Egress::Isolated | Egress::Elsewhere) {
                continue;
            }
            for one in &expected {
                let Some(service) = endpoint_service(&one.host) else {
                    continue;
                };
                let served = endpoints.iter().any(|endpoint| {
                    endpoint.is_for(&service)
                        && endpoint.is_available()
                        && endpoint.serves(Some(table))
                });
                if served || reached.contains(one.host.as_str()) {
                    continue;
                }
                if egress == Egress::Elsewhere {
                    if !found.elsewhere.contains(&id) {
                        found.elsewhere.push(id);
                    }
                    continue;
                }
                let lacking = found
                    .lacking
                    .entry(service.as_str().into())
                    .or_insert_with(|| Lacking {
                        service: service.as_str().into(),
                        host: one.host.clone(),
                        wanted_by: one.wanted_by.clone(),
                        subnets: BTreeSet::new(),
                        nodes: BTreeSet::new(),
                        tables: BTreeSet::new(),
                    });
                lacking.subnets.insert(id);
                lacking.nodes.extend(senders.iter().copied());
                lacking.tables.insert((&table.route_table_id, id));
            }
        }
        Ok(found)
    }
}

/// Hosts that a probe connected to: an endpoint of another VPC may serve them.
fn reached<'a>(cx: &'a Cx<'_>) -> BTreeSet<&'a str> {
    let pods = cx.probes().optional().into_iter().flat_map(|run| &run.pods);
    pods.flat_map(ProbePod::tcp)
        .filter(|(_, port, tcp)| {
            *port == 443 && tcp.tries.iter().any(|each| each.state == TcpState::Open)
        })
        .map(|(host, _, _)| host.trim_end_matches('.'))
        .collect()
}
