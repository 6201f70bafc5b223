//! One file per command.

pub(crate) mod capacity;
pub(crate) mod checks;
pub(crate) mod cleanup;
pub(crate) mod collect;
pub(crate) mod dns;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod permissions;
pub(crate) mod version;

pub(crate) mod plan;

mod live;
