//! Runs the built plugin.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// What came of a run.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the plugin in an environment that holds nothing of the machine's own.
pub(crate) fn eksnet(arguments: &[&str]) -> Run {
    run(command(arguments))
}

/// The command, for tests that add to its environment.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-eksnet"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C.UTF-8")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

pub(crate) fn run(mut command: Command) -> Run {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the plugin can be started");
    Run {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).expect("UTF-8 on standard output"),
        stderr: String::from_utf8(stderr).expect("UTF-8 on standard error"),
    }
}

impl Run {
    /// The report on standard output.
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// Demands one line on standard error that says `words`, nothing on standard output, this exit
    /// code, and no panic.
    pub(crate) fn fails_with(&self, code: i32, words: &[&str]) {
        let shown = format!("exit {}\n{}\n{}", self.code, self.stdout, self.stderr);
        assert_eq!(self.code, code, "{shown}");
        assert_eq!(self.stdout, "", "{shown}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{shown}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is missing: {shown}");
        }
        for never in ["panicked", "RUST_BACKTRACE", "failed inside"] {
            assert!(!self.stderr.contains(never), "{shown}");
        }
    }
}

/// State of a check in a report.
pub(crate) fn state<'a>(report: &'a Value, check: &str) -> &'a str {
    report["outcomes"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|outcome| outcome["check"] == check)
        .and_then(|outcome| outcome["state"].as_str())
        .unwrap_or("missing")
}

/// The project's own folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
