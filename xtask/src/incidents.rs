//! How well the plugin does on folders of real incidents: `DIR/*/evidence` against `DIR/*/expected.yaml`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::build::{cargo, run, target};

/// How many diagnoses are looked at.
const FIRST: usize = 3;

/// What one incident should come to.
#[derive(Debug, Deserialize)]
struct Expected {
    /// Checks of which one must be the first diagnosis.
    accept: Vec<String>,
    /// Whether the evidence alone singles out the cause; where it does not, one among the first three
    /// is enough.
    #[serde(default = "yes")]
    determinable: bool,
}

fn yes() -> bool {
    true
}

/// What one incident came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    accept: Vec<String>,
    determinable: bool,
    /// Checks of the first diagnoses, best first.
    got: Vec<String>,
    /// Files that were not understood, with the reason.
    unread: Vec<String>,
    /// Why there is no report, where there is none.
    error: Option<String>,
}

/// Rates over all incidents.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    cases: usize,
    top1: usize,
    top3: usize,
    nothing_found: usize,
    no_report: usize,
    /// Right by the rule of the folder: first, or among the first three where not determinable.
    right: usize,
    of: Vec<Case>,
}

impl Case {
    fn rank(&self) -> Option<usize> {
        self.got
            .iter()
            .position(|check| self.accept.contains(check))
    }

    fn is_right(&self) -> bool {
        match self.rank() {
            Some(0) => true,
            Some(_) => !self.determinable,
            None => false,
        }
    }
}

/// Runs the plugin over every incident below `folder` and prints how it did.
pub(crate) fn run_all(folder: &Path, json: bool, binary: Option<PathBuf>) -> anyhow::Result<()> {
    let binary = match binary {
        Some(binary) => binary,
        None => {
            run(cargo().args(["build", "--quiet", "--bin", "kubectl-eksnet"]))?;
            target().join("debug/kubectl-eksnet")
        }
    };
    let mut folders: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("expected.yaml").is_file())
        .collect();
    folders.sort();
    if folders.is_empty() {
        bail!("{} holds no folder with expected.yaml", folder.display());
    }
    let cases = folders
        .iter()
        .map(|folder| case(&binary, folder))
        .collect::<anyhow::Result<Vec<Case>>>()?;
    let count = |of: &dyn Fn(&Case) -> bool| cases.iter().filter(|case| of(case)).count();
    let summary = Summary {
        cases: cases.len(),
        top1: count(&|case| case.rank() == Some(0)),
        top3: count(&|case| case.rank().is_some()),
        nothing_found: count(&|case| case.got.is_empty()),
        no_report: count(&|case| case.error.is_some()),
        right: count(&Case::is_right),
        of: cases,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print!("{}", text(&summary));
    }
    Ok(())
}

fn case(binary: &Path, folder: &Path) -> anyhow::Result<Case> {
    let file = folder.join("expected.yaml");
    let expected: Expected = serde_saphyr::from_str(&fs::read_to_string(&file)?)
        .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let output = Command::new(binary)
        .args(["doctor", "-o", "json", "--fail-on", "never", "--from"])
        .arg(folder.join("evidence"))
        .output()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let mut case = Case {
        name: folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        accept: expected.accept,
        determinable: expected.determinable,
        got: Vec::new(),
        unread: Vec::new(),
        error: None,
    };
    match serde_json::from_slice::<Value>(&output.stdout) {
        Ok(report) => {
            case.got = texts(&report["diagnoses"], |diagnosis| {
                diagnosis["check"].as_str().map(str::to_owned)
            });
            case.got.truncate(FIRST);
            case.unread = texts(&report["unread"], |file| {
                Some(format!(
                    "{}: {}",
                    file["path"].as_str()?,
                    file["why"].as_str()?
                ))
            });
        }
        Err(_) => {
            case.error = Some(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
    }
    Ok(case)
}

fn texts(list: &Value, text: impl Fn(&Value) -> Option<String>) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(text)
        .collect()
}

fn text(summary: &Summary) -> String {
    let mut out = String::new();
    for case in &summary.of {
        let mark = match case.rank() {
            Some(0) => "first",
            Some(_) => "among",
            None if case.got.is_empty() => "none",
            None => "wrong",
        };
        let _ = writeln!(
            out,
            "{:<6} {:<5} expected {}{}",
            case.name,
            mark,
            case.accept.join(" | "),
            if case.determinable {
                ""
            } else {
                "   (not determinable)"
            }
        );
        let got = match &case.error {
            Some(error) => error.clone(),
            None if case.got.is_empty() => "nothing".to_owned(),
            None => case.got.join(", "),
        };
        let _ = writeln!(out, "             got      {got}");
        for unread in &case.unread {
            let _ = writeln!(out, "             unread   {unread}");
        }
    }
    let rate = |count: usize| format!("{count} ({} %)", count * 100 / summary.cases);
    let _ = writeln!(
        out,
        "\n{} incidents: first {}, among the first {FIRST} {}, nothing found {}, no report {}, right {}",
        summary.cases,
        rate(summary.top1),
        rate(summary.top3),
        rate(summary.nothing_found),
        summary.no_report,
        rate(summary.right)
    );
    out
}
