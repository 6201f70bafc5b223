//! Which subnets the addresses of a node's pods come from.

use crate::aws::{Subnet, tag};
use crate::kubernetes::{EniConfig, Node};
use crate::{CniSettings, Topology};

/// Tag that takes a subnet into use for pods, or with the value 0 out of it.
const ROLE: &str = "kubernetes.io/role/cni";

/// The subnets that the addresses of a node's pods come from: with custom networking that of its
/// ENIConfig, else its own and, with subnet discovery, those of its zone that are tagged for it. Empty
/// where that is not known, and where tags keep every one out.
///
/// Source: `docs/enhanced-subnet-discovery` of <https://github.com/aws/amazon-vpc-cni-k8s> (read
/// 2026-05).
#[must_use]
pub fn pod_subnets<'a>(
    topology: &Topology<'a>,
    settings: &CniSettings,
    eni_configs: &[EniConfig],
    all: &'a [Subnet],
    node: &Node,
) -> Vec<&'a Subnet> {
    if settings.custom_networking {
        return subnet_of_eni_config(topology, settings, eni_configs, node)
            .into_iter()
            .collect();
    }
    let Some(home) = topology.subnet_of_node(node) else {
        return Vec::new();
    };
    if !settings.subnet_discovery {
        return vec![home];
    }
    discovered_subnets(all, home)
}

/// The subnet that the node's ENIConfig names.
#[must_use]
pub fn subnet_of_eni_config<'a>(
    topology: &Topology<'a>,
    settings: &CniSettings,
    eni_configs: &[EniConfig],
    node: &Node,
) -> Option<&'a Subnet> {
    let name = settings.eni_config_of(node);
    let config = eni_configs.iter().find(|one| one.metadata.name == name)?;
    topology.subnet(&config.spec.subnet)
}

/// What subnet discovery finds for nodes in `home`: that subnet, and those of its zone that a tag takes into
/// use; without those that a tag takes out.
#[must_use]
pub fn discovered_subnets<'a>(all: &'a [Subnet], home: &'a Subnet) -> Vec<&'a Subnet> {
    let mut found = Vec::new();
    if tag(&home.tags, ROLE) != Some("0") {
        found.push(home);
    }
    found.extend(all.iter().filter(|one| {
        one.subnet_id != home.subnet_id
            && one.vpc_id == home.vpc_id
            && one.availability_zone == home.availability_zone
            && tag(&one.tags, ROLE).is_some_and(|value| value != "0")
    }));
    found
}
