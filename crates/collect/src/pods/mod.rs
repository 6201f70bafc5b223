//! Probe pods: where they stand, what they ask, and how nothing of them stays behind.

mod cleanup;
mod hazard;
mod image;
mod launch;
mod look;
mod manifest;
mod object;
mod plan;
mod prepare;
pub(crate) mod preview;
mod results;
pub(crate) mod stage;
mod standpoints;
mod start;
mod sweep;
mod workload;

pub use cleanup::Cleanup;
pub use image::default_image;
pub use preview::{PlannedPod, ProbePlanPreview};
pub use sweep::{Swept, sweep};
