//! Reads case files and renders what came out.

// Every test file that takes this module in uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use eksnet_model::{Finding, Gap, Outcome, OutcomeState, Snapshot, Source, Why};

/// One case file.
pub struct Case {
    pub path: PathBuf,
    /// Trap of the runbook that it covers.
    pub trap: Option<String>,
    pub snapshot: Snapshot,
}

/// The folder of this crate.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of a check, by its id.
pub fn folder_of(id: &str) -> PathBuf {
    root().join(id.replace('-', "_"))
}

/// All cases in a folder, by name.
pub fn cases_in(folder: &Path) -> Vec<Case> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> Case {
    let text = std::fs::read_to_string(&path).expect("a case that can be read");
    let fail = |why: &dyn std::fmt::Display| -> ! { panic!("{}: {why}", path.display()) };
    let value: serde_json::Value =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| fail(&error));
    let object = value.as_object().unwrap_or_else(|| fail(&"not a mapping"));
    for key in object.keys() {
        if !["about", "trap", "snapshot"].contains(&key.as_str()) {
            fail(&format!("unknown key {key}"));
        }
    }
    if object
        .get("about")
        .and_then(|about| about.as_str())
        .is_none_or(str::is_empty)
    {
        fail(&"`about` says what the case is about");
    }
    let snapshot = object.get("snapshot").cloned().unwrap_or_default();
    refuse_unknown_sources(&snapshot, &path);
    let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap_or_else(|error| fail(&error));
    let trap = object
        .get("trap")
        .and_then(|trap| trap.as_str())
        .map(str::to_owned);
    Case {
        path,
        trap,
        snapshot,
    }
}

/// A misspelt source would be skipped in silence and the case would test nothing.
fn refuse_unknown_sources(snapshot: &serde_json::Value, path: &Path) {
    let known = serde_json::to_value(Snapshot::default()).expect("a snapshot is plain data");
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value
            .as_object()
            .map(|map| map.keys().cloned().collect())
            .unwrap_or_default()
    };
    for (written, group) in [
        (snapshot, &known),
        (&snapshot["kubernetes"], &known["kubernetes"]),
        (&snapshot["aws"], &known["aws"]),
    ] {
        for key in keys(written) {
            assert!(
                keys(group).contains(&key),
                "{}: no source `{key}`",
                path.display()
            );
        }
    }
}

impl Case {
    pub fn name(&self) -> String {
        self.path
            .file_stem()
            .expect("a file")
            .to_string_lossy()
            .into_owned()
    }

    /// The state that the prefix of the name promises.
    pub fn promised(&self) -> OutcomeState {
        match self.name().split('_').next() {
            Some("bad") => OutcomeState::Found,
            Some("ok") => OutcomeState::Pass,
            Some("gap") => OutcomeState::Unknown,
            Some("na") => OutcomeState::NotApplicable,
            other => panic!(
                "{}: prefix {other:?} is none of bad, ok, gap, na",
                self.path.display()
            ),
        }
    }

    /// The case without a source that it has, and with only a part of it; `None` where it has not.
    pub fn without(&self, source: Source) -> Option<[(&'static str, Snapshot); 2]> {
        let plain = |snapshot: &Snapshot| serde_json::to_value(snapshot).expect("plain data");
        let gap = Gap::new(source, Why::Timeout, "lost by the test");
        let nothing = plain(&Snapshot::default());
        let mut case = plain(&self.snapshot);
        // What nobody asked for names its source: that tells where each one lies.
        let at = ["/kubernetes", "/aws", ""].iter().find_map(|group| {
            let fields = nothing.pointer(group)?.as_object()?;
            let key = fields.iter().find_map(|(key, value)| {
                (value.pointer("/gap/source")? == source.key()).then_some(key)
            })?;
            Some(format!("{group}/{key}"))
        })?;
        let field = case.pointer_mut(&at)?;
        let value = match (field.get("gap"), field.get("value")) {
            (Some(_), None) => return None,
            (Some(_), Some(value)) => value.clone(),
            (None, _) => field.clone(),
        };
        let read =
            |case: &serde_json::Value| serde_json::from_value(case.clone()).expect("a snapshot");
        *field = serde_json::json!({"gap": gap});
        let lost = read(&case);
        *case.pointer_mut(&at)? = serde_json::json!({"value": value, "gap": gap});
        Some([("absent", lost), ("partial", read(&case))])
    }

    /// Compares with the file `NAME.expected` beside the case, or writes it with `EKSNET_BLESS=1`.
    pub fn compare(&self, text: &str) {
        let expected = self.path.with_extension("expected");
        if std::env::var_os("EKSNET_BLESS").is_some() {
            std::fs::write(&expected, text).expect("an expectation that can be written");
            return;
        }
        let known = std::fs::read_to_string(&expected).unwrap_or_default();
        assert!(
            known == text,
            "{}: differs from {}\n--- expected\n{known}--- came out\n{text}",
            self.path.display(),
            expected.display()
        );
    }
}

/// An outcome as text that reads well in a diff.
pub fn render(outcome: &Outcome) -> String {
    let mut text = format!("{:?}\n", outcome.state());
    match outcome {
        Outcome::Pass { evidence, .. } => {
            for source in evidence {
                let _ = writeln!(text, "  stands on {source}");
            }
        }
        Outcome::NotApplicable(why) => {
            let _ = writeln!(text, "  {why}");
        }
        Outcome::Crashed(why) => {
            let _ = writeln!(text, "  {why}");
        }
        Outcome::Found { .. } | Outcome::Unknown(_) => {}
    }
    for finding in outcome.findings() {
        text.push_str(&render_finding(finding));
    }
    for gap in outcome.gaps() {
        let _ = writeln!(text, "gap {gap}");
    }
    text
}

pub fn render_finding(finding: &Finding) -> String {
    let mut text = format!(
        "\n{:?} {:?}: {}\n",
        finding.severity, finding.confidence, finding.title
    );
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:9} {value}");
        }
    };
    line("what", finding.detail.to_string());
    for subject in &finding.subjects {
        let id = subject
            .id
            .as_ref()
            .map(|id| format!(" ({id})"))
            .unwrap_or_default();
        line("subject", format!("{subject}{id}"));
    }
    for fact in &finding.facts {
        let expected = fact
            .expected
            .as_ref()
            .map(|e| format!(", expected {e}"))
            .unwrap_or_default();
        let at = fact
            .observed_at
            .map(|at| format!(" at {at}"))
            .unwrap_or_default();
        line(
            "fact",
            format!(
                "{} {} {}: {}{expected}{at}",
                fact.source, fact.subject, fact.field, fact.saw
            ),
        );
    }
    for command in &finding.remedy.confirm {
        line("confirm", command.to_string());
    }
    for command in &finding.remedy.fix {
        line("fix", command.to_string());
    }
    line(
        "at",
        serde_json::to_string(&finding.at).expect("plain data"),
    );
    line(
        "reach",
        serde_json::to_string(&finding.reach).expect("plain data"),
    );
    let signals: Vec<&str> = finding
        .signals
        .iter()
        .map(|signal| signal.as_str())
        .collect();
    line("signals", signals.join(" "));
    text
}
