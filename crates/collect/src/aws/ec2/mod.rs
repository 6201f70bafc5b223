//! EC2, in the parts that checks read.

mod client;
mod element;
mod instances;
mod interfaces;
mod lists;
mod query;
#[cfg(test)]
mod samples;
mod security;
mod vpc;

pub(crate) use client::Ec2;
