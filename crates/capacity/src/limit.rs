//! What can stop one more pod from starting.

use std::fmt;

use serde::Serialize;

/// What can stop one more pod from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// The kubelet's maximum of pods.
    KubeletSlots,
    /// Interfaces that the CNI may not use: `MAX_ENI`, a trunk, the primary one with custom networking,
    /// interfaces of others.
    EniSlots,
    /// Addresses of an interface, with every interface of the type in use.
    AddressesPerEni,
    /// Free addresses of the subnets.
    SubnetAddresses,
    /// Free /28 blocks of the subnets.
    PrefixBlocks,
    /// Branch interfaces, for pods with security groups of their own.
    BranchEnis,
    /// CPU that is not requested yet.
    Cpu,
    /// Memory that is not requested yet.
    Memory,
    /// Most nodes of a group.
    AsgMaximum,
    /// Node selector, affinity, taints.
    Placement,
    /// Spread constraints and affinity between pods.
    Spread,
    /// The node is cordoned or not ready.
    NotSchedulable,
}

impl Limit {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::KubeletSlots => "kubelet slots",
            Self::EniSlots => "ENI slots",
            Self::AddressesPerEni => "addresses per ENI",
            Self::SubnetAddresses => "subnet free addresses",
            Self::PrefixBlocks => "free /28 blocks",
            Self::BranchEnis => "branch ENIs",
            Self::Cpu => "CPU requests",
            Self::Memory => "memory requests",
            Self::AsgMaximum => "maximum of the node group",
            Self::Placement => "node selector, affinity or taints",
            Self::Spread => "spread or pod affinity",
            Self::NotSchedulable => "node not schedulable",
        }
    }

    /// Whether the scheduler knows of it. A pod that meets another limit has a node and no address.
    #[must_use]
    pub fn is_seen_by_scheduler(self) -> bool {
        !matches!(
            self,
            Self::EniSlots | Self::AddressesPerEni | Self::SubnetAddresses | Self::PrefixBlocks
        )
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}
