//! Runs a plan of network probes inside a pod and reports what came back.
//!
//! The binary `eksnet-agent` is this library behind a command line. It holds no opinion about what
//! is healthy: it measures, and the checks judge. Everything that it measures goes out in the
//! protocol of `eksnet-probe`.
//!
//! Two rules shape every probe here. Nothing is retried, cached or answered by a library behind
//! our back, because loss is what is being measured. And a probe that fails is a result: only what
//! the agent itself could not do (a malformed name in the plan, no free socket) ends as
//! [`eksnet_probe::Outcome::NotRun`].

mod agent;
mod connect;
mod dns;
mod fault;
mod http;
mod imds;
mod lookup;
mod output;
mod resolv;
mod sts;
mod surroundings;
mod tcp;
mod text;
mod tls;
mod tries;

pub use agent::{PlanError, Report, Stopped, run, run_with};
pub use output::Output;
pub use resolv::{MAX_RESOLV_BYTES, parse_resolv, read_resolv};
pub use surroundings::{Environment, Surroundings};
