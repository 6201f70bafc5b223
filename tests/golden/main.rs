//! Whole stories: the demo, four outages that differ from it in one fact, and what happens when a
//! fact is taken away.
//!
//! Each `NAME.json` here is a bundle: `kubectl eksnet doctor --from tests/golden/NAME.json`.

mod deciding_facts;
mod demo_log;
mod renaming;
mod siblings;
mod story;
mod texts;
