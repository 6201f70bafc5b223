//! VPCs, subnets, routes, endpoints and DHCP options.

use eksnet_model::aws;

use super::element::{Element, Malformed};

/// Tags of an object.
pub(crate) fn tags(item: Element<'_>) -> Result<Vec<aws::Tag>, Malformed> {
    item.list("tagSet", |tag| {
        Ok(aws::Tag {
            key: tag.text("key"),
            value: tag.text("value"),
            propagate_at_launch: None,
        })
    })
}

/// Security groups of an object.
pub(crate) fn groups(
    item: Element<'_>,
    list: &str,
) -> Result<Vec<aws::GroupIdentifier>, Malformed> {
    item.list(list, |group| {
        Ok(aws::GroupIdentifier {
            group_id: group.required("groupId")?,
            group_name: group.text("groupName"),
        })
    })
}

/// `DescribeVpcs`.
pub(crate) fn vpcs(root: Element<'_>) -> Result<Vec<aws::Vpc>, Malformed> {
    root.list("vpcSet", |item| {
        Ok(aws::Vpc {
            vpc_id: item.required("vpcId")?,
            cidr_block: item.text("cidrBlock"),
            cidr_block_association_set: item.list("cidrBlockAssociationSet", |block| {
                let state = block.child("cidrBlockState");
                Ok(aws::CidrBlockAssociation {
                    cidr_block: block.text("cidrBlock"),
                    cidr_block_state: aws::CidrBlockState {
                        state: state.map(|state| state.text("state")).unwrap_or_default(),
                    },
                })
            })?,
            dhcp_options_id: item.text("dhcpOptionsId"),
            is_default: item.flag("isDefault")?,
            enable_dns_support: None,
            enable_dns_hostnames: None,
            tags: tags(item)?,
        })
    })
}

/// `DescribeVpcAttribute` of the attribute that the answer calls `name`.
pub(crate) fn vpc_attribute(root: Element<'_>, name: &'static str) -> Result<bool, Malformed> {
    match root.child(name) {
        Some(attribute) if attribute.child("value").is_some() => attribute.flag("value"),
        _ => Err(Malformed::Missing {
            within: root.name().to_owned(),
            name,
        }),
    }
}

/// `DescribeSubnets`.
pub(crate) fn subnets(root: Element<'_>) -> Result<Vec<aws::Subnet>, Malformed> {
    root.list("subnetSet", |item| {
        Ok(aws::Subnet {
            subnet_id: item.required("subnetId")?,
            vpc_id: item.text("vpcId"),
            cidr_block: item.text("cidrBlock"),
            availability_zone: item.text("availabilityZone"),
            availability_zone_id: item.text("availabilityZoneId"),
            available_ip_address_count: item.number("availableIpAddressCount")?,
            map_public_ip_on_launch: item.flag("mapPublicIpOnLaunch")?,
            tags: tags(item)?,
        })
    })
}

/// `GetSubnetCidrReservations`, of IPv4.
pub(crate) fn cidr_reservations(
    root: Element<'_>,
) -> Result<Vec<aws::SubnetCidrReservation>, Malformed> {
    root.list("subnetIpv4CidrReservationSet", |item| {
        Ok(aws::SubnetCidrReservation {
            subnet_cidr_reservation_id: item.text("subnetCidrReservationId"),
            subnet_id: item.required("subnetId")?,
            cidr: item.required("cidr")?,
            reservation_type: item.text("reservationType"),
        })
    })
}

/// `DescribeNatGateways`.
pub(crate) fn nat_gateways(root: Element<'_>) -> Result<Vec<aws::NatGateway>, Malformed> {
    root.list("natGatewaySet", |item| {
        Ok(aws::NatGateway {
            nat_gateway_id: item.required("natGatewayId")?,
            vpc_id: item.text("vpcId"),
            subnet_id: item.text("subnetId"),
            state: item.text("state"),
            connectivity_type: item.text("connectivityType"),
            failure_code: item.optional("failureCode"),
            failure_message: item.optional("failureMessage"),
            nat_gateway_addresses: item.list("natGatewayAddressSet", |address| {
                Ok(aws::NatGatewayAddress {
                    public_ip: address.optional("publicIp"),
                })
            })?,
        })
    })
}

/// `DescribeRouteTables`.
pub(crate) fn route_tables(root: Element<'_>) -> Result<Vec<aws::RouteTable>, Malformed> {
    root.list("routeTableSet", |item| {
        Ok(aws::RouteTable {
            route_table_id: item.required("routeTableId")?,
            vpc_id: item.text("vpcId"),
            routes: item.list("routeSet", route)?,
            associations: item.list("associationSet", |association| {
                Ok(aws::RouteTableAssociation {
                    main: association.flag("main")?,
                    subnet_id: association.optional("subnetId"),
                })
            })?,
        })
    })
}

fn route(item: Element<'_>) -> Result<aws::Route, Malformed> {
    Ok(aws::Route {
        destination_cidr_block: item.optional("destinationCidrBlock"),
        destination_ipv6_cidr_block: item.optional("destinationIpv6CidrBlock"),
        destination_prefix_list_id: item.optional("destinationPrefixListId"),
        gateway_id: item.optional("gatewayId"),
        nat_gateway_id: item.optional("natGatewayId"),
        transit_gateway_id: item.optional("transitGatewayId"),
        vpc_peering_connection_id: item.optional("vpcPeeringConnectionId"),
        network_interface_id: item.optional("networkInterfaceId"),
        instance_id: item.optional("instanceId"),
        egress_only_internet_gateway_id: item.optional("egressOnlyInternetGatewayId"),
        state: item.text("state"),
    })
}

/// `DescribeVpcEndpoints`.
pub(crate) fn vpc_endpoints(root: Element<'_>) -> Result<Vec<aws::VpcEndpoint>, Malformed> {
    root.list("vpcEndpointSet", |item| {
        Ok(aws::VpcEndpoint {
            vpc_endpoint_id: item.required("vpcEndpointId")?,
            vpc_endpoint_type: item.text("vpcEndpointType"),
            vpc_id: item.text("vpcId"),
            service_name: item.text("serviceName"),
            state: item.text("state"),
            private_dns_enabled: Some(item.flag("privateDnsEnabled")?),
            subnet_ids: item.texts("subnetIdSet")?,
            route_table_ids: item.texts("routeTableIdSet")?,
            groups: groups(item, "groupSet")?,
            network_interface_ids: item.texts("networkInterfaceIdSet")?,
            dns_entries: item.list("dnsEntrySet", |entry| {
                Ok(aws::DnsEntry {
                    dns_name: entry.optional("dnsName"),
                })
            })?,
            policy_document: item.optional("policyDocument"),
        })
    })
}

/// `DescribeDhcpOptions`.
pub(crate) fn dhcp_options(root: Element<'_>) -> Result<Vec<aws::DhcpOptions>, Malformed> {
    root.list("dhcpOptionsSet", |item| {
        Ok(aws::DhcpOptions {
            dhcp_options_id: item.required("dhcpOptionsId")?,
            dhcp_configurations: item.list("dhcpConfigurationSet", |option| {
                Ok(aws::DhcpConfiguration {
                    key: option.text("key"),
                    values: option.list("valueSet", |value| {
                        Ok(aws::DhcpValue {
                            value: value.text("value"),
                        })
                    })?,
                })
            })?,
        })
    })
}
