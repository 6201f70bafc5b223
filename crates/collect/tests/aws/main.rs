//! The AWS side against servers on loopback: fixtures for every fault, moto for requests and counts.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, where a panic is the failure"
)]

mod child;
mod cluster;
mod faults;
mod moto;
mod roles;
mod simulation;
mod world;
