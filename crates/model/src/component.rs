//! The components of a cluster that networking hangs on, found whatever they are called.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kubernetes::{Container, Pod, PodSpec};

/// A component.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// CoreDNS.
    CoreDns,
    /// NodeLocal DNSCache.
    NodeLocalDns,
    /// kube-proxy.
    KubeProxy,
    /// The VPC CNI's DaemonSet.
    AwsNode,
    /// ipamd, the VPC CNI's address daemon: its log is a file on the node.
    Ipamd,
    /// The VPC CNI's plugin: its log is a file on the node.
    CniPlugin,
    /// The network policy agent, a container of aws-node.
    NetworkPolicyAgent,
    /// cluster-autoscaler.
    ClusterAutoscaler,
    /// Karpenter.
    Karpenter,
    /// AWS Load Balancer Controller.
    #[serde(rename = "aws-load-balancer-controller")]
    LoadBalancerController,
    /// EBS CSI controller.
    EbsCsi,
    /// external-dns.
    ExternalDns,
    /// EKS Pod Identity agent.
    #[serde(rename = "eks-pod-identity-agent")]
    PodIdentityAgent,
    /// kubelet.
    Kubelet,
    /// Any other, or not known which.
    #[default]
    Unknown,
}

impl Component {
    /// The components whose logs are read live.
    pub const WITH_LOGS: [Self; 6] = [
        Self::CoreDns,
        Self::KubeProxy,
        Self::AwsNode,
        Self::ClusterAutoscaler,
        Self::Karpenter,
        Self::LoadBalancerController,
    ];

    /// The components that call AWS.
    pub const CALLING_AWS: [Self; 6] = [
        Self::AwsNode,
        Self::ClusterAutoscaler,
        Self::Karpenter,
        Self::LoadBalancerController,
        Self::EbsCsi,
        Self::ExternalDns,
    ];

    /// Name, as in `cluster-autoscaler`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CoreDns => "coredns",
            Self::NodeLocalDns => "node-local-dns",
            Self::KubeProxy => "kube-proxy",
            Self::AwsNode => "aws-node",
            Self::Ipamd => "ipamd",
            Self::CniPlugin => "cni-plugin",
            Self::NetworkPolicyAgent => "network-policy-agent",
            Self::ClusterAutoscaler => "cluster-autoscaler",
            Self::Karpenter => "karpenter",
            Self::LoadBalancerController => "aws-load-balancer-controller",
            Self::EbsCsi => "ebs-csi",
            Self::ExternalDns => "external-dns",
            Self::PodIdentityAgent => "eks-pod-identity-agent",
            Self::Kubelet => "kubelet",
            Self::Unknown => "unknown",
        }
    }

    /// The component that a pod runs, judged by image, command and labels, never by the pod's name.
    #[must_use]
    pub fn of_pod(pod: &Pod) -> Self {
        Self::of(&pod.spec, &pod.metadata.labels)
    }

    /// The component that a pod of this spec and these labels runs.
    #[must_use]
    pub fn of(spec: &PodSpec, labels: &std::collections::BTreeMap<String, String>) -> Self {
        let by_container = spec
            .containers
            .iter()
            .map(of_container)
            .find(|found| *found != Self::Unknown);
        let label = |key: &str| labels.get(key).map(String::as_str);
        by_container.unwrap_or_else(|| match label("k8s-app") {
            Some("kube-dns") => Self::CoreDns,
            Some("kube-proxy") => Self::KubeProxy,
            Some("aws-node") => Self::AwsNode,
            Some("node-local-dns") => Self::NodeLocalDns,
            _ => match label("app.kubernetes.io/name").or_else(|| label("app")) {
                Some("cluster-autoscaler" | "aws-cluster-autoscaler") => Self::ClusterAutoscaler,
                Some("karpenter") => Self::Karpenter,
                Some("aws-load-balancer-controller") => Self::LoadBalancerController,
                Some("aws-ebs-csi-driver") if label("app") == Some("ebs-csi-controller") => {
                    Self::EbsCsi
                }
                Some("external-dns") => Self::ExternalDns,
                Some("eks-pod-identity-agent") => Self::PodIdentityAgent,
                _ => Self::Unknown,
            },
        })
    }
}

/// Name of an image without registry, tag and digest.
fn image_name(image: &str) -> &str {
    let without_digest = image.split('@').next().unwrap_or(image);
    let last = without_digest.rsplit('/').next().unwrap_or(without_digest);
    last.split(':').next().unwrap_or(last)
}

fn of_container(container: &Container) -> Component {
    let runs = |name: &str| {
        container
            .command
            .first()
            .is_some_and(|command| command.rsplit('/').next() == Some(name))
    };
    match image_name(&container.image) {
        "coredns" => Component::CoreDns,
        "kube-proxy" | "kube-proxy-amd64" => Component::KubeProxy,
        "amazon-k8s-cni" => Component::AwsNode,
        "k8s-dns-node-cache" => Component::NodeLocalDns,
        "cluster-autoscaler" | "cluster-autoscaler-amd64" | "cluster-autoscaler-arm64" => {
            Component::ClusterAutoscaler
        }
        // The image is `public.ecr.aws/karpenter/controller`.
        "controller" if container.image.contains("/karpenter/") => Component::Karpenter,
        "karpenter" => Component::Karpenter,
        "aws-load-balancer-controller" | "aws-alb-ingress-controller" => {
            Component::LoadBalancerController
        }
        "aws-ebs-csi-driver"
            if container
                .args
                .iter()
                .any(|argument| argument == "controller") =>
        {
            Component::EbsCsi
        }
        "external-dns" => Component::ExternalDns,
        "eks-pod-identity-agent" => Component::PodIdentityAgent,
        _ if runs("cluster-autoscaler") => Component::ClusterAutoscaler,
        _ if runs("kube-proxy") => Component::KubeProxy,
        _ => Component::Unknown,
    }
}

/// A component as it runs: its container's command line and environment.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// The container.
    pub container: &'a Container,
}

impl<'a> Running<'a> {
    /// The container of `component` in a pod spec.
    #[must_use]
    pub fn of(component: Component, spec: &'a PodSpec) -> Option<Self> {
        spec.containers
            .iter()
            .find(|container| of_container(container) == component)
            .or(spec.containers.first())
            .map(|container| Self { container })
    }

    /// Every word of the command line, shell wrappers split.
    pub fn words(&self) -> impl Iterator<Item = &'a str> {
        self.container
            .command
            .iter()
            .chain(&self.container.args)
            .flat_map(|word| {
                // `sh -c "cluster-autoscaler --v=4 ..."` and folded YAML put many words into one.
                let many = word.contains(" -") || word.contains("\n");
                let split: Box<dyn Iterator<Item = &'a str>> = if many {
                    Box::new(word.split_whitespace())
                } else {
                    Box::new(std::iter::once(word.as_str()))
                };
                split
            })
    }

    /// Every value of a flag, in order: `--name=value`, `--name value`, and a bare `--name` as `true`.
    /// Go's flag package takes one dash or two.
    #[must_use]
    pub fn flag_values(&self, name: &str) -> Vec<&'a str> {
        let words: Vec<&str> = self.words().collect();
        let mut values = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
                continue;
            };
            match flag.split_once('=') {
                Some((key, value)) if key == name => values.push(value.trim_matches(['"', '\''])),
                None if flag == name => values.push(match words.get(at + 1) {
                    Some(next) if !next.starts_with('-') => next,
                    _ => "true",
                }),
                _ => {}
            }
        }
        values
    }

    /// The last value of a flag, which is the one that counts.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<&'a str> {
        self.flag_values(name).pop()
    }

    /// The value of an environment variable that is kept.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&'a str> {
        self.container
            .env
            .iter()
            .find(|env| env.name == name)?
            .value
            .as_deref()
    }

    /// Whether the environment variable is set, its value kept or not.
    #[must_use]
    pub fn has_env(&self, name: &str) -> bool {
        self.container.env.iter().any(|env| env.name == name)
    }

    /// Major and minor version from the image's tag, such as (1, 33).
    #[must_use]
    pub fn version(&self) -> Option<(u32, u32)> {
        let image = self.container.image.split('@').next()?;
        let tag = image.rsplit('/').next()?.split_once(':')?.1;
        let mut numbers = tag.trim_start_matches('v').split(['.', '-', '+']);
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(image: &str, command: &[&str]) -> Container {
        Container {
            image: image.to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            ..Container::default()
        }
    }

    #[test]
    fn a_component_is_known_by_its_image_wherever_it_is_mirrored() {
        let mirrored = container(
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mirror/cluster-autoscaler:v1.33.0@sha256:ab",
            &[],
        );
        assert_eq!(of_container(&mirrored), Component::ClusterAutoscaler);
        assert_eq!(
            Running {
                container: &mirrored
            }
            .version(),
            Some((1, 33))
        );
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        let one = container(
            "x",
            &[
                "./cluster-autoscaler",
                "--a=1",
                "-a",
                "2",
                "--b",
                "--c=\"x\"",
            ],
        );
        let running = Running { container: &one };
        assert_eq!(running.flag_values("a"), ["1", "2"]);
        assert_eq!(running.flag("a"), Some("2"));
        assert_eq!(running.flag("b"), Some("true"));
        assert_eq!(running.flag("c"), Some("x"));
        let wrapped = container("x", &["sh", "-c", "cluster-autoscaler --a=1 --b=2"]);
        assert_eq!(
            Running {
                container: &wrapped
            }
            .flag("b"),
            Some("2")
        );
    }
}
