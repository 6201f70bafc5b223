//! Evidence, findings and reports of kubectl-eksnet, without IO.
//!
//! ```text
//! collect / evidence  ->  Snapshot  ->  checks  ->  Outcomes  ->  triage  ->  Report
//! ```
//!
//! * [`Snapshot`] is everything that is known about one cluster at one time. Each source in it is an
//!   [`Evidence`]: present, partial or absent, and never an empty list that stands for "not allowed
//!   to look".
//! * A [`Check`] is a pure function over a [`Cx`], which hands out evidence and records what was
//!   touched, so that a pass can list the evidence that it stands on.
//! * [`Report`] is the contract `eksnet.report/v1`.
//!
//! Everything here is data and pure functions: no clock, no files, no network.

mod authors;
mod autoscaler;
pub mod aws;
mod bundle;
mod calls;
pub mod capacity;
mod check;
mod cluster;
mod cni;
mod component;
pub mod corefile;
mod deployed;
pub mod dns;
pub mod endpoints;
mod evidence;
mod finding;
mod heard;
pub mod iam;
mod isolated;
pub mod kubernetes;
mod literals;
mod log_reach;
mod logs;
mod matcher;
mod names;
pub mod netpol;
mod node_capacity;
pub mod observed;
mod outcome;
pub mod path;
mod paths;
mod pod_subnets;
mod probes;
mod report;
mod run;
mod sandbox;
mod secrets;
mod signatures;
mod snapshot;
mod source;
mod speaker;
mod text;
mod time;
mod together;
mod told;
mod topology;
mod vip;
pub mod vpce;

pub use autoscaler::{
    ClusterAutoscaler, DISCOVERY_PREFIX, Discovery, Instead, Lack, NamedGroup, SystemPods,
    TagFilter, go_seconds, go_time,
};
pub use bundle::{BUNDLE_SCHEMA, BundleError};
pub use calls::FailedCalls;
pub use check::{Check, Cx, Meta, Stop, Symptom, View};
pub use cluster::{ClusterFacts, Origin, OriginKind};
pub use cni::CniSettings;
pub use component::{Component, Running};
pub use corefile::Corefile;
pub use deployed::Deployed;
pub use dns::asked::Asked;
pub use dns::{ClusterDns, DnsEndpoint};
pub use endpoints::AwsEndpoint;
pub use evidence::{Evidence, Gap, Why};
pub use finding::{
    Confidence, Fact, Finding, Place, Reach, Remedy, Role, Severity, Subject, SubjectKind,
};
pub use heard::{Heard, logs_and_events, source_of_log};
pub use isolated::{Selected, policies_enforced, unless_enforced};
pub use log_reach::{log_covers, log_reaches};
pub use logs::{Hits, LogScan, Sample, Scanner, is_klog_head, klog_timestamp};
pub use matcher::LiteralHit;
pub use names::{Resolution, Way};
pub use node_capacity::{Ceiling, NodeUse, unmanaged_interfaces};
pub use observed::Observations;
pub use outcome::{Outcome, OutcomeState};
pub use paths::DnsPath;
pub use pod_subnets::{discovered_subnets, pod_subnets, subnet_of_eni_config};
pub use probes::{DnsAnswer, NotStarted, ProbePod, ProbeRun, Standpoint};
pub use report::{
    Created, Diagnosis, FindingEntry, Link, OutcomeEntry, REPORT_SCHEMA, Report, ReportCluster,
    Tool, UnreadFile, Verdict,
};
pub use run::{Judged, judge};
pub use sandbox::SandboxFailure;
pub use secrets::{kept_annotation, kept_env_value, scrubbed_argument};
pub use signatures::{Judge, Match, Signature, SignatureError, SignatureSet};
pub use snapshot::{Aws, Kubernetes, Snapshot};
pub use source::{ApiGroupRule, Permission, Source};
pub use speaker::Speaker;
pub use text::Text;
pub use time::Time;
pub use together::told_together;
pub use told::{Told, told, told_by_place};
pub use topology::{NodeClass, NodeGroup, Topology};
pub use vip::DeadVip;
