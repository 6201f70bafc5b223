//! The protocol between the plugin and the agent that runs in its probe pods.
//!
//! The plugin hands a [`Plan`] to the agent as container arguments; the agent answers with
//! [`Line`]s, one JSON object per line on its standard output, which the plugin reads from the
//! pod's log. The last line is [`Line::End`] and carries the number of results, so a log that was
//! cut is told from one that is whole. Every line carries the plan's nonce: text that something
//! else wrote into the log is never taken for a result.
//!
//! This crate depends on serde alone, so that plugin and agent share it without sharing a runtime.

mod outcome;
mod plan;
mod stream;

pub use outcome::{
    Answer, DnsOutcome, DnsTry, HttpOutcome, ImdsOutcome, LookupOutcome, Outcome, ProbeResult,
    Resolv, StsOutcome, TcpOutcome, TcpState, TcpTry, TlsOutcome,
};
pub use plan::{
    DecodeError, MAX_ARGUMENT_BYTES, PROTOCOL, Plan, ProbeKind, ProbeSpec, QueryType, Transport,
};
pub use stream::{Line, MAX_STREAM_BYTES, MAX_TERMINATION_BYTES, StreamError, Transcript, Verdict};
