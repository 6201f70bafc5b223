//! Points in time, as Kubernetes and AWS write them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, in UTC. Read from RFC 3339 text, with any offset and fraction, or from seconds
/// since 1970 as AWS's JSON protocols send them. Written as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Time(pub jiff::Timestamp);

impl Time {
    /// Reads RFC 3339 text; `None` when it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok().map(Self)
    }

    /// Seconds from `earlier` to `self`; negative when `self` is the earlier one.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> i64 {
        self.0.as_second() - earlier.0.as_second()
    }

    /// How long before `now` this was, for people: `40 s ago`, `12 min ago`, `3 h ago`; the time
    /// itself when there is no now, or when it lies ahead of it.
    #[must_use]
    pub fn ago(self, now: Option<Self>) -> String {
        match now.map(|now| now.seconds_since(self)) {
            Some(seconds @ 0..120) => format!("{seconds} s ago"),
            Some(seconds @ 120..7200) => format!("{} min ago", seconds / 60),
            Some(seconds @ 7200..172_800) => format!("{} h ago", seconds / 3600),
            Some(seconds @ 172_800..) => format!("{} days ago", seconds / 86_400),
            _ => format!("at {self}"),
        }
    }

    /// The time `seconds` before this one.
    #[must_use]
    pub fn minus_seconds(self, seconds: i64) -> Self {
        jiff::Timestamp::from_second(self.0.as_second() - seconds).map_or(self, Self)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Seconds(f64),
        }
        let time = match Written::deserialize(deserializer)? {
            Written::Text(text) => Self::parse(&text),
            #[allow(clippy::cast_possible_truncation)]
            // sub-millisecond parts carry no meaning here
            Written::Seconds(seconds) => {
                jiff::Timestamp::from_millisecond((seconds * 1000.0) as i64)
                    .ok()
                    .map(Self)
            }
        };
        time.ok_or_else(|| serde::de::Error::custom("not a point in time"))
    }
}

/// For optional times: what cannot be read counts as not given, so that one odd stamp does not cost
/// the object that carries it.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Time>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(Time::deserialize(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_the_unit_that_fits() {
        let now = Time::parse("2026-05-03T10:00:00Z");
        let ago = |text: &str| Time::parse(text).unwrap().ago(now);
        assert_eq!(ago("2026-05-03T09:59:20Z"), "40 s ago");
        assert_eq!(ago("2026-05-03T09:48:00Z"), "12 min ago");
        assert_eq!(ago("2026-05-03T07:00:00Z"), "3 h ago");
        assert_eq!(ago("2026-05-01T10:00:00Z"), "2 days ago");
        assert_eq!(ago("2026-05-03T10:00:01Z"), "at 2026-05-03T10:00:01Z");
    }

    #[test]
    fn kubernetes_and_aws_spellings_are_one_time() {
        let plain = Time::parse("2026-05-01T10:00:00Z");
        assert!(plain.is_some());
        assert_eq!(Time::parse("2026-05-01T12:00:00.000000+02:00"), plain);
        let seconds: Time = serde_json::from_str("1777629600.0").unwrap();
        assert_eq!(Some(seconds), plain);
    }
}
