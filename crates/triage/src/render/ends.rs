//! Header and footer: what was looked at, and how it ended.

use eksnet_model::{OriginKind, OutcomeState, Report, Why};

use crate::gaps::gap_groups;
use crate::render::counted;
use crate::render::page::Page;
use crate::render::style::Ink;
use crate::render::wrap::width;

/// The cluster on the left, the program on the right; what is known of the cluster's identity.
pub(crate) fn header(page: &mut Page<'_>, report: &Report) {
    let program = format!("kubectl-eksnet {}", report.tool.version);
    let painted = page.style.paint(Ink::Faint, &program);
    let left = identity(report, page.style.dot());
    page.edges(0, "", Ink::Strong, &left, (&program, painted));
    for note in &report.cluster.facts.notes {
        page.paragraph(Ink::Plain, 6, &format!("note: {note}"));
    }
}

/// What is known of the cluster's identity and of the evidence.
pub(crate) fn identity(report: &Report, dot: &str) -> String {
    let facts = &report.cluster.facts;
    let kind = match facts.eks {
        Some(false) => "Cluster",
        _ => "EKS",
    };
    let mut parts = vec![match &facts.name {
        Some(name) => format!("{kind} {name}"),
        None => "Cluster of unknown name".to_owned(),
    }];
    parts.extend(facts.region.iter().map(ToString::to_string));
    parts.extend(facts.account.iter().map(ToString::to_string));
    if let Some(version) = &facts.version {
        parts.push(format!("v{}", version.trim_start_matches('v')));
    }
    if let Some(nodes) = report.cluster.nodes {
        let nodes = counted(nodes as usize, "node");
        parts.push(match report.cluster.node_groups {
            Some(groups) if groups > 0 => {
                format!("{}, {nodes}", counted(groups as usize, "node group"))
            }
            _ => nodes,
        });
    }
    match report.source.kind {
        OriginKind::Cluster => {}
        OriginKind::Bundle => parts.push(format!("bundle {}", report.source.name)),
        OriginKind::Folder => parts.push(format!("folder {}", report.source.name)),
        OriginKind::Demo => parts.push("demo".to_owned()),
    }
    if report.source.kind != OriginKind::Cluster
        && let Some(at) = report.taken_at
    {
        let at = at.to_string();
        let minutes = at.get(..16).unwrap_or(&at).replace('T', " ");
        parts.push(format!("as of {minutes} UTC"));
    }
    parts.join(dot)
}

/// A state of a check, as the count of it is read.
pub(crate) fn noun(state: OutcomeState) -> &'static str {
    match state {
        OutcomeState::Pass => "pass",
        OutcomeState::Found => "found",
        OutcomeState::NotApplicable => "not applicable",
        OutcomeState::Unknown => "unknown",
        OutcomeState::Crashed => "crashed",
    }
}

/// What each check came to, what was not seen, what the run left behind.
pub(crate) fn footer(page: &mut Page<'_>, report: &Report) {
    let dot = page.style.dot();
    let count = |state| {
        report
            .outcomes
            .iter()
            .filter(|entry| entry.state == state)
            .count()
    };
    let mut parts = Vec::new();
    for state in [
        OutcomeState::Pass,
        OutcomeState::Found,
        OutcomeState::NotApplicable,
        OutcomeState::Unknown,
        OutcomeState::Crashed,
    ] {
        let count = count(state);
        if count > 0 {
            parts.push(format!("{count} {}", noun(state)));
        }
    }
    let checks = counted(report.outcomes.len(), "check");
    let counts = format!("{checks}: {}", parts.join(dot));
    match gap_groups(report).first() {
        None => page.paragraph(Ink::Plain, 3, &counts),
        Some(group) => {
            let gap = match &group.closes {
                Some(closes) => format!("{}: {closes}", group.sentence()),
                None => group.sentence(),
            };
            let together = format!("{counts} ({gap})");
            if width(&together) <= page.style.width {
                page.paragraph(Ink::Plain, 3, &together);
            } else {
                page.paragraph(Ink::Plain, 3, &counts);
                page.unbroken(&[&group.sentence(), group.closes.as_deref().unwrap_or("")]);
            }
        }
    }
    for gap in report.gaps.iter().filter(|gap| gap.why == Why::Sampled) {
        let mut text = format!("sampled: {}", gap.detail);
        if let Some(closes) = &gap.closes {
            text.push_str(&format!(" ({closes})"));
        }
        page.paragraph(Ink::Plain, 3, &text);
    }
    if !report.unread.is_empty() {
        let names: Vec<&str> = report
            .unread
            .iter()
            .take(5)
            .map(|file| file.path.as_str())
            .collect();
        let mut text = format!(
            "{} not understood: {}",
            counted(report.unread.len(), "file"),
            names.join(", ")
        );
        if report.unread.len() > names.len() {
            text.push_str(&format!(" and {} more", report.unread.len() - names.len()));
        }
        page.paragraph(Ink::Plain, 3, &text);
    }
    let mut last = Vec::new();
    let created = &report.created;
    if created.pods > 0 {
        let pods = counted(created.pods as usize, "pod");
        let mut text = format!(
            "created {pods}, deleted {}, left {}",
            created.deleted, created.left
        );
        if created.left > 0 {
            text.push_str(" (kubectl eksnet cleanup)");
        }
        last.push(text);
    }
    if let Some(total) = report.timings.get("total") {
        last.push(format!("{}.{} s", total / 1000, total % 1000 / 100));
    }
    last.push(format!("exit {}", report.exit_code));
    page.paragraph(Ink::Plain, 3, &last.join(dot));
}
