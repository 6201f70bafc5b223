//! A snapshot as a file.

use serde::{Deserialize, Serialize};

use crate::Snapshot;

/// Schema of bundles that this version writes.
pub const BUNDLE_SCHEMA: &str = "eksnet.bundle/v1";

/// Why a bundle could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// No bundle at all.
    #[error("not a bundle: {0}")]
    NotABundle(String),
    /// A bundle of a newer version.
    #[error(
        "the bundle has schema {0}, this version reads {BUNDLE_SCHEMA}: use a newer kubectl-eksnet"
    )]
    Newer(String),
    /// A bundle whose end is missing.
    #[error("the bundle is cut off: {0}")]
    Truncated(String),
}

#[derive(Serialize)]
struct Written<'a> {
    schema: &'a str,
    snapshot: &'a Snapshot,
}

#[derive(Deserialize)]
struct Head {
    schema: String,
}

#[derive(Deserialize)]
struct Read {
    snapshot: Snapshot,
}

impl Snapshot {
    /// Writes the bundle.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write_bundle(&self, writer: impl std::io::Write) -> Result<(), serde_json::Error> {
        serde_json::to_writer(
            writer,
            &Written {
                schema: BUNDLE_SCHEMA,
                snapshot: self,
            },
        )
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// [`BundleError`] when it is none, newer, or cut off.
    pub fn read_bundle(bytes: &[u8]) -> Result<Self, BundleError> {
        let starts_like_one = Self::looks_like_bundle(bytes);
        let describe = |error: serde_json::Error| {
            if starts_like_one && error.is_eof() {
                BundleError::Truncated(error.to_string())
            } else {
                BundleError::NotABundle(error.to_string())
            }
        };
        let head: Head = serde_json::from_slice(bytes).map_err(describe)?;
        if head.schema != BUNDLE_SCHEMA {
            return Err(match head.schema.strip_prefix("eksnet.bundle/") {
                Some(_) => BundleError::Newer(head.schema),
                None => BundleError::NotABundle(format!("schema {:?}", head.schema)),
            });
        }
        let read: Read = serde_json::from_slice(bytes).map_err(describe)?;
        Ok(read.snapshot)
    }

    /// Whether bytes begin as a bundle does, whole or not.
    #[must_use]
    pub fn looks_like_bundle(bytes: &[u8]) -> bool {
        let start: String = String::from_utf8_lossy(&bytes[..bytes.len().min(256)])
            .chars()
            .filter(|character| !character.is_whitespace())
            .collect();
        start.starts_with("{\"schema\":\"eksnet.bundle/")
    }
}
