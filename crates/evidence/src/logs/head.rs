//! What a record of a log says by itself: its form, who wrote it, when, and whether it is whole.

use eksnet_model::{Component, Time};

use crate::author;
use crate::line::{Line, level};
use crate::stamp::{self, Record};

/// Form of a record. Records of one form that stand between records of a component are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    Klog,
    Json,
    Logfmt,
    Bracketed,
    Stamped,
    Bare,
}

/// What a record says by itself, whatever stands above it.
#[derive(Debug)]
pub(crate) struct Head {
    pub(super) form: Form,
    /// Who wrote it, where it tells.
    pub(crate) own: Option<Component>,
    /// When. klog's stamps have no year: those need the lines above.
    pub(crate) at: Option<Time>,
    /// Whether it is a record from its begin to its end, as far as it tells.
    pub(super) is_whole: bool,
}

impl Head {
    /// Reads a line; `has_words` as [`author::of_line`] takes it.
    pub(crate) fn of(line: &Line<'_>, has_words: bool) -> Self {
        let (text, at) = (line.text, line.at);
        let record = Record::read(text);
        let form = form_of(text, at.is_some());
        let own = line
            .component
            .or_else(|| author::of_line(text, record.as_ref(), has_words));
        let at = at.or_else(|| record.and_then(|record| record.at()));
        let at = match form {
            Form::Klog => at,
            _ => at.or_else(|| stamp::logfmt(text)),
        };
        Self {
            form,
            own,
            at,
            is_whole: is_whole(text) && !continues(text),
        }
    }
}

/// Whether a line goes on with the record above it, behind what was prepended to both.
pub(super) fn continues(text: &str) -> bool {
    text.starts_with("caused by:") || text.starts_with([' ', '\t'])
}

/// Whether a record ends with its line: one in JSON whose braces close, one in logfmt whose quotes do.
pub(super) fn is_whole(text: &str) -> bool {
    if text.starts_with("{\"") {
        if text.ends_with('}') {
            return true;
        }
        let (mut depth, mut quoted, mut escaped) = (0_i64, false, false);
        for byte in text.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = quoted,
                b'"' => quoted = !quoted,
                b'{' if !quoted => depth += 1,
                b'}' if !quoted => depth -= 1,
                _ => {}
            }
        }
        depth <= 0
    } else if text.starts_with("time=") || text.starts_with("level=") || text.starts_with("ts=") {
        if text.ends_with('"') && !text.ends_with("=\"") {
            return true;
        }
        let quotes = text
            .bytes()
            .scan(false, |escaped, byte| {
                let counts = byte == b'"' && !*escaped;
                *escaped = byte == b'\\' && !*escaped;
                Some(u64::from(counts))
            })
            .sum::<u64>();
        quotes.is_multiple_of(2)
    } else {
        true
    }
}

fn form_of(text: &str, is_stamped: bool) -> Form {
    if text.starts_with("{\"") {
        Form::Json
    } else if stamp::is_klog(text) {
        Form::Klog
    } else if level(text).is_some() {
        Form::Bracketed
    } else if ["time=", "level=", "ts="]
        .iter()
        .any(|start| text.starts_with(start))
    {
        Form::Logfmt
    } else if is_stamped {
        Form::Stamped
    } else {
        Form::Bare
    }
}
