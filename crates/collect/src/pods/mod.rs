//! Probe pods: where they stand, what they ask, and how nothing of them stays behind.

mod cleanup;
mod object;
mod sweep;

pub use cleanup::Cleanup;
pub use sweep::{Swept, sweep};
