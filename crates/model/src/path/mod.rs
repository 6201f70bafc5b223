//! May a packet pass? Security groups and network ACLs, judged from their rules alone.
//!
//! The answer has three values: what the rules say, as far as they are known. A rule that names a
//! prefix list whose entries nobody read may admit the packet or not; that is [`Passage::Undecided`],
//! never a denial.

mod dns_flows;
mod egress;
mod network_acl;
mod route;
mod security_group;
mod uplink;

use std::fmt;
use std::net::IpAddr;

use crate::Text;

pub use dns_flows::dns_flows;
pub use egress::{Egress, is_default, sending_subnets};
pub use network_acl::{AclDenial, AclEnd, EPHEMERAL, Leg, NetworkAcls, free_rule_number};
pub use route::Routed;
pub use security_group::{End, GroupDenial, SecurityGroups};
pub use uplink::{Uplink, uplink_of_pod, uplinks};

/// Protocol of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl Protocol {
    /// `tcp` or `udp`, as rules and commands spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// IANA's number.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// What is asked for: a protocol and the server's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// Protocol.
    pub protocol: Protocol,
    /// Port of the server.
    pub port: u16,
}

impl Flow {
    /// TCP to a port.
    #[must_use]
    pub fn tcp(port: u16) -> Self {
        Self {
            protocol: Protocol::Tcp,
            port,
        }
    }

    /// UDP to a port.
    #[must_use]
    pub fn udp(port: u16) -> Self {
        Self {
            protocol: Protocol::Udp,
            port,
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol.name(), self.port)
    }
}

/// Direction of a rule, seen from the interface or subnet that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Outbound.
    Egress,
    /// Inbound.
    Ingress,
}

impl Side {
    /// `egress` or `ingress`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

/// Whether a packet may pass, with `D` for what stops it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage<D> {
    /// It may: the rules that admit it, in the order in which it meets them. Empty where no rule
    /// stands in the way.
    Allowed(Vec<Text>),
    /// It may not: everything that stops it, at least one.
    Denied(Vec<D>),
    /// The rules that were read do not tell: what is missing, at least one.
    Undecided(Vec<Missing>),
}

impl<D> Passage<D> {
    /// Whether it is known to pass.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    /// Two hops in a row: both must admit the packet. A denial decides, whatever is not known of the
    /// other.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::Denied(mut all), Self::Denied(more)) => {
                all.extend(more);
                Self::Denied(all)
            }
            (denied @ Self::Denied(_), _) | (_, denied @ Self::Denied(_)) => denied,
            (Self::Undecided(mut all), Self::Undecided(more)) => {
                for one in more {
                    if !all.contains(&one) {
                        all.push(one);
                    }
                }
                Self::Undecided(all)
            }
            (open @ Self::Undecided(_), _) | (_, open @ Self::Undecided(_)) => open,
            (Self::Allowed(mut rules), Self::Allowed(more)) => {
                rules.extend(more);
                Self::Allowed(rules)
            }
        }
    }
}

/// What would have to be known to decide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Missing {
    /// The rules of this security group.
    Group(Text),
    /// The entries of this prefix list.
    PrefixList(Text),
    /// The network ACL of this subnet.
    AclOf(Text),
    /// An address of the same family as this one: what rules say of IPv4 does not hold for IPv6.
    AddressLike(IpAddr),
    /// A rule that could not be understood: of which group or ACL, and what it says.
    Unreadable {
        /// Id of the group or ACL.
        owner: Text,
        /// The part that was not understood.
        what: Text,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(id) => write!(f, "the rules of security group {id}"),
            Self::PrefixList(id) => write!(f, "the entries of prefix list {id}"),
            Self::AclOf(subnet) => write!(f, "the network ACL of subnet {subnet}"),
            Self::AddressLike(ip) => write!(f, "an address of the other end of {ip}'s family"),
            Self::Unreadable { owner, what } => {
                write!(f, "a rule of {owner} that was not understood: {what}")
            }
        }
    }
}

/// Whether a rule's protocol covers a flow's; `None` where the rule's is not understood.
fn covers_protocol(written: &str, protocol: Protocol) -> Option<bool> {
    let number = match written.trim().to_ascii_lowercase().as_str() {
        "-1" | "all" => return Some(true),
        "tcp" => 6,
        "udp" => 17,
        "icmp" => 1,
        "icmpv6" => 58,
        other => other.parse().ok()?,
    };
    Some(number == protocol.number())
}

/// The ports that a rule covers; all of them where it names none.
fn covered_ports(from: Option<i32>, to: Option<i32>) -> (i32, i32) {
    match (from, to) {
        (Some(from), Some(to)) if from >= 0 && to >= 0 => (from, to),
        (Some(from), None) if from >= 0 => (from, from),
        _ => (0, i32::from(u16::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_decides_whatever_is_not_known_of_the_other_hop() {
        let denied = || Passage::Denied(vec!["d"]);
        let open = || Passage::Undecided(vec![Missing::Group("sg-1".into())]);
        let allowed = || Passage::Allowed(vec!["r".into()]);
        assert_eq!(open().and(denied()), denied());
        assert_eq!(denied().and(open()), denied());
        assert_eq!(open().and(allowed()), open());
        assert_eq!(allowed().and(open()), open());
        assert_eq!(
            allowed().and(allowed()),
            Passage::Allowed(vec!["r".into(), "r".into()])
        );
        assert_eq!(denied().and(denied()), Passage::Denied(vec!["d", "d"]));
    }

    #[test]
    fn protocols_are_read_by_number_and_by_name() {
        for (written, covers) in [
            ("-1", Some(true)),
            ("udp", Some(true)),
            ("UDP", Some(true)),
            ("17", Some(true)),
            ("6", Some(false)),
            ("tcp", Some(false)),
            ("icmpv6", Some(false)),
            ("50", Some(false)),
            ("sctp?", None),
        ] {
            assert_eq!(covers_protocol(written, Protocol::Udp), covers, "{written}");
        }
    }
}
