//! What a cell says, and what that means.

use eksnet_model::dns::matrix::CellState;

use super::rows::{Group, Seen};
use crate::render::style::{Ink, Style};

/// The mark of a cell; colour never stands alone.
pub(super) fn glyph(seen: &Seen, style: &Style) -> &'static str {
    match seen.state {
        CellState::Good | CellState::OneLost => style.glyph("✓", "+"),
        CellState::Lossy => "!",
        CellState::Stuck | CellState::Wrong | CellState::Refused | CellState::Dead => {
            style.glyph("✗", "x")
        }
    }
}

pub(super) fn ink(seen: &Seen) -> Ink {
    match seen.state {
        CellState::Good | CellState::OneLost => Ink::Good,
        CellState::Lossy => Ink::Warning,
        CellState::Stuck | CellState::Wrong | CellState::Refused | CellState::Dead => Ink::Error,
    }
}

/// The word for a cell that fails.
fn word(seen: &Seen) -> &'static str {
    match seen.state {
        CellState::Lossy => "lossy",
        CellState::Stuck => "by name",
        _ => seen.worst.unwrap_or("fails"),
    }
}

/// A cell: its mark, how many tries came back right, and how fast, or how the others ended.
pub(super) fn text_of(seen: &Seen, style: &Style) -> String {
    let mark = glyph(seen, style);
    let own = if seen.same_node { "*" } else { "" };
    match (seen.state.fails(), seen.servers) {
        (true, Some((failing, all))) => format!("{mark} {failing} of {all} {}", word(seen)),
        (true, None) => format!("{mark} {}/{} {}{own}", seen.good, seen.tries, word(seen)),
        (false, _) => {
            let time = seen
                .median_ms
                .map(|ms| format!(" {}", time(ms)))
                .unwrap_or_default();
            format!("{mark} {}/{}{time}{own}", seen.good, seen.tries)
        }
    }
}

fn time(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.1}ms")
    } else {
        format!("{ms:.0}ms")
    }
}

/// What the words of these rows mean: only those that occur.
pub(super) fn legend(groups: &[Group<'_>], style: &Style) -> Vec<(String, String)> {
    let seen: Vec<&Seen> = groups
        .iter()
        .flat_map(|group| &group.cells)
        .flat_map(|cell| cell.udp.iter().chain(&cell.tcp))
        .collect();
    if seen.is_empty() {
        return Vec::new();
    }
    let own = if seen.iter().any(|one| one.same_node) {
        "; * the pod is on the same node"
    } else {
        ""
    };
    let good = style.glyph("✓", "+");
    let mut lines = vec![(
        format!("{good} n/m"),
        format!("n of m queries came back right, and their median time{own}"),
    )];
    let mut words: Vec<(&'static str, CellState)> = seen
        .iter()
        .filter(|one| one.state.fails())
        .map(|one| (word(one), one.state))
        .collect();
    words.sort_unstable();
    words.dedup_by_key(|(word, _)| *word);
    for (word, state) in words {
        let mark = match state {
            CellState::Lossy => "!",
            _ => style.glyph("✗", "x"),
        };
        lines.push((format!("{mark} {word}"), meaning(word).to_owned()));
    }
    lines
}

/// What an outcome proves by itself.
fn meaning(word: &str) -> &'static str {
    match word {
        "lossy" => {
            "some queries answered and some lost on the same way: packet loss or a dead server behind the address, not a block"
        }
        "by name" => {
            "the way works: some names are answered and others never: the server is stuck on those that it asks, or their answers are too large"
        }
        "timeout" => {
            "nothing came back: the query or its answer is dropped on the way, or the server is stuck"
        }
        "no-route" => "the node has no route to the server",
        "conn-refused" => {
            "a host is there and nothing listens: no ready endpoint behind the Service, or a server that is down"
        }
        "servfail" => "the way works; the server cannot get an answer from those that it asks",
        "nxdomain" => "the way works; the server says that the name does not exist",
        "nodata" => "the way works; the name has no address of that family",
        "refused" => {
            "the way works; the server will not answer for that name (no zone for it, an ACL, or its limit of queries)"
        }
        "truncated" => {
            "the way works; the answer does not fit a packet and must be asked for over TCP"
        }
        "ok" => "a name that does not exist was answered: a wildcard record",
        _ => "the server's answer is none",
    }
}
