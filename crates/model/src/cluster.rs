//! The cluster as a whole, and where the evidence comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Text;

/// Where a snapshot comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Origin {
    /// Kind of source.
    pub kind: OriginKind,
    /// The context, or the path.
    pub name: Text,
}

/// Kind of source of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OriginKind {
    /// A live cluster.
    #[default]
    Cluster,
    /// A bundle made by `collect`.
    Bundle,
    /// A folder of loose files.
    Folder,
    /// The demo in the binary.
    Demo,
}

/// What is known of the cluster. `None` where unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterFacts {
    /// Name of the EKS cluster.
    pub name: Option<Text>,
    /// Region, such as `us-west-2`.
    pub region: Option<Text>,
    /// Account, twelve digits.
    pub account: Option<Text>,
    /// Kubernetes version, such as `1.33`.
    pub version: Option<Text>,
    /// Partition, such as `aws` or `aws-cn`.
    pub partition: Option<Text>,
    /// Whether it is an EKS cluster; `None` when nothing tells.
    pub eks: Option<bool>,
    /// Domain of the cluster's services, `cluster.local` unless set otherwise.
    pub domain: Option<Text>,
    /// Notes on its identity, such as a host that differs from EKS's endpoint.
    pub notes: Vec<Text>,
}

impl ClusterFacts {
    /// The cluster's DNS domain, `cluster.local` when nothing else is known.
    #[must_use]
    pub fn dns_domain(&self) -> &str {
        self.domain.as_deref().unwrap_or("cluster.local")
    }

    /// Suffix of AWS's host names in the cluster's partition. Source: AWS's partition table
    /// (endpoints of `aws`, `aws-cn`, `aws-us-gov`, `aws-iso`, `aws-iso-b`), read November 2026.
    #[must_use]
    pub fn dns_suffix(&self) -> &'static str {
        let region = self.region.as_deref().unwrap_or("");
        match self.partition.as_deref() {
            Some("aws-cn") => "amazonaws.com.cn",
            Some("aws-iso") => "c2s.ic.gov",
            Some("aws-iso-b") => "sc2s.sgov.gov",
            None if region.starts_with("cn-") => "amazonaws.com.cn",
            None if region.starts_with("us-isob-") => "sc2s.sgov.gov",
            None if region.starts_with("us-iso-") => "c2s.ic.gov",
            _ => "amazonaws.com",
        }
    }

    /// Minor version of Kubernetes, such as 33.
    #[must_use]
    pub fn minor(&self) -> Option<u32> {
        let version = self.version.as_deref()?.trim_start_matches('v');
        version
            .split('.')
            .nth(1)?
            .trim_end_matches('+')
            .parse()
            .ok()
    }
}
