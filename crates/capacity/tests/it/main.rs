//! Capacity against worked examples, experiments and oracles.

mod blocks;
mod cluster;
mod experiments;
mod measured;
mod plan;
mod scheduling;
mod subnets;
