//! Which rows the table has: standpoints that see the same share one.

use std::collections::BTreeMap;

use eksnet_model::dns::matrix::{Cell, CellState, DnsMatrix, Row, ServerKind, Tally};

use super::columns::Shown;

/// Classes that see the same failures and have a row each.
const MOST_CLASSES: usize = 3;

/// What a cell of the table shows for one transport.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) state: CellState,
    /// How most of what failed ended.
    pub(super) worst: Option<&'static str>,
    pub(super) good: usize,
    pub(super) tries: usize,
    pub(super) median_ms: Option<f64>,
    /// Servers that fail and servers in all, where the cell is about several.
    pub(super) servers: Option<(usize, usize)>,
    pub(super) same_node: bool,
}

/// A cell of the table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shares {
    pub(super) udp: Option<Seen>,
    pub(super) tcp: Option<Seen>,
}

/// Standpoints whose cells are alike.
pub(super) struct Group<'a> {
    pub(super) rows: Vec<&'a Row>,
    pub(super) cells: Vec<Shares>,
}

impl Group<'_> {
    /// What the group is called, and where in it was asked.
    pub(super) fn label(&self) -> [String; 2] {
        let Some(first) = self.rows.first() else {
            return [String::new(), String::new()];
        };
        let node = first.at.node.as_str();
        // Of an EC2 host name the first part tells nodes apart.
        let short = node.split('.').next().unwrap_or(node);
        let more = self.rows.len() - 1;
        let alike = if more > 0 {
            format!(" +{more} alike")
        } else {
            String::new()
        };
        [place(first), format!("{short}{alike}")]
    }

    fn failing(&self) -> usize {
        let fails = |one: &Option<Seen>| one.as_ref().is_some_and(|seen| seen.state.fails());
        self.cells
            .iter()
            .filter(|cell| fails(&cell.udp) || fails(&cell.tcp))
            .count()
    }
}

/// What a standpoint is called: its class, its workload, or its node.
pub(super) fn place(row: &Row) -> String {
    if let Some(workload) = &row.at.workload {
        return format!("as {workload}");
    }
    let name = if row.at.class.is_empty() {
        &row.at.node
    } else {
        &row.at.class
    };
    name.to_string()
}

/// Rows in groups that are alike, those that fail most first.
pub(super) fn groups<'a>(matrix: &'a DnsMatrix, shown: &[Shown<'_>]) -> Vec<Group<'a>> {
    let mut alike: BTreeMap<Vec<Sign>, Vec<&Row>> = BTreeMap::new();
    for row in &matrix.rows {
        let signature = shown.iter().flat_map(|column| {
            let cell = cell(&[row], column);
            [sign(&cell.udp), sign(&cell.tcp)]
        });
        alike.entry(signature.collect()).or_default().push(row);
    }
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (signature, rows) in alike {
        let fails = signature.iter().flatten().any(|(state, ..)| state.fails());
        let mut by_class: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
        for row in rows {
            by_class.entry(place(row)).or_default().push(row);
        }
        // What fails is said per class where it is few; what works is told by one.
        if !fails || by_class.len() > MOST_CLASSES {
            by_class =
                BTreeMap::from([(String::new(), by_class.into_values().flatten().collect())]);
        }
        for rows in by_class.into_values() {
            let cells = shown.iter().map(|column| cell(&rows, column)).collect();
            groups.push(Group { rows, cells });
        }
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group.failing()), group.label()));
    groups
}

/// What tells cells apart: not the count of lost tries nor the time.
type Sign = Option<(CellState, Option<&'static str>, Option<usize>)>;

fn sign(seen: &Option<Seen>) -> Sign {
    let seen = seen.as_ref()?;
    if !seen.state.fails() {
        return Some((CellState::Good, None, None));
    }
    Some((
        seen.state,
        seen.worst,
        seen.servers.map(|(failing, _)| failing),
    ))
}

fn cell(rows: &[&Row], column: &Shown<'_>) -> Shares {
    match column {
        Shown::One(at, _) => {
            let cells: Vec<&Cell> = rows.iter().map(|row| &row.cells[*at]).collect();
            let same_node = cells.iter().all(|cell| cell.same_node);
            Shares {
                udp: seen(
                    cells.iter().filter_map(|cell| cell.udp.as_ref()),
                    same_node,
                    false,
                ),
                tcp: seen(
                    cells.iter().filter_map(|cell| cell.tcp.as_ref()),
                    same_node,
                    false,
                ),
            }
        }
        Shown::Pods { all, own } => {
            let cells: Vec<&Cell> = rows
                .iter()
                .flat_map(|row| all.iter().map(|at| &row.cells[*at]))
                .filter(|cell| cell.same_node == *own)
                .collect();
            Shares {
                udp: seen(
                    cells.iter().filter_map(|cell| cell.udp.as_ref()),
                    false,
                    true,
                ),
                tcp: seen(
                    cells.iter().filter_map(|cell| cell.tcp.as_ref()),
                    false,
                    true,
                ),
            }
        }
    }
}

/// Tallies summed up.
fn seen<'t>(tallies: impl Iterator<Item = &'t Tally>, same_node: bool, many: bool) -> Option<Seen> {
    let tallies: Vec<&Tally> = tallies.collect();
    let worst = tallies.iter().max_by_key(|tally| tally.state)?;
    let mut medians: Vec<f64> = tallies.iter().filter_map(|tally| tally.median_ms).collect();
    medians.sort_by(f64::total_cmp);
    let failing = tallies.iter().filter(|tally| tally.state.fails()).count();
    Some(Seen {
        state: worst.state,
        worst: worst.worst,
        good: tallies.iter().map(|tally| tally.good).sum(),
        tries: tallies.iter().map(|tally| tally.tries).sum(),
        median_ms: medians.get(medians.len() / 2).copied(),
        servers: many.then_some((failing, tallies.len())),
        same_node,
    })
}

/// Standpoints whose resolv.conf names no server of the cluster.
pub(super) fn foreign_nameservers(matrix: &DnsMatrix) -> Vec<String> {
    let own: Vec<String> = matrix
        .columns
        .iter()
        .filter(|column| matches!(column.kind, ServerKind::ClusterIp | ServerKind::NodeLocal))
        .filter_map(|column| column.address)
        .map(|address| address.to_string())
        .collect();
    if own.is_empty() {
        return Vec::new();
    }
    matrix
        .rows
        .iter()
        .filter_map(|row| {
            let first = row.nameservers.first()?;
            (!own.iter().any(|own| own == first.as_str())).then(|| {
                format!(
                    "resolv.conf on {} names {first}, which is not cluster DNS",
                    row.at.node
                )
            })
        })
        .take(3)
        .collect()
}
