//! Collects evidence from the Kubernetes API, AWS and probe pods into one
//! [`Snapshot`](eksnet_model::Snapshot).
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use eksnet_collect::{Cleanup, ConnectOptions, Request, Silent, collect, connect};
//!
//! let connection = connect(&ConnectOptions::default()).await?;
//! let request = Request::default();
//! let cleanup = Cleanup::new(&connection);
//! let collected = tokio::select! {
//!     collected = collect(&connection, &request, &cleanup, &Silent) => Some(collected?),
//!     () = interrupted() => None,
//! };
//! // In any case: nothing of ours stays behind.
//! let created = cleanup.cleanup(&Silent).await;
//! # let _ = (collected, created);
//! # Ok(())
//! # }
//! # async fn interrupted() {}
//! ```

pub mod aws;
mod cloud;
mod collect;
mod environment;
mod kubernetes;
mod pods;
mod progress;
mod random;
mod request;
mod watch;

pub use collect::{CollectError, Collected, collect, preview};
pub use environment::Environment;
pub use kubernetes::{
    ClusterHints, ConnectError, ConnectOptions, Connection, ServerVersion, connect,
};
pub use pods::{Cleanup, PlannedPod, ProbePlanPreview, Swept, default_image, sweep};
pub use progress::{Ended, Progress, Silent};
pub use request::{NodeChoice, Request, Workload};
