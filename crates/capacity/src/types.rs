//! Limits of an instance type in every mode of the CNI.

use eksnet_model::capacity::{Limits, Mode, PREFIX};
use serde::Serialize;

/// Limits of an instance type. What is not known is `null`, never 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeLimits {
    /// Type.
    pub instance_type: String,
    /// Default vCPUs.
    pub vcpus: Option<u32>,
    /// Interfaces of the default network card.
    pub max_enis: u32,
    /// Addresses per interface, its own included.
    pub ipv4_per_eni: u32,
    /// Pods with single addresses, before any cap.
    pub max_pods: u32,
    /// The same, capped at 110, or 250 with more than 30 vCPUs.
    pub recommended_max_pods: Option<u32>,
    /// Pods with custom networking, before any cap.
    pub max_pods_custom_networking: u32,
    /// Whether it takes prefixes.
    pub prefix_delegation: Option<bool>,
    /// Pods with prefixes, before any cap; `null` where it takes none.
    pub max_pods_prefix_delegation: Option<u32>,
    /// The same, capped.
    pub recommended_max_pods_prefix_delegation: Option<u32>,
    /// Pods with prefixes and custom networking, before any cap.
    pub max_pods_prefix_delegation_custom_networking: Option<u32>,
    /// Whether it takes a trunk interface.
    pub trunking: Option<bool>,
    /// Branch interfaces: pods with security groups of their own.
    pub branch_enis: Option<u32>,
    /// Addresses for ordinary pods beside a trunk interface.
    pub addresses_beside_trunk: Option<u32>,
    /// Addresses for pods under Windows: those of the primary interface.
    pub windows_addresses: u32,
    /// The same with prefixes.
    pub windows_addresses_prefix_delegation: Option<u32>,
    /// `ec2` or `table`.
    pub source: &'static str,
}

impl TypeLimits {
    /// In every mode.
    #[must_use]
    pub fn of(name: &str, limits: &Limits) -> Self {
        let plain = Mode::default();
        let custom = Mode {
            custom_networking: true,
            ..plain
        };
        let prefixes = Mode {
            prefixes: true,
            ..plain
        };
        let both = Mode {
            prefixes: true,
            ..custom
        };
        let trunk = Mode {
            trunk: true,
            ..plain
        };
        let has_prefixes = limits.prefixes == Some(true);
        let windows = limits.ipv4.saturating_sub(1);
        Self {
            instance_type: name.to_owned(),
            vcpus: limits.vcpus,
            max_enis: limits.enis,
            ipv4_per_eni: limits.ipv4,
            max_pods: limits.max_pods(plain),
            recommended_max_pods: limits.recommended(plain),
            max_pods_custom_networking: limits.max_pods(custom),
            prefix_delegation: limits.prefixes,
            max_pods_prefix_delegation: has_prefixes.then(|| limits.max_pods(prefixes)),
            recommended_max_pods_prefix_delegation: if has_prefixes {
                limits.recommended(prefixes)
            } else {
                None
            },
            max_pods_prefix_delegation_custom_networking: has_prefixes
                .then(|| limits.max_pods(both)),
            trunking: limits.trunk,
            branch_enis: limits.branch_enis,
            addresses_beside_trunk: (limits.trunk == Some(true))
                .then(|| limits.addresses(trunk, 0)),
            windows_addresses: windows,
            windows_addresses_prefix_delegation: has_prefixes.then(|| windows * PREFIX),
            source: limits.source.name(),
        }
    }
}
