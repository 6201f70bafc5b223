//! The report as Markdown, for a ticket.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::{Diagnosis, Fact, FindingEntry, Gap, OutcomeState, Report, Text, Why};

use crate::gaps::lacks;
use crate::render::diagnosis::ById;
use crate::render::{chain, confidence, counted, ends, fact, severity, summary, verdict};

/// The longest report, in bytes: the body of a GitHub issue holds 65,536 characters.
const MOST_BYTES: usize = 60_000;
/// The most proof lines of a diagnosis.
const MOST_FACTS: usize = 8;
/// The most lines of a chain.
const MOST_CHAINS: usize = 12;
/// The most entries of the timeline, newest kept.
const MOST_TIMES: usize = 25;
/// The most rows of a list.
const MOST_ROWS: usize = 30;

/// The report as Markdown: verdict, diagnoses with their proof, timeline, what was not seen. Text of the
/// cluster is escaped: it makes no markup and mentions nobody. At most 60,000 bytes: what does
/// not fit is left out from the end, and the report says so.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let findings: ById<'_> = report
        .findings
        .iter()
        .map(|finding| (&finding.id, finding))
        .collect();
    let mut parts = vec![head(report, &findings)];
    parts.extend(
        report
            .diagnoses
            .iter()
            .map(|diagnosis| section(diagnosis, &findings, report)),
    );
    parts.extend([
        unexplained(report, &findings),
        timeline(report),
        not_seen(report),
        checks(report),
    ]);
    let foot = foot(report);
    let mut out = String::new();
    for (at, part) in parts.iter().enumerate() {
        if out.len() + part.len() + foot.len() > MOST_BYTES {
            let left = parts.len() - at;
            out.push_str(&format!(
                "{} left out for length: see `-o json`.\n\n",
                counted(left, "section")
            ));
            break;
        }
        out.push_str(part);
    }
    out + &foot
}

fn head(report: &Report, findings: &ById<'_>) -> String {
    let mut out = format!(
        "## {}: {}\n\n",
        verdict(report.verdict).to_uppercase(),
        escaped(&summary::sentence(report, findings))
    );
    out.push_str(&format!("{}\n\n", escaped(&ends::identity(report, " · "))));
    for note in &report.cluster.facts.notes {
        out.push_str(&format!("> {}\n\n", escaped(note)));
    }
    for lack in &report.lacks {
        out.push_str(&format!("- missing: {}\n", escaped(lack)));
    }
    if !report.lacks.is_empty() {
        out.push('\n');
    }
    out
}

fn section(diagnosis: &Diagnosis, findings: &ById<'_>, report: &Report) -> String {
    let mut out = format!(
        "### {}. {}\n\n`{}` · {} · {}\n\n",
        diagnosis.rank,
        escaped(&diagnosis.title),
        diagnosis.check,
        severity(diagnosis.severity),
        confidence(diagnosis.confidence)
    );
    let root = findings.get(&diagnosis.finding);
    if let Some(root) = root.filter(|root| !root.detail.is_empty()) {
        out.push_str(&format!("{}\n\n", escaped(&root.detail)));
    }
    if let Some(root) = root {
        let facts = root.facts.iter().map(|one| proof(one, report));
        list(&mut out, "Proof", facts.collect(), MOST_FACTS);
    }
    let reasons = diagnosis.because.iter().map(|line| escaped(line));
    list(&mut out, "Because", reasons.collect(), MOST_FACTS);
    let open = diagnosis.decide.iter().map(|line| escaped(line));
    list(&mut out, "What would decide", open.collect(), MOST_FACTS);
    let chains = chain::chains(diagnosis, findings, usize::MAX, MOST_CHAINS);
    let chains = chains.iter().map(|line| escaped(line));
    list(&mut out, "Leads to", chains.collect(), MOST_CHAINS);
    commands(&mut out, "Confirm", &diagnosis.remedy.confirm);
    commands(&mut out, "Fix", &diagnosis.remedy.fix);
    out
}

fn proof(one: &Fact, report: &Report) -> String {
    let sentence = fact::sentence(one, report.taken_at);
    format!("`{}` {}", one.source, escaped(&sentence))
}

fn list(out: &mut String, title: &str, lines: Vec<String>, most: usize) {
    if lines.is_empty() {
        return;
    }
    out.push_str(&format!("**{title}**\n\n"));
    for line in lines.iter().take(most) {
        out.push_str(&format!("- {line}\n"));
    }
    if lines.len() > most {
        out.push_str(&format!("- and {} more\n", lines.len() - most));
    }
    out.push('\n');
}

/// Commands in a fence that none of them can close.
fn commands(out: &mut String, title: &str, lines: &[Text]) {
    if lines.is_empty() {
        return;
    }
    let longest = lines
        .iter()
        .flat_map(|line| line.split(|c| c != '`').map(str::len))
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    out.push_str(&format!("**{title}**\n\n{fence}sh\n"));
    for line in lines {
        out.push_str(line);
        out.push('\n');
    }
    out.push_str(&format!("{fence}\n\n"));
}

fn unexplained(report: &Report, findings: &ById<'_>) -> String {
    let entries: Vec<&&FindingEntry> = report
        .unexplained
        .iter()
        .filter_map(|id| findings.get(id))
        .collect();
    let lines = entries.iter().map(|finding| {
        format!(
            "{}: {} (`{}`)",
            severity(finding.severity),
            escaped(&finding.title),
            finding.check
        )
    });
    let mut out = String::new();
    list(&mut out, "Unexplained", lines.collect(), MOST_ROWS);
    out
}

/// What was seen when, oldest first.
fn timeline(report: &Report) -> String {
    let mut seen = BTreeSet::new();
    for finding in &report.findings {
        for one in &finding.facts {
            if let Some(at) = one.observed_at {
                seen.insert((at.to_string(), fact::sentence(one, None)));
            }
        }
    }
    if seen.is_empty() {
        return String::new();
    }
    let mut out = "**Timeline (UTC)**\n\n| when | what |\n| --- | --- |\n".to_owned();
    for (at, what) in seen.iter().skip(seen.len().saturating_sub(MOST_TIMES)) {
        out.push_str(&format!("| {at} | {} |\n", escaped(what)));
    }
    out.push('\n');
    out
}

fn not_seen(report: &Report) -> String {
    let said = |gap: &Gap| {
        let closes = gap.closes.as_ref().map(|text| format!(" ({text})"));
        format!(
            "`{}` {}{}",
            gap.source,
            escaped(&if gap.detail.is_empty() {
                lacks(gap)
            } else {
                gap.detail.clone()
            }),
            escaped(&closes.unwrap_or_default())
        )
    };
    let gaps = report
        .gaps
        .iter()
        .filter(|gap| gap.why != Why::NotRequested)
        .map(said);
    let unread = report
        .unread
        .iter()
        .map(|file| format!("file {}: {}", escaped(&file.path), escaped(&file.why)));
    let mut out = String::new();
    list(
        &mut out,
        "Not seen",
        gaps.chain(unread).collect(),
        MOST_ROWS,
    );
    out
}

/// What each check came to, folded away.
fn checks(report: &Report) -> String {
    let mut by_state: BTreeMap<OutcomeState, Vec<&str>> = BTreeMap::new();
    for entry in &report.outcomes {
        by_state.entry(entry.state).or_default().push(&entry.check);
    }
    let mut out = format!(
        "<details><summary>{}</summary>\n\n",
        counted(report.outcomes.len(), "check")
    );
    for (state, checks) in by_state {
        let named: Vec<String> = checks.iter().map(|check| format!("`{check}`")).collect();
        out.push_str(&format!(
            "- {} {}: {}\n",
            checks.len(),
            ends::noun(state),
            named.join(", ")
        ));
    }
    out.push_str("\n</details>\n\n");
    out
}

fn foot(report: &Report) -> String {
    format!(
        "kubectl-eksnet {} · created {}, deleted {}, left {} · exit {}\n",
        report.tool.version,
        counted(report.created.pods as usize, "pod"),
        report.created.deleted,
        report.created.left,
        report.exit_code
    )
}

/// Text without markup: every character that Markdown or HTML gives a meaning stands for itself.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_cluster_makes_no_markup() {
        assert_eq!(
            escaped("a|b <img> [x](y) @team `c`\n# d"),
            "a\\|b &lt;img> \\[x\\](y) &#64;team \\`c\\` \\# d"
        );
    }

    #[test]
    fn no_command_closes_its_fence() {
        let mut out = String::new();
        commands(&mut out, "Fix", &["echo ```` x".into()]);
        assert_eq!(out, "**Fix**\n\n`````sh\necho ```` x\n`````\n\n");
    }
}
