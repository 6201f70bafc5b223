//! `node/clock-skew`: a node's clock is off by more than signatures and tokens bear.

use std::sync::LazyLock;

use eksnet_model::{
    Check, Confidence, Cx, Fact, Finding, Meta, Place, ProbePod, Role, Severity, SignatureSet,
    Source, Stop, Subject,
};

use crate::say::{self, Say};

use eksnet_probe::Outcome;

const META: Meta = Meta {
    id: "node/clock-skew",
    title: "The clock of a node is off, so that AWS and the API server refuse what it signs",
    severity: Severity::Error,
    role: Role::Cause,
    needs: &[Source::Logs],
    helps: &[Source::Events, Source::Probes],
    signals: &["signature-time", "chrony", "not-yet-valid", "date-differs"],
    signatures: include_str!("signatures.toml"),
    doc: include_str!("README.md"),
};

pub(crate) const CHECK: Check = Check { meta: &META, run };

static SIGNATURES: LazyLock<SignatureSet> = LazyLock::new(|| crate::signature_set(&META));

const SAYS: &[Say] = &[
    Say {
        signatures: &[
            "aws-signature-expired",
            "aws-signature-early",
            "aws-time-skewed",
        ],
        title: "{who}: its clock is off, and AWS refuses the signatures of its requests",
        detail: "AWS takes signatures that are up to five minutes old. The times in the message are that of the node and that of AWS.",
        severity: Severity::Error,
        confidence: Confidence::Confirmed,
        signal: "signature-time",
        confirm: "chronyc tracking; date -u   # on the node",
        fix: "chronyc -a makestep   # on the node; servers: 169.254.169.123 (IPv6: fd00:ec2::123). Then restart the pods that had failed",
    },
    Say {
        signatures: &["chrony-step"],
        title: "{who}: its clock was off by {offset} seconds",
        detail: "chrony says so. Signatures and tokens made by that clock are refused.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "chrony",
        confirm: "chronyc tracking; date -u   # on the node",
        fix: "chronyc -a makestep   # on the node; servers: 169.254.169.123 (IPv6: fd00:ec2::123). Then restart the pods that had failed",
    },
    Say {
        signatures: &["x509-clock", "token-early"],
        title: "{who}: its clock is behind: what is valid by now is not yet valid for it",
        detail: "Certificates and tokens of the cluster are made by clocks that are right.",
        severity: Severity::Error,
        confidence: Confidence::Likely,
        signal: "not-yet-valid",
        confirm: "chronyc tracking; date -u   # on the node",
        fix: "chronyc -a makestep   # on the node; servers: 169.254.169.123 (IPv6: fd00:ec2::123). Then restart the pods that had failed",
    },
];

/// From this difference on, in seconds, AWS refuses signatures; its tolerance is five minutes.
const REFUSED_S: i64 = 240;
/// From this difference on, in seconds, a clock is not kept any more.
const OFF_S: i64 = 30;

fn run(cx: &Cx<'_>) -> Result<Vec<Finding>, Stop> {
    let mut found = say::findings(cx, &META, &SIGNATURES, "A program", SAYS, |_| true);
    if let Some(run) = cx.probes().optional() {
        found.extend(run.pods.iter().filter_map(by_date));
    }
    if found.is_empty() {
        cx.logs().some()?;
    }
    Ok(found)
}

/// The least difference counts: an answer that waited long makes a clock seem ahead.
fn by_date(pod: &ProbePod) -> Option<Finding> {
    let skew = pod
        .answers()
        .filter_map(|(_, outcome)| match outcome {
            Outcome::Http(http) => http.skew_s,
            _ => None,
        })
        .min_by_key(|skew| skew.abs())?;
    if skew.abs() <= OFF_S {
        return None;
    }
    let node = pod.at.node.clone();
    let way = if skew > 0 { "ahead" } else { "behind" };
    let refused = skew.abs() > REFUSED_S;
    let place = Place::nodes([node.clone()]);
    Some(
        META.finding(
            if refused { Severity::Error } else { Severity::Warning },
            format!("Node {node}: its clock is {} s {way}", skew.abs()),
        )
        .confidence(if refused { Confidence::Confirmed } else { Confidence::Likely })
        .detail("AWS takes signatures within five minutes of its own time.")
        .subject(Subject::node(node.clone()))
        .fact(
            Fact::new(
                Source::Probes,
                format!("Node {node}"),
                "clock against the header Date",
                format!("{skew} s"),
            )
            .expected("within 1 s")
            .at(pod.at_time),
        )
        .at(place.clone())
        .reaches(place)
        .signal("date-differs")
        .confirm("chronyc tracking; date -u   # on the node")
        .fix(format!(
            "kubectl drain {node} --ignore-daemonsets --delete-emptydir-data   # replace it; chrony has to use 169.254.169.123 (IPv6: fd00:ec2::123)"
        )),
    )
}
