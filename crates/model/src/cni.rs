//! How the VPC CNI is set up.

use crate::component::Running;
use crate::kubernetes::{DaemonSet, Node};
use crate::{Component, Cx, Stop};

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
    /// It calls EC2 for nothing: what metadata says is all that it uses.
    pub imds_only: bool,
    /// Pods leave the VPC with their own address (`AWS_VPC_K8S_CNI_EXTERNALSNAT`) instead of the node's.
    pub external_snat: bool,
    /// Networks outside the VPC that see the pods' own addresses.
    pub exclude_snat_cidrs: Vec<String>,
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

    /// The settings in this cluster; `None` where they were not read.
    ///
    /// # Errors
    /// [`Stop::NotApplicable`] where all DaemonSets were read and aws-node's is not among them.
    pub fn here(cx: &Cx<'_>) -> Result<Option<Self>, Stop> {
        let Some(sets) = cx.daemonsets().optional() else {
            return Ok(None);
        };
        let settings = Self::of(sets);
        if settings.is_none() && cx.daemonsets().is_complete() {
            return Err(Stop::not_applicable(
                "there is no DaemonSet kube-system/aws-node: another CNI, or EKS Auto Mode",
            ));
        }
        Ok(settings)
    }

    /// The settings of aws-node's DaemonSet; `None` when `kube-system/aws-node` is not among them.
    #[must_use]
    pub fn of(daemonsets: &[DaemonSet]) -> Option<Self> {
        let aws_node = daemonsets.iter().find(|one| {
            one.metadata.namespace == "kube-system" && one.metadata.name == "aws-node"
        })?;
        let running = Running::of(Component::AwsNode, &aws_node.spec.template.spec)?;
        let version = running.version();
        let mut settings = Self {
            version,
            subnet_discovery: version.is_none_or(|version| version >= (1, 18)),
            ..Self::default()
        };
        for name in Self::NAMES {
            if let Some(value) = running.env(name) {
                // What is no value of its kind, the CNI takes for unset too.
                let _ = settings.set(name, value);
            }
        }
        let on = |name: &str| {
            let value = running.env(name);
            value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
        };
        settings.imds_only =
            on("ENABLE_IMDS_ONLY_MODE") || on("DISABLE_NETWORK_RESOURCE_PROVISIONING");
        settings.external_snat = on("AWS_VPC_K8S_CNI_EXTERNALSNAT");
        settings.exclude_snat_cidrs = running
            .env("AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS")
            .unwrap_or_default()
            .split(',')
            .map(|cidr| cidr.trim().to_owned())
            .filter(|cidr| !cidr.is_empty())
            .collect();
        Some(settings)
    }

    /// Names of the variables that [`CniSettings::set`] takes.
    pub const NAMES: [&'static str; 13] = [
        "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG",
        "ENABLE_PREFIX_DELEGATION",
        "ENABLE_POD_ENI",
        "ENABLE_IPv6",
        "ENABLE_SUBNET_DISCOVERY",
        "MAX_ENI",
        "WARM_ENI_TARGET",
        "WARM_IP_TARGET",
        "MINIMUM_IP_TARGET",
        "WARM_PREFIX_TARGET",
        "MANAGE_UNTAGGED_ENI",
        "ENI_CONFIG_ANNOTATION_DEF",
        "ENI_CONFIG_LABEL_DEF",
    ];

    /// Sets what the variable of that name sets.
    ///
    /// # Errors
    /// A sentence, for a variable that is none of [`CniSettings::NAMES`] and for a value that is none
    /// of its kind; nothing is changed then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let flag = || {
            value
                .trim()
                .to_ascii_lowercase()
                .parse::<bool>()
                .map_err(|_| format!("{name} is true or false, not {value:?}"))
        };
        let number = || {
            value
                .trim()
                .parse::<u32>()
                .map_err(|_| format!("{name} is a number, not {value:?}"))
        };
        let key = || {
            let key = if value.is_empty() { ENI_CONFIG } else { value };
            key.to_owned()
        };
        match name {
            "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG" => self.custom_networking = flag()?,
            "ENABLE_PREFIX_DELEGATION" => self.prefix_delegation = flag()?,
            "ENABLE_POD_ENI" => self.pod_eni = flag()?,
            "ENABLE_IPv6" => self.ipv6 = flag()?,
            "ENABLE_SUBNET_DISCOVERY" => self.subnet_discovery = flag()?,
            // Zero and negative numbers mean the instance type's own limit.
            "MAX_ENI" => self.max_enis = number().ok().filter(|most| *most >= 1),
            "WARM_ENI_TARGET" => self.warm_enis = number()?,
            "WARM_IP_TARGET" => self.warm_ips = Some(number()?).filter(|n| *n > 0),
            "MINIMUM_IP_TARGET" => self.minimum_ips = Some(number()?).filter(|n| *n > 0),
            "WARM_PREFIX_TARGET" => self.warm_prefixes = Some(number()?),
            "MANAGE_UNTAGGED_ENI" => self.manages_untagged = flag()?,
            "ENI_CONFIG_ANNOTATION_DEF" => self.eni_config_annotation = key(),
            "ENI_CONFIG_LABEL_DEF" => self.eni_config_label = key(),
            _ => {
                return Err(format!(
                    "{name} is no variable of the VPC CNI that changes capacity: {}",
                    Self::NAMES.join(", ")
                ));
            }
        }
        Ok(())
    }
}

/// Key of the annotation and of the label that name a node's ENIConfig.
const ENI_CONFIG: &str = "k8s.amazonaws.com/eniConfig";

impl Default for CniSettings {
    /// What holds where nothing is set, in a current version.
    fn default() -> Self {
        Self {
            version: None,
            custom_networking: false,
            prefix_delegation: false,
            pod_eni: false,
            ipv6: false,
            subnet_discovery: true,
            max_enis: None,
            warm_enis: 1,
            warm_ips: None,
            minimum_ips: None,
            warm_prefixes: None,
            manages_untagged: true,
            imds_only: false,
            external_snat: false,
            exclude_snat_cidrs: Vec::new(),
            eni_config_annotation: ENI_CONFIG.to_owned(),
            eni_config_label: ENI_CONFIG.to_owned(),
        }
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
        let wrong = serde_json::json!([{"name": "WARM_ENI_TARGET", "value": "x"}, {"name": "ENABLE_POD_ENI", "value": ""}]);
        let settings = CniSettings::of(&aws_node("x/amazon-k8s-cni:v1.20.1", wrong)).unwrap();
        assert_eq!(
            (settings.warm_enis, settings.pod_eni),
            (1, false),
            "the default holds"
        );
    }

    #[test]
    fn a_variable_that_changes_nothing_is_refused_by_name() {
        let mut settings = CniSettings::default();
        let error = settings.set("WARM_IPS", "5").unwrap_err();
        assert!(error.contains("WARM_IPS") && error.contains("WARM_IP_TARGET"));
        assert!(settings.set("WARM_IP_TARGET", "many").is_err());
        assert_eq!(settings, CniSettings::default());
    }
}
