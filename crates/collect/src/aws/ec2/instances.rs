//! Instances and their types.

use eksnet_model::{Time, aws};

use super::element::{Element, Malformed};
use super::vpc::{groups, tags};

/// `DescribeInstances`.
pub(crate) fn instances(root: Element<'_>) -> Result<Vec<aws::Instance>, Malformed> {
    let reservations = root.list("reservationSet", |reservation| {
        reservation.list("instancesSet", instance)
    })?;
    Ok(reservations.into_iter().flatten().collect())
}

fn instance(item: Element<'_>) -> Result<aws::Instance, Malformed> {
    let state = item.child("instanceState");
    let placement = item.child("placement");
    let metadata = item.child("metadataOptions");
    let profile = item
        .child("iamInstanceProfile")
        .and_then(|profile| profile.optional("arn"));
    Ok(aws::Instance {
        instance_id: item.required("instanceId")?,
        instance_type: item.text("instanceType"),
        state: aws::InstanceState {
            name: state.map(|state| state.text("name")).unwrap_or_default(),
        },
        private_dns_name: item.text("privateDnsName"),
        private_ip_address: item.optional("privateIpAddress"),
        public_ip_address: item.optional("ipAddress"),
        subnet_id: item.text("subnetId"),
        vpc_id: item.text("vpcId"),
        security_groups: groups(item, "groupSet")?,
        metadata_options: match metadata {
            Some(options) => aws::MetadataOptions {
                http_tokens: options.optional("httpTokens"),
                http_put_response_hop_limit: options.number("httpPutResponseHopLimit")?,
                http_endpoint: options.optional("httpEndpoint"),
            },
            None => aws::MetadataOptions::default(),
        },
        iam_instance_profile: profile.map(|arn| aws::IamInstanceProfile { arn }),
        placement: aws::Placement {
            availability_zone: placement
                .map(|placement| placement.text("availabilityZone"))
                .unwrap_or_default(),
        },
        launch_time: item.optional("launchTime").as_deref().and_then(Time::parse),
        tags: tags(item)?,
    })
}

/// `DescribeInstanceTypes`.
pub(crate) fn instance_types(root: Element<'_>) -> Result<Vec<aws::InstanceType>, Malformed> {
    root.list("instanceTypeSet", |item| {
        let cpus = item.child("vCpuInfo");
        Ok(aws::InstanceType {
            instance_type: item.required("instanceType")?,
            hypervisor: item.optional("hypervisor"),
            bare_metal: item.flag("bareMetal")?,
            v_cpu_info: aws::VCpuInfo {
                default_v_cpus: match cpus {
                    Some(cpus) => cpus.number("defaultVCpus")?,
                    None => None,
                },
            },
            network_info: match item.child("networkInfo") {
                Some(network) => network_info(network)?,
                None => aws::NetworkInfo::default(),
            },
        })
    })
}

fn network_info(network: Element<'_>) -> Result<aws::NetworkInfo, Malformed> {
    Ok(aws::NetworkInfo {
        maximum_network_interfaces: network.number("maximumNetworkInterfaces")?,
        ipv4_addresses_per_interface: network.number("ipv4AddressesPerInterface")?,
        default_network_card_index: network.number("defaultNetworkCardIndex")?,
        network_cards: network.list("networkCards", |card| {
            Ok(aws::NetworkCard {
                network_card_index: card.number("networkCardIndex")?.unwrap_or_default(),
                maximum_network_interfaces: card
                    .number("maximumNetworkInterfaces")?
                    .unwrap_or_default(),
            })
        })?,
    })
}
