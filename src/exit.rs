//! Exit codes, and how the program says that it failed.

use std::process::ExitCode;

/// Nothing at or above the threshold.
pub(crate) const OK: u8 = 0;
/// Something fails.
pub(crate) const FINDINGS: u8 = 1;
/// Usage: flags, an unreadable kubeconfig, an unknown context, evidence of two clusters, not a bundle.
pub(crate) const USAGE: u8 = 2;
/// No verdict: API unreachable, credentials expired, a bundle that is cut off.
pub(crate) const NO_VERDICT: u8 = 3;
/// The program itself failed.
pub(crate) const INTERNAL: u8 = 4;

/// Why a command ended without a report.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The user has to change how the program is called.
    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self {
            code: USAGE,
            message: message.to_string(),
        }
    }

    /// There is nothing to judge.
    pub(crate) fn no_verdict(message: impl std::fmt::Display) -> Self {
        Self {
            code: NO_VERDICT,
            message: message.to_string(),
        }
    }

    /// A signal ended the run, after cleaning up.
    pub(crate) fn signal(number: u8, message: impl std::fmt::Display) -> Self {
        Self {
            code: 128 + number,
            message: message.to_string(),
        }
    }

    /// Writes one line to standard error.
    pub(crate) fn report(self) -> ExitCode {
        // Line breaks and escapes of whatever the message quotes must not reach the terminal.
        let line = eksnet_model::Text::from(self.message);
        eprintln!("error: {line}");
        ExitCode::from(self.code)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            code: INTERNAL,
            message: format!("{error:#}"),
        }
    }
}

/// Help and version go to standard output and succeed, broken usage to standard error.
pub(crate) fn of_usage(error: &clap::Error) -> ExitCode {
    // A closed pipe behind `--help | head` is no failure.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { USAGE } else { OK })
}

/// A panic ends in one line; the place in the code and a backtrace only with `-v`.
///
/// Panics of checks are caught and end in the report, so their line is left out altogether.
pub(crate) fn quiet_panics(verbose: u8) {
    if verbose > 0 {
        return;
    }
    std::panic::set_hook(Box::new(|panic| {
        let in_check = panic
            .location()
            .is_some_and(|place| place.file().contains("checks/"));
        if !in_check {
            eprintln!(
                "error: kubectl-eksnet failed inside; run it again with -v and report what it prints"
            );
        }
    }));
}
