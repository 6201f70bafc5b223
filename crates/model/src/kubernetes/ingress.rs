//! Ingresses, and what load balancers Services and Ingresses got.

use serde::{Deserialize, Serialize};

use super::Meta;
use super::meta::null_is_default;

/// An Ingress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ingress {
    /// Metadata.
    pub metadata: Meta,
    /// Wanted state.
    #[serde(deserialize_with = "null_is_default")]
    pub spec: IngressSpec,
    /// Seen state; `None` where it was not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<LoadBalanced>,
}

/// `spec` of an Ingress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    /// Its class, such as `alb`.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub ingress_class_name: String,
}

/// `status` of what has a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalanced {
    /// The load balancer.
    #[serde(deserialize_with = "null_is_default")]
    pub load_balancer: LoadBalancerStatus,
}

/// What load balancer there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerStatus {
    /// Where it is reached; empty while there is none.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub ingress: Vec<LoadBalancerIngress>,
}

/// A name or an address of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerIngress {
    /// Name.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub hostname: String,
    /// Address.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub ip: String,
}

impl LoadBalanced {
    /// A load balancer that is reached by this name or address; none where it is empty.
    #[must_use]
    pub fn at(host: &str) -> Self {
        let ingress = (!host.is_empty()).then(|| LoadBalancerIngress {
            hostname: host.to_owned(),
            ..LoadBalancerIngress::default()
        });
        Self {
            load_balancer: LoadBalancerStatus {
                ingress: ingress.into_iter().collect(),
            },
        }
    }

    /// Whether there is a load balancer.
    #[must_use]
    pub fn exists(&self) -> bool {
        let all = &self.load_balancer.ingress;
        all.iter()
            .any(|one| !one.hostname.is_empty() || !one.ip.is_empty())
    }
}

impl Ingress {
    /// Whether the load balancer controller of AWS keeps it: by its class, or by its annotations.
    #[must_use]
    pub fn is_of_aws(&self) -> bool {
        self.spec.ingress_class_name == "alb"
            || self
                .metadata
                .annotations
                .keys()
                .any(|key| key.starts_with("alb.ingress.kubernetes.io/"))
    }
}
