//! Network interfaces.

use eksnet_model::aws;

use super::element::{Element, Malformed};
use super::vpc::{groups, tags};

/// `DescribeNetworkInterfaces`.
pub(crate) fn interfaces(root: Element<'_>) -> Result<Vec<aws::NetworkInterface>, Malformed> {
    root.list("networkInterfaceSet", interface)
}

fn interface(item: Element<'_>) -> Result<aws::NetworkInterface, Malformed> {
    Ok(aws::NetworkInterface {
        network_interface_id: item.required("networkInterfaceId")?,
        subnet_id: item.text("subnetId"),
        vpc_id: item.text("vpcId"),
        availability_zone: item.text("availabilityZone"),
        status: item.text("status"),
        interface_type: item.text("interfaceType"),
        description: item.text("description"),
        requester_id: item.optional("requesterId"),
        private_ip_address: item.text("privateIpAddress"),
        private_ip_addresses: item.list("privateIpAddressesSet", |address| {
            Ok(aws::PrivateIpAddress {
                private_ip_address: address.text("privateIpAddress"),
                primary: address.flag("primary")?,
            })
        })?,
        ipv4_prefixes: item.list("ipv4PrefixSet", |prefix| {
            Ok(aws::Ipv4Prefix {
                ipv4_prefix: prefix.text("ipv4Prefix"),
            })
        })?,
        ipv6_addresses: item.list("ipv6AddressesSet", |address| {
            Ok(aws::Ipv6Address {
                ipv6_address: address.text("ipv6Address"),
            })
        })?,
        groups: groups(item, "groupSet")?,
        attachment: item.child("attachment").map(attachment).transpose()?,
        tag_set: tags(item)?,
    })
}

fn attachment(from: Element<'_>) -> Result<aws::Attachment, Malformed> {
    Ok(aws::Attachment {
        instance_id: from.optional("instanceId"),
        instance_owner_id: from.optional("instanceOwnerId"),
        device_index: from.number("deviceIndex")?,
        network_card_index: from.number("networkCardIndex")?,
        status: from.optional("status"),
    })
}
