//! Text that is safe to show on a terminal.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest text that is kept, in bytes. Kubernetes names end at 253 bytes and condition messages at
/// 32 KiB; what is longer is an attack or an accident, and is cut with a mark.
const MAX_BYTES: usize = 8 * 1024;

/// Text without control characters, terminal escapes or bidirectional overrides.
///
/// Names, annotations and log lines from a cluster reach a terminal: they are cleaned when the text
/// is built, so no renderer can forget to.
#[derive(
    Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Text(String);

impl Text {
    /// The cleaned text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Line breaks and tabs end as one space, other characters that a terminal or a reader could be
/// misled by end as `\u{fffd}`.
fn clean(raw: &str) -> String {
    let mut cut = raw.len().min(MAX_BYTES);
    while !raw.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut text = String::with_capacity(cut);
    for character in raw[..cut].chars() {
        match character {
            '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                if !text.ends_with(' ') {
                    text.push(' ');
                }
            }
            c if c.is_control() || misleads(c) => text.push('\u{fffd}'),
            c => text.push(c),
        }
    }
    if cut < raw.len() {
        text.push('…');
    }
    text
}

/// Bidirectional controls (Unicode UAX #9) and zero-width characters, which change how a line reads
/// without showing themselves.
fn misleads(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl From<String> for Text {
    fn from(raw: String) -> Self {
        if raw.len() <= MAX_BYTES && raw.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            Self(raw)
        } else {
            Self(clean(&raw))
        }
    }
}

impl From<&str> for Text {
    fn from(raw: &str) -> Self {
        Self::from(raw.to_owned())
    }
}

impl From<&String> for Text {
    fn from(raw: &String) -> Self {
        Self::from(raw.clone())
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl std::ops::Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_overrides_do_not_survive() {
        let text = Text::from("a\u{1b}[31mred\u{202e}cba\u{9b}0m\r\nnext\tx");
        assert_eq!(
            text.as_str(),
            "a\u{fffd}[31mred\u{fffd}cba\u{fffd}0m next x"
        );
    }

    #[test]
    fn ordinary_text_of_any_language_is_kept() {
        for kept in ["ip-10-0-1-23", "größe", "節點", "✗"] {
            assert_eq!(Text::from(kept).as_str(), kept);
        }
    }

    #[test]
    fn a_name_of_a_megabyte_is_cut_with_a_mark() {
        let text = Text::from("é".repeat(1 << 20));
        assert!(text.len() <= MAX_BYTES + '…'.len_utf8());
        assert!(text.ends_with('…'));
    }
}
