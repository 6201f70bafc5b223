//! What holds for every check, whatever it judges.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::{Component, Cx, LogScan, OutcomeState, Scanner, Source, Topology, judge};
use support::{Case, cases_in, folder_of};

fn cases_of(check: &eksnet_model::Check) -> Vec<Case> {
    cases_in(&folder_of(check.meta.id).join("cases"))
}

#[test]
fn ids_are_unique_and_match_their_folders() {
    let mut seen = BTreeSet::new();
    for check in eksnet_checks::all() {
        assert!(
            seen.insert(check.meta.id),
            "{} is there twice",
            check.meta.id
        );
        assert!(
            folder_of(check.meta.id).join("mod.rs").is_file(),
            "{} has no folder",
            check.meta.id
        );
        assert!(
            !check.meta.title.ends_with('.'),
            "{}: a title has no full stop",
            check.meta.id
        );
    }
}

#[test]
fn every_check_can_fail_pass_and_not_know() {
    for check in eksnet_checks::all() {
        let cases = cases_of(check);
        for state in [
            OutcomeState::Found,
            OutcomeState::Pass,
            OutcomeState::Unknown,
        ] {
            assert!(
                cases.iter().any(|case| case.promised() == state),
                "{} has no case that ends as {state:?}",
                check.meta.id
            );
        }
    }
}

#[test]
fn declared_sources_are_those_that_the_cases_touch() {
    for check in eksnet_checks::all() {
        let declared: BTreeSet<Source> = check
            .meta
            .needs
            .iter()
            .chain(check.meta.helps)
            .copied()
            .collect();
        let mut touched = BTreeSet::new();
        for case in cases_of(check) {
            let topology = Topology::of(&case.snapshot);
            let cx = Cx::new(&case.snapshot, &topology);
            let _ = (check.run)(&cx);
            touched.extend(cx.sources_read());
        }
        assert_eq!(
            touched, declared,
            "{}: touched against declared",
            check.meta.id
        );
    }
}

#[test]
fn no_check_passes_without_a_source_that_it_needs() {
    let mut wrong = Vec::new();
    for check in eksnet_checks::all() {
        let mut tried = 0;
        let cases = cases_of(check).into_iter();
        for case in cases.filter(|case| case.promised() == OutcomeState::Pass) {
            for source in check.meta.needs {
                let Some(without) = case.without(*source) else {
                    continue;
                };
                tried += 1;
                for (lost, snapshot) in without {
                    // A workload that is found is known whole, whatever else was not listed.
                    let named = [Source::Deployments, Source::DaemonSets].contains(source);
                    if named && lost == "partial" {
                        continue;
                    }
                    let state = judge(&snapshot, &[check], &[]).outcomes[0].1.state();
                    if !matches!(state, OutcomeState::Unknown | OutcomeState::Found) {
                        wrong.push(format!(
                            "{} {}: {source} {lost}: {state:?}",
                            check.meta.id,
                            case.name()
                        ));
                    }
                }
            }
        }
        if tried == 0 {
            wrong.push(format!(
                "{}: no case passes on a source that it needs",
                check.meta.id
            ));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn findings_stay_within_what_their_check_declares() {
    for check in eksnet_checks::all() {
        let mut emitted = BTreeSet::new();
        for case in cases_of(check) {
            let judged = judge(&case.snapshot, &[check], &[]);
            let ids: Vec<_> = judged.outcomes[0]
                .1
                .findings()
                .iter()
                .map(|f| f.id.clone())
                .collect();
            let distinct: BTreeSet<_> = ids.iter().collect();
            assert_eq!(
                ids.len(),
                distinct.len(),
                "{}: two findings share an id",
                case.path.display()
            );
            for finding in judged.outcomes[0].1.findings() {
                let at = case.path.display();
                assert!(
                    finding.severity <= check.meta.severity,
                    "{at}: severity above the declared"
                );
                assert_eq!(finding.role, check.meta.role, "{at}");
                assert!(!finding.facts.is_empty(), "{at}: a finding without proof");
                assert!(
                    !finding.subjects.is_empty(),
                    "{at}: a finding without subject"
                );
                assert!(
                    !finding.remedy.confirm.is_empty(),
                    "{at}: nothing to confirm it by hand"
                );
                assert!(!finding.remedy.fix.is_empty(), "{at}: no fix");
                assert!(
                    !finding.title.ends_with('.'),
                    "{at}: a title has no full stop"
                );
                emitted.extend(finding.signals.iter().map(|signal| signal.to_string()));
            }
        }
        let declared: BTreeSet<String> =
            check.meta.signals.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(
            emitted, declared,
            "{}: signals in the cases against declared",
            check.meta.id
        );
    }
}

#[test]
fn commands_can_be_pasted() {
    let mut wrong = Vec::new();
    for check in eksnet_checks::all() {
        for case in cases_of(check) {
            let judged = judge(&case.snapshot, &[check], &[]);
            for finding in judged.outcomes[0].1.findings() {
                let lines = finding.remedy.confirm.iter().chain(&finding.remedy.fix);
                wrong.extend(
                    lines
                        .filter(|line| is_command_with_prose(line))
                        .map(|line| format!("{} {}: {line}", check.meta.id, case.name())),
                );
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(
        wrong.is_empty(),
        "words that a shell would run:\n{}",
        wrong.join("\n")
    );
}

/// Whether a command is followed by words for the reader that are no comment.
fn is_command_with_prose(line: &str) -> bool {
    if !["kubectl ", "aws ", "eksctl ", "helm "]
        .iter()
        .any(|start| line.starts_with(start))
    {
        return false;
    }
    let command = line.split_once(" # ").map_or(line, |(command, _)| command);
    let (mut bare, mut quote) = (String::new(), None);
    for character in command.chars() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, _) => bare.push(character),
        }
    }
    [", ", ": ", "; or ", " (", " then "]
        .iter()
        .any(|prose| bare.contains(prose))
}

#[test]
fn runbooks_have_every_heading_and_every_trap_has_a_case() {
    const HEADINGS: [&str; 6] = [
        "## What it means",
        "## How it is detected",
        "## Confirm by hand",
        "## Fix",
        "## When this is wrong",
        "## References",
    ];
    for check in eksnet_checks::all() {
        let id = check.meta.id;
        let doc = check.meta.doc;
        assert!(
            doc.starts_with(&format!("# {}\n", check.meta.title)),
            "{id}: the runbook starts with the title"
        );
        for heading in HEADINGS {
            assert!(
                doc.lines().any(|line| line == heading),
                "{id}: no heading {heading}"
            );
        }
        let section = doc
            .split("## When this is wrong")
            .nth(1)
            .and_then(|rest| rest.split("\n## ").next());
        let listed: BTreeSet<String> = section
            .unwrap_or_default()
            .lines()
            .filter_map(|line| {
                line.strip_prefix("- **")?
                    .split_once("**")
                    .map(|(slug, _)| slug.to_owned())
            })
            .collect();
        assert!(!listed.is_empty(), "{id}: the runbook names no trap");
        let covered: BTreeSet<String> = cases_of(check)
            .into_iter()
            .filter_map(|case| case.trap)
            .collect();
        assert_eq!(
            listed, covered,
            "{id}: traps of the runbook against those of the cases"
        );
    }
}

#[test]
fn every_signature_matches_its_own_sample_and_ids_are_unique() {
    let set = eksnet_checks::signatures().expect("signatures that compile");
    let mut seen = BTreeMap::new();
    for signature in set.iter() {
        if let Some(other) = seen.insert(signature.id.clone(), signature.check.clone()) {
            panic!(
                "signature {} stands in {other} and {}",
                signature.id, signature.check
            );
        }
        let scan = LogScan {
            component: Component::Unknown,
            ..LogScan::default()
        };
        let mut scanner = Scanner::new(&set, scan, None);
        signature.sample.lines().for_each(|line| scanner.line(line));
        let found = scanner.finish();
        assert!(
            found.hits(&signature.id).is_some(),
            "{} does not match its sample",
            signature.id
        );
    }
}
