//! Every case of every check: does this evidence give this verdict and this text?

mod support;

use eksnet_model::{OutcomeState, judge};
use support::{cases_in, folder_of, render, render_finding, root};

#[test]
fn every_case_of_every_check_comes_out_as_its_name_says() {
    let mut failures = Vec::new();
    let mut ran = 0;
    for check in eksnet_checks::all() {
        for case in cases_in(&folder_of(check.meta.id).join("cases")) {
            ran += 1;
            let judged = judge(&case.snapshot, &[check], &[]);
            let (_, outcome) = &judged.outcomes[0];
            if outcome.state() != case.promised() {
                failures.push(format!("{}: {}", case.path.display(), render(outcome)));
                continue;
            }
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                case.compare(&render(outcome))
            }));
            if checked.is_err() {
                failures.push(format!("{}: see above", case.path.display()));
            }
        }
    }
    println!("{ran} cases");
    assert!(
        failures.is_empty(),
        "{} of {ran} cases:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn every_case_of_every_symptom_comes_out_as_its_name_says() {
    for symptom in eksnet_checks::symptoms() {
        let slug = symptom.id.trim_start_matches("sym/").replace('-', "_");
        let cases = cases_in(&root().join("symptoms/cases").join(slug));
        let seen = |state| cases.iter().any(|case| case.promised() == state);
        assert!(seen(OutcomeState::Found), "{} has no bad_ case", symptom.id);
        assert!(seen(OutcomeState::Pass), "{} has no ok_ case", symptom.id);
        for case in &cases {
            let found = judge(&case.snapshot, &[], &[symptom]).symptoms;
            assert_eq!(
                !found.is_empty(),
                case.promised() == OutcomeState::Found,
                "{}: {found:#?}",
                case.path.display()
            );
            case.compare(&found.iter().map(render_finding).collect::<String>());
        }
    }
}
