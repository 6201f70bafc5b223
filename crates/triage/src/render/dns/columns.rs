//! Which columns the table has: one per server, and one for many CoreDNS pods.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::dns::matrix::{CellState, Column, DnsMatrix, ServerKind};

use super::rows::place;

/// CoreDNS pods that have a column each.
const MOST_PODS: usize = 6;

/// A column of the table.
pub(super) enum Shown<'a> {
    /// One server, by its place in the matrix.
    One(usize, &'a Column),
    /// CoreDNS pods, by their places: those on the row's own node, or all others.
    Pods {
        /// Places of all of them in the matrix.
        all: Vec<usize>,
        /// Whether those on the row's node are meant.
        own: bool,
    },
}

impl Shown<'_> {
    /// The two lines over the column.
    pub(super) fn heads(&self) -> [String; 2] {
        match self {
            Self::One(_, column) => {
                let address = column.address.map(|address| address.to_string());
                [
                    name(column),
                    address.unwrap_or_else(|| "as programs ask".to_owned()),
                ]
            }
            Self::Pods { all, own } => {
                let which = if *own {
                    "on its node".to_owned()
                } else {
                    format!("{} in all, elsewhere", all.len())
                };
                ["CoreDNS pods".to_owned(), which]
            }
        }
    }
}

/// What a reader calls the server.
pub(super) fn name(column: &Column) -> String {
    match column.kind {
        ServerKind::ResolvConf => "resolv.conf".to_owned(),
        ServerKind::ClusterIp => "ClusterIP".to_owned(),
        ServerKind::CorednsPod => {
            let pod = column.pod.as_str();
            // The last part tells replicas apart.
            format!("CoreDNS {}", pod.rsplit('-').next().unwrap_or(pod))
        }
        ServerKind::NodeLocal => "node-local".to_owned(),
        ServerKind::VpcResolver => "VPC +2".to_owned(),
        ServerKind::LinkLocal => "VPC link-local".to_owned(),
        ServerKind::Dhcp => "DHCP option".to_owned(),
        ServerKind::Other => "server".to_owned(),
    }
}

/// The columns of the table.
pub(super) fn shown(matrix: &DnsMatrix) -> Vec<Shown<'_>> {
    let pods: Vec<usize> = places(matrix, ServerKind::CorednsPod);
    let many = pods.len() > MOST_PODS;
    let mut shown = Vec::new();
    for (at, column) in matrix.columns.iter().enumerate() {
        if many && column.kind == ServerKind::CorednsPod {
            if pods.first() == Some(&at) {
                for own in [true, false] {
                    let all = pods.clone();
                    shown.push(Shown::Pods { all, own });
                }
            }
        } else {
            shown.push(Shown::One(at, column));
        }
    }
    shown
}

fn places(matrix: &DnsMatrix, kind: ServerKind) -> Vec<usize> {
    let columns = matrix.columns.iter().enumerate();
    columns
        .filter(|(_, column)| column.kind == kind)
        .map(|(at, _)| at)
        .collect()
}

/// Most pods that are named below the table.
const MOST_NAMED: usize = 4;

/// Pods that share a column and fail, each with from where it does.
pub(super) fn silent_pods(matrix: &DnsMatrix, shown: &[Shown<'_>]) -> Vec<String> {
    if !shown.iter().any(|one| matches!(one, Shown::Pods { .. })) {
        return Vec::new();
    }
    let mut by_pod: BTreeMap<usize, (CellState, BTreeSet<String>, usize)> = BTreeMap::new();
    for at in places(matrix, ServerKind::CorednsPod) {
        for row in &matrix.rows {
            let Some(state) = row.cells[at].state() else {
                continue;
            };
            let entry = by_pod.entry(at).or_default();
            entry.2 += 1;
            if state.fails() {
                entry.0 = entry.0.max(state);
                entry.1.insert(place(row));
            }
        }
    }
    let failing: Vec<_> = by_pod
        .into_iter()
        .filter(|(_, one)| !one.1.is_empty())
        .collect();
    let mut lines: Vec<String> = failing
        .iter()
        .take(MOST_NAMED)
        .map(|(at, (state, from, asked))| {
            let column = &matrix.columns[*at];
            let zone = if column.zone.is_empty() {
                String::new()
            } else {
                format!(", {}", column.zone)
            };
            let whence = if from.len() >= *asked {
                format!("from all {asked} standpoints")
            } else {
                format!(
                    "from {}",
                    from.iter().cloned().collect::<Vec<_>>().join(", ")
                )
            };
            let what = match state {
                CellState::Dead => "no answer",
                CellState::Refused => "connection refused",
                CellState::Lossy => "queries are lost",
                _ => "wrong answers",
            };
            let address = column.address.map(|ip| ip.to_string()).unwrap_or_default();
            format!(
                "{} {address} on {}{zone}: {what} {whence}",
                column.pod, column.node
            )
        })
        .collect();
    if failing.len() > MOST_NAMED {
        lines.push(format!(
            "and {} CoreDNS pods more (-o json)",
            failing.len() - MOST_NAMED
        ));
    }
    lines
}
