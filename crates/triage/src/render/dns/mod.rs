//! The DNS matrix as a table: rows are where from, columns whom asked.

mod columns;
mod rows;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::dns::matrix::{Cell, CellState, Column, DnsMatrix, Row};

use crate::render::counted;
use crate::render::page::Page;
use crate::render::style::{Ink, Style};
use crate::render::wrap::{cut_middle, width, wrap};
use columns::{Shown, shown};
use rows::{Group, groups};
use words::{ink, legend, text_of};

/// Groups of rows that are shown, unless everything is asked for.
const MOST_ROWS: usize = 6;
/// Failing names that are spelt out.
const MOST_NAMES: usize = 4;
/// Columns between two columns of the table.
const BETWEEN: usize = 2;

/// The matrix with a headline, what its failing cells mean, and what to do next.
#[must_use]
pub fn dns(matrix: &DnsMatrix, style: &Style) -> String {
    let mut page = Page::new(style);
    header(&mut page, matrix);
    body(&mut page, matrix, "");
    if !matrix.sampled.is_empty() {
        page.paragraph(Ink::Plain, 3, &format!("sampled: {}", matrix.sampled));
    }
    if matrix.fails() {
        page.blank();
        page.unbroken(&[
            "what causes it",
            "kubectl eksnet doctor --only dns,net,isolation,kube-proxy",
        ]);
    }
    page.finish()
}

/// The matrix as a part of a report.
#[must_use]
pub fn dns_section(matrix: &DnsMatrix, style: &Style) -> String {
    let mut page = Page::new(style);
    body(&mut page, matrix, "DNS: ");
    page.finish()
}

/// The matrix as pretty JSON, with a line break at its end.
///
/// # Errors
/// Never in practice: a matrix is plain data.
pub fn dns_json(matrix: &DnsMatrix) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(matrix)?;
    text.push('\n');
    Ok(text)
}

fn header(page: &mut Page<'_>, matrix: &DnsMatrix) {
    let dot = page.style.dot();
    let mut parts = vec!["DNS".to_owned()];
    parts.extend(matrix.cluster.iter().map(|name| format!("cluster {name}")));
    if let Some(at) = matrix.taken_at {
        let at = at.to_string();
        let minutes = at.get(..16).unwrap_or(&at).replace('T', " ");
        parts.push(format!("as of {minutes} UTC"));
    }
    page.paragraph(Ink::Strong, 3, &parts.join(dot));
}

fn body(page: &mut Page<'_>, matrix: &DnsMatrix, what: &str) {
    let style = page.style;
    headline(page, matrix, what);
    let shown = shown(matrix);
    let all = groups(matrix, &shown);
    let most = if style.wide { usize::MAX } else { MOST_ROWS };
    let groups = &all[..all.len().min(most)];
    if shown.is_empty() || groups.is_empty() {
        return;
    }
    table(page, &shown, groups);
    if all.len() > groups.len() {
        page.line(&format!(
            "and {} more rows (-o wide)",
            all.len() - groups.len()
        ));
    }
    page.blank();
    for line in columns::silent_pods(matrix, &shown) {
        page.paragraph(Ink::Plain, 3, &line);
    }
    names(page, matrix);
    for row in rows::foreign_nameservers(matrix) {
        page.paragraph(Ink::Plain, 3, &row);
    }
    explain(page, &legend(groups, style));
    for gap in matrix.missing.iter().take(MOST_NAMES) {
        page.paragraph(Ink::Plain, 3, &format!("not probed: {gap}"));
    }
}

fn headline(page: &mut Page<'_>, matrix: &DnsMatrix, what: &str) {
    let style = page.style;
    let cells = matrix.cells().count();
    let failing = matrix.cells().filter(|(_, _, cell)| cell.fails()).count();
    let about = match &matrix.name {
        Some(name) => format!(" for {name}"),
        None => String::new(),
    };
    let asked = format!(
        "from {} to {}",
        counted(matrix.rows.len(), "standpoint"),
        counted(matrix.columns.len(), "server")
    );
    let (mark, painted, rest) = if cells == 0 {
        let known: Vec<&str> = matrix
            .names
            .iter()
            .take(12)
            .map(|name| name.as_str())
            .collect();
        let why = match &matrix.name {
            Some(name) if !known.is_empty() => {
                format!("no probe asked for {name}; asked were {}", known.join(", "))
            }
            _ => "no probe asked anything".to_owned(),
        };
        ("?", Ink::Warning, why)
    } else if failing == 0 {
        let good = style.glyph("✓", "+");
        (
            good,
            Ink::Good,
            format!("every cell answers{about}, {asked}"),
        )
    } else {
        let bad = style.glyph("✗", "x");
        let counts = format!(
            "{failing} of {} fail{about}, {asked}",
            counted(cells, "cell")
        );
        (bad, Ink::Error, counts)
    };
    page.paragraph(painted, 2, &format!("{mark} {what}{rest}"));
    if cells > 0 {
        page.blank();
    }
}

/// The table, in as many bands of columns as the width takes.
fn table(page: &mut Page<'_>, shown: &[Shown<'_>], groups: &[Group<'_>]) {
    let style = page.style;
    let labels: Vec<[String; 2]> = groups.iter().map(Group::label).collect();
    let longest = labels.iter().flatten().map(|text| width(text)).max();
    let room = (style.width / 4).clamp(16, 30);
    let label = longest.unwrap_or(0).clamp(8, room);
    let has_tcp = groups
        .iter()
        .any(|group| group.cells.iter().any(|cell| cell.tcp.is_some()));
    let before = label + BETWEEN + 3;
    let widths: Vec<usize> = shown
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = groups.iter().flat_map(|group| {
                let cell = &group.cells[at];
                [&cell.udp, &cell.tcp]
                    .map(|one| one.as_ref().map_or(0, |one| width(&text_of(one, style))))
            });
            let heads = column.heads().map(|head| width(&head));
            cells.chain(heads).max().unwrap_or(0)
        })
        .collect();
    let across = across(&widths, style.width.saturating_sub(before));
    for from in (0..shown.len()).step_by(across) {
        let to = (from + across).min(shown.len());
        if from > 0 {
            page.blank();
        }
        for line in 0..2 {
            let mut text = pad(if line == 0 { "from \\ to" } else { "" }, before);
            for at in from..to {
                text.push_str(&" ".repeat(BETWEEN));
                text.push_str(&pad(&shown[at].heads()[line], widths[at]));
            }
            let painted = style.paint(Ink::Strong, text.trim_end());
            page.line(&painted);
        }
        for (group, names) in groups.iter().zip(&labels) {
            for line in 0..2 {
                if line == 1 && !has_tcp && names[1].is_empty() {
                    continue;
                }
                let name = cut_middle(&names[line], label, style.glyph("…", ".."));
                let transport = match line {
                    0 => "udp",
                    _ if has_tcp => "tcp",
                    _ => "",
                };
                let mut text = format!(
                    "{}{:BETWEEN$}{transport}",
                    pad(&style.fit(&name), label),
                    ""
                );
                for (cell, wide) in group.cells[from..to].iter().zip(&widths[from..to]) {
                    let one = if line == 0 { &cell.udp } else { &cell.tcp };
                    text.push_str(&" ".repeat(BETWEEN));
                    match one {
                        None => text.push_str(&" ".repeat(*wide)),
                        Some(one) => {
                            let plain = text_of(one, style);
                            text.push_str(&style.paint(ink(one), &plain));
                            text.push_str(&" ".repeat(wide.saturating_sub(width(&plain))));
                        }
                    }
                }
                page.line(&text);
            }
        }
    }
}

/// How many columns stand beside each other: as few bands as the width takes, about equally wide.
fn across(widths: &[usize], room: usize) -> usize {
    let fits = |across: usize| {
        widths
            .chunks(across)
            .all(|band| band.iter().map(|wide| BETWEEN + wide).sum::<usize>() <= room)
    };
    let most = (1..=widths.len())
        .rev()
        .find(|across| fits(*across))
        .unwrap_or(1);
    widths.len().div_ceil(widths.len().div_ceil(most)).max(1)
}

/// What the server answered and should not have: the names that fail where the way works.
fn names(page: &mut Page<'_>, matrix: &DnsMatrix) {
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let by_name = |(_, _, cell): &(&Row, &Column, &Cell)| {
        matches!(cell.state(), Some(CellState::Wrong | CellState::Stuck))
    };
    for (row, column, cell) in matrix.cells().filter(by_name) {
        for (name, saw) in &cell.failing {
            places
                .entry(format!("{}: {name}: {saw}", columns::name(column)))
                .or_default()
                .insert(rows::place(row));
        }
    }
    let wrong: Vec<String> = places
        .into_iter()
        .map(|(what, places)| {
            let first = places.first().map_or("", String::as_str);
            match places.len() {
                0 | 1 => format!("{what}, from {first}"),
                more => format!("{what}, from {first} and {} more", more - 1),
            }
        })
        .collect();
    for line in wrong.iter().take(MOST_NAMES) {
        page.paragraph(Ink::Plain, 3, line);
    }
    if wrong.len() > MOST_NAMES {
        page.line(&format!("and {} more (-o json)", wrong.len() - MOST_NAMES));
    }
}

/// Words beside what they mean, with a hanging indent.
fn explain(page: &mut Page<'_>, words: &[(String, String)]) {
    let style = page.style;
    let indent = words.iter().map(|(word, _)| width(word)).max().unwrap_or(0) + BETWEEN;
    for (word, meaning) in words {
        let lines = wrap(&style.fit(meaning), style.width.saturating_sub(indent));
        for (at, line) in lines.iter().enumerate() {
            let word = if at == 0 { word.as_str() } else { "" };
            let text = format!("{}{line}", pad(word, indent));
            page.line(&style.paint(Ink::Faint, &text));
        }
    }
}

fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests;
