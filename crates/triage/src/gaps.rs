//! What could not be seen, by what closes it.

use std::collections::BTreeMap;

use eksnet_model::{Gap, OriginKind, Outcome, OutcomeState, Report, Snapshot, Source, Text, Why};

/// Longest detail of a gap that is shown where gaps are counted, in bytes.
const LONGEST_DETAIL: usize = 100;

/// Checks that one thing would let judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapGroup {
    /// What they lack, as in "8 need iam:SimulatePrincipalPolicy".
    pub lacks: Text,
    /// The command, permission or flag that closes the gap, where one is known.
    pub closes: Option<Text>,
    /// The checks.
    pub checks: Vec<Text>,
}

impl GapGroup {
    /// As a sentence: `8 need iam:SimulatePrincipalPolicy`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let count = self.checks.len();
        match (count, self.lacks.split_once(' ')) {
            (1, Some((verb, rest))) => format!("1 {verb}s {rest}"),
            _ => format!("{count} {}", self.lacks),
        }
    }
}

/// The checks of a report that could not be judged, by what closes their gaps; largest group first.
#[must_use]
pub fn gap_groups(report: &Report) -> Vec<GapGroup> {
    let unknown = report
        .outcomes
        .iter()
        .filter(|entry| entry.state == OutcomeState::Unknown);
    group(
        unknown.map(|entry| (&entry.check, entry.gaps.as_slice())),
        &report.source.name,
        report.source.kind,
    )
}

/// Groups checks by the first of their gaps that someone can close.
pub(crate) fn group<'a>(
    unknown: impl Iterator<Item = (&'a Text, &'a [Gap])>,
    path: &str,
    kind: OriginKind,
) -> Vec<GapGroup> {
    let mut groups: BTreeMap<(Text, Option<Text>), Vec<Text>> = BTreeMap::new();
    for (check, gaps) in unknown {
        let gap = gaps
            .iter()
            .find(|gap| gap.why != Why::NotRequested)
            .or(gaps.first());
        let key = match gap {
            Some(gap) => (lacks(gap), closes(gap, path, kind)),
            None => ("need evidence that is not there".into(), None),
        };
        groups.entry(key).or_default().push(check.clone());
    }
    let mut groups: Vec<GapGroup> = groups
        .into_iter()
        .map(|((lacks, closes), checks)| GapGroup {
            lacks,
            closes,
            checks,
        })
        .collect();
    groups.sort_by(|a, b| {
        (b.checks.len(), &a.lacks, &a.closes).cmp(&(a.checks.len(), &b.lacks, &b.closes))
    });
    groups
}

pub(crate) fn lacks(gap: &Gap) -> Text {
    match &gap.why {
        Why::Denied(permission) => format!("need {permission}").into(),
        Why::NotRequested | Why::NotInstalled => format!("need {}", gap.source).into(),
        // What failed has a name of its own; most often it is what an object leaves open.
        Why::Failed if (1..=LONGEST_DETAIL).contains(&gap.detail.len()) => {
            format!("lack {}: {}", gap.source, gap.detail).into()
        }
        why => format!("lack {}, {why}", gap.source).into(),
    }
}

/// What closes a gap: what its collector said, else the command that reads the source.
fn closes(gap: &Gap, path: &str, kind: OriginKind) -> Option<Text> {
    if let Some(closes) = &gap.closes {
        return Some(closes.clone());
    }
    match (&gap.why, kind) {
        (Why::Denied(_), _) => Some("kubectl eksnet permissions".into()),
        (Why::NotRequested, OriginKind::Folder) => {
            let name = gap.source.key().rsplit('/').next().unwrap_or_default();
            let end = if gap.source == Source::Logs {
                "log"
            } else {
                "json"
            };
            let file = format!("{}/{name}.{end}", path.trim_end_matches('/'));
            let command = gap.source.saved_by()?;
            Some(format!("{command} > {file}").into())
        }
        _ => None,
    }
}

/// Gaps in words: why nothing could be judged. Saved evidence was not asked for what it lacks.
pub(crate) fn in_words(gaps: &[Gap], kind: OriginKind) -> String {
    let mut why: Vec<String> = gaps
        .iter()
        .map(|gap| match (&gap.why, kind) {
            (Why::NotRequested, OriginKind::Folder | OriginKind::Bundle | OriginKind::Demo) => {
                format!("{} is not in the evidence", gap.source)
            }
            _ => gap.to_string(),
        })
        .collect();
    why.dedup();
    if why.is_empty() {
        "no evidence".to_owned()
    } else {
        why.join("; ")
    }
}

/// All gaps of a run: those of the snapshot that somebody asked for, those that kept a check from its
/// verdict, and what the choice of probed nodes left out.
pub(crate) fn all(snapshot: &Snapshot, outcomes: &[(Text, Outcome)]) -> Vec<Gap> {
    let sampled = snapshot
        .probes
        .value()
        .filter(|run| !run.sampled.is_empty())
        .map(|run| {
            let gap = Gap::new(Source::Probes, Why::Sampled, run.sampled.clone());
            // Nothing more can be asked of saved evidence.
            match snapshot.origin.kind {
                OriginKind::Cluster => gap.closed_by("--nodes all"),
                _ => gap,
            }
        });
    let mut gaps: Vec<Gap> = snapshot
        .gaps()
        .into_iter()
        .filter(|gap| gap.why != Why::NotRequested)
        .chain(
            outcomes
                .iter()
                .flat_map(|(_, outcome)| outcome.gaps().iter().cloned()),
        )
        .chain(sampled)
        .collect();
    gaps.sort();
    gaps.dedup();
    gaps
}
