//! One line, freed of what tickets, terminals and tools wrap around it.

use std::borrow::Cow;

use eksnet_model::{Component, Time};

use crate::author;
use crate::stamp;

/// A line of a log without what was wrapped around it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Line<'a> {
    /// Pod, where `kubectl logs --prefix` names it.
    pub(crate) pod: &'a str,
    /// Its container.
    pub(crate) container: &'a str,
    /// Time that was prepended.
    pub(crate) at: Option<Time>,
    /// Node, where the journal names its host.
    pub(crate) host: &'a str,
    /// Who wrote it, where the journal says so.
    pub(crate) component: Option<Component>,
    /// What the program wrote.
    pub(crate) text: &'a str,
}

/// The text of a line: bytes that are no UTF-8 replaced, colours removed, and without the quote marks
/// of an answered mail or ticket, and without the carriage return.
pub(crate) fn plain(raw: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(raw);
    let text = if text.contains('\u{1b}') {
        Cow::Owned(without_escapes(&text))
    } else {
        text
    };
    let kept = unquoted(text.trim_start_matches('\u{feff}')).trim_end();
    if kept.len() == text.len() {
        return text;
    }
    Cow::Owned(kept.to_owned())
}

/// The text of a line that nothing has to be taken away from but space at its end; `None` for others, which
/// [`plain`] reads.
pub(crate) fn plain_already(line: &str) -> Option<&str> {
    if line.starts_with(['>', '\u{feff}']) || memchr::memchr(0x1b, line.as_bytes()).is_some() {
        return None;
    }
    Some(line.trim_end())
}

/// Terminal escapes: CSI (`ESC [ .. letter`), OSC (`ESC ] .. BEL`), and two-byte ones.
fn without_escapes(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            kept.push(character);
            continue;
        }
        match characters.next() {
            Some('[') => {
                characters.find(|c| ('@'..='~').contains(c));
            }
            Some(']') => {
                characters.find(|c| matches!(c, '\u{7}' | '\u{1b}'));
            }
            _ => {}
        }
    }
    kept
}

/// Without `> ` of quotations, however deep.
fn unquoted(mut text: &str) -> &str {
    while let Some(rest) = text.strip_prefix('>') {
        match rest.strip_prefix(' ') {
            Some(rest) => text = rest,
            None if rest.is_empty() || rest.starts_with('>') => text = rest,
            None => break,
        }
    }
    text
}

impl<'a> Line<'a> {
    /// Takes a plain line apart.
    pub(crate) fn of(plain: &'a str) -> Self {
        let mut line = Line {
            text: dedented(plain),
            ..Line::default()
        };
        if let Some((pod, container, rest)) = prefix(line.text) {
            (line.pod, line.container) = (pod, container);
            line.text = dedented(rest);
        }
        if let Some((at, rest)) = stamp::prepended(line.text) {
            line.at = Some(at);
            line.text = dedented(runtime(rest));
        } else if let Some((at, rest)) = stamp::kernel(line.text) {
            (line.at, line.text) = (at, rest);
        } else if let Some((host, component, rest)) = journal(line.text) {
            line.host = host;
            line.component = component;
            line.text = rest;
        }
        line
    }
}

/// What `kubectl logs --prefix` puts in front: `[pod/NAME/CONTAINER] `.
fn prefix(text: &str) -> Option<(&str, &str, &str)> {
    let (inside, rest) = text.strip_prefix("[pod/")?.split_once(']')?;
    let (pod, container) = inside.split_once('/')?;
    Some((pod, container, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// Without the stream and tag of the container runtime's files: `stderr F `.
fn runtime(text: &str) -> &str {
    if !text.starts_with("std") {
        return text;
    }
    ["stderr F ", "stdout F ", "stderr P ", "stdout P "]
        .iter()
        .find_map(|stream| text.strip_prefix(stream))
        .unwrap_or(text)
}

/// What journald prints: `Nov 25 04:22:11 HOST PROGRAM[PID]: `, its time has no year and no zone.
fn journal(text: &str) -> Option<(&str, Option<Component>, &str)> {
    const MONTHS: [&str; 12] = [
        "Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ", "Jul ", "Aug ", "Sep ", "Oct ", "Nov ",
        "Dec ",
    ];
    if text.as_bytes().get(9) != Some(&b':') || !MONTHS.iter().any(|month| text.starts_with(month))
    {
        return None;
    }
    let (host, rest) = text.get(16..)?.split_once(' ')?;
    let (program, rest) = rest.split_once(": ")?;
    let program = program.split('[').next().unwrap_or(program);
    if program.contains(' ') {
        return None;
    }
    Some((host, author::of_program(program), rest))
}

/// Without its indentation, where it is the beginning of a record: a log that was pasted as an
/// indented block would else be one single record.
fn dedented(text: &str) -> &str {
    let bare = text.trim_start();
    if bare.len() < text.len() && starts_record(bare) {
        bare
    } else {
        text
    }
}

/// Whether a line begins a record in a format that is known.
pub(crate) fn starts_record(text: &str) -> bool {
    match text.as_bytes().first() {
        Some(b'{') => text.starts_with("{\""),
        Some(b't' | b'l') => ["time=\"", "time=20", "level=", "ts=20"]
            .iter()
            .any(|start| text.starts_with(start)),
        Some(b'[') => {
            text.starts_with("[pod/") || level(text).is_some() || stamp::kernel(text).is_some()
        }
        Some(byte) if byte.is_ascii_digit() => stamp::prepended(text).is_some(),
        Some(b'A'..=b'Z') => stamp::is_klog(text) || journal(text).is_some(),
        _ => false,
    }
}

/// The rest of a line behind `[INFO] ` or another level in brackets.
pub(crate) fn level(text: &str) -> Option<&str> {
    let (level, rest) = text.strip_prefix('[')?.split_once(']')?;
    matches!(
        level,
        "INFO" | "WARNING" | "WARN" | "ERROR" | "DEBUG" | "FATAL" | "PANIC" | "NOTICE"
    )
    .then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mails_terminals_and_windows_add_is_taken_away() {
        let line = b"\xef\xbb\xbf> > \x1b[31mE1019 06:00:10.278115       1 a.go:1] x\x1b[0m\r";
        assert_eq!(plain(line), "E1019 06:00:10.278115       1 a.go:1] x");
        assert_eq!(plain(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(plain(b">x"), ">x");
    }

    #[test]
    fn prefixes_of_kubectl_and_of_the_runtime_are_told_from_the_text() {
        let line = Line::of("[pod/coredns-5d78c9869d-abcde/coredns] [INFO] plugin/ready: x");
        assert_eq!(line.pod, "coredns-5d78c9869d-abcde");
        assert_eq!(line.container, "coredns");
        assert_eq!(line.text, "[INFO] plugin/ready: x");
        let line = Line::of(
            "    2026-05-25T16:20:47.123456789Z stderr F E0525 16:20:47.123456       1 a.go:1] x",
        );
        assert_eq!(line.at, Time::parse("2026-05-25T16:20:47.123456789Z"));
        assert_eq!(line.text, "E0525 16:20:47.123456       1 a.go:1] x");
    }

    #[test]
    fn the_journal_names_the_program() {
        let line = Line::of(
            "Nov 25 04:22:11 ip-10-0-1-2.ec2.internal kubelet[4021]: E1125 04:22:11.000001    4021 x.go:1] y",
        );
        assert_eq!(line.component, Some(Component::Kubelet));
        assert_eq!(line.host, "ip-10-0-1-2.ec2.internal");
        assert_eq!(line.text, "E1125 04:22:11.000001    4021 x.go:1] y");
    }

    #[test]
    fn only_the_beginning_of_a_record_loses_its_indentation() {
        assert_eq!(Line::of("   status code: 403").text, "   status code: 403");
        assert_eq!(Line::of("   {\"level\":1}").text, "{\"level\":1}");
    }
}
