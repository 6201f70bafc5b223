//! The report as text for a terminal.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::{Diagnosis, Report, Role, Severity, Verdict};

use crate::gaps::gap_groups;
use crate::render::diagnosis::{ById, block, ink};
use crate::render::page::Page;
use crate::render::style::{Ink, Style};
use crate::render::summary::sentence;
use crate::render::{ends, severity};

/// Diagnoses that are shown in full; the others as one line each.
const IN_FULL: usize = 3;
/// Lines under "Also found" and under "Unexplained".
const MOST_LINES: usize = 8;

/// The report as text: worst first, one screen, proof before advice. Commands stand on one line
/// however long they are, so that they can be pasted.
#[must_use]
pub fn text(report: &Report, style: &Style) -> String {
    text_with(report, style, "")
}

/// [`text`] with a section of the caller's own before the closing lines; empty for none.
#[must_use]
pub fn text_with(report: &Report, style: &Style, section: &str) -> String {
    let findings: ById<'_> = report
        .findings
        .iter()
        .map(|finding| (&finding.id, finding))
        .collect();
    let mut page = Page::new(style);
    ends::header(&mut page, report);
    page.blank();
    headline(&mut page, report, &findings);
    let groups = groups(report);
    let in_full = if style.wide { usize::MAX } else { IN_FULL };
    let (main, also): (Vec<_>, Vec<_>) = groups
        .into_iter()
        .partition(|alike| is_main(alike[0], &findings));
    let (full, rest) = main.split_at(main.len().min(in_full));
    for alike in full {
        page.blank();
        block(&mut page, alike, &findings, report.taken_at);
    }
    let rest: Vec<Vec<&Diagnosis>> = rest.iter().cloned().chain(also).collect();
    also_found(&mut page, &rest);
    unexplained(&mut page, report, &findings);
    page.blank();
    if !section.is_empty() {
        section.lines().for_each(|line| page.line(line));
        page.blank();
    }
    ends::footer(&mut page, report);
    page.finish()
}

/// Diagnoses by check, in the order of the best of each.
fn groups(report: &Report) -> Vec<Vec<&Diagnosis>> {
    let mut order: Vec<&str> = Vec::new();
    let mut by_check: BTreeMap<&str, Vec<&Diagnosis>> = BTreeMap::new();
    for diagnosis in &report.diagnoses {
        let group = by_check.entry(&diagnosis.check).or_default();
        if group.is_empty() {
            order.push(&diagnosis.check);
        }
        group.push(diagnosis);
    }
    order
        .iter()
        .filter_map(|check| by_check.remove(check))
        .collect()
}

/// Whether a diagnosis is shown in full: something is broken, or it explains something.
fn is_main(diagnosis: &Diagnosis, findings: &ById<'_>) -> bool {
    let risk = findings
        .get(&diagnosis.finding)
        .is_some_and(|root| root.role == Role::Risk);
    !diagnosis.explains.is_empty() || (diagnosis.severity >= Severity::Error && !risk)
}

fn headline(page: &mut Page<'_>, report: &Report, findings: &ById<'_>) {
    let style = page.style;
    let (glyph, word, ink) = match report.verdict {
        Verdict::Broken => (style.glyph("✗", "x"), "BROKEN", Ink::Critical),
        Verdict::Degraded => ("!", "DEGRADED", Ink::Warning),
        Verdict::Healthy => (style.glyph("✓", "+"), "HEALTHY", Ink::Good),
        Verdict::Inconclusive => ("?", "INCONCLUSIVE", Ink::Warning),
    };
    let head = style.paint(ink, &format!("{glyph} {word}"));
    page.line(&format!(
        "{head}  {}",
        style.fit(&sentence(report, findings))
    ));
    match report.verdict {
        Verdict::Healthy => looked_at(page, report),
        Verdict::Inconclusive => missing(page, report),
        Verdict::Broken | Verdict::Degraded => {}
    }
}

/// What the passes of a healthy report stand on.
fn looked_at(page: &mut Page<'_>, report: &Report) {
    let sources: BTreeSet<&str> = report
        .outcomes
        .iter()
        .flat_map(|entry| &entry.evidence)
        .map(|source| source.key())
        .collect();
    if !sources.is_empty() {
        let sources: Vec<&str> = sources.into_iter().collect();
        page.labelled("read", Ink::Plain, &sources.join(", "));
    }
}

/// What an inconclusive report lacks, and what to do first.
fn missing(page: &mut Page<'_>, report: &Report) {
    for (at, lack) in report.lacks.iter().enumerate() {
        page.labelled(if at == 0 { "missing" } else { "" }, Ink::Plain, lack);
    }
    let groups = gap_groups(report);
    let core = groups.iter().find(|group| {
        group.closes.is_some()
            && group
                .checks
                .iter()
                .any(|check| crate::CORE.contains(&check.as_str()))
    });
    let first = core.or_else(|| groups.iter().find(|group| group.closes.is_some()));
    if let Some(closes) = first.and_then(|group| group.closes.as_ref()) {
        page.command("next", closes);
    }
}

fn also_found(page: &mut Page<'_>, groups: &[Vec<&Diagnosis>]) {
    if groups.is_empty() {
        return;
    }
    page.blank();
    page.line("Also found");
    let most = if page.style.wide {
        usize::MAX
    } else {
        MOST_LINES
    };
    for alike in groups.iter().take(most) {
        let first = alike[0];
        let title = match alike.len() {
            1 => first.title.to_string(),
            more => format!("{} (and {} more alike)", first.title, more - 1),
        };
        one_line(page, first.severity, &title, &first.check);
    }
    if groups.len() > most {
        page.line(&format!(" and {} more (-o wide)", groups.len() - most));
    }
}

fn unexplained(page: &mut Page<'_>, report: &Report, findings: &ById<'_>) {
    if report.unexplained.is_empty() {
        return;
    }
    page.blank();
    page.line("Unexplained");
    let most = if page.style.wide {
        usize::MAX
    } else {
        MOST_LINES
    };
    let entries = report.unexplained.iter().filter_map(|id| findings.get(id));
    for finding in entries.take(most) {
        one_line(page, finding.severity, &finding.title, &finding.check);
    }
    if report.unexplained.len() > most {
        page.line(&format!(
            " and {} more (-o wide)",
            report.unexplained.len() - most
        ));
    }
}

fn one_line(page: &mut Page<'_>, level: Severity, title: &str, check: &str) {
    let style = page.style;
    let glyph = match level {
        Severity::Critical | Severity::Error => style.glyph("✗", "x"),
        Severity::Warning => "!",
        Severity::Info => "i",
    };
    let word = format!("{:<8}", severity(level));
    let head = format!(
        " {} {}  ",
        style.paint(ink(level), glyph),
        style.paint(ink(level), &word)
    );
    let painted = style.paint(Ink::Faint, check);
    page.edges(13, &head, Ink::Plain, title, (check, painted));
}
