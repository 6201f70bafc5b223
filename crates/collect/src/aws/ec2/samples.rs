//! Answers in the shapes that EC2's API reference documents, with values of our own.

use eksnet_model::{Time, aws};

use super::element::{Element, Malformed, read};
use super::{instances, interfaces, security, vpc};

/// Reads `inner` as the answer to `action`.
fn answer<T>(
    action: &str,
    inner: &str,
    reader: impl FnOnce(Element<'_>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\n\
         <requestId>8f7724cf-496f-496e-8fe3-example</requestId>\n{inner}\n</{action}Response>"
    );
    read(action, &body, reader)
}

fn tag(key: &str, value: &str) -> aws::Tag {
    aws::Tag {
        key: key.to_owned(),
        value: value.to_owned(),
        propagate_at_launch: None,
    }
}

fn group(id: &str, name: &str) -> aws::GroupIdentifier {
    aws::GroupIdentifier {
        group_id: id.to_owned(),
        group_name: name.to_owned(),
    }
}

const INSTANCES: &str = "<reservationSet><item><reservationId>r-1</reservationId><ownerId>123456789012</ownerId>
<groupSet/>
<instancesSet>
 <item>
  <instanceId>i-0a</instanceId><imageId>ami-1</imageId>
  <instanceState><code>16</code><name>running</name></instanceState>
  <privateDnsName>ip-10-0-1-23.us-west-2.compute.internal</privateDnsName><dnsName/>
  <instanceType>c5.large</instanceType><launchTime>2026-11-20T08:30:00.000Z</launchTime>
  <placement><availabilityZone>us-west-2a</availabilityZone><tenancy>default</tenancy></placement>
  <subnetId>subnet-a</subnetId><vpcId>vpc-1</vpcId>
  <privateIpAddress>10.0.1.23</privateIpAddress><ipAddress>198.51.100.7</ipAddress>
  <groupSet><item><groupId>sg-1</groupId><groupName>nodes</groupName></item></groupSet>
  <tagSet><item><key>aws:eks:cluster-name</key><value>prod</value></item><item><key>empty</key><value/></item></tagSet>
  <networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId></item></networkInterfaceSet>
  <iamInstanceProfile><arn>arn:aws:iam::123456789012:instance-profile/nodes</arn><id>AIPA1</id></iamInstanceProfile>
  <metadataOptions><state>applied</state><httpTokens>required</httpTokens>
   <httpPutResponseHopLimit>1</httpPutResponseHopLimit><httpEndpoint>enabled</httpEndpoint></metadataOptions>
 </item>
 <item><instanceId>i-0b</instanceId><instanceState><code>48</code><name>terminated</name></instanceState></item>
</instancesSet></item>
<item><instancesSet><item><instanceId>i-0c</instanceId></item></instancesSet></item>
</reservationSet>";

#[test]
fn instances_of_all_reservations_are_read() {
    let found = answer("DescribeInstances", INSTANCES, instances::instances).unwrap();
    let ids: Vec<&str> = found
        .iter()
        .map(|found| found.instance_id.as_str())
        .collect();
    assert_eq!(ids, ["i-0a", "i-0b", "i-0c"]);
    assert_eq!(
        found[0],
        aws::Instance {
            instance_id: "i-0a".to_owned(),
            instance_type: "c5.large".to_owned(),
            state: aws::InstanceState {
                name: "running".to_owned()
            },
            private_dns_name: "ip-10-0-1-23.us-west-2.compute.internal".to_owned(),
            private_ip_address: Some("10.0.1.23".to_owned()),
            public_ip_address: Some("198.51.100.7".to_owned()),
            subnet_id: "subnet-a".to_owned(),
            vpc_id: "vpc-1".to_owned(),
            security_groups: vec![group("sg-1", "nodes")],
            metadata_options: aws::MetadataOptions {
                http_tokens: Some("required".to_owned()),
                http_put_response_hop_limit: Some(1),
                http_endpoint: Some("enabled".to_owned()),
            },
            iam_instance_profile: Some(aws::IamInstanceProfile {
                arn: "arn:aws:iam::123456789012:instance-profile/nodes".to_owned()
            }),
            placement: aws::Placement {
                availability_zone: "us-west-2a".to_owned()
            },
            launch_time: Time::parse("2026-11-20T08:30:00Z"),
            tags: vec![tag("aws:eks:cluster-name", "prod"), tag("empty", "")],
        }
    );
    assert_eq!(found[1].state.name, "terminated");
    assert_eq!(found[1].subnet_id, "");
}

#[test]
fn the_default_card_of_an_instance_type_with_many_is_kept_apart_from_their_sum() {
    let inner = "<instanceTypeSet><item><instanceType>p4d.24xlarge</instanceType><bareMetal>false</bareMetal>
     <hypervisor>nitro</hypervisor><vCpuInfo><defaultVCpus>96</defaultVCpus><defaultCores>48</defaultCores></vCpuInfo>
     <networkInfo><networkPerformance>4x 100 Gigabit</networkPerformance>
      <maximumNetworkInterfaces>60</maximumNetworkInterfaces><maximumNetworkCards>4</maximumNetworkCards>
      <defaultNetworkCardIndex>0</defaultNetworkCardIndex>
      <networkCards>
       <item><networkCardIndex>0</networkCardIndex><maximumNetworkInterfaces>15</maximumNetworkInterfaces></item>
       <item><networkCardIndex>1</networkCardIndex><maximumNetworkInterfaces>15</maximumNetworkInterfaces></item>
      </networkCards>
      <ipv4AddressesPerInterface>50</ipv4AddressesPerInterface></networkInfo></item>
     <item><instanceType>a1.metal</instanceType><bareMetal>true</bareMetal></item></instanceTypeSet>";
    let found = answer("DescribeInstanceTypes", inner, instances::instance_types).unwrap();
    assert_eq!(found[0].max_enis(), Some(15));
    assert_eq!(found[0].network_info.maximum_network_interfaces, Some(60));
    assert_eq!(found[0].network_info.ipv4_addresses_per_interface, Some(50));
    assert_eq!(found[0].v_cpu_info.default_v_cpus, Some(96));
    assert_eq!(found[0].hypervisor.as_deref(), Some("nitro"));
    assert!(found[1].bare_metal);
    assert_eq!(found[1].max_enis(), None);
}

#[test]
fn a_subnet_without_a_count_of_free_addresses_has_none_not_zero() {
    let inner =
        "<subnetSet><item><subnetId>subnet-a</subnetId><state>available</state><vpcId>vpc-1</vpcId>
     <cidrBlock>10.0.1.0/24</cidrBlock><availableIpAddressCount>0</availableIpAddressCount>
     <availabilityZone>us-west-2a</availabilityZone><mapPublicIpOnLaunch>true</mapPublicIpOnLaunch>
     <tagSet><item><key>kubernetes.io/role/elb</key><value>1</value></item></tagSet></item>
     <item><subnetId>subnet-b</subnetId></item></subnetSet>";
    let found = answer("DescribeSubnets", inner, vpc::subnets).unwrap();
    assert_eq!(found[0].available_ip_address_count, Some(0));
    assert!(found[0].map_public_ip_on_launch);
    assert_eq!(found[0].tags, [tag("kubernetes.io/role/elb", "1")]);
    assert_eq!(found[1].available_ip_address_count, None);
}

#[test]
fn cidr_reservations_keep_range_and_type() {
    let inner = "<subnetIpv4CidrReservationSet><item><subnetCidrReservationId>scr-1</subnetCidrReservationId>
     <subnetId>subnet-a</subnetId><cidr>10.0.1.64/26</cidr><reservationType>prefix</reservationType>
     <ownerId>123456789012</ownerId></item></subnetIpv4CidrReservationSet><subnetIpv6CidrReservationSet/>";
    let found = answer("GetSubnetCidrReservations", inner, vpc::cidr_reservations).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (
            found[0].subnet_id.as_str(),
            found[0].cidr.as_str(),
            found[0].reservation_type.as_str()
        ),
        ("subnet-a", "10.0.1.64/26", "prefix")
    );
}

#[test]
fn interfaces_carry_addresses_prefixes_and_whom_they_belong_to() {
    let inner = "<networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId><subnetId>subnet-a</subnetId>
     <vpcId>vpc-1</vpcId><availabilityZone>us-west-2a</availabilityZone><description>aws-K8S-i-0a</description>
     <ownerId>123456789012</ownerId><requesterId>AROA:x</requesterId><requesterManaged>false</requesterManaged>
     <status>in-use</status><macAddress>02:00</macAddress><privateIpAddress>10.0.1.40</privateIpAddress>
     <groupSet><item><groupId>sg-1</groupId><groupName>nodes</groupName></item></groupSet>
     <attachment><attachmentId>eni-attach-1</attachmentId><instanceId>i-0a</instanceId>
      <instanceOwnerId>123456789012</instanceOwnerId><deviceIndex>1</deviceIndex><networkCardIndex>0</networkCardIndex>
      <status>attached</status><deleteOnTermination>true</deleteOnTermination></attachment>
     <tagSet><item><key>node.k8s.amazonaws.com/instance_id</key><value>i-0a</value></item></tagSet>
     <privateIpAddressesSet>
      <item><privateIpAddress>10.0.1.40</privateIpAddress><primary>true</primary></item>
      <item><privateIpAddress>10.0.1.41</privateIpAddress><primary>false</primary></item></privateIpAddressesSet>
     <ipv4PrefixSet><item><ipv4Prefix>10.0.1.64/28</ipv4Prefix></item></ipv4PrefixSet>
     <ipv6AddressesSet><item><ipv6Address>2001:db8::7</ipv6Address></item></ipv6AddressesSet>
     <interfaceType>interface</interfaceType></item>
     <item><networkInterfaceId>eni-2</networkInterfaceId><status>available</status></item></networkInterfaceSet>";
    let found = answer("DescribeNetworkInterfaces", inner, interfaces::interfaces).unwrap();
    let first = &found[0];
    assert_eq!(first.private_ip_addresses.len(), 2);
    assert!(first.private_ip_addresses[0].primary && !first.private_ip_addresses[1].primary);
    assert_eq!(first.ipv4_prefixes[0].ipv4_prefix, "10.0.1.64/28");
    assert_eq!(first.ipv6_addresses[0].ipv6_address, "2001:db8::7");
    assert_eq!(first.groups, [group("sg-1", "nodes")]);
    assert_eq!(first.requester_id.as_deref(), Some("AROA:x"));
    assert_eq!(
        first.attachment,
        Some(aws::Attachment {
            instance_id: Some("i-0a".to_owned()),
            instance_owner_id: Some("123456789012".to_owned()),
            device_index: Some(1),
            network_card_index: Some(0),
            status: Some("attached".to_owned()),
        })
    );
    assert_eq!(found[1].attachment, None);
    assert_eq!(found[1].status, "available");
}

const SECURITY_GROUPS: &str = "<securityGroupInfo><item><ownerId>123456789012</ownerId><groupId>sg-1</groupId>
<groupName>nodes</groupName><groupDescription>x</groupDescription><vpcId>vpc-1</vpcId>
<ipPermissions>
 <item><ipProtocol>udp</ipProtocol><fromPort>53</fromPort><toPort>53</toPort>
  <groups><item><userId>123456789012</userId><groupId>sg-2</groupId></item>
   <item><userId>210987654321</userId><groupId>sg-9</groupId><vpcId>vpc-9</vpcId>
    <vpcPeeringConnectionId>pcx-1</vpcPeeringConnectionId><peeringStatus>active</peeringStatus></item></groups>
  <ipRanges/><ipv6Ranges/><prefixListIds/></item>
 <item><ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>443</toPort><groups/>
  <ipRanges><item><cidrIp>10.0.0.0/16</cidrIp><description>vpc</description></item></ipRanges>
  <ipv6Ranges><item><cidrIpv6>2001:db8::/56</cidrIpv6></item></ipv6Ranges>
  <prefixListIds><item><prefixListId>pl-1</prefixListId></item></prefixListIds></item>
</ipPermissions>
<ipPermissionsEgress><item><ipProtocol>-1</ipProtocol><groups/>
 <ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges></item></ipPermissionsEgress>
<tagSet/></item></securityGroupInfo>";

#[test]
fn rules_name_groups_blocks_and_prefix_lists() {
    let found = answer(
        "DescribeSecurityGroups",
        SECURITY_GROUPS,
        security::security_groups,
    );
    let found = found.unwrap();
    let [dns, https] = &found[0].ip_permissions[..] else {
        panic!("not two rules");
    };
    assert_eq!((dns.from_port, dns.to_port), (Some(53), Some(53)));
    let peers: Vec<&str> = dns
        .user_id_group_pairs
        .iter()
        .map(|pair| pair.group_id.as_str())
        .collect();
    assert_eq!(peers, ["sg-2", "sg-9"]);
    assert_eq!(dns.user_id_group_pairs[1].vpc_id.as_deref(), Some("vpc-9"));
    assert_eq!(
        dns.user_id_group_pairs[1].peering_status.as_deref(),
        Some("active")
    );
    assert_eq!(https.ip_ranges[0].cidr_ip, "10.0.0.0/16");
    assert_eq!(https.ipv6_ranges[0].cidr_ipv6, "2001:db8::/56");
    assert_eq!(https.prefix_list_ids[0].prefix_list_id, "pl-1");
    let egress = &found[0].ip_permissions_egress[0];
    assert_eq!(
        (egress.ip_protocol.as_str(), egress.from_port),
        ("-1", None)
    );
}

#[test]
fn a_rule_that_cannot_be_understood_spoils_the_answer_instead_of_reading_as_another() {
    for (from, to) in [
        ("<ipProtocol>udp</ipProtocol>", ""),
        ("<fromPort>53</fromPort>", "<fromPort>dns</fromPort>"),
        ("<cidrIp>10.0.0.0/16</cidrIp>", "<cidrIp/>"),
    ] {
        let spoiled = SECURITY_GROUPS.replacen(from, to, 1);
        let found = answer(
            "DescribeSecurityGroups",
            &spoiled,
            security::security_groups,
        );
        assert!(found.is_err(), "{from}");
    }
}

#[test]
fn acl_entries_keep_order_direction_and_ports() {
    let inner = "<networkAclSet><item><networkAclId>acl-1</networkAclId><vpcId>vpc-1</vpcId><default>true</default>
     <entrySet>
      <item><ruleNumber>100</ruleNumber><protocol>17</protocol><ruleAction>deny</ruleAction><egress>false</egress>
       <cidrBlock>10.0.0.0/16</cidrBlock><portRange><from>53</from><to>53</to></portRange></item>
      <item><ruleNumber>32767</ruleNumber><protocol>-1</protocol><ruleAction>deny</ruleAction><egress>true</egress>
       <ipv6CidrBlock>::/0</ipv6CidrBlock></item></entrySet>
     <associationSet><item><networkAclAssociationId>aclassoc-1</networkAclAssociationId>
      <networkAclId>acl-1</networkAclId><subnetId>subnet-a</subnetId></item></associationSet><tagSet/></item></networkAclSet>";
    let found = answer("DescribeNetworkAcls", inner, security::network_acls).unwrap();
    let [dns, closing] = &found[0].entries[..] else {
        panic!("not two entries");
    };
    assert!(found[0].is_default);
    assert_eq!(found[0].associations[0].subnet_id, "subnet-a");
    assert_eq!((dns.rule_number, dns.egress), (100, false));
    assert_eq!(dns.port_range, Some(aws::PortRange { from: 53, to: 53 }));
    assert_eq!((closing.rule_number, closing.egress), (32767, true));
    assert_eq!(closing.ipv6_cidr_block.as_deref(), Some("::/0"));
    let spoiled = inner.replace("<ruleNumber>100</ruleNumber>", "");
    assert!(answer("DescribeNetworkAcls", &spoiled, security::network_acls).is_err());
}

#[test]
fn routes_keep_destination_target_and_state() {
    let inner = "<routeTableSet><item><routeTableId>rtb-1</routeTableId><vpcId>vpc-1</vpcId><routeSet>
     <item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId><state>active</state></item>
     <item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><natGatewayId>nat-1</natGatewayId><state>blackhole</state></item>
     <item><destinationPrefixListId>pl-1</destinationPrefixListId><gatewayId>vpce-1</gatewayId><state>active</state></item>
     <item><destinationIpv6CidrBlock>::/0</destinationIpv6CidrBlock>
      <egressOnlyInternetGatewayId>eigw-1</egressOnlyInternetGatewayId><state>active</state></item>
     <item><destinationCidrBlock>10.1.0.0/16</destinationCidrBlock><transitGatewayId>tgw-1</transitGatewayId></item>
     <item><destinationCidrBlock>10.2.0.0/16</destinationCidrBlock><vpcPeeringConnectionId>pcx-1</vpcPeeringConnectionId></item>
     <item><destinationCidrBlock>10.3.0.0/16</destinationCidrBlock><instanceId>i-1</instanceId>
      <networkInterfaceId>eni-1</networkInterfaceId></item></routeSet>
     <associationSet><item><main>true</main></item>
      <item><subnetId>subnet-a</subnetId><main>false</main></item></associationSet></item></routeTableSet>";
    let found = answer("DescribeRouteTables", inner, vpc::route_tables).unwrap();
    let routes = &found[0].routes;
    assert_eq!(routes[0].gateway_id.as_deref(), Some("local"));
    assert_eq!(routes[1].nat_gateway_id.as_deref(), Some("nat-1"));
    assert_eq!(routes[1].state, "blackhole");
    assert_eq!(
        routes[2].destination_prefix_list_id.as_deref(),
        Some("pl-1")
    );
    assert_eq!(
        routes[3].egress_only_internet_gateway_id.as_deref(),
        Some("eigw-1")
    );
    assert_eq!(routes[4].transit_gateway_id.as_deref(), Some("tgw-1"));
    assert_eq!(
        routes[5].vpc_peering_connection_id.as_deref(),
        Some("pcx-1")
    );
    assert_eq!(routes[6].network_interface_id.as_deref(), Some("eni-1"));
    assert!(found[0].associations[0].main && found[0].associations[0].subnet_id.is_none());
    assert_eq!(
        found[0].associations[1].subnet_id.as_deref(),
        Some("subnet-a")
    );
}

#[test]
fn vpcs_have_all_their_blocks_and_attributes_are_never_guessed() {
    let inner = "<vpcSet><item><vpcId>vpc-1</vpcId><state>available</state><cidrBlock>10.0.0.0/16</cidrBlock>
     <cidrBlockAssociationSet>
      <item><cidrBlock>10.0.0.0/16</cidrBlock><associationId>a</associationId>
       <cidrBlockState><state>associated</state></cidrBlockState></item>
      <item><cidrBlock>100.64.0.0/16</cidrBlock><cidrBlockState><state>disassociated</state></cidrBlockState></item>
     </cidrBlockAssociationSet><dhcpOptionsId>dopt-1</dhcpOptionsId><isDefault>false</isDefault><tagSet/></item></vpcSet>";
    let found = answer("DescribeVpcs", inner, vpc::vpcs).unwrap();
    let blocks = &found[0].cidr_block_association_set;
    assert_eq!(blocks[1].cidr_block, "100.64.0.0/16");
    assert_eq!(blocks[1].cidr_block_state.state, "disassociated");
    assert_eq!(found[0].dhcp_options_id, "dopt-1");
    assert_eq!(found[0].enable_dns_support, None);

    let attribute = |inner: &str| {
        answer("DescribeVpcAttribute", inner, |root| {
            vpc::vpc_attribute(root, "enableDnsSupport")
        })
    };
    let wrap =
        |value: &str| format!("<vpcId>vpc-1</vpcId><enableDnsSupport>{value}</enableDnsSupport>");
    assert_eq!(attribute(&wrap("<value>false</value>")), Ok(false));
    assert_eq!(attribute(&wrap("<value>true</value>")), Ok(true));
    assert!(attribute(&wrap("")).is_err());
    assert!(attribute("<vpcId>vpc-1</vpcId>").is_err());
}

#[test]
fn endpoints_of_both_kinds_are_read() {
    let inner = "<vpcEndpointSet><item><vpcEndpointId>vpce-1</vpcEndpointId><vpcEndpointType>Interface</vpcEndpointType>
     <vpcId>vpc-1</vpcId><serviceName>com.amazonaws.us-west-2.sts</serviceName><state>available</state>
     <policyDocument>{&quot;Statement&quot;:[]}</policyDocument><routeTableIdSet/>
     <subnetIdSet><item>subnet-a</item><item>subnet-b</item></subnetIdSet>
     <groupSet><item><groupId>sg-1</groupId><groupName>endpoints</groupName></item></groupSet>
     <privateDnsEnabled>true</privateDnsEnabled>
     <networkInterfaceIdSet><item>eni-1</item></networkInterfaceIdSet>
     <dnsEntrySet><item><dnsName>sts.us-west-2.amazonaws.com</dnsName><hostedZoneId>Z1</hostedZoneId></item></dnsEntrySet></item>
     <item><vpcEndpointId>vpce-2</vpcEndpointId><vpcEndpointType>Gateway</vpcEndpointType>
      <routeTableIdSet><item>rtb-1</item></routeTableIdSet></item></vpcEndpointSet>";
    let found = answer("DescribeVpcEndpoints", inner, vpc::vpc_endpoints).unwrap();
    assert_eq!(found[0].subnet_ids, ["subnet-a", "subnet-b"]);
    assert_eq!(found[0].groups, [group("sg-1", "endpoints")]);
    assert_eq!(found[0].network_interface_ids, ["eni-1"]);
    assert_eq!(found[0].private_dns_enabled, Some(true));
    assert_eq!(
        found[0].dns_entries[0].dns_name.as_deref(),
        Some("sts.us-west-2.amazonaws.com")
    );
    assert_eq!(
        found[0].policy_document.as_deref(),
        Some("{\"Statement\":[]}")
    );
    assert_eq!(found[1].route_table_ids, ["rtb-1"]);
    assert_eq!(found[1].private_dns_enabled, Some(false));
}

#[test]
fn dhcp_options_and_prefix_lists_keep_every_value() {
    let inner = "<dhcpOptionsSet><item><dhcpOptionsId>dopt-1</dhcpOptionsId><dhcpConfigurationSet>
     <item><key>domain-name-servers</key><valueSet><item><value>10.9.9.9</value></item>
      <item><value>AmazonProvidedDNS</value></item></valueSet></item></dhcpConfigurationSet></item></dhcpOptionsSet>";
    let found = answer("DescribeDhcpOptions", inner, vpc::dhcp_options).unwrap();
    let servers = &found[0].dhcp_configurations[0];
    assert_eq!(servers.key, "domain-name-servers");
    let values: Vec<&str> = servers.values.iter().map(|v| v.value.as_str()).collect();
    assert_eq!(values, ["10.9.9.9", "AmazonProvidedDNS"]);

    let inner = "<entrySet><item><cidr>192.0.2.0/24</cidr><description>office</description></item>
     <item><cidr>198.51.100.0/24</cidr></item></entrySet>";
    let action = "GetManagedPrefixListEntries";
    let found = answer(action, inner, security::prefix_list_entries).unwrap();
    let blocks: Vec<&str> = found.iter().map(|entry| entry.cidr.as_str()).collect();
    assert_eq!(blocks, ["192.0.2.0/24", "198.51.100.0/24"]);
}
