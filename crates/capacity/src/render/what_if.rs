//! What would happen, as text.

use eksnet_triage::render::{Ink, Style};

use super::table::labelled;
use super::text::paragraph;
use super::words;
use crate::WhatIf;

pub(super) fn text(answer: &WhatIf, style: &Style) -> String {
    let ok = answer
        .asked
        .is_none_or(|asked| answer.running_with_new_nodes == asked);
    let glyph = match (ok, style.unicode) {
        (true, true) => "✓",
        (true, false) => "+",
        (false, true) => "✗",
        (false, false) => "x",
    };
    let ink = if ok { Ink::Good } else { Ink::Error };
    let mut out = paragraph(&format!("{glyph} {}", words::asked(answer)), ink, style);
    for (label, line) in words::answers(answer) {
        out.push_str(&labelled(label, &line, style));
    }
    for (at, line) in answer.supposes.iter().enumerate() {
        out.push_str(&labelled(
            if at == 0 { "supposes" } else { "" },
            line,
            style,
        ));
    }
    out
}
