//! How many more pods a cluster can take, and which limit binds first. Pure: a snapshot or a plan in,
//! figures out.
//!
//! * [`plan`] computes what instance types and subnets can hold, without a cluster.
//! * [`BlockMap`] is a subnet address by address: who uses it, and which /28 blocks are really free.
//! * [`measure`] reads the state of a cluster off a snapshot.
//! * [`what_if`] places pods as the scheduler and the VPC CNI would, and says where that ends.
//! * [`render`] writes all of them down.
//!
//! What is not known is `None`, never 0, and the gap is named.

mod blocks;
mod ground;
mod limit;
mod measure;
mod plan;
mod plan_subnets;
pub mod render;
mod simulate;
mod types;
mod what_if;
mod workload;

pub use blocks::{BlockMap, Cell, Counts};
pub use limit::Limit;
pub use measure::{
    Addresses, CAPACITY_SCHEMA, GroupUse, HelperMetrics, Measured, NodeState, PodKinds, Room,
    Settings, Share, Sizes, StoppedBy, SubnetState, Totals, measure,
};
pub use plan::{NodesPlan, Plan, PlanError, PlanRequest, PlannedType, Types, plan};
pub use plan_subnets::{SubnetPlan, SubnetsPlan};
pub use types::TypeLimits;
pub use what_if::{Ask, AskError, LimitRoom, NewNodes, Next, PodView, Stop, WhatIf, what_if};
pub use workload::WorkloadName;

use eksnet_model::Source;

/// Sources that [`measure`] and [`what_if`] read.
pub const SOURCES: &[Source] = &ground::NEEDS;
