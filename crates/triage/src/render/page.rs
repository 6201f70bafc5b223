//! Lines on a page: labels, hanging indents, what may be broken and what may not.

use crate::render::style::{Ink, Style};
use crate::render::wrap::{width, wrap};

/// Column at which text begins; labels stand before it.
pub(crate) const TEXT: usize = 13;

/// First words of commands. Such lines are never broken: they are there to be pasted.
const PROGRAMS: [&str; 29] = [
    "awk",
    "aws",
    "cat",
    "crictl",
    "ctr",
    "curl",
    "dig",
    "docker",
    "echo",
    "eksctl",
    "export",
    "for",
    "getent",
    "grep",
    "helm",
    "ip",
    "iptables",
    "journalctl",
    "jq",
    "kubectl",
    "nc",
    "nslookup",
    "openssl",
    "ssh",
    "sudo",
    "sysctl",
    "systemctl",
    "tar",
    "terraform",
];

/// A page under construction.
pub(crate) struct Page<'s> {
    pub(crate) style: &'s Style,
    out: String,
}

impl<'s> Page<'s> {
    pub(crate) fn new(style: &'s Style) -> Self {
        Self {
            style,
            out: String::new(),
        }
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }

    /// Columns for text behind a label.
    pub(crate) fn room(&self) -> usize {
        self.style.width.saturating_sub(TEXT).max(24)
    }

    pub(crate) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// One line, as it is.
    pub(crate) fn line(&mut self, painted: &str) {
        self.out.push_str(painted.trim_end());
        self.out.push('\n');
    }

    /// Text over the whole width, continued with an indent.
    pub(crate) fn paragraph(&mut self, ink: Ink, indent: usize, text: &str) {
        let text = self.style.fit(text).into_owned();
        for (at, line) in wrap(&text, self.style.width.saturating_sub(indent))
            .iter()
            .enumerate()
        {
            let indent = if at == 0 { 0 } else { indent };
            let painted = self.style.paint(ink, line);
            self.line(&format!("{:indent$}{painted}", ""));
        }
    }

    /// A sentence and the command for it: on one line where both fit, else under each other, the
    /// command in one piece.
    pub(crate) fn unbroken(&mut self, parts: &[&str; 2]) {
        let [sentence, command] = parts.map(|part| self.style.fit(part).into_owned());
        let together = format!("   {sentence}: {command}");
        if command.is_empty() {
            self.paragraph(Ink::Plain, 3, &format!("   {sentence}"));
        } else if width(&together) <= self.style.width {
            self.line(&together);
        } else {
            self.paragraph(Ink::Plain, 3, &format!("   {sentence}:"));
            self.line(&format!("{:TEXT$}{command}", ""));
        }
    }

    /// A label and text with a hanging indent.
    pub(crate) fn labelled(&mut self, label: &str, ink: Ink, text: &str) {
        let text = self.style.fit(text).into_owned();
        let lines = wrap(&text, self.room());
        self.rows(label, ink, &lines);
    }

    /// A label and a command, or a sentence where there is no command.
    pub(crate) fn command(&mut self, label: &str, text: &str) {
        if is_command(text) {
            let text = self.style.fit(text).into_owned();
            self.rows(label, Ink::Command, &[text]);
        } else {
            self.labelled(label, Ink::Plain, text);
        }
    }

    /// A label and ready lines under each other.
    pub(crate) fn rows(&mut self, label: &str, ink: Ink, lines: &[String]) {
        for (at, line) in lines.iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            let label = self.style.paint(Ink::Faint, &format!("{label:<9}"));
            let text = self.style.paint(ink, line);
            self.line(&format!("   {label} {text}"));
        }
    }

    /// Text on the left, and text at the right edge of its last line, or beneath where it does not fit.
    pub(crate) fn edges(
        &mut self,
        indent: usize,
        first: &str,
        ink: Ink,
        left: &str,
        right: (&str, String),
    ) {
        let left = self.style.fit(left).into_owned();
        let (right, painted) = right;
        let room = self.style.width.saturating_sub(indent).max(24);
        let lines = wrap(&left, room);
        let last = lines.len() - 1;
        for (at, line) in lines.iter().enumerate() {
            let painted_line = self.style.paint(ink, line);
            let before = if at == 0 {
                first.to_owned()
            } else {
                " ".repeat(indent)
            };
            if at == last && width(line) + 2 + width(right) <= room {
                let gap = room - width(line) - width(right);
                self.line(&format!("{before}{painted_line}{:gap$}{painted}", ""));
                return;
            }
            self.line(&format!("{before}{painted_line}"));
        }
        if !right.is_empty() {
            let gap = room.saturating_sub(width(right));
            self.line(&format!("{:indent$}{:gap$}{painted}", "", ""));
        }
    }
}

/// Whether a remedy is a command, and not a sentence.
pub(crate) fn is_command(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    PROGRAMS.contains(&first) || first.starts_with("./") || first.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_stays_on_one_line_and_a_sentence_does_not() {
        let style = Style {
            width: 40,
            ..Style::default()
        };
        let mut page = Page::new(&style);
        let command = format!(
            "aws ec2 authorize-security-group-ingress {}",
            "x ".repeat(30)
        );
        page.command("fix", &command);
        assert_eq!(page.finish().lines().count(), 1);
        let mut page = Page::new(&style);
        page.command("fix", &format!("Replace the node {}", "x ".repeat(30)));
        assert!(page.finish().lines().count() > 1);
    }
}
