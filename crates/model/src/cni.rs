//! How the VPC CNI is set up.

use crate::Component;
use crate::component::Running;
use crate::kubernetes::{DaemonSet, Node};

/// Settings of the VPC CNI, with the defaults of
/// <https://github.com/aws/amazon-vpc-cni-k8s/blob/master/README.md> (read 2026-05) where unset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CniSettings {
    /// Major and minor version, such as (1, 19); `None` where the image's tag does not tell.
    pub version: Option<(u32, u32)>,
    /// Pods take addresses of the subnet that an ENIConfig names, never from the primary interface.
    pub custom_networking: bool,
    /// Interfaces get /28 prefixes instead of single addresses.
    pub prefix_delegation: bool,
    /// Security groups for pods: a trunk interface takes a slot.
    pub pod_eni: bool,
    /// Pods have IPv6 addresses.
    pub ipv6: bool,
    /// Subnets tagged `kubernetes.io/role/cni` are used besides the node's own; since 1.18.
    pub subnet_discovery: bool,
    /// Most interfaces, where a limit below the instance type's is set.
    pub max_enis: Option<u32>,
    /// Whole interfaces kept spare; 1 unless set.
    pub warm_enis: u32,
    /// Addresses kept spare, instead of whole interfaces.
    pub warm_ips: Option<u32>,
    /// Addresses had at least.
    pub minimum_ips: Option<u32>,
    /// Prefixes kept spare.
    pub warm_prefixes: Option<u32>,
    /// Whether interfaces that the CNI did not make are used too; on unless set otherwise.
    pub manages_untagged: bool,
    /// Key of the node annotation that names the node's ENIConfig.
    pub eni_config_annotation: String,
    /// Key of the node label that names it where the annotation is not set.
    pub eni_config_label: String,
}

impl CniSettings {
    /// Name of the ENIConfig that holds for a node: by annotation, else label, else `default`.
    #[must_use]
    pub fn eni_config_of<'n>(&self, node: &'n Node) -> &'n str {
        let annotations = &node.metadata.annotations;
        annotations
            .get(&self.eni_config_annotation)
            .map(String::as_str)
            .or_else(|| node.label(&self.eni_config_label))
            .unwrap_or("default")
    }

    /// The settings of aws-node's DaemonSet; `None` when `kube-system/aws-node` is not among them.
    #[must_use]
    pub fn of(daemonsets: &[DaemonSet]) -> Option<Self> {
        let aws_node = daemonsets.iter().find(|one| {
            one.metadata.namespace == "kube-system" && one.metadata.name == "aws-node"
        })?;
        let running = Running::of(Component::AwsNode, &aws_node.spec.template.spec)?;
        let on = |name: &str| {
            running
                .env(name)
                .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        };
        let number = |name: &str| running.env(name)?.trim().parse::<u32>().ok();
        let key = |name: &str| {
            let value = running.env(name).filter(|value| !value.is_empty());
            value.unwrap_or("k8s.amazonaws.com/eniConfig").to_owned()
        };
        let version = running.version();
        Some(Self {
            version,
            custom_networking: on("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"),
            prefix_delegation: on("ENABLE_PREFIX_DELEGATION"),
            pod_eni: on("ENABLE_POD_ENI"),
            ipv6: on("ENABLE_IPv6"),
            subnet_discovery: match running.env("ENABLE_SUBNET_DISCOVERY") {
                Some(value) => value.eq_ignore_ascii_case("true"),
                None => version.is_none_or(|version| version >= (1, 18)),
            },
            // Zero and negative numbers mean the instance type's own limit.
            max_enis: number("MAX_ENI").filter(|most| *most >= 1),
            warm_enis: number("WARM_ENI_TARGET").unwrap_or(1),
            warm_ips: number("WARM_IP_TARGET").filter(|n| *n > 0),
            minimum_ips: number("MINIMUM_IP_TARGET").filter(|n| *n > 0),
            warm_prefixes: number("WARM_PREFIX_TARGET"),
            manages_untagged: running
                .env("MANAGE_UNTAGGED_ENI")
                .is_none_or(|value| !value.eq_ignore_ascii_case("false")),
            eni_config_annotation: key("ENI_CONFIG_ANNOTATION_DEF"),
            eni_config_label: key("ENI_CONFIG_LABEL_DEF"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aws_node(image: &str, env: serde_json::Value) -> Vec<DaemonSet> {
        serde_json::from_value(serde_json::json!([{
            "metadata": {"namespace": "kube-system", "name": "aws-node"},
            "spec": {"template": {"spec": {"containers": [
                {"name": "aws-eks-nodeagent", "image": "x/amazon/aws-network-policy-agent:v1.1.5"},
                {"name": "aws-node", "image": image, "env": env}
            ]}}}
        }]))
        .unwrap()
    }

    #[test]
    fn defaults_hold_where_nothing_is_set() {
        let settings = CniSettings::of(&aws_node(
            "x/amazon-k8s-cni:v1.19.0-eksbuild.1",
            serde_json::json!([]),
        ))
        .unwrap();
        assert_eq!(settings.version, Some((1, 19)));
        assert_eq!(settings.warm_enis, 1);
        assert_eq!(settings.max_enis, None);
        assert!(settings.subnet_discovery && !settings.prefix_delegation);
        let old = CniSettings::of(&aws_node("x/amazon-k8s-cni:v1.11.4", serde_json::json!([])));
        assert!(!old.unwrap().subnet_discovery);
    }

    #[test]
    fn what_is_set_is_read() {
        let env = serde_json::json!([
            {"name": "ENABLE_PREFIX_DELEGATION", "value": "true"},
            {"name": "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "value": "TRUE"},
            {"name": "ENABLE_POD_ENI", "value": "false"},
            {"name": "MAX_ENI", "value": "-1"},
            {"name": "WARM_IP_TARGET", "value": "5"}
        ]);
        let settings = CniSettings::of(&aws_node("x/amazon-k8s-cni:v1.20.1", env)).unwrap();
        assert!(settings.prefix_delegation && settings.custom_networking && !settings.pod_eni);
        assert_eq!((settings.max_enis, settings.warm_ips), (None, Some(5)));
        assert_eq!(CniSettings::of(&[]), None);
    }
}
