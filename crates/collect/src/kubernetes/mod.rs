//! The Kubernetes API: how it is reached, and what is read from it.

pub(crate) mod api;
mod connect;
mod error;
mod exec;
pub(crate) mod facts;
pub(crate) mod fault;
mod hints;
mod items;
mod kubeconfig;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod metrics;
mod narrow;
mod options;
mod proxy;
mod settings;
pub(crate) mod sources;

pub use connect::{Connection, ServerVersion, connect};
pub use error::ConnectError;
pub use hints::ClusterHints;
pub use options::ConnectOptions;
