//! Refusals of pods that the test asks for.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::api::status::Refusal;
use crate::state::registry::Resource;

type PodCondition = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

/// A refusal of pods at creation, 403 with the wording of what refuses. (Pod Security needs none:
/// it is judged by the namespace's `pod-security.kubernetes.io/enforce` label.)
///
/// ```
/// use eksnet_testkit::Admission;
///
/// let full = Admission::quota("compute-resources");
/// let picky = Admission::webhook("validation.gatekeeper.sh", "image registry is not allowed")
///     .when(|pod| pod["metadata"]["namespace"] == "team-a");
/// ```
#[derive(Clone)]
pub struct Admission {
    condition: PodCondition,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Quota(String),
    Webhook { name: String, message: String },
    Other(String),
}

impl Admission {
    /// A `ResourceQuota` of this name has no pod left (10 of 10 used).
    #[must_use]
    pub fn quota(name: &str) -> Self {
        Self::of(Kind::Quota(name.to_owned()))
    }

    /// A validating webhook denies.
    #[must_use]
    pub fn webhook(name: &str, message: &str) -> Self {
        Self::of(Kind::Webhook {
            name: name.to_owned(),
            message: message.to_owned(),
        })
    }

    /// Any other plugin: `pods "NAME" is forbidden: WHY`.
    #[must_use]
    pub fn forbidden(why: &str) -> Self {
        Self::of(Kind::Other(why.to_owned()))
    }

    /// Only pods for which `condition` holds.
    #[must_use]
    pub fn when(mut self, condition: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        self.condition = Arc::new(condition);
        self
    }

    fn of(kind: Kind) -> Self {
        Self {
            condition: Arc::new(|_| true),
            kind,
        }
    }

    pub(crate) fn hits(&self, pod: &Value) -> bool {
        (self.condition)(pod)
    }

    pub(crate) fn refusal(&self, pods: &Resource, name: &str) -> Refusal {
        match &self.kind {
            Kind::Quota(quota) => Refusal::forbidden(
                pods,
                name,
                &format!(
                    "exceeded quota: {quota}, requested: pods=1, used: pods=10, limited: pods=10"
                ),
            ),
            Kind::Webhook { name, message } => Refusal::new(
                403,
                "Forbidden",
                format!("admission webhook \"{name}\" denied the request: {message}"),
            ),
            Kind::Other(why) => Refusal::forbidden(pods, name, why),
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}
