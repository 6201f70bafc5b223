//! The AWS side against servers on loopback: fixtures for every fault, moto for requests and counts.

mod child;
mod cluster;
mod faults;
mod moto;
mod simulation;
mod world;
