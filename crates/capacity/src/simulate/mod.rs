//! Places pods as the scheduler and the VPC CNI would.

mod engine;
mod place;
mod pod;
mod renew;
mod rules;

pub(crate) use engine::{Engine, First, Ran};
pub(crate) use pod::PodShape;
pub(crate) use rules::Rules;
