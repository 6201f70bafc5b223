//! What ipamd's log says of the same interface at different times and by different sources.

use eksnet_model::{Confidence, Fact, Hits, Told};

use super::sure;

/// Metadata may lag behind an attachment or detachment for so long, in seconds.
const LAG_S: i64 = 60;
/// What EC2 and metadata say differently for longer than this, in seconds, is no lag.
const LASTS_S: i64 = 120;

/// How the views differ.
pub(super) enum Kind {
    /// Given back, and listed again so many seconds later.
    Back { after_s: i64 },
    /// Listed, and not known to EC2.
    NotInEc2,
    /// Attached, and not listed.
    NotInMetadata,
    /// Other addresses on it.
    Addresses,
}

pub(super) struct Disagreement<'t> {
    pub(super) kind: Kind,
    pub(super) eni: Option<String>,
    pub(super) confidence: Confidence,
    pub(super) first: &'t Told<'t>,
    pub(super) facts: Vec<Fact>,
}

/// The worst that the lines of one node say.
pub(super) fn disagreement<'t>(told: &'t [Told<'t>]) -> Option<Disagreement<'t>> {
    let of = |signature: &str| told.iter().find(|one| one.signature() == signature);
    let simple = |one: &'t Told<'t>, kind, two_views| Disagreement {
        kind,
        eni: ["eni", "eni_id", "stale"]
            .iter()
            .find_map(|field| one.value(field))
            .map(str::to_owned),
        confidence: sure(two_views),
        first: one,
        facts: vec![one.fact()],
    };
    if let Some(one) = of("ipamd-eni-not-in-ec2") {
        return Some(simple(one, Kind::NotInEc2, true));
    }
    if let (Some(gone), Some(there)) = (of("ipamd-eni-freed"), of("ipamd-eni-found"))
        && let Some((eni, after_s)) = back(&gone.hits, &there.hits)
    {
        return Some(Disagreement {
            kind: Kind::Back { after_s },
            eni: Some(eni),
            confidence: Confidence::Confirmed,
            first: there,
            facts: vec![gone.fact(), there.fact()],
        });
    }
    if let Some(one) = of("ipamd-eni-not-in-metadata") {
        return Some(simple(one, Kind::NotInMetadata, false));
    }
    if let Some(one) = of("ipamd-address-elsewhere").or(of("ipamd-metadata-mismatch")) {
        return Some(simple(one, Kind::Addresses, false));
    }
    of("ipamd-out-of-sync-state")
        .filter(|one| lasts(&one.hits))
        .map(|one| simple(one, Kind::Addresses, true))
}

/// The interface that metadata lists longest after it was given back, and how many seconds after.
fn back(gone: &Hits, there: &Hits) -> Option<(String, i64)> {
    gone.fields
        .get("gone")?
        .keys()
        .filter_map(|eni| {
            let freed = gone.last_of("gone", eni)?;
            let found = there.last_of("there", eni)?;
            Some((eni.to_string(), found.seconds_since(freed)))
        })
        .filter(|(_, after)| *after > LAG_S)
        .max_by_key(|(_, after)| *after)
}

/// Whether the same is said over a time that is no lag.
fn lasts(hits: &Hits) -> bool {
    match (hits.first, hits.last) {
        (Some(first), Some(last)) => last.seconds_since(first) > LASTS_S,
        _ => hits.count > 2,
    }
}
