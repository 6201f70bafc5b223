//! Security groups: stateful, nothing is denied by a rule, only by the lack of one.
//!
//! Rules: <https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html> (read
//! 2026-05). A rule that names a group admits the private addresses of the interfaces that carry that
//! group; the answer to what was admitted always passes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Flow, Missing, Passage, Side, covered_ports, covers_protocol};
use crate::Text;
use crate::aws::{IpPermission, PrefixList, SecurityGroup};

/// One end of a flow: an interface.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Ids of the interface's security groups.
    pub groups: &'a [&'a str],
    /// The address that sends or receives.
    pub address: IpAddr,
}

/// No group of an interface admits the flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupDenial {
    /// Egress is the client's interface, ingress the server's.
    pub side: Side,
    /// All groups of that interface: a rule in any of them would do.
    pub groups: Vec<Text>,
    /// What they do not admit.
    pub flow: Flow,
}

/// Security groups with what their rules refer to.
#[derive(Debug)]
pub struct SecurityGroups<'a> {
    groups: BTreeMap<&'a str, &'a SecurityGroup>,
    lists: BTreeMap<&'a str, &'a PrefixList>,
}

impl<'a> SecurityGroups<'a> {
    /// The groups and prefix lists that are known.
    #[must_use]
    pub fn new(groups: &'a [SecurityGroup], lists: &'a [PrefixList]) -> Self {
        Self {
            groups: groups
                .iter()
                .map(|group| (group.group_id.as_str(), group))
                .collect(),
            lists: lists
                .iter()
                .map(|list| (list.prefix_list_id.as_str(), list))
                .collect(),
        }
    }

    /// The group of that id.
    #[must_use]
    pub fn group(&self, id: &str) -> Option<&'a SecurityGroup> {
        self.groups.get(id).copied()
    }

    /// Whether the client may open the flow to the server: an egress rule of one of the client's
    /// groups and an ingress rule of one of the server's must admit it.
    #[must_use]
    pub fn passage(&self, flow: Flow, client: End<'_>, server: End<'_>) -> Passage<GroupDenial> {
        self.side(flow, Side::Egress, client, server).and(self.side(
            flow,
            Side::Ingress,
            server,
            client,
        ))
    }

    /// Whether the groups of `own` admit the flow to or from `peer`.
    #[must_use]
    pub fn side(
        &self,
        flow: Flow,
        side: Side,
        own: End<'_>,
        peer: End<'_>,
    ) -> Passage<GroupDenial> {
        let mut missing = Vec::new();
        let mut lacks = |one: Missing| {
            if !missing.contains(&one) {
                missing.push(one);
            }
        };
        for id in own.groups {
            let Some(group) = self.group(id) else {
                lacks(Missing::Group((*id).into()));
                continue;
            };
            let permissions = match side {
                Side::Egress => &group.ip_permissions_egress,
                Side::Ingress => &group.ip_permissions,
            };
            for permission in permissions {
                match self.admits(group, permission, flow, peer) {
                    Admits::Yes(peer) => {
                        return Passage::Allowed(vec![described(group, side, permission, &peer)]);
                    }
                    Admits::No => {}
                    Admits::Unknown(reasons) => reasons.into_iter().for_each(&mut lacks),
                }
            }
        }
        if own.address.is_ipv4() != peer.address.is_ipv4() {
            lacks(Missing::AddressLike(own.address));
        }
        if missing.is_empty() {
            Passage::Denied(vec![GroupDenial {
                side,
                groups: own.groups.iter().map(|id| (*id).into()).collect(),
                flow,
            }])
        } else {
            Passage::Undecided(missing)
        }
    }

    fn admits(
        &self,
        group: &SecurityGroup,
        permission: &IpPermission,
        flow: Flow,
        peer: End<'_>,
    ) -> Admits {
        let unreadable = |what: &str| Missing::Unreadable {
            owner: group.group_id.as_str().into(),
            what: what.into(),
        };
        let everything = matches!(permission.ip_protocol.trim(), "-1" | "all");
        let Some(protocol) = covers_protocol(&permission.ip_protocol, flow.protocol) else {
            return Admits::Unknown(vec![unreadable(&permission.ip_protocol)]);
        };
        let (from, to) = covered_ports(permission.from_port, permission.to_port);
        let ports = everything || (from..=to).contains(&i32::from(flow.port));
        if !protocol || !ports {
            return Admits::No;
        }
        let mut unknown = Vec::new();
        if let Some(pair) = permission
            .user_id_group_pairs
            .iter()
            .find(|pair| peer.groups.contains(&pair.group_id.as_str()))
        {
            return Admits::Yes(pair.group_id.clone());
        }
        let blocks = permission
            .ip_ranges
            .iter()
            .map(|range| &range.cidr_ip)
            .chain(permission.ipv6_ranges.iter().map(|range| &range.cidr_ipv6));
        for block in blocks {
            match block.parse::<IpNet>() {
                Ok(net) if net.contains(&peer.address) => return Admits::Yes(block.clone()),
                Ok(_) => {}
                Err(_) => unknown.push(unreadable(block)),
            }
        }
        for reference in &permission.prefix_list_ids {
            let id = &reference.prefix_list_id;
            let Some(list) = self.lists.get(id.as_str()) else {
                unknown.push(Missing::PrefixList(id.as_str().into()));
                continue;
            };
            for entry in &list.entries {
                match entry.cidr.parse::<IpNet>() {
                    Ok(net) if net.contains(&peer.address) => {
                        return Admits::Yes(format!("{id} ({})", entry.cidr));
                    }
                    Ok(_) => {}
                    Err(_) => unknown.push(unreadable(&entry.cidr)),
                }
            }
        }
        if unknown.is_empty() {
            Admits::No
        } else {
            Admits::Unknown(unknown)
        }
    }
}

/// Whether one rule admits a flow.
enum Admits {
    /// Through this peer of it.
    Yes(String),
    No,
    Unknown(Vec<Missing>),
}

/// Such as `sg-0b5 ingress udp 53 from sg-0a1`.
fn described(group: &SecurityGroup, side: Side, permission: &IpPermission, peer: &str) -> Text {
    let protocol = match permission.ip_protocol.as_str() {
        "-1" => "all".to_owned(),
        protocol => {
            let (from, to) = covered_ports(permission.from_port, permission.to_port);
            if from == to {
                format!("{protocol} {from}")
            } else {
                format!("{protocol} {from}-{to}")
            }
        }
    };
    let towards = match side {
        Side::Egress => "to",
        Side::Ingress => "from",
    };
    format!(
        "{} {} {protocol} {towards} {peer}",
        group.group_id,
        side.name()
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(json: serde_json::Value) -> Vec<SecurityGroup> {
        serde_json::from_value(json).unwrap()
    }

    fn two_groups() -> Vec<SecurityGroup> {
        groups(serde_json::json!([
            {"GroupId": "sg-a", "IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]},
            {"GroupId": "sg-b", "IpPermissions": [
                {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "UserIdGroupPairs": [{"GroupId": "sg-b"}]},
                {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "PrefixListIds": [{"PrefixListId": "pl-1"}]},
                {"IpProtocol": "tcp", "FromPort": 53, "ToPort": 53, "UserIdGroupPairs": [{"GroupId": "sg-a"}]}]}
        ]))
    }

    fn ask(
        groups: &[SecurityGroup],
        lists: &[PrefixList],
        flow: Flow,
        client: &[&str],
    ) -> Passage<GroupDenial> {
        SecurityGroups::new(groups, lists).passage(
            flow,
            End {
                groups: client,
                address: "10.0.1.23".parse().unwrap(),
            },
            End {
                groups: &["sg-b"],
                address: "10.0.9.7".parse().unwrap(),
            },
        )
    }

    #[test]
    fn the_rule_that_admits_is_named() {
        assert_eq!(
            ask(&two_groups(), &[], Flow::tcp(53), &["sg-a"]),
            Passage::Allowed(vec![
                "sg-a egress all to 0.0.0.0/0".into(),
                "sg-b ingress tcp 53 from sg-a".into()
            ])
        );
    }

    #[test]
    fn an_unread_prefix_list_leaves_it_open_and_a_read_one_decides() {
        let groups = two_groups();
        assert_eq!(
            ask(&groups, &[], Flow::udp(53), &["sg-a"]),
            Passage::Undecided(vec![Missing::PrefixList("pl-1".into())])
        );
        let list = |cidr: &str| -> Vec<PrefixList> {
            serde_json::from_value(
                serde_json::json!([{"PrefixListId": "pl-1", "Entries": [{"Cidr": cidr}]}]),
            )
            .unwrap()
        };
        assert!(ask(&groups, &list("10.0.0.0/16"), Flow::udp(53), &["sg-a"]).is_allowed());
        assert_eq!(
            ask(&groups, &list("10.9.0.0/16"), Flow::udp(53), &["sg-a"]),
            Passage::Denied(vec![GroupDenial {
                side: Side::Ingress,
                groups: vec!["sg-b".into()],
                flow: Flow::udp(53)
            }])
        );
    }

    #[test]
    fn a_group_whose_rules_are_unknown_is_no_denial() {
        assert_eq!(
            ask(&two_groups(), &[], Flow::tcp(53), &["sg-zz"]),
            Passage::Denied(vec![GroupDenial {
                side: Side::Ingress,
                groups: vec!["sg-b".into()],
                flow: Flow::tcp(53)
            }]),
            "the server's side is known and refuses"
        );
        assert_eq!(
            ask(&two_groups(), &[], Flow::tcp(53), &["sg-zz", "sg-a"]),
            ask(&two_groups(), &[], Flow::tcp(53), &["sg-a"])
        );
        let only = groups(
            serde_json::json!([{"GroupId": "sg-b", "IpPermissions": [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-zz"}]}]}]),
        );
        assert_eq!(
            ask(&only, &[], Flow::tcp(53), &["sg-zz"]),
            Passage::Undecided(vec![Missing::Group("sg-zz".into())])
        );
    }
}
