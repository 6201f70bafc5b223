//! How well the plugin does on folders of real incidents: `DIR/*/evidence` against `DIR/*/expected.yaml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::disturb;
use eksnet_model::{Confidence, Created, Report, Role, Snapshot, judge};
use eksnet_triage::render::{self, Style};
use eksnet_triage::{FailOn, Graph, Input, report};

/// How many diagnoses are looked at.
const FIRST: usize = 3;

/// What one incident should come to.
#[derive(Debug, Deserialize)]
struct Expected {
    /// Checks of which one must be the first diagnosis; where the evidence holds no cause, there is to be
    /// none.
    accept: Vec<String>,
    /// Checks that must not be among the diagnoses, of a near miss.
    #[serde(default)]
    deny: Vec<String>,
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
    deny: Vec<String>,
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
        if self.got.iter().any(|check| self.deny.contains(check)) {
            return false;
        }
        match self.rank() {
            _ if self.accept.is_empty() => self.got.is_empty(),
            Some(0) => true,
            Some(_) => !self.determinable,
            None => false,
        }
    }
}

/// Runs the plugin over every incident below `folder` and prints how it did.
pub(crate) fn run_all(
    folder: &Path,
    json: bool,
    binary: Option<&Path>,
    disturb: Option<u64>,
) -> anyhow::Result<()> {
    let cases = folders(folder)?
        .iter()
        .map(|folder| case(binary, folder, disturb))
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

/// The incidents below a folder.
fn folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
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
    Ok(folders)
}

fn expected(folder: &Path) -> anyhow::Result<Expected> {
    let file = folder.join("expected.yaml");
    serde_saphyr::from_str(&fs::read_to_string(&file)?)
        .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
}

fn case(binary: Option<&Path>, folder: &Path, seed: Option<u64>) -> anyhow::Result<Case> {
    let expected = expected(folder)?;
    let mut evidence = folder.join("evidence");
    let copy = seed
        .map(|seed| disturb::copy(&evidence, seed))
        .transpose()?;
    if let Some(copy) = &copy {
        evidence.clone_from(&copy.path);
    }
    let diagnosed = match binary {
        Some(binary) => by_binary(binary, &evidence),
        None => here(&evidence),
    };
    let (report, error) = match diagnosed {
        Ok(report) => (report, None),
        Err(error) => (Value::Null, Some(format!("{error:#}"))),
    };
    let mut got = texts(&report["diagnoses"], |diagnosis| {
        diagnosis["check"].as_str().map(str::to_owned)
    });
    got.truncate(FIRST);
    Ok(Case {
        name: folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        accept: expected.accept,
        deny: expected.deny,
        determinable: expected.determinable,
        got,
        unread: texts(&report["unread"], |file| {
            Some(format!(
                "{}: {}",
                file["path"].as_str()?,
                file["why"].as_str()?
            ))
        }),
        error,
    })
}

/// Leaves out each line of each incident's evidence in turn, and prints where the first diagnosis then is another
/// one, and sure: what the missing line decided must not be claimed without it, and nothing in its place.
pub(crate) fn without_each_line(folder: &Path) -> anyhow::Result<()> {
    let (mut tried, mut sure, mut likely) = (0_usize, 0_usize, 0_usize);
    for folder in folders(folder)? {
        let expected = expected(&folder)?;
        if expected.accept.is_empty() {
            continue;
        }
        let evidence = folder.join("evidence");
        for number in 0.. {
            let Some((copy, line)) = disturb::without_line(&evidence, number)? else {
                break;
            };
            tried += 1;
            // Nothing that can be read is no answer at all.
            let Ok(report) = report_of(&copy.path) else {
                continue;
            };
            let Some(first) = report.diagnoses.first() else {
                continue;
            };
            if expected.accept.iter().any(|check| *first.check == **check) {
                continue;
            }
            // What is seen to fail is no answer to why.
            let root = report.findings.iter().find(|one| one.id == first.finding);
            if root.is_none_or(|root| root.role != Role::Cause) {
                continue;
            }
            match first.confidence {
                Confidence::Confirmed => sure += 1,
                Confidence::Likely => likely += 1,
                Confidence::Possible => continue,
            }
            println!(
                "{}: without {line:?}: {} ({:?}), expected {}",
                folder.file_name().unwrap_or_default().to_string_lossy(),
                first.check,
                first.confidence,
                expected.accept.join(" | ")
            );
        }
    }
    println!("{tried} lines left out: another cause confirmed {sure}, likely {likely}");
    Ok(())
}

/// The report that a built plugin gives.
fn by_binary(binary: &Path, evidence: &Path) -> anyhow::Result<Value> {
    let output = Command::new(binary)
        .args(["doctor", "-o", "json", "--fail-on", "never", "--from"])
        .arg(evidence)
        .output()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    serde_json::from_slice(&output.stdout)
        .map_err(|_| anyhow::anyhow!("{}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// The report of the crates that the plugin is made of: the same, without the time that it takes to
/// build what talks to clusters.
fn here(evidence: &Path) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(report_of(evidence)?)?)
}

/// Prints the report on saved evidence, as text.
pub(crate) fn diagnose(evidence: &Path) -> anyhow::Result<()> {
    let style = Style {
        colour: false,
        unicode: true,
        width: 120,
        wide: false,
    };
    print!("{}", render::text(&report_of(evidence)?, &style));
    Ok(())
}

/// Prints the snapshot that saved evidence gives, and what was not understood.
pub(crate) fn show(evidence: &Path) -> anyhow::Result<()> {
    let loaded = eksnet_evidence::load(evidence, &eksnet_checks::signatures()?)?;
    let mut snapshot = serde_json::to_value(&loaded.snapshot)?;
    for group in ["", "/kubernetes", "/aws"] {
        if let Some(Value::Object(fields)) = snapshot.pointer_mut(group) {
            fields.retain(|_, value| value.get("gap").is_none() || value.get("value").is_some());
        }
    }
    println!("{}", serde_json::to_string_pretty(&snapshot)?);
    for file in &loaded.unread {
        println!("unread: {}: {}", file.path, file.why);
    }
    Ok(())
}

fn report_of(evidence: &Path) -> anyhow::Result<Report> {
    let loaded = eksnet_evidence::load(evidence, &eksnet_checks::signatures()?)?;
    let snapshot: &Snapshot = &loaded.snapshot;
    let graph = Graph::load()?;
    Ok(report(Input {
        snapshot,
        judged: judge(snapshot, &eksnet_checks::all(), &eksnet_checks::symptoms()),
        graph: &graph,
        unread: loaded.unread,
        timings: BTreeMap::new(),
        created: Created::default(),
        version: env!("CARGO_PKG_VERSION").into(),
        fail_on: FailOn::Never,
        probes_expected: false,
        selected: false,
    }))
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
            _ if case.accept.is_empty() && case.is_right() => "right",
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
