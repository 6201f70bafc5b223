//! How many pods a node can take: limits of instance types, and the arithmetic of the VPC CNI.
//!
//! Sources, read 2026-05: `nodeadm/internal/kubelet/eni_max_pods.go` and the max-pods calculator of
//! <https://github.com/awslabs/amazon-eks-ami>, `pkg/ipamd` of
//! <https://github.com/aws/amazon-vpc-cni-k8s>.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::CniSettings;
use crate::aws::InstanceType;

/// Addresses of a delegated prefix, a /28.
pub const PREFIX: u32 = 16;
/// Pods on the node's own network that every calculator adds: aws-node and kube-proxy.
const HOST_PODS: u32 = 2;
/// Above this number of vCPUs the recommended maximum is 250 instead of 110.
const MANY_VCPUS: u32 = 30;

/// Networking limits of an instance type. `None` where a limit is not known, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Interfaces of the default network card.
    pub enis: u32,
    /// Addresses per interface, its own included.
    pub ipv4: u32,
    /// Default vCPUs.
    pub vcpus: Option<u32>,
    /// Whether interfaces take prefixes: nitro and bare metal.
    pub prefixes: Option<bool>,
    /// Whether it takes a trunk interface for security groups for pods.
    pub trunk: Option<bool>,
    /// Branch interfaces.
    pub branch_enis: Option<u32>,
    /// Who says so.
    pub source: LimitsSource,
}

/// Who gave the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitsSource {
    /// EC2, in the account's Region.
    Ec2,
    /// The table in the program.
    Table,
}

impl LimitsSource {
    /// `ec2` or `table`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Table => "table",
        }
    }
}

/// How the CNI gives addresses on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// Whole prefixes instead of addresses.
    pub prefixes: bool,
    /// The primary interface carries no pods.
    pub custom_networking: bool,
    /// A trunk interface takes a slot.
    pub trunk: bool,
    /// Most interfaces, where set below the type's limit.
    pub max_enis: Option<u32>,
}

impl Mode {
    /// The mode on nodes of that type: prefixes and trunks only where the type takes them. `None`
    /// where prefixes are on and nothing is known of the type's hypervisor.
    #[must_use]
    pub fn of(settings: &CniSettings, limits: &Limits) -> Option<Self> {
        let prefixes = match (settings.prefix_delegation, limits.prefixes) {
            (false, _) => false,
            (true, known) => known?,
        };
        Some(Self {
            prefixes,
            custom_networking: settings.custom_networking,
            trunk: settings.pod_eni && limits.trunk == Some(true),
            max_enis: settings.max_enis,
        })
    }
}

impl Limits {
    /// The limits of a type: what EC2 says, completed by the table, else the table; `None` for a type
    /// that neither knows.
    #[must_use]
    pub fn of(instance_type: &str, ec2: &[InstanceType]) -> Option<Self> {
        let known = table().get(instance_type).copied();
        let said = ec2
            .iter()
            .find(|one| one.instance_type == instance_type)
            .and_then(Self::said_by_ec2);
        match (said, known) {
            (Some(said), Some(known)) => Some(Self {
                vcpus: said.vcpus.or(known.vcpus),
                prefixes: said.prefixes.or(known.prefixes),
                trunk: known.trunk,
                branch_enis: known.branch_enis,
                ..said
            }),
            (said, known) => said.or(known),
        }
    }

    fn said_by_ec2(kind: &InstanceType) -> Option<Self> {
        Some(Self {
            enis: kind.max_enis()?,
            ipv4: kind.network_info.ipv4_addresses_per_interface?,
            vcpus: kind.v_cpu_info.default_v_cpus,
            prefixes: match kind.hypervisor.as_deref() {
                Some("nitro") => Some(true),
                Some("xen") => Some(false),
                _ => kind.bare_metal.then_some(true),
            },
            trunk: None,
            branch_enis: None,
            source: LimitsSource::Ec2,
        })
    }

    /// Addresses for pods: the ceiling of the CNI. `unusable` interfaces are those that it does not
    /// manage, and a primary one in a subnet that is excluded from pods.
    #[must_use]
    pub fn addresses(&self, mode: Mode, unusable: u32) -> u32 {
        let taken = u32::from(mode.custom_networking) + u32::from(mode.trunk) + unusable;
        let enis = self.enis_allowed(mode).saturating_sub(taken);
        enis.saturating_mul(self.per_eni(mode))
    }

    /// Pods that one interface has addresses for.
    #[must_use]
    pub fn per_eni(&self, mode: Mode) -> u32 {
        let slots = self.ipv4.saturating_sub(1);
        if mode.prefixes {
            slots.saturating_mul(PREFIX)
        } else {
            slots
        }
    }

    /// What calculators compute for the kubelet, before any cap. None of them knows of trunks.
    #[must_use]
    pub fn max_pods(&self, mode: Mode) -> u32 {
        let mode = Mode {
            trunk: false,
            ..mode
        };
        self.addresses(mode, 0) + HOST_PODS
    }

    /// The same, capped at 110, or 250 with more than 30 vCPUs: what EKS sets and recommends. `None`
    /// where the cap hangs on vCPUs that are not known.
    #[must_use]
    pub fn recommended(&self, mode: Mode) -> Option<u32> {
        let most = self.max_pods(mode);
        match self.vcpus {
            Some(vcpus) if vcpus > MANY_VCPUS => Some(most.min(250)),
            Some(_) => Some(most.min(110)),
            None => (most <= 110).then_some(most),
        }
    }

    /// Interfaces that the CNI may attach, the primary one included.
    #[must_use]
    pub fn enis_allowed(&self, mode: Mode) -> u32 {
        mode.max_enis.map_or(self.enis, |most| self.enis.min(most))
    }
}

/// Addresses that one more node takes, as soon as its first pod runs, from the subnet that its pods'
/// addresses are from. Its own address is part of it, except with custom networking: that one is from
/// the node's subnet then, and the only one from there.
#[must_use]
pub fn addresses_of_a_new_node(settings: &CniSettings, limits: &Limits, mode: Mode) -> u32 {
    Held::by_a_node(settings, limits, mode, 1, None).of_subnet()
}

/// What ipamd holds on a node, of the interfaces that carry pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Interfaces, each with an address of its own.
    pub enis: u32,
    /// Addresses for pods; of prefixes sixteen each.
    pub addresses: u32,
}

impl Held {
    /// What ipamd holds while `pods` pods have an address, the warm stock included; `kubelet` is the
    /// kubelet's maximum of pods, at which the stock stops to grow (since 1.16.3).
    ///
    /// Rule: `WARM_ENI_TARGET` keeps whole interfaces spare, `WARM_IP_TARGET` and `MINIMUM_IP_TARGET`
    /// single addresses, `WARM_PREFIX_TARGET` whole prefixes:
    /// <https://github.com/aws/amazon-vpc-cni-k8s/blob/master/docs/eni-and-ip-target.md> (read 2026-05).
    #[must_use]
    pub fn by_a_node(
        settings: &CniSettings,
        limits: &Limits,
        mode: Mode,
        pods: u32,
        kubelet: Option<u32>,
    ) -> Self {
        let slots = limits.ipv4.saturating_sub(1).max(1);
        let taken = u32::from(mode.custom_networking) + u32::from(mode.trunk);
        let enis = limits.enis_allowed(mode).saturating_sub(taken).max(1);
        let most = enis * slots;
        let targets = settings.warm_ips.or(settings.minimum_ips).map(|_| {
            let warm = pods.saturating_add(settings.warm_ips.unwrap_or(0));
            warm.max(settings.minimum_ips.unwrap_or(0))
        });
        let kubelet = kubelet.unwrap_or(u32::MAX).max(pods);
        if mode.prefixes {
            let prefixes = match targets {
                Some(ips) => ips.div_ceil(PREFIX),
                None => pods.div_ceil(PREFIX) + settings.warm_prefixes.unwrap_or(1),
            };
            let prefixes = prefixes.min(kubelet.div_ceil(PREFIX)).min(most);
            return Self {
                enis: prefixes.div_ceil(slots).max(1),
                addresses: prefixes * PREFIX,
            };
        }
        match targets {
            Some(ips) => {
                let ips = ips.min(kubelet).min(most);
                Self {
                    enis: ips.div_ceil(slots).max(1),
                    addresses: ips,
                }
            }
            None => {
                let wanted = pods.div_ceil(slots).saturating_add(settings.warm_enis);
                let held = wanted.min(kubelet.div_ceil(slots)).clamp(1, enis);
                Self {
                    enis: held,
                    addresses: held * slots,
                }
            }
        }
    }

    /// Addresses that this takes from the subnet.
    #[must_use]
    pub fn of_subnet(self) -> u32 {
        self.addresses + self.enis
    }
}

/// Addresses that ipamd asks for at once when its stock runs low: one interface's, or one prefix.
#[must_use]
pub fn addresses_of_one_step(settings: &CniSettings, limits: &Limits, mode: Mode) -> u32 {
    if mode.prefixes {
        PREFIX
    } else if settings.warm_ips.is_some() || settings.minimum_ips.is_some() {
        // One address, and the interface's own where the ones there are full.
        2
    } else {
        limits.ipv4
    }
}

/// Every instance type of the table, by name.
pub fn known_types() -> impl Iterator<Item = (&'static str, Limits)> {
    table().iter().map(|(name, limits)| (*name, *limits))
}

fn table() -> &'static BTreeMap<&'static str, Limits> {
    static TABLE: OnceLock<BTreeMap<&'static str, Limits>> = OnceLock::new();
    TABLE.get_or_init(|| {
        include_str!("../data/instance-limits.csv")
            .lines()
            .skip(1)
            .filter_map(row)
            .collect()
    })
}

fn row(line: &'static str) -> Option<(&'static str, Limits)> {
    let mut fields = line.split(',');
    let mut next = || fields.next();
    let name = next()?;
    let vcpus = next()?.parse().ok();
    let enis = next()?.parse().ok()?;
    let ipv4 = next()?.parse().ok()?;
    let prefixes = match next()? {
        "n" | "m" => Some(true),
        "x" => Some(false),
        _ => None,
    };
    let trunk = match next()? {
        "t" => Some(true),
        "f" => Some(false),
        _ => None,
    };
    let branch_enis = next()?.parse().ok();
    Some((
        name,
        Limits {
            enis,
            ipv4,
            vcpus,
            prefixes,
            trunk,
            branch_enis,
            source: LimitsSource::Table,
        },
    ))
}

#[cfg(test)]
mod tests;
