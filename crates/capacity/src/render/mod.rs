//! Writes plans, measures and what would happen down.

mod bar;
mod block_map;
mod html;
mod markdown;
mod plan;
mod prometheus;
mod style_css;
mod table;
mod text;
mod what_if;
mod words;

use serde::Serialize;

use crate::{Measured, Plan, WhatIf};

pub use html::html;
pub use markdown::{markdown, plan_markdown};
pub use plan::plan_text;
pub use prometheus::prometheus;
pub use text::text;

/// What is written down of a cluster.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown<'a> {
    /// Its state.
    #[serde(flatten)]
    pub measured: &'a Measured,
    /// What would happen, where that was asked.
    pub what_if: Option<&'a WhatIf>,
    /// Version of the program.
    #[serde(skip)]
    pub version: &'a str,
}

/// As pretty JSON, with a line break at its end.
///
/// # Errors
/// Never in practice: no map in it has keys that are not text.
pub fn json(shown: &Shown<'_>) -> serde_json::Result<String> {
    pretty(shown)
}

/// A plan as pretty JSON: an array of its types.
///
/// # Errors
/// Never in practice.
pub fn plan_json(plan: &Plan) -> serde_json::Result<String> {
    pretty(&plan.types)
}

fn pretty(value: &impl Serialize) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(text)
}
