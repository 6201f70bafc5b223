//! A stock of prefixes that does not grow although it should and could.

use eksnet_model::{Time, Told};

/// A prefix that was asked for is there after so long, in seconds.
const SETTLES_S: i64 = 30;

/// The line with the figures, where ipamd wanted a prefix and all is given still a while later.
pub(super) fn stuck<'t>(told: &'t [Told<'t>]) -> Option<&'t Told<'t>> {
    let of = |signature: &str| told.iter().find(|one| one.signature() == signature);
    let stats = of("ipamd-prefix-stats")?;
    let short = of("ipamd-prefix-short")?;
    let got = of("ipamd-prefix-allocated").and_then(Told::at);
    // Another line of the same log gives another cause.
    let other = stats.scan.is_some_and(|scan| {
        scan.hits.iter().any(|hits| {
            matches!(
                hits.check.as_str(),
                "cni/subnet-low-ips" | "cni/iam-missing" | "cni/ec2-throttled"
            )
        })
    });
    let number = |field: &str| stats.hits.newest(field)?.parse::<u32>().ok();
    let (total, used) = (number("total")?, number("used")?);
    let full = used + number("resting").unwrap_or(0) >= total;
    let has_room = number("most").is_some_and(|most| total < most);
    let later = match (short.hits.first, stats.at()) {
        (Some(short), Some(stats)) => stats.seconds_since(short) >= SETTLES_S,
        _ => true,
    };
    let gets_some = match (got, short.at()) {
        (Some(got), Some(short)) => is_after(got, short),
        (got, _) => got.is_some() || of("ipamd-prefix-allocated").is_some(),
    };
    (full && has_room && later && !gets_some && !other).then_some(stats)
}

fn is_after(one: Time, other: Time) -> bool {
    one.seconds_since(other) >= 0
}
