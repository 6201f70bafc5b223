//! Events.

use serde::{Deserialize, Serialize};

use super::Meta;
use super::meta::null_is_default;
use crate::Time;

/// An Event of the core group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// Metadata.
    pub metadata: Meta,
    /// What it is about.
    #[serde(alias = "regarding")]
    pub involved_object: ObjectReference,
    /// One word, such as `FailedScheduling`.
    #[serde(deserialize_with = "null_is_default")]
    pub reason: String,
    /// A sentence.
    #[serde(alias = "note", deserialize_with = "null_is_default")]
    pub message: String,
    /// `Normal` or `Warning`.
    #[serde(rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// How often it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// First time.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub first_timestamp: Option<Time>,
    /// Last time.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub last_timestamp: Option<Time>,
    /// Time of Events of the newer API.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub event_time: Option<Time>,
    /// Repetitions of Events of the newer API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
}

/// Repetitions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Series {
    /// How often.
    pub count: u32,
    /// Last time.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::time::lenient"
    )]
    pub last_observed_time: Option<Time>,
}

/// A reference to an object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectReference {
    /// Kind.
    #[serde(deserialize_with = "null_is_default")]
    pub kind: String,
    /// Namespace.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub namespace: String,
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
}

impl Event {
    /// When it was last seen.
    #[must_use]
    pub fn last_seen(&self) -> Option<Time> {
        self.series
            .as_ref()
            .and_then(|series| series.last_observed_time)
            .or(self.last_timestamp)
            .or(self.event_time)
            .or(self.first_timestamp)
            .or(self.metadata.creation_timestamp)
    }

    /// How often it was seen.
    #[must_use]
    pub fn times(&self) -> u32 {
        self.series
            .as_ref()
            .map_or_else(|| self.count.unwrap_or(1), |series| series.count)
    }
}
