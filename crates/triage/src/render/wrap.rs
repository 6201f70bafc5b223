//! Breaks text into lines by display width.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Breaks a text at spaces into lines of at most `columns`. An arrow stays with the word behind it. A
/// word that is longer than a line is broken.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let mut lines = vec![String::new()];
    let mut used = 0;
    let mut words = text.split(' ').filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let mut word = word.to_owned();
        if word == "->"
            && let Some(next) = words.next()
        {
            word.push(' ');
            word.push_str(next);
        }
        let space = usize::from(used > 0);
        let size = width(&word);
        if used + space + size > columns && used > 0 {
            lines.push(String::new());
            used = 0;
        }
        let line = lines.last_mut().expect("there is always a line");
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        if size <= columns {
            line.push_str(&word);
            used += size;
            continue;
        }
        for character in word.chars() {
            let size = character.width().unwrap_or(0);
            if used + size > columns {
                lines.push(String::new());
                used = 0;
            }
            let line = lines.last_mut().expect("there is always a line");
            line.push(character);
            used += size;
        }
    }
    lines
}

/// The text, cut to `columns` with a mark where it was longer.
pub(crate) fn cut(text: &str, columns: usize, mark: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(mark));
    let short: String = fitting(text.chars(), room).collect();
    format!("{}{mark}", short.trim_end())
}

/// The text, cut to `columns` with a mark in its middle where it was longer: of its end more is kept than of
/// its beginning.
pub(crate) fn cut_middle(text: &str, columns: usize, mark: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(mark));
    let head = room * 2 / 5;
    let start: String = fitting(text.chars(), head).collect();
    let end: Vec<char> = fitting(text.chars().rev(), room - head).collect();
    let end: String = end.into_iter().rev().collect();
    format!("{}{mark}{}", start.trim_end(), end.trim_start())
}

/// The first of some characters, as many as fit in `room` columns.
fn fitting(characters: impl Iterator<Item = char>, room: usize) -> impl Iterator<Item = char> {
    let mut used = 0;
    characters.take_while(move |character| {
        used += character.width().unwrap_or(0);
        used <= room
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_to_the_width_that_a_terminal_shows() {
        for line in wrap("節點 ip-10-0-1-23 に 接続 できません because of a rule", 16) {
            assert!(width(&line) <= 16, "{line:?}");
        }
    }

    #[test]
    fn an_arrow_stays_with_what_it_points_to() {
        assert_eq!(wrap("aaaa bbbb -> cccc", 9), ["aaaa bbbb", "-> cccc"]);
    }

    #[test]
    fn a_word_longer_than_a_line_is_broken() {
        let lines = wrap(&"x".repeat(25), 10);
        assert_eq!(
            lines.iter().map(|l| l.len()).collect::<Vec<_>>(),
            [10, 10, 5]
        );
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("abcdefghij", 6, "…"), "abcde…");
        assert_eq!(cut("abc", 6, "…"), "abc");
        assert_eq!(cut_middle("abcdefghijklm", 6, "…"), "ab…klm");
        assert_eq!(cut_middle("abc", 6, "…"), "abc");
    }
}
