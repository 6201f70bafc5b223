//! Black-box tests of the plugin without a cluster: usage, exit codes, saved evidence, the demo.

mod bad_input;
mod capacity;
mod dns;
mod dumps;
mod lists;
mod program;
