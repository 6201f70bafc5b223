//! Fakes for the tests of kubectl-eksnet: servers on loopback that behave as documented, and as
//! badly as a test wants them to.
//!
//! - [`FakeApi`]: a Kubernetes API server with fake kubelets, faults and an audit log.
//! - [`FakeAws`]: fixtures of AWS APIs in their documented shapes, with faults and an audit log.
//! - [`Moto`]: a mock of AWS that computes its answers, where it is installed; see [`require`].
//!
//! Servers run on threads of their own, so a test may block on a child process that talks to
//! them. Everything a test can wait for is an event: see [`Audit`], [`Gate`] and
//! [`FakeApi::wait_until`].

mod api;
mod aws;
mod clock;
mod kubeconfig;
mod kubelet;
mod net;
mod require;
mod state;

pub use api::access::{Access, Rule};
pub use api::admission::Admission;
pub use api::builder::FakeApiBuilder;
pub use api::handle::FakeApi;
pub use aws::answer::Answer;
pub use aws::call::AwsCall;
pub use aws::fake::FakeAws;
pub use aws::moto::Moto;
pub use aws::pages::aws_pages;
pub use kubeconfig::{Exec, Kubeconfig, KubeconfigBuilder};
pub use kubelet::gate::Gate;
pub use kubelet::script::{Phase, PodScript};
pub use kubelet::view::PodView;
pub use net::audit::{Audit, Request};
pub use net::faults::{Action, FaultRule};
pub use net::matching::Match;
pub use net::reply::Reply;
pub use require::{kubectl, netns, require};
pub use state::registry::Resource;
