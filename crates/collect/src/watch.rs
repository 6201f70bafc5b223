//! Tells the progress of sources.

use std::future::Future;

use eksnet_model::{Evidence, Source};
use tokio::time::Instant;

use crate::progress::{Ended, Progress};

/// Wraps the reading of sources.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a>(pub(crate) &'a dyn Progress);

impl Watch<'_> {
    /// Reads a source, telling when it begins and how it ends.
    pub(crate) async fn source<T>(
        &self,
        source: Source,
        reading: impl Future<Output = Evidence<T>>,
    ) -> Evidence<T> {
        self.0.started(source);
        let started = Instant::now();
        let evidence = reading.await;
        let ended = match &evidence {
            Evidence::Present(_) => Ended::Complete,
            Evidence::Partial { .. } => Ended::Partial,
            Evidence::Absent(_) => Ended::Absent,
        };
        self.0.finished(source, started.elapsed(), ended);
        evidence
    }
}
