//! How text looks: colour, glyphs, width.

use std::borrow::Cow;

use colored::Color;

/// How text looks. Nothing in here is global: two reports with different styles can be written at
/// the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether to use colour. It never carries meaning alone.
    pub colour: bool,
    /// Whether to use characters beyond ASCII.
    pub unicode: bool,
    /// Columns of the page.
    pub width: usize,
    /// Whether to show everything: all diagnoses in full, proof uncut.
    pub wide: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            colour: false,
            unicode: true,
            width: 100,
            wide: false,
        }
    }
}

/// What a piece of text is, as far as its colour goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// As it is.
    Plain,
    /// Names of things, titles.
    Strong,
    /// Labels, ids, what can be skipped.
    Faint,
    /// An outage.
    Critical,
    /// Something broken.
    Error,
    /// A risk.
    Warning,
    /// A fact.
    Info,
    /// All is well.
    Good,
    /// A command to paste.
    Command,
}

impl Style {
    /// The text in the colour of `ink`.
    #[must_use]
    pub fn paint(&self, ink: Ink, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code: Cow<'static, str> = match ink {
            Ink::Plain => return text.to_owned(),
            Ink::Strong => "1".into(),
            Ink::Faint => "2".into(),
            Ink::Critical => format!("1;{}", Color::Red.to_fg_str()).into(),
            Ink::Error => Color::Red.to_fg_str(),
            Ink::Warning => Color::Yellow.to_fg_str(),
            Ink::Info => Color::Blue.to_fg_str(),
            Ink::Good => Color::Green.to_fg_str(),
            Ink::Command => Color::Cyan.to_fg_str(),
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// The text in the characters that this style may use.
    #[must_use]
    pub fn fit<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.unicode || text.is_ascii() {
            return Cow::Borrowed(text);
        }
        let mut plain = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                c if c.is_ascii() => plain.push(c),
                '…' => plain.push_str("..."),
                '·' | '•' => plain.push('|'),
                '–' | '—' | '−' => plain.push('-'),
                '→' => plain.push_str("->"),
                '≥' => plain.push_str(">="),
                '≤' => plain.push_str("<="),
                '×' => plain.push('x'),
                '‘' | '’' => plain.push('\''),
                '“' | '”' => plain.push('"'),
                '\u{a0}' => plain.push(' '),
                _ => plain.push('?'),
            }
        }
        Cow::Owned(plain)
    }

    /// One of two spellings of a glyph.
    pub(crate) fn glyph(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }

    /// What stands between parts of a line.
    pub(crate) fn dot(&self) -> &'static str {
        self.glyph(" · ", " | ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_nothing_is_added() {
        let style = Style::default();
        assert_eq!(style.paint(Ink::Critical, "x"), "x");
        let style = Style {
            colour: true,
            ..style
        };
        assert_eq!(style.paint(Ink::Critical, "x"), "\u{1b}[1;31mx\u{1b}[0m");
        assert_eq!(style.paint(Ink::Plain, "x"), "x");
    }

    #[test]
    fn without_unicode_everything_is_ascii() {
        let style = Style {
            unicode: false,
            ..Style::default()
        };
        assert_eq!(style.fit("a … b → 節 · ×"), "a ... b -> ? | x");
    }
}
