//! Fake AWS: a server of fixtures in the documented shapes, and moto.

pub(crate) mod answer;
pub(crate) mod call;
mod eks;
pub(crate) mod fake;
pub(crate) mod moto;
pub(crate) mod pages;
mod xml;
