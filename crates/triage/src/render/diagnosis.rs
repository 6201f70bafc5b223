//! One diagnosis as a block of lines.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::{Diagnosis, Fact, FindingEntry, Severity, Source, Text, Time};

use crate::render::page::{Page, TEXT};
use crate::render::style::Ink;
use crate::render::wrap::{cut, cut_middle, width, wrap};
use crate::render::{chain, confidence, fact, severity};

/// The most proof lines of the root, and of what it leads to.
const MOST_FACTS: usize = 4;
const MOST_LATER_FACTS: usize = 2;
/// Columns of a record that are shown at least.
const SHORTEST_RECORD: usize = 60;
/// The most lines that a chain or a list of open questions takes.
const MOST_LINES: usize = 6;
/// The most reasons beside a proof that leaves nothing open.
const MOST_REASONS: usize = 1;
/// The most reasons beside open questions.
const MOST_OPEN_REASONS: usize = 3;
/// The most checks that are named beside the root's to see whether a fix worked.
const MOST_CHECKS: usize = 2;

/// Findings of a report by id.
pub(crate) type ById<'r> = BTreeMap<&'r Text, &'r FindingEntry>;

pub(crate) fn ink(severity: Severity) -> Ink {
    match severity {
        Severity::Critical => Ink::Critical,
        Severity::Error => Ink::Error,
        Severity::Warning => Ink::Warning,
        Severity::Info => Ink::Info,
    }
}

/// The first of some diagnoses of one check in full; the others are named.
pub(crate) fn block(
    page: &mut Page<'_>,
    alike: &[&Diagnosis],
    findings: &ById<'_>,
    now: Option<Time>,
) {
    let Some((first, others)) = alike.split_first() else {
        return;
    };
    let style = page.style;
    let level = severity(first.severity);
    let head = format!(
        "{:>2} {}  ",
        first.rank,
        style.paint(ink(first.severity), &format!("{level:<8}"))
    );
    let right = format!("{}   {}", first.check, confidence(first.confidence));
    let painted = style.paint(Ink::Faint, &right);
    page.edges(TEXT, &head, Ink::Strong, &first.title, (&right, painted));
    if !others.is_empty() {
        page.labelled("alike", Ink::Plain, &names(others));
    }
    let root = findings.get(&first.finding);
    if let Some(root) = root
        && !root.detail.is_empty()
    {
        page.labelled("what", Ink::Plain, &root.detail);
    }
    proof(page, first, findings, now);
    because(page, first, findings);
    let most = if page.style.wide {
        usize::MAX
    } else {
        MOST_LINES
    };
    let lines = chain::chains(first, findings, page.room(), most);
    let lines: Vec<String> = lines
        .iter()
        .map(|line| style.fit(line).into_owned())
        .collect();
    page.rows("leads to", Ink::Plain, &lines);
    advice(page, first, findings);
}

fn names(others: &[&Diagnosis]) -> String {
    let named: Vec<String> = others
        .iter()
        .take(3)
        .map(|other| match other.subjects.first() {
            Some(subject) => subject.to_string(),
            None => other.title.to_string(),
        })
        .collect();
    let mut text = format!("{} more: {}", others.len(), named.join(", "));
    if others.len() > named.len() {
        text.push_str(&format!(" and {} more", others.len() - named.len()));
    }
    text
}

/// Facts of the root, then the first fact of what it is proven to lead to.
fn proof(page: &mut Page<'_>, diagnosis: &Diagnosis, findings: &ById<'_>, now: Option<Time>) {
    let style = page.style;
    let mut facts: Vec<&Fact> = Vec::new();
    let mut hidden = 0;
    if let Some(root) = findings.get(&diagnosis.finding) {
        let most = if style.wide { usize::MAX } else { MOST_FACTS };
        facts.extend(root.facts.iter().take(most));
        hidden = root.facts.len() - facts.len();
    }
    // A root that has proof of its own needs no more; one that has little borrows from its effects.
    let borrowed = MOST_FACTS
        .saturating_sub(facts.len() + 1)
        .min(MOST_LATER_FACTS);
    let mut checks = BTreeSet::new();
    let later = diagnosis
        .links
        .iter()
        .filter(|link| link.confirmed)
        .filter_map(|link| findings.get(&link.to))
        .filter(|effect| checks.insert(&effect.check))
        .filter_map(|effect| effect.facts.first());
    for fact in later.take(borrowed) {
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    let room = page.room() - 8;
    let mut rows = Vec::new();
    let mut quoted = BTreeSet::new();
    for one in &facts {
        // A record that several signatures matched is quoted once.
        if !quoted.insert(quote(one)) {
            continue;
        }
        let mut sentence = style.fit(&fact::sentence(one, now)).into_owned();
        if !style.wide {
            let mark = style.glyph("…", "...");
            if matches!(one.source, Source::Logs | Source::Events) {
                // Who writes and where is kept; a record ends with what went wrong.
                let said = style.fit(&one.saw).into_owned();
                let around = width(&sentence).saturating_sub(width(&said));
                let left = (room * 2).saturating_sub(around).max(SHORTEST_RECORD);
                sentence = sentence.replacen(&said, &cut_middle(&said, left, mark), 1);
            }
            sentence = cut(&sentence, room * 2, mark);
        }
        for (at, line) in wrap(&sentence, room).iter().enumerate() {
            let kind = if at == 0 { fact::kind(one.source) } else { "" };
            rows.push(format!("{kind:<6}  {line}"));
        }
    }
    if hidden > 0 {
        rows.push(format!("        and {hidden} more (-o wide)"));
    }
    page.rows("proof", Ink::Plain, &rows);
}

/// What tells a quoted record from others: its end, and where it stands. Other facts are told by all that
/// they say.
fn quote(fact: &Fact) -> (&str, &str, String) {
    const END: usize = 120;
    let is_record = matches!(fact.source, Source::Logs | Source::Events);
    let length = fact.saw.chars().count();
    match is_record && length > END {
        true => (
            &fact.subject,
            "",
            fact.saw.chars().skip(length - END).collect(),
        ),
        false => (&fact.subject, &fact.field, fact.saw.to_string()),
    }
}

/// Why it explains what it explains, where the proof does not say so itself; what would decide.
fn because(page: &mut Page<'_>, diagnosis: &Diagnosis, findings: &ById<'_>) {
    let seen = chain::seen_as(diagnosis, findings);
    if let Some((first, more)) = seen.split_first() {
        let mut text = (*first).to_owned();
        if !more.is_empty() {
            text.push_str(&format!(" (and {} more)", more.len()));
        }
        page.labelled("seen as", Ink::Plain, &text);
    }
    // What is proven shows in the proof: one sentence joins it. What is open is spelled out.
    let (reasons, open) = match (page.style.wide, diagnosis.decide.is_empty()) {
        (true, _) => (usize::MAX, usize::MAX),
        (false, true) => (MOST_REASONS, 0),
        (false, false) => (MOST_OPEN_REASONS, MOST_LINES),
    };
    for (label, lines, most) in [
        ("because", &diagnosis.because, reasons),
        ("decides", &diagnosis.decide, open),
    ] {
        for (at, line) in lines.iter().take(most).enumerate() {
            page.command(if at == 0 { label } else { "" }, line);
        }
    }
}

fn advice(page: &mut Page<'_>, diagnosis: &Diagnosis, findings: &ById<'_>) {
    let remedy = &diagnosis.remedy;
    let confirm = if page.style.wide { usize::MAX } else { 1 };
    for (at, line) in remedy.confirm.iter().take(confirm).enumerate() {
        page.command(if at == 0 { "confirm" } else { "" }, line);
    }
    for (at, line) in remedy.fix.iter().enumerate() {
        page.command(if at == 0 { "fix" } else { "" }, line);
    }
    let verify = format!(
        "kubectl eksnet doctor --only {}",
        scope(diagnosis, findings)
    );
    page.command("verify", &verify);
    let more = format!("kubectl eksnet explain {}", diagnosis.check);
    page.command("more", &more);
}

/// The checks that show whether a fix worked: the root's, and the nearest of what it leads to. Two or
/// more of a family stand as the family.
fn scope(diagnosis: &Diagnosis, findings: &ById<'_>) -> String {
    let mut families: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut named = BTreeSet::new();
    let explained = diagnosis
        .explains
        .iter()
        .filter_map(|id| findings.get(id))
        .map(|finding| finding.check.as_str())
        .filter(|check| !check.starts_with("sym/") && *check != diagnosis.check.as_str())
        .filter(|check| named.insert(*check))
        .take(MOST_CHECKS);
    for check in explained.chain([diagnosis.check.as_str()]) {
        let family = check.split('/').next().unwrap_or(check);
        families.entry(family).or_default().insert(check);
    }
    families
        .iter()
        .map(|(family, checks)| match checks.first() {
            Some(check) if checks.len() == 1 => *check,
            _ => *family,
        })
        .collect::<Vec<_>>()
        .join(",")
}
