//! Joins findings into diagnoses and renders reports.
//!
//! ```text
//! findings  --(causal graph)-->  Correlation  --(outcomes, gaps)-->  Report  -->  text | JSON
//! ```
//!
//! * [`Graph`] is the causal graph, kept as data in `causal-graph.toml`: which finding can cause
//!   which, and the signals that confirm or refute it.
//! * [`correlate`] decides which findings are roots and what each of them explains. The result does
//!   not depend on the order in which findings arrive.
//! * [`report`] adds what each check came to, the verdict and the exit code.
//! * [`render`] writes a report down.

mod claims;
mod correlate;
mod decide;
mod gaps;
mod graph;
mod holds;
mod merge;
mod paths;
mod rank;
pub mod render;
mod report;
mod validate;
mod verdict;

pub use correlate::{Correlation, correlate};
pub use gaps::{GapGroup, gap_groups};
pub use graph::{Cycle, Edge, EdgeKind, End, Graph, GraphError, Join, Term};
pub use report::{Input, report};
pub use verdict::{CORE, FailOn};
