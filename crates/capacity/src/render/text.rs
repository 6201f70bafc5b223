//! The state of a cluster as text for a terminal.

use eksnet_triage::render::{Ink, Style};

use super::Shown;
use super::bar::bar;
use super::table::{Cell, Column, labelled, table, width};
use super::{what_if, words};
use crate::{Addresses, GroupUse, Measured, NodeState, Share, SubnetState};

/// Rows of nodes that are shown unless all are asked for.
const MOST_NODES: usize = 10;
/// Rows of groups and subnets.
const MOST_ROWS: usize = 20;
/// Gaps.
const MOST_GAPS: usize = 6;

/// The state of a cluster, and what would happen where that was asked.
#[must_use]
pub fn text(shown: &Shown<'_>, style: &Style) -> String {
    let measured = shown.measured;
    let dot = if style.unicode { " · " } else { " | " };
    let mut out = header(&words::identity(measured, dot), shown.version, style);
    if let Some(answer) = shown.what_if {
        out.push('\n');
        out.push_str(&what_if::text(answer, style));
    }
    out.push('\n');
    let ink = match measured.totals.can_start {
        Some(0) => Ink::Error,
        Some(_) => Ink::Strong,
        None => Ink::Warning,
    };
    out.push_str(&paragraph(&words::headline(measured), ink, style));
    let settings = format!(
        "{}{dot}{}",
        words::settings(measured.settings.as_ref(), dot),
        words::limits_source(measured)
    );
    out.push_str(&labelled("settings", &settings, style));
    out.push_str(&labelled("pods", &words::pods(measured, dot), style));
    section(&mut out, groups(&measured.groups, style));
    section(&mut out, subnets(&measured.subnets, style));
    section(&mut out, nodes(measured, style));
    gaps(&mut out, measured, style);
    out
}

pub(super) fn header(left: &str, version: &str, style: &Style) -> String {
    let left = style.fit(left).into_owned();
    let right = format!("kubectl-eksnet {version}");
    let gap = style.width.saturating_sub(width(&left) + width(&right));
    let painted = style.paint(Ink::Strong, &left);
    let faint = style.paint(Ink::Faint, &right);
    if gap >= 2 {
        format!("{painted}{}{faint}\n", " ".repeat(gap))
    } else {
        format!("{}{}\n", paragraph(&left, Ink::Strong, style), faint)
    }
}

/// Text over the whole width.
pub(super) fn paragraph(text: &str, ink: Ink, style: &Style) -> String {
    let text = style.fit(text).into_owned();
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let last = lines.last_mut().expect("there is always a line");
        if last.is_empty() {
            last.push_str(word);
        } else if width(last) + 1 + width(word) <= style.width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(format!("   {word}"));
        }
    }
    lines
        .iter()
        .map(|line| format!("{}\n", style.paint(ink, line)))
        .collect()
}

fn section(out: &mut String, text: Option<String>) {
    if let Some(text) = text {
        out.push('\n');
        out.push_str(&text);
    }
}

fn bar_columns(style: &Style) -> usize {
    if style.width >= 110 { 12 } else { 8 }
}

fn addresses(of: Addresses, style: &Style) -> Cell {
    if of == Addresses::default() {
        return Cell::inked("-", Ink::Faint);
    }
    let drawn = bar(
        of.assigned,
        of.allocated,
        of.possible,
        bar_columns(style),
        style,
    );
    let figures = format!(
        "{drawn} {}/{}/{}",
        words::known(of.assigned),
        words::known(of.allocated),
        words::known(of.possible)
    );
    Cell::inked(figures, full(of.assigned, of.possible))
}

fn slots(of: Share, style: &Style) -> Cell {
    let drawn = bar(of.used, None, of.possible, bar_columns(style), style);
    Cell::inked(
        format!("{drawn} {}", words::share(of)),
        full(of.used, of.possible),
    )
}

/// Colour by how full something is.
fn full(used: Option<u64>, possible: Option<u64>) -> Ink {
    match (used, possible) {
        (Some(used), Some(possible)) if used >= possible => Ink::Error,
        (Some(used), Some(possible)) if used * 10 >= possible * 9 => Ink::Warning,
        _ => Ink::Plain,
    }
}

fn can_start(known: Option<u32>, at_most: Option<u32>, style: &Style) -> Cell {
    match (known, at_most) {
        (Some(0), _) => Cell::inked("0", Ink::Error),
        (Some(pods), _) => Cell::plain(words::number(u64::from(pods))),
        (None, Some(pods)) => Cell::inked(
            format!("{}{pods}", if style.unicode { "≤" } else { "<=" }),
            Ink::Warning,
        ),
        (None, None) => Cell::inked("?", Ink::Warning),
    }
}

const fn column(name: &'static str, right: bool, keep: u8) -> Column {
    Column { name, right, keep }
}

fn groups(groups: &[GroupUse], style: &Style) -> Option<String> {
    if groups.is_empty() {
        return None;
    }
    let columns = [
        column("NODE GROUP", false, 9),
        column("NODES", true, 9),
        column("ENIS", true, 5),
        column("ADDRESSES USED/HELD/MOST", false, 8),
        column("KUBELET SLOTS", false, 7),
        column("CPU", true, 3),
        column("MEMORY", true, 2),
        column("START", true, 9),
        column("STOPPED BY", false, 9),
    ];
    let most = if style.wide { usize::MAX } else { MOST_ROWS };
    let rows: Vec<Vec<Cell>> = groups
        .iter()
        .take(most)
        .map(|one| {
            let nodes = match one.sizes {
                Some(sizes) => format!("{}/{}", one.nodes, sizes.max),
                None => one.nodes.to_string(),
            };
            vec![
                Cell::inked(one.name.as_str(), Ink::Strong),
                Cell::plain(nodes),
                Cell::plain(words::share(one.enis)),
                addresses(one.addresses, style),
                slots(one.slots, style),
                Cell::plain(words::percent(one.cpu_m)),
                Cell::plain(words::percent(one.memory)),
                can_start(one.can_start, one.can_start_at_most, style),
                Cell::plain(words::names(&one.stopped_by)),
            ]
        })
        .collect();
    Some(with_rest(
        table(&columns, &rows, style),
        groups.len(),
        rows.len(),
        "node groups",
    ))
}

fn subnets(subnets: &[SubnetState], style: &Style) -> Option<String> {
    if subnets.is_empty() {
        return None;
    }
    let columns = [
        column("SUBNET", false, 9),
        column("ZONE", false, 5),
        column("BLOCK", false, 6),
        column("FOR", false, 2),
        column("ROUTE", false, 1),
        column("USED", false, 7),
        column("FREE", true, 9),
        column("/28 FREE", true, 8),
        column("NODES", true, 4),
        column("NEW NODES THAT FIT", true, 3),
    ];
    let most = if style.wide { usize::MAX } else { MOST_ROWS };
    let rows: Vec<Vec<Cell>> = subnets
        .iter()
        .take(most)
        .map(|one| {
            let used = match (one.usable, one.free) {
                (Some(usable), Some(free)) => Some(u64::from(usable.saturating_sub(free))),
                _ => None,
            };
            let usable = one.usable.map(u64::from);
            let pods = one.uses.map(|uses| u64::from(uses.pods + uses.nodes));
            let ink = full(used, usable);
            let blocks = one.free_prefix_blocks.map(u64::from);
            vec![
                Cell::inked(one.id.as_str(), Ink::Strong),
                Cell::plain(one.zone.as_str()),
                Cell::plain(one.cidr.as_str()),
                Cell::plain(one.roles.join("+")),
                Cell::plain(match one.public {
                    Some(true) => "public",
                    Some(false) => "private",
                    None => "?",
                }),
                Cell::inked(
                    bar(pods.or(used), used, usable, bar_columns(style), style),
                    ink,
                ),
                Cell::inked(
                    format!("{} of {}", words::known(one.free), words::known(one.usable)),
                    ink,
                ),
                Cell::inked(
                    words::known(blocks),
                    if blocks == Some(0) {
                        Ink::Error
                    } else {
                        Ink::Plain
                    },
                ),
                Cell::plain(one.nodes.to_string()),
                Cell::plain(words::known(one.fresh_nodes_that_fit)),
            ]
        })
        .collect();
    Some(with_rest(
        table(&columns, &rows, style),
        subnets.len(),
        rows.len(),
        "subnets",
    ))
}

fn nodes(measured: &Measured, style: &Style) -> Option<String> {
    let all = &measured.nodes;
    if all.is_empty() {
        return None;
    }
    let columns = [
        column("NODE", false, 9),
        column("TYPE", false, 4),
        column("ZONE", false, 1),
        column("ENIS", true, 5),
        column("ADDRESSES USED/HELD/MOST", false, 8),
        column("KUBELET SLOTS", false, 7),
        column("CPU", true, 3),
        column("BRANCH", true, 2),
        column("START", true, 9),
        column("BINDS", false, 9),
    ];
    let most = if style.wide { usize::MAX } else { MOST_NODES };
    let rows: Vec<Vec<Cell>> = all.iter().take(most).map(|one| node(one, style)).collect();
    let rest = if rows.len() < all.len() {
        "nodes that can start more"
    } else {
        "nodes"
    };
    Some(with_rest(
        table(&columns, &rows, style),
        all.len(),
        rows.len(),
        rest,
    ))
}

fn node(one: &NodeState, style: &Style) -> Vec<Cell> {
    let binds: Vec<&str> = one.binds.iter().map(|limit| limit.words()).collect();
    vec![
        Cell::inked(one.name.as_str(), Ink::Strong),
        Cell::plain(one.instance_type.as_ref().map_or("?", |kind| kind.as_str())),
        Cell::plain(one.zone.as_ref().map_or("?", |zone| zone.as_str())),
        Cell::plain(words::share(one.enis)),
        addresses(one.addresses, style),
        slots(one.slots, style),
        Cell::plain(words::percent(one.cpu_m)),
        Cell::plain(match one.branch_enis.possible {
            Some(0) => "-".to_owned(),
            _ => words::share(one.branch_enis),
        }),
        can_start(one.can_start, one.can_start_at_most, style),
        Cell::plain(binds.join(", ")),
    ]
}

fn with_rest(mut text: String, all: usize, shown: usize, noun: &str) -> String {
    if shown < all {
        text.push_str(&format!(
            " and {} {noun} (-o wide)\n",
            words::number((all - shown) as u64)
        ));
    }
    text
}

fn gaps(out: &mut String, measured: &Measured, style: &Style) {
    if measured.gaps.is_empty() {
        return;
    }
    out.push_str("\nNot known\n");
    let most = if style.wide { usize::MAX } else { MOST_GAPS };
    for gap in measured.gaps.iter().take(most) {
        let text = words::gap(gap);
        for line in labelled("", &text, style).lines() {
            out.push_str(&format!("   {}\n", line.trim_start()));
        }
    }
    if measured.gaps.len() > most {
        out.push_str(&format!(
            " and {} more (-o wide)\n",
            measured.gaps.len() - most
        ));
    }
}
