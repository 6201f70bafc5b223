//! Evidence, and what is missing of it.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Source, Text};

/// What one source said. Absence is a value with a reason, never an empty list.
///
/// In JSON, present evidence is the bare value, so that a paste of `kubectl get -o json` items or of
/// AWS CLI output is a fixture; partial evidence is `{"value": .., "gap": ..}` and absent evidence is
/// `{"gap": ..}`.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence<T> {
    /// All that was asked for.
    Present(T),
    /// Some of it. Enough to report a bad object, not to claim that there is none.
    Partial {
        /// What there is.
        value: T,
        /// What is missing, and why.
        gap: Gap,
    },
    /// None of it.
    Absent(Gap),
}

impl<T> Evidence<T> {
    /// Evidence that nobody asked for.
    #[must_use]
    pub fn not_requested(source: Source) -> Self {
        Self::Absent(Gap::new(source, Why::NotRequested, ""))
    }

    /// The value, whole or in part.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Present(value) | Self::Partial { value, .. } => Some(value),
            Self::Absent(_) => None,
        }
    }

    /// The value, whole or in part.
    pub fn value_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Present(value) | Self::Partial { value, .. } => Some(value),
            Self::Absent(_) => None,
        }
    }

    /// What is missing.
    pub fn gap(&self) -> Option<&Gap> {
        match self {
            Self::Present(_) => None,
            Self::Partial { gap, .. } | Self::Absent(gap) => Some(gap),
        }
    }

    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Present(_))
    }
}

/// Something that could not be seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// Which source.
    #[serde(default)]
    pub source: Source,
    /// Why.
    pub why: Why,
    /// What was tried, on what, and what came back.
    #[serde(default)]
    pub detail: Text,
    /// The permission or flag that closes the gap, ready to be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes: Option<Text>,
}

/// Why something could not be seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Refused; the permission that was missing, such as `list nodes` or `ec2:DescribeSubnets`.
    Denied(Text),
    /// No answer in time.
    Timeout,
    /// No connection.
    Unreachable,
    /// Too many requests, after retries.
    Throttled,
    /// Nobody asked: a flag said so, or saved evidence does not hold it.
    NotRequested,
    /// The API has no such resource.
    NotInstalled,
    /// Cut off before its end.
    Truncated,
    /// Only these namespaces were listed.
    OnlyNamespaces(Vec<Text>),
    /// Only a part was looked at, by design.
    Sampled,
    /// An answer that could not be understood.
    Malformed,
    /// Credentials are missing, expired or not accepted.
    Unauthenticated,
    /// Another error of the server or the tool.
    Failed,
}

impl Gap {
    /// A gap of `source`.
    pub fn new(source: Source, why: Why, detail: impl Into<Text>) -> Self {
        Self {
            source,
            why,
            detail: detail.into(),
            closes: None,
        }
    }

    /// The same gap, with what closes it.
    #[must_use]
    pub fn closed_by(mut self, closes: impl Into<Text>) -> Self {
        self.closes = Some(closes.into());
        self
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.why)?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(permission) => write!(f, "not allowed, needs {permission}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Unreachable => f.write_str("not reachable"),
            Self::Throttled => f.write_str("throttled"),
            Self::NotRequested => f.write_str("not requested"),
            Self::NotInstalled => f.write_str("not installed"),
            Self::Truncated => f.write_str("cut off"),
            Self::OnlyNamespaces(names) => {
                f.write_str("only listed in ")?;
                for (at, name) in names.iter().enumerate() {
                    write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Sampled => f.write_str("sampled"),
            Self::Malformed => f.write_str("not understood"),
            Self::Unauthenticated => f.write_str("credentials not accepted"),
            Self::Failed => f.write_str("failed"),
        }
    }
}

impl<T: Serialize> Serialize for Evidence<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Present(value) => value.serialize(serializer),
            Self::Partial { value, gap } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("value", value)?;
                map.serialize_entry("gap", gap)?;
                map.end()
            }
            Self::Absent(gap) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("gap", gap)?;
                map.end()
            }
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Evidence<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EvidenceVisitor(PhantomData))
    }
}

struct EvidenceVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for EvidenceVisitor<T> {
    type Value = Evidence<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("evidence: a value, or an object with `gap` and perhaps `value`")
    }

    /// Lists are the large sources: they are read without a detour through a tree.
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        T::deserialize(SeqAccessDeserializer::new(seq)).map(Evidence::Present)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        use serde::de::Error as _;
        let mut object = serde_json::Map::new();
        while let Some((key, value)) = map.next_entry::<String, serde_json::Value>()? {
            object.insert(key, value);
        }
        let is_gap =
            object.contains_key("gap") && object.keys().all(|key| key == "gap" || key == "value");
        if !is_gap {
            return T::deserialize(serde_json::Value::Object(object))
                .map(Evidence::Present)
                .map_err(A::Error::custom);
        }
        let gap = object.remove("gap").unwrap_or_default();
        let gap = Gap::deserialize(gap).map_err(A::Error::custom)?;
        match object.remove("value") {
            Some(value) => T::deserialize(value)
                .map(|value| Evidence::Partial { value, gap })
                .map_err(A::Error::custom),
            None => Ok(Evidence::Absent(gap)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Evidence<Vec<u32>> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_bare_list_is_present_and_a_gap_is_not_an_empty_list() {
        assert_eq!(read("[1,2]"), Evidence::Present(vec![1, 2]));
        let gap = r#"{"gap":{"source":"k8s/nodes","why":{"denied":"list nodes"}}}"#;
        let absent = read(gap);
        assert_eq!(absent.value(), None);
        assert!(!absent.is_complete());
        let partial = read(r#"{"value":[1],"gap":{"source":"k8s/nodes","why":"truncated"}}"#);
        assert_eq!(partial.value(), Some(&vec![1]));
        assert!(!partial.is_complete());
    }

    #[test]
    fn evidence_survives_a_round_trip() {
        let gap = Gap::new(
            Source::Nodes,
            Why::OnlyNamespaces(vec!["a".into()]),
            "list pods",
        )
        .closed_by("-A");
        for evidence in [
            Evidence::Present(vec![1]),
            Evidence::Absent(gap.clone()),
            Evidence::Partial {
                value: vec![2],
                gap,
            },
        ] {
            let json = serde_json::to_string(&evidence).unwrap();
            assert_eq!(read(&json), evidence);
        }
    }
}
