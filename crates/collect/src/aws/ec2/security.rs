//! Security groups, network ACLs and prefix lists.

use eksnet_model::aws;

use super::element::{Element, Malformed};
use super::vpc::tags;

/// `DescribeSecurityGroups`.
pub(crate) fn security_groups(root: Element<'_>) -> Result<Vec<aws::SecurityGroup>, Malformed> {
    root.list("securityGroupInfo", |item| {
        Ok(aws::SecurityGroup {
            group_id: item.required("groupId")?,
            group_name: item.text("groupName"),
            vpc_id: item.text("vpcId"),
            ip_permissions: item.list("ipPermissions", permission)?,
            ip_permissions_egress: item.list("ipPermissionsEgress", permission)?,
            tags: tags(item)?,
        })
    })
}

fn permission(item: Element<'_>) -> Result<aws::IpPermission, Malformed> {
    Ok(aws::IpPermission {
        // A rule without a protocol would read as one for another.
        ip_protocol: item.required("ipProtocol")?,
        from_port: item.number("fromPort")?,
        to_port: item.number("toPort")?,
        ip_ranges: item.list("ipRanges", |range| {
            Ok(aws::CidrIp {
                cidr_ip: range.required("cidrIp")?,
            })
        })?,
        ipv6_ranges: item.list("ipv6Ranges", |range| {
            Ok(aws::CidrIpv6 {
                cidr_ipv6: range.required("cidrIpv6")?,
            })
        })?,
        prefix_list_ids: item.list("prefixListIds", |list| {
            Ok(aws::PrefixListId {
                prefix_list_id: list.required("prefixListId")?,
            })
        })?,
        user_id_group_pairs: item.list("groups", |pair| {
            Ok(aws::GroupPair {
                group_id: pair.text("groupId"),
                user_id: pair.optional("userId"),
                vpc_id: pair.optional("vpcId"),
                peering_status: pair.optional("peeringStatus"),
            })
        })?,
    })
}

/// `DescribeNetworkAcls`.
pub(crate) fn network_acls(root: Element<'_>) -> Result<Vec<aws::NetworkAcl>, Malformed> {
    root.list("networkAclSet", |item| {
        Ok(aws::NetworkAcl {
            network_acl_id: item.required("networkAclId")?,
            vpc_id: item.text("vpcId"),
            is_default: item.flag("default")?,
            associations: item.list("associationSet", |association| {
                Ok(aws::NaclAssociation {
                    subnet_id: association.text("subnetId"),
                })
            })?,
            entries: item.list("entrySet", entry)?,
        })
    })
}

fn entry(item: Element<'_>) -> Result<aws::NaclEntry, Malformed> {
    Ok(aws::NaclEntry {
        rule_number: item
            .number("ruleNumber")?
            .ok_or_else(|| missing(item, "ruleNumber"))?,
        protocol: item.required("protocol")?,
        rule_action: item.required("ruleAction")?,
        egress: item.flag("egress")?,
        cidr_block: item.optional("cidrBlock"),
        ipv6_cidr_block: item.optional("ipv6CidrBlock"),
        port_range: match item.child("portRange") {
            Some(range) => Some(aws::PortRange {
                from: range
                    .number("from")?
                    .ok_or_else(|| missing(range, "from"))?,
                to: range.number("to")?.ok_or_else(|| missing(range, "to"))?,
            }),
            None => None,
        },
    })
}

fn missing(within: Element<'_>, name: &'static str) -> Malformed {
    Malformed::Missing {
        within: within.name().to_owned(),
        name,
    }
}

/// `GetManagedPrefixListEntries`.
pub(crate) fn prefix_list_entries(
    root: Element<'_>,
) -> Result<Vec<aws::PrefixListEntry>, Malformed> {
    root.list("entrySet", |item| {
        Ok(aws::PrefixListEntry {
            cidr: item.required("cidr")?,
        })
    })
}
