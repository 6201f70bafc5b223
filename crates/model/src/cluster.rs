//! The cluster as a whole, and where the evidence comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kubernetes::{ConfigMap, Node};
use crate::{Kubernetes, Text};

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
    /// Whether that version is a kubelet's, for want of the API server's own.
    #[serde(skip)]
    pub version_of_nodes: bool,
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

impl ClusterFacts {
    /// Adds what Kubernetes objects tell; what is known already stays.
    pub fn learn(&mut self, kubernetes: &Kubernetes) {
        let nodes = kubernetes
            .nodes
            .value()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let kubelet = |node: &Node| {
            let version = node
                .status
                .node_info
                .kubelet_version
                .trim_start_matches('v')
                .to_owned();
            (!version.is_empty()).then_some(version)
        };
        let first =
            |of: &dyn Fn(&Node) -> Option<String>| nodes.iter().find_map(of).map(Text::from);
        if self.version.is_none() {
            self.version = first(&|node| {
                let version = kubelet(node)?;
                let mut parts = version.split('.');
                Some(format!("{}.{}", parts.next()?, parts.next()?))
            });
            self.version_of_nodes = self.version.is_some();
        }
        if self.region.is_none() {
            self.region = first(&|node| node.region().map(str::to_owned));
        }
        if self.name.is_none() {
            self.name = first(&|node| {
                node.label("alpha.eksctl.io/cluster-name")
                    .map(str::to_owned)
            });
        }
        if self.eks.is_none() && !nodes.is_empty() {
            let is_eks = |node: &Node| {
                kubelet(node).is_some_and(|version| version.contains("-eks-"))
                    || node
                        .metadata
                        .labels
                        .keys()
                        .any(|key| key.starts_with("eks.amazonaws.com/"))
            };
            let on_aws = |node: &Node| {
                node.spec
                    .provider_id
                    .as_deref()
                    .is_some_and(|id| id.starts_with("aws:"))
            };
            self.eks = if nodes.iter().any(is_eks) {
                Some(true)
            } else if nodes.iter().any(on_aws) {
                None
            } else {
                Some(false)
            };
        }
        if self.domain.is_none() {
            let maps = kubernetes
                .configmaps
                .value()
                .map(Vec::as_slice)
                .unwrap_or_default();
            self.domain = maps.iter().find_map(corefile_domain);
        }
    }
}

/// The cluster domain: the first zone of the `kubernetes` plugin in the Corefile.
fn corefile_domain(map: &ConfigMap) -> Option<Text> {
    if map.metadata.name != "coredns" {
        return None;
    }
    map.data.get("Corefile")?.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let zone = (words.next() == Some("kubernetes"))
            .then(|| words.next())
            .flatten()?;
        let zone = zone.trim_end_matches(['.', '{']);
        (!zone.is_empty()).then(|| zone.into())
    })
}
