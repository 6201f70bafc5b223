//! What a root leads to, as chains of arrows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use eksnet_model::{Diagnosis, FindingEntry, Text};

use crate::render::counted;
use crate::render::wrap::wrap;

/// Findings of one check in a chain.
struct Step<'r> {
    title: &'r str,
    count: usize,
    proven: bool,
    next: Vec<usize>,
}

/// The chains from a root, wrapped and kept to `most_lines`: the longest one first, then what branches
/// off. Where a chain does not fit, its middle is left out, and never its end: that is what people
/// see failing. `findings` is by id.
pub(crate) fn chains(
    diagnosis: &Diagnosis,
    findings: &BTreeMap<&Text, &FindingEntry>,
    columns: usize,
    most_lines: usize,
) -> Vec<String> {
    let steps = steps(diagnosis, findings);
    let mut lines: Vec<String> = Vec::new();
    let mut untold = 0;
    for path in paths(&steps) {
        let room = most_lines.saturating_sub(lines.len());
        let shown = (1..=path.steps.len())
            .rev()
            .map(|kept| wrap(&sentence(&steps, &path, kept), columns))
            .find(|wrapped| wrapped.len() <= room);
        match shown {
            Some(wrapped) => lines.extend(wrapped),
            None if lines.is_empty() => {
                lines.extend(wrap(&sentence(&steps, &path, 1), columns));
            }
            None => untold += path.steps.iter().map(|at| steps[*at].count).sum::<usize>(),
        }
    }
    if untold > 0 {
        lines.push(format!("and {untold} more"));
    }
    // A space that does not break has done its work.
    lines
        .iter()
        .map(|line| line.replace('\u{a0}', " "))
        .collect()
}

/// A chain with `kept` of its steps: the first ones and the last.
fn sentence(steps: &[Step<'_>], path: &Path, kept: usize) -> String {
    let all = path.steps.len();
    let head = kept.saturating_sub(1);
    let mut text = String::new();
    for (at, number) in path.steps.iter().enumerate() {
        let last = at + 1 == all;
        if at >= head && !last {
            if at == head {
                let hidden: usize = path.steps[head..all - 1]
                    .iter()
                    .map(|at| steps[*at].count)
                    .sum();
                text.push_str(if at == 0 { "" } else { " -> " });
                let findings = counted(hidden, "finding").replace(' ', "\u{a0}");
                text.push_str(&format!("({findings}\u{a0}between)"));
            }
            continue;
        }
        let step = &steps[*number];
        if at > 0 {
            text.push_str(" -> ");
        } else if path.branch {
            text.push_str("also ");
        }
        if !step.proven {
            text.push_str("(not proven) ");
        }
        text.push_str(step.title);
        if step.count > 1 {
            text.push_str(&format!(" (and {} more alike)", step.count - 1));
        }
    }
    text
}

/// Titles of symptoms by which a mechanism without known cause is seen.
pub(crate) fn seen_as<'r>(
    diagnosis: &Diagnosis,
    findings: &BTreeMap<&Text, &'r FindingEntry>,
) -> Vec<&'r str> {
    diagnosis
        .links
        .iter()
        .filter(|link| link.to == diagnosis.finding)
        .filter_map(|link| findings.get(&link.from))
        .map(|finding| finding.title.as_str())
        .collect()
}

/// Step 0 is the root.
fn steps<'r>(diagnosis: &Diagnosis, findings: &BTreeMap<&Text, &'r FindingEntry>) -> Vec<Step<'r>> {
    let mut steps = vec![Step {
        title: "",
        count: 0,
        proven: true,
        next: Vec::new(),
    }];
    let mut at: BTreeMap<&str, usize> = BTreeMap::from([(diagnosis.check.as_str(), 0)]);
    let mut told = BTreeSet::new();
    for link in &diagnosis.links {
        let Some(effect) = findings.get(&link.to) else {
            continue;
        };
        if link.to == diagnosis.finding || !told.insert(&link.to) {
            continue;
        }
        if let Some(known) = at.get(effect.check.as_str()).filter(|at| **at > 0) {
            steps[*known].count += 1;
            steps[*known].proven |= link.confirmed;
            continue;
        }
        let parent = findings
            .get(&link.from)
            .and_then(|cause| at.get(cause.check.as_str()))
            .copied()
            .unwrap_or(0);
        let number = steps.len();
        at.insert(&effect.check, number);
        steps.push(Step {
            title: &effect.title,
            count: 1,
            proven: link.confirmed,
            next: Vec::new(),
        });
        steps[parent].next.push(number);
    }
    steps
}

struct Path {
    steps: Vec<usize>,
    branch: bool,
}

/// The longest chain first, then what branches off, each step once.
fn paths(steps: &[Step<'_>]) -> Vec<Path> {
    let mut depth = vec![0; steps.len()];
    for at in (0..steps.len()).rev() {
        depth[at] = steps[at]
            .next
            .iter()
            .map(|next| 1 + depth[*next])
            .max()
            .unwrap_or(0);
    }
    let mut paths = Vec::new();
    let mut starts: Vec<usize> = steps[0].next.clone();
    starts.sort_by_key(|at| (Reverse(depth[*at]), *at));
    let mut queue: VecDeque<(usize, bool)> = starts.into_iter().map(|at| (at, false)).collect();
    while let Some((start, branch)) = queue.pop_front() {
        let mut path = vec![start];
        let mut at = start;
        while !steps[at].next.is_empty() {
            let mut next = steps[at].next.clone();
            next.sort_by_key(|at| (Reverse(depth[*at]), *at));
            queue.extend(next[1..].iter().map(|at| (*at, true)));
            at = next[0];
            path.push(at);
        }
        paths.push(Path {
            steps: path,
            branch,
        });
    }
    paths
}
