//! The objects of a fake cluster and how they are picked.

pub(crate) mod registry;
pub(crate) mod selectors;
pub(crate) mod store;
