//! The DNS matrix: from where which server answers.
//!
//! A row is a standpoint, a column a server, a cell what the queries between them came to. It judges
//! cells, never causes: those are for the checks.

mod server;
mod tally;

use std::collections::BTreeMap;
use std::net::IpAddr;

use eksnet_probe::{DnsOutcome, Outcome, ProbeKind, QueryType, Transport};
use serde::Serialize;

use crate::dns::{MADE_UP, bare, full_name};
use crate::{ClusterDns, Gap, ProbePod, Snapshot, Source, Standpoint, Text, Time, Topology, Why};

pub use server::{Column, ServerKind};
pub use tally::{CellState, Tally};
use tally::{Expected, Judged};

/// Version of the matrix as JSON; within one, fields are only added.
pub const DNS_SCHEMA: &str = "eksnet.dns/v1";

/// From where which server answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsMatrix {
    /// [`DNS_SCHEMA`].
    pub schema: &'static str,
    /// When the evidence was collected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Time>,
    /// Name of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Text>,
    /// The only name that cells are about; `None` where they are about all that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// Names that were asked for, without the last dot.
    pub names: Vec<Text>,
    /// Servers that were asked.
    pub columns: Vec<Column>,
    /// Standpoints from which they were.
    pub rows: Vec<Row>,
    /// Probe pods that did not start or tell all, with the reason.
    pub missing: Vec<Text>,
    /// What the choice of standpoints and servers left out; empty where nothing was.
    pub sampled: Text,
}

/// One standpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Where it is, and as whom.
    pub at: Standpoint,
    /// Zone of the node, where it is known.
    pub zone: Text,
    /// Servers of its resolv.conf.
    pub nameservers: Vec<Text>,
    /// One cell per column, in their order.
    pub cells: Vec<Cell>,
}

/// What one standpoint got from one server.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// Over UDP; of the resolv.conf column as programs resolve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp: Option<Tally>,
    /// Over TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Tally>,
    /// Whether the server stands on the same node: no network between them.
    pub same_node: bool,
    /// Per name, where a cell fails: what came back, such as `servfail 5/5`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failing: BTreeMap<Text, Text>,
}

impl Cell {
    /// The worse of what the two transports say; `None` where nothing was asked.
    #[must_use]
    pub fn state(&self) -> Option<CellState> {
        self.udp
            .iter()
            .chain(&self.tcp)
            .map(|tally| tally.state)
            .max()
    }

    /// Whether a reader has to look at it.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.state().is_some_and(CellState::fails)
    }
}

impl DnsMatrix {
    /// The matrix of a snapshot; with `name` of that name alone.
    ///
    /// # Errors
    /// The gap, where no probe ran.
    pub fn of(snapshot: &Snapshot, name: Option<&str>) -> Result<Self, Gap> {
        let Some(run) = snapshot.probes.value() else {
            return Err(snapshot
                .probes
                .gap()
                .cloned()
                .unwrap_or_else(|| Gap::new(Source::Probes, Why::NotRequested, "no probe ran")));
        };
        let topology = Topology::of(snapshot);
        let dns = ClusterDns::of(&topology);
        let spelt = |name: &str| bare(&full_name(snapshot, name));
        let wanted = name.map(spelt);
        let wants = |asked: &str| wanted.as_ref().is_none_or(|wanted| spelt(asked) == *wanted);
        let columns = server::columns(snapshot, &topology, &dns, &run.pods, &wants);
        let rows: Vec<Row> = run
            .pods
            .iter()
            .filter(|pod| pod.not_started.is_none() && !pod.results.is_empty())
            .map(|pod| row(&topology, pod, &columns, &wants))
            .collect();
        let mut names: Vec<Text> = run
            .pods
            .iter()
            .flat_map(|pod| pod.answers())
            .filter_map(|(kind, _)| name_of(kind))
            .filter(|name| !name.starts_with(MADE_UP))
            .map(|name| bare(name).into())
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(Self {
            schema: DNS_SCHEMA,
            taken_at: snapshot.taken_at,
            cluster: snapshot.cluster.name.clone(),
            name: wanted.map(Text::from),
            names,
            columns,
            rows,
            missing: run.pods.iter().filter_map(missing).collect(),
            sampled: run.sampled.clone(),
        })
    }

    /// Every cell that was asked, with its row and column.
    pub fn cells(&self) -> impl Iterator<Item = (&Row, &Column, &Cell)> {
        self.rows.iter().flat_map(|row| {
            row.cells
                .iter()
                .zip(&self.columns)
                .filter(|(cell, _)| cell.state().is_some())
                .map(move |(cell, column)| (row, column, cell))
        })
    }

    /// Whether any cell fails.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.cells().any(|(_, _, cell)| cell.fails())
    }
}

fn name_of(kind: &ProbeKind) -> Option<&str> {
    match kind {
        ProbeKind::Dns { name, .. } | ProbeKind::Lookup { name, .. } => Some(name),
        _ => None,
    }
}

fn missing(pod: &ProbePod) -> Option<Text> {
    let at = &pod.at.node;
    if let Some(why) = &pod.not_started {
        return Some(
            format!(
                "{at}: the probe pod did not start, {}: {}",
                why.reason, why.message
            )
            .into(),
        );
    }
    if let Some(error) = &pod.log_error {
        return Some(format!("{at}: {error}").into());
    }
    (!pod.complete).then(|| format!("{at}: not all results came").into())
}

fn row(
    topology: &Topology<'_>,
    pod: &ProbePod,
    columns: &[Column],
    wants: &dyn Fn(&str) -> bool,
) -> Row {
    let zone = topology.node(&pod.at.node).and_then(|node| node.zone());
    let cells = columns.iter().map(|column| cell(pod, column, wants));
    Row {
        at: pod.at.clone(),
        zone: zone.unwrap_or_default().into(),
        nameservers: pod
            .resolv()
            .map(|resolv| {
                resolv
                    .nameservers
                    .iter()
                    .map(|one| one.as_str().into())
                    .collect()
            })
            .unwrap_or_default(),
        cells: cells.collect(),
    }
}

fn cell(pod: &ProbePod, column: &Column, wants: &dyn Fn(&str) -> bool) -> Cell {
    let mut cell = match column.address {
        None => of_resolv_conf(pod, wants),
        Some(address) => of_server(pod, address, wants),
    };
    cell.same_node = !column.node.is_empty() && column.node == pod.at.node;
    cell
}

/// What programs in the pod get: each name once, its search list honoured. Misses on the way through that
/// list are no failures, and are not seen here.
fn of_resolv_conf(pod: &ProbePod, wants: &dyn Fn(&str) -> bool) -> Cell {
    let mut tries = Vec::new();
    let mut cell = Cell::default();
    for (kind, outcome) in pod.answers() {
        let (ProbeKind::Lookup { name, .. }, Outcome::Lookup(lookup)) = (kind, outcome) else {
            continue;
        };
        if !wants(name) {
            continue;
        }
        let ended = lookup.error.unwrap_or(DnsOutcome::Ok);
        if ended != DnsOutcome::Ok {
            cell.failing.insert(bare(name).into(), ended.word().into());
        }
        tries.push(vec![Judged::new(
            ended,
            lookup.elapsed_ms,
            Expected::Answer,
        )]);
    }
    cell.udp = Tally::of_names(&tries);
    cell
}

fn of_server(pod: &ProbePod, server: IpAddr, wants: &dyn Fn(&str) -> bool) -> Cell {
    let mut cell = Cell::default();
    let (mut udp, mut tcp) = (Vec::new(), Vec::new());
    let asked = pod.every_dns().filter(|answer| answer.server == server);
    for answer in asked.filter(|answer| wants(answer.name)) {
        let expected = expected(answer.name, answer.query);
        let judged: Vec<Judged> = answer
            .tries
            .iter()
            .map(|each| Judged::of(each, expected))
            .collect();
        if let Some(tally) = Tally::of_names(std::slice::from_ref(&judged))
            && let Some(worst) = tally.worst
        {
            let bad = tally.tries - tally.good;
            let saw = format!("{worst} {bad}/{}", tally.tries);
            let over = match answer.transport {
                Transport::Udp => "UDP",
                Transport::Tcp => "TCP",
            };
            cell.failing.insert(
                format!("{} over {over}", bare(answer.name)).into(),
                saw.into(),
            );
        }
        match answer.transport {
            Transport::Udp => udp.push(judged),
            Transport::Tcp => tcp.push(judged),
        }
    }
    cell.udp = Tally::of_names(&udp);
    cell.tcp = Tally::of_names(&tcp);
    cell
}

fn expected(name: &str, query: QueryType) -> Expected {
    if name.starts_with(MADE_UP) {
        Expected::Nothing
    } else if query == QueryType::Txt {
        Expected::Large
    } else {
        Expected::Answer
    }
}

#[cfg(test)]
mod tests;
