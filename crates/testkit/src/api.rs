//! A fake Kubernetes API server.

pub(crate) mod access;
pub(crate) mod admission;
pub(crate) mod builder;
mod collection;
mod create;
mod delete;
mod discovery;
pub(crate) mod handle;
pub(crate) mod logs;
mod pod_security;
mod pod_table;
mod proxy;
mod review;
mod route;
pub(crate) mod serve;
mod status;
mod table;
pub(crate) mod update;
mod validation;
mod watch;
