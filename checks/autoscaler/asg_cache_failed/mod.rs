//! `autoscaler/asg-cache-failed`: cluster-autoscaler cannot read Auto Scaling groups, by its log.

mod advice;
mod tail;

use std::collections::BTreeMap;

use eksnet_model::{
    Check, Component, Confidence, Cx, Deployed, Fact, Finding, LogScan, Meta, Place, Role,
    Severity, Source, Stop, Subject, SubjectKind, log_covers,
};

use tail::{Failure, Tail};

/// How far back a failure counts as one that goes on, in seconds.
const WINDOW_S: i64 = 600;

const META: Meta = Meta {
    id: "autoscaler/asg-cache-failed",
    title: "cluster-autoscaler cannot read Auto Scaling groups",
    severity: Severity::Critical,
    role: Role::Mechanism,
    needs: &[Source::Logs],
    helps: &[Source::Deployments, Source::Pods],
    signals: &[
        "tail-dns",
        "tail-dns-nxdomain",
        "tail-connect",
        "tail-x509",
        "tail-credentials",
        "tail-web-identity",
        "tail-no-providers",
        "tail-access-denied",
        "tail-throttled",
        "tail-region",
        "tail-unknown",
        "at-start",
        "scale-up-since",
        "no-scale-up-since",
        "scale-down-since",
        "no-scale-down-since",
    ],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let logs = cx.logs().some();
    if let Ok(logs) = &logs {
        let findings: Vec<Finding> = by_author(cx, logs)
            .into_iter()
            .filter_map(|(author, scans)| {
                let failure = Failure::newest(cx, &scans, WINDOW_S)?;
                Some(finding(cx, &author, &scans, &failure))
            })
            .collect();
        if !findings.is_empty() {
            // Who runs it only sharpens the advice; a log speaks for itself.
            let _ = Deployed::seen(cx, &[Component::ClusterAutoscaler]);
            return Ok(findings);
        }
    }
    log_covers(cx, Component::ClusterAutoscaler, WINDOW_S)?;
    Ok(Vec::new())
}

/// Who wrote a log: a workload, or only a place such as a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Author {
    Workload(String),
    Place(String),
}

impl Author {
    fn name(&self) -> &str {
        match self {
            Self::Workload(name) | Self::Place(name) => name,
        }
    }

    /// Namespace and name for commands; the usual ones where they are not known.
    fn workload(&self) -> (&str, &str) {
        match self {
            Self::Workload(name) => name.split_once('/'),
            Self::Place(_) => None,
        }
        .unwrap_or(("kube-system", "cluster-autoscaler"))
    }

    fn subject(&self) -> Subject {
        match self {
            Self::Workload(_) => {
                let (namespace, name) = self.workload();
                Subject::namespaced(SubjectKind::Deployment, namespace, name)
            }
            Self::Place(name) => Subject::new(SubjectKind::Other, name.as_str()),
        }
    }
}

/// The logs that may hold the autoscaler's lines, by who wrote them.
fn by_author<'a>(cx: &Cx<'_>, logs: &'a [LogScan]) -> BTreeMap<Author, Vec<&'a LogScan>> {
    let mut found: BTreeMap<Author, Vec<&LogScan>> = BTreeMap::new();
    for scan in logs {
        let author = match cx.topology().workload_of_log(scan) {
            Some(workload) => Author::Workload(workload),
            None => Author::Place(scan.place()),
        };
        found.entry(author).or_default().push(scan);
    }
    found
}

fn finding(cx: &Cx<'_>, author: &Author, scans: &[&LogScan], failure: &Failure<'_>) -> Finding {
    let (scaling, still_scales) = scaling_since(scans, failure);
    let severity = match failure.tail {
        Tail::Throttled => Severity::Info,
        _ if still_scales => Severity::Error,
        _ => Severity::Critical,
    };
    let newest = failure
        .last
        .map(|last| format!(", the last {}", last.ago(cx.now())))
        .unwrap_or_default();
    let title = format!(
        "cluster-autoscaler ({}) cannot read Auto Scaling groups: {} ({}{newest})",
        author.name(),
        failure.what(),
        times(failure.count)
    );
    let mut place = match author {
        Author::Workload(workload) => Place::default().of(workload.as_str()),
        Author::Place(_) => Place::default(),
    };
    for scan in scans {
        place = place.on(cx.topology().node_of_log(scan));
    }
    let mut finding = META
        .finding(severity, title)
        .detail(failure.detail())
        .subject(author.subject())
        .subjects(
            failure
                .hosts
                .iter()
                .map(|host| Subject::new(SubjectKind::Host, host.clone())),
        )
        .fact(log_fact(failure))
        .fact(
            Fact::new(
                Source::Logs,
                failure.scan.place(),
                "record",
                failure.sample(),
            )
            .at(failure.sample_at()),
        );
    if failure.last.is_some() {
        finding = finding.confidence(Confidence::Confirmed);
    }
    for other in &failure.earlier {
        finding = finding.fact(other.clone());
    }
    for host in &failure.hosts {
        place = place.towards(host.clone());
    }
    for signal in failure.signals() {
        finding = finding.signal(signal);
    }
    for (signal, fact) in scaling {
        finding = finding.signal(signal).facts(fact);
    }
    advice::remedy(cx, finding.at(place), author.workload(), failure)
}

fn log_fact(failure: &Failure<'_>) -> Fact {
    let span = match (failure.first, failure.last) {
        (Some(first), Some(last)) if first != last => format!(" from {first} to {last}"),
        _ => String::new(),
    };
    Fact::new(
        Source::Logs,
        failure.scan.place(),
        format!("\"Failed to {}\"", failure.head),
        format!("{}{span}", times(failure.count)),
    )
    .expected("none")
    .at(failure.last)
}

fn times(count: u64) -> String {
    format!("{count} {}", if count == 1 { "time" } else { "times" })
}

/// What the log shows of resized groups after the failure began, as signals and facts, and whether
/// there was any: groups are read anew with every loop, so a failure now and then stops nothing.
fn scaling_since(
    scans: &[&LogScan],
    failure: &Failure<'_>,
) -> (Vec<(&'static str, Option<Fact>)>, bool) {
    const LINES: [(&str, &str, &str, &str); 2] = [
        (
            "ca-scale-up",
            "last scale-up",
            "scale-up-since",
            "no-scale-up-since",
        ),
        (
            "ca-scale-down",
            "last removed node",
            "scale-down-since",
            "no-scale-down-since",
        ),
    ];
    let Some(began) = failure.first else {
        return (Vec::new(), false);
    };
    let mut found = Vec::new();
    let mut still_scales = false;
    for (signature, field, since, none) in LINES {
        let last = scans
            .iter()
            .filter_map(|scan| Some((scan, scan.hits(signature)?.last?)))
            .max_by_key(|(_, last)| *last);
        let after = last.is_some_and(|(_, last)| last > began);
        still_scales |= after;
        let fact = last.map(|(scan, last)| {
            let when = if after { "after" } else { "before" };
            Fact::new(
                Source::Logs,
                scan.place(),
                field,
                format!("{when} the failure began"),
            )
            .at(Some(last))
        });
        found.push((if after { since } else { none }, fact));
    }
    (found, still_scales)
}

#[cfg(test)]
mod tests;
