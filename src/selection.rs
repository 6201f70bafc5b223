//! Which checks run.

use std::collections::BTreeSet;

use eksnet_model::{Check, Source};

use crate::args::Select;
use crate::exit::Failure;

/// The checks that `--only` and `--skip` leave, by id.
pub(crate) fn select(select: &Select) -> Result<Vec<&'static Check>, Failure> {
    let all = eksnet_checks::all();
    for pattern in select.only.iter().chain(&select.skip) {
        if !all.iter().any(|check| matches(pattern, check.meta.id)) {
            return Err(Failure::usage(format!(
                "no check matches {pattern:?}: `kubectl eksnet checks` lists them"
            )));
        }
    }
    let any = |patterns: &[String], id| patterns.iter().any(|pattern| matches(pattern, id));
    let selected: Vec<&Check> = all
        .into_iter()
        .filter(|check| select.only.is_empty() || any(&select.only, check.meta.id))
        .filter(|check| !any(&select.skip, check.meta.id))
        .collect();
    if selected.is_empty() {
        return Err(Failure::usage("--only and --skip leave no check"));
    }
    Ok(selected)
}

/// What the checks and the observers of symptoms read.
pub(crate) fn sources(checks: &[&Check]) -> BTreeSet<Source> {
    // Symptoms are read off the plumbing that every check shares.
    const FOR_SYMPTOMS: [Source; 4] = [
        Source::Nodes,
        Source::Pods,
        Source::Deployments,
        Source::Events,
    ];
    checks
        .iter()
        .flat_map(|check| check.meta.needs.iter().chain(check.meta.helps))
        .chain(&FOR_SYMPTOMS)
        .copied()
        .collect()
}

/// Whether a pattern names a check: its id, its family, or a glob with `*` and `?`.
fn matches(pattern: &str, id: &str) -> bool {
    let family = id.split('/').next().unwrap_or(id);
    pattern == id || pattern == family || glob(pattern.as_bytes(), id.as_bytes())
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            glob(&pattern[1..], text) || (!text.is_empty() && glob(pattern, &text[1..]))
        }
        (Some(b'?'), Some(_)) => glob(&pattern[1..], &text[1..]),
        (Some(one), Some(other)) if one == other => glob(&pattern[1..], &text[1..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_ids_families_and_globs() {
        assert!(matches("node/not-ready", "node/not-ready"));
        assert!(matches("node", "node/not-ready"));
        assert!(matches("*/not-*", "node/not-ready"));
        assert!(matches("*", "node/not-ready"));
        assert!(!matches("nod", "node/not-ready"));
        assert!(!matches("net", "node/not-ready"));
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_an_error() {
        let wrong = Select {
            only: vec!["dsn".to_owned()],
            skip: Vec::new(),
        };
        assert!(select(&wrong).is_err());
    }
}
