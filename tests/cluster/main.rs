//! The built plugin against a fake API server with fake kubelets.

mod leftovers;
mod live;
mod refusals;
mod world;
