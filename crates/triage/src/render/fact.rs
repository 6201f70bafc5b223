//! One piece of proof as a line.

use eksnet_model::{Fact, Source, Time};

/// What kind of source it is, in at most six characters.
pub(crate) fn kind(source: Source) -> &'static str {
    match source {
        Source::Probes | Source::IdentityProbes => "probe",
        Source::Observations => "tried",
        Source::Logs => "log",
        Source::ConfigMaps
        | Source::NetworkPolicies
        | Source::EniConfigs
        | Source::PodDisruptionBudgets => "config",
        source if source.key().starts_with("k8s/") => "k8s",
        _ => "config",
    }
}

/// Subject, field, what was seen, what would be right, and how long ago.
pub(crate) fn sentence(fact: &Fact, now: Option<Time>) -> String {
    let mut text = fact.subject.to_string();
    if !fact.field.is_empty() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&fact.field);
    }
    if !text.is_empty() && !fact.saw.is_empty() {
        text.push_str(": ");
    }
    text.push_str(&fact.saw);
    if let Some(expected) = &fact.expected {
        text.push_str(", expected ");
        text.push_str(expected);
    }
    if let (Some(now), Some(at)) = (now, fact.observed_at) {
        let ago = now.seconds_since(at);
        if ago > 0 {
            text.push_str(&format!(" ({} ago)", duration(ago)));
        }
    }
    text
}

/// A length of time with the unit that a person would choose.
pub(crate) fn duration(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_reads_as_a_sentence_with_its_age() {
        let now = Time::parse("2026-05-01T10:00:40Z");
        let fact = Fact::new(Source::Nodes, "Node a", "condition Ready", "Unknown")
            .expected("True")
            .at(Time::parse("2026-05-01T10:00:00Z"));
        assert_eq!(
            sentence(&fact, now),
            "Node a condition Ready: Unknown, expected True (40 s ago)"
        );
        assert_eq!(sentence(&Fact::new(Source::Logs, "", "", "x"), None), "x");
    }

    #[test]
    fn every_duration_has_its_unit() {
        let shown: Vec<String> = [0, 119, 120, 7_199, 7_200, 172_800]
            .into_iter()
            .map(duration)
            .collect();
        assert_eq!(shown, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
    }
}
