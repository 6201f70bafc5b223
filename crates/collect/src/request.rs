//! What a run is asked to collect.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use eksnet_model::{SignatureSet, Source};

use crate::cloud;

/// What to collect, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// Sources that the checks need. What is not in here ends as not requested.
    pub sources: BTreeSet<Source>,
    /// Whether to create no probe pods.
    pub no_probe: bool,
    /// Whether to call no AWS API.
    pub no_aws: bool,
    /// Profile of the AWS configuration; else the one of the kubeconfig's credential plugin, else
    /// the environment's.
    pub aws_profile: Option<String>,
    /// Region of the cluster, where it is not to be found from the cluster.
    pub aws_region: Option<String>,
    /// Name of the EKS cluster, where it is not to be found from the kubeconfig.
    pub cluster_name: Option<String>,
    /// On which nodes probe pods stand.
    pub nodes: NodeChoice,
    /// As which workload an identity probe runs.
    pub as_workload: Option<Workload>,
    /// Namespace of the probe pods.
    pub probe_namespace: String,
    /// Whether probes ask DNS servers and nothing else.
    pub only_dns: bool,
    /// Names that are asked for beside those that the checks look at: host names, or Services as
    /// `NAME.NAMESPACE`.
    pub dns_names: Vec<String>,
    /// Namespaces, besides `kube-system` and the probe namespace, that are listed where listing all
    /// of them is refused.
    pub namespaces: Vec<String>,
    /// Image of the probe pods; the image of this version unless set.
    pub agent_image: Option<String>,
    /// Secret, in the probe pods' namespace, with which their image is pulled.
    pub image_pull_secret: Option<String>,
    /// Limit of the whole run, cleaning up not included.
    pub timeout: Duration,
    /// Most requests at one time.
    pub concurrency: usize,
    /// Log lines that are looked for.
    pub signatures: Arc<SignatureSet>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            sources: Source::ALL.iter().copied().collect(),
            no_probe: false,
            no_aws: false,
            aws_profile: None,
            aws_region: None,
            cluster_name: None,
            nodes: NodeChoice::Sampled,
            as_workload: None,
            probe_namespace: "default".to_owned(),
            only_dns: false,
            dns_names: Vec::new(),
            namespaces: Vec::new(),
            agent_image: None,
            image_pull_secret: None,
            timeout: Duration::from_secs(60),
            concurrency: 10,
            signatures: Arc::new(SignatureSet::default()),
        }
    }
}

impl Request {
    /// Whether a source is wanted.
    #[must_use]
    pub fn wants(&self, source: Source) -> bool {
        self.sources.contains(&source)
    }

    /// Whether a source is read: because it is wanted, or because placing and aiming probes takes it.
    #[must_use]
    pub(crate) fn reads(&self, source: Source) -> bool {
        let for_probes = [
            Source::Nodes,
            Source::Pods,
            Source::Services,
            Source::ConfigMaps,
            Source::PodDisruptionBudgets,
        ];
        let for_disguise = self.as_workload.is_some() && source == Source::NetworkPolicies;
        // Where logs and metrics are is seen from the pods, and what a pod is like from its node.
        let for_logs = (self.wants(Source::Logs) || self.wants(Source::CniMetrics))
            && matches!(source, Source::Pods | Source::Nodes);
        // Whose role a component runs as stands in its pods.
        let for_roles = !self.no_aws
            && self.wants(Source::SimulatedPolicies)
            && matches!(source, Source::Pods | Source::Nodes);
        let for_aws = source == Source::Nodes && !cloud::wanted(self).is_empty();
        self.wants(source)
            || for_aws
            || for_logs
            || for_roles
            || (self.wants_probes() && (for_disguise || for_probes.contains(&source)))
    }

    /// Whether probe pods are wanted.
    #[must_use]
    pub fn wants_probes(&self) -> bool {
        !self.no_probe
            && (self.wants(Source::Probes)
                || (self.as_workload.is_some() && self.wants(Source::IdentityProbes)))
    }
}

/// On which nodes probe pods stand: the value of `--nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NodeChoice {
    /// One node of each class, and the nodes of the plumbing.
    #[default]
    Sampled,
    /// All of them.
    All,
    /// These.
    Named(Vec<String>),
}

impl FromStr for NodeChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<String> = text
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        match names.as_slice() {
            [] => Err("names no node: expected `all` or NAME,..".to_owned()),
            [all] if all == "all" => Ok(Self::All),
            _ => Ok(Self::Named(names)),
        }
    }
}

/// A workload: the value of `--as-workload`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Namespace.
    pub namespace: String,
    /// `Deployment`, `DaemonSet`, `StatefulSet` or `Pod`.
    pub kind: String,
    /// Name.
    pub name: String,
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let [namespace, kind, name] = parts[..] else {
            return Err(format!("{text:?} is not NAMESPACE/KIND/NAME"));
        };
        let kind = match kind.to_ascii_lowercase().as_str() {
            "deployment" | "deployments" | "deploy" => "Deployment",
            "daemonset" | "daemonsets" | "ds" => "DaemonSet",
            "statefulset" | "statefulsets" | "sts" => "StatefulSet",
            "pod" | "pods" | "po" => "Pod",
            _ => {
                return Err(format!(
                    "{kind:?} is none of Deployment, DaemonSet, StatefulSet and Pod"
                ));
            }
        };
        for (what, name) in [("namespace", namespace), ("name", name)] {
            if !is_name(name) {
                return Err(format!("{name:?} is no {what} of a Kubernetes object"));
            }
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// Whether text can stand as one segment of an API path: a DNS subdomain name.
pub(crate) fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=253).contains(&text.len())
        && text
            .bytes()
            .all(|byte| inner(byte) || matches!(byte, b'-' | b'.'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_written_as_namespace_kind_and_name() {
        let workload: Workload = "shop/deploy/cart".parse().unwrap();
        assert_eq!(workload.to_string(), "shop/Deployment/cart");
        for wrong in [
            "shop/cart",
            "shop/job/cart",
            "shop/deploy/../x",
            "/deploy/x",
            "A/ds/x",
        ] {
            assert!(wrong.parse::<Workload>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn nodes_are_all_or_named() {
        assert_eq!("all".parse(), Ok(NodeChoice::All));
        let two = NodeChoice::Named(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!("a, b".parse(), Ok(two));
        assert!(" ,".parse::<NodeChoice>().is_err());
    }
}
