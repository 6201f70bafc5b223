//! What a run tells while it works.

use std::time::Duration;

use eksnet_model::Source;

/// How far a run is. The command line draws it; nothing here depends on being heard.
pub trait Progress: Send + Sync {
    /// A source is being read.
    fn started(&self, source: Source) {
        let _ = source;
    }

    /// A source was read, whole, in part or not at all.
    fn finished(&self, source: Source, elapsed: Duration, ended: Ended) {
        let _ = (source, elapsed, ended);
    }

    /// Of `total` probe pods, `waiting` have not answered yet.
    fn probes(&self, waiting: usize, total: usize) {
        let _ = (waiting, total);
    }

    /// Probe pods are being deleted; `left` of them are not confirmed gone yet.
    fn deleting(&self, left: usize) {
        let _ = left;
    }
}

/// How the reading of a source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All of it was read.
    Complete,
    /// Some of it was read.
    Partial,
    /// Nothing was read.
    Absent,
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}
