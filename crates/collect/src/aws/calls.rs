//! How many requests went out, per action.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// Counts the requests of every client that it is attached to, retries included. Clones share one
/// count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeMap<String, u64>>>);

impl Calls {
    /// Requests so far, per action such as `ec2:DescribeSubnets`.
    pub(crate) fn so_far(&self) -> BTreeMap<String, u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn count(&self, action: String) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry(action).or_default() += 1;
    }
}

#[dyn_dispatch_hint]
impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(operation) = config.load::<Metadata>() {
            self.count(Action::of(operation.service(), operation.name()).to_string());
        }
        Ok(())
    }
}

/// An IAM action.
pub(crate) struct Action<'a> {
    prefix: &'a str,
    operation: &'a str,
}

impl<'a> Action<'a> {
    /// The action behind an operation of the service that the SDK calls `service`.
    fn of(service: &'a str, operation: &'a str) -> Self {
        let prefix = match service {
            "Auto Scaling" => "autoscaling",
            "EC2" => "ec2",
            "EKS" => "eks",
            "IAM" => "iam",
            "STS" => "sts",
            other => other,
        };
        Self { prefix, operation }
    }
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.prefix, self.operation)
    }
}
