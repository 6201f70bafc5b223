//! Tables for a terminal: columns that leave when there is no room for them.

use eksnet_triage::render::{Ink, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A column.
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Whether figures stand at its right edge.
    pub(super) right: bool,
    /// Columns with the lowest number leave first; 9 stays.
    pub(super) keep: u8,
}

/// A cell.
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) ink: Ink,
}

impl Cell {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ink: Ink::Plain,
        }
    }

    pub(super) fn inked(text: impl Into<String>, ink: Ink) -> Self {
        Self {
            text: text.into(),
            ink,
        }
    }
}

pub(super) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// What is left of a column that is cut.
const LEAST: usize = 14;

/// The table, in lines of at most the style's width.
pub(super) fn table(columns: &[Column], rows: &[Vec<Cell>], style: &Style) -> String {
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            rows.iter()
                .map(|row| width(&style.fit(&row[at].text)))
                .chain([width(column.name)])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    // The last column is cut before others leave, and then the first.
    let last = columns.len() - 1;
    let room = style.width.saturating_sub(1);
    let natural = widths[last];
    widths[last] = natural.min(LEAST);
    let total = |shown: &[usize], widths: &[usize]| {
        shown.iter().map(|at| widths[*at] + 2).sum::<usize>() - 2
    };
    while !style.wide && total(&shown, &widths) > room {
        let least = shown
            .iter()
            .copied()
            .filter(|at| columns[*at].keep < 9)
            .min_by_key(|at| columns[*at].keep);
        match least {
            Some(at) => shown.retain(|one| *one != at),
            None => break,
        }
    }
    if style.wide {
        widths[last] = natural;
    }
    let excess = match style.wide {
        true => 0,
        false => total(&shown, &widths).saturating_sub(room),
    };
    widths[0] -= excess.min(widths[0].saturating_sub(LEAST));
    if shown.contains(&last) {
        let left = room.saturating_sub(total(&shown, &widths));
        widths[last] = natural.min(widths[last] + left);
    }
    let mut out = String::new();
    let mut line = |cells: Vec<(String, Ink)>| {
        let mut text = String::from(" ");
        for (place, at) in shown.iter().enumerate() {
            let (cell, ink) = &cells[*at];
            let cell = cut(cell, widths[*at], style);
            let pad = " ".repeat(widths[*at].saturating_sub(width(&cell)));
            let painted = style.paint(*ink, &cell);
            if place > 0 {
                text.push_str("  ");
            }
            if columns[*at].right {
                text.push_str(&pad);
                text.push_str(&painted);
            } else {
                text.push_str(&painted);
                text.push_str(&pad);
            }
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(
        columns
            .iter()
            .map(|column| (column.name.to_owned(), Ink::Faint))
            .collect(),
    );
    for row in rows {
        line(
            row.iter()
                .map(|cell| (style.fit(&cell.text).into_owned(), cell.ink))
                .collect(),
        );
    }
    out
}

/// The text in at most `columns`, with a mark where it was longer.
fn cut(text: &str, columns: usize, style: &Style) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mark = if style.unicode { "…" } else { "~" };
    let mut short = String::new();
    let mut used = 0;
    for character in text.chars() {
        let size = character.width().unwrap_or(0);
        if used + size + 1 > columns {
            break;
        }
        short.push(character);
        used += size;
    }
    short.push_str(mark);
    short
}

/// Sentences under each other, broken at spaces, behind a label.
pub(super) fn labelled(label: &str, text: &str, style: &Style) -> String {
    let text = style.fit(text).into_owned();
    let room = style.width.saturating_sub(13).max(24);
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let last = lines.last_mut().expect("there is always a line");
        if last.is_empty() {
            last.push_str(word);
        } else if width(last) + 1 + width(word) <= room {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    let mut out = String::new();
    for (at, line) in lines.iter().enumerate() {
        let label = if at == 0 { label } else { "" };
        let label = style.paint(Ink::Faint, &format!("{label:<9}"));
        let line = format!("   {label} {line}");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
