"""Builds, in the moto server that the environment names, what the test reads back. Prints the ids."""

import json

import boto3

ec2 = boto3.client("ec2")
scaling = boto3.client("autoscaling")

vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
subnets = {
    zone: ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
    for zone, block in [("us-west-2a", "10.0.1.0/24"), ("us-west-2b", "10.0.2.0/26")]
}
first, second = subnets["us-west-2a"], subnets["us-west-2b"]


def group(name):
    made = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)
    return made["GroupId"]


groups = {"nodes": group("nodes"), "clients": group("clients")}
prefix_list = ec2.create_managed_prefix_list(
    PrefixListName="offices",
    MaxEntries=5,
    AddressFamily="IPv4",
    Entries=[{"Cidr": "192.0.2.0/24"}, {"Cidr": "198.51.100.0/24"}],
)["PrefixList"]["PrefixListId"]
ec2.authorize_security_group_ingress(
    GroupId=groups["nodes"],
    IpPermissions=[
        {
            "IpProtocol": "udp",
            "FromPort": 53,
            "ToPort": 53,
            "UserIdGroupPairs": [{"GroupId": groups["clients"]}],
        },
        {
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "IpRanges": [{"CidrIp": "10.0.0.0/16"}],
            "PrefixListIds": [{"PrefixListId": prefix_list}],
        },
    ],
)

acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
ec2.create_network_acl_entry(
    NetworkAclId=acl,
    RuleNumber=90,
    Protocol="17",
    RuleAction="deny",
    Egress=False,
    CidrBlock="10.0.0.0/16",
    PortRange={"From": 53, "To": 53},
)

address = ec2.allocate_address(Domain="vpc")["AllocationId"]
nat = ec2.create_nat_gateway(SubnetId=second, AllocationId=address)["NatGateway"]["NatGatewayId"]
table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
ec2.associate_route_table(RouteTableId=table, SubnetId=first)

dhcp = ec2.create_dhcp_options(
    DhcpConfigurations=[{"Key": "domain-name-servers", "Values": ["10.9.9.9"]}]
)["DhcpOptions"]["DhcpOptionsId"]
ec2.associate_dhcp_options(DhcpOptionsId=dhcp, VpcId=vpc)

ec2.create_vpc_endpoint(
    VpcId=vpc,
    VpcEndpointType="Interface",
    ServiceName="com.amazonaws.us-west-2.sts",
    SubnetIds=[first],
    SecurityGroupIds=[groups["nodes"]],
)
ec2.create_vpc_endpoint(
    VpcId=vpc,
    VpcEndpointType="Gateway",
    ServiceName="com.amazonaws.us-west-2.s3",
    RouteTableIds=[table],
)

image = ec2.describe_images()["Images"][0]["ImageId"]
tags = [
    {"ResourceType": "instance", "Tags": [{"Key": "kubernetes.io/cluster/prod", "Value": "owned"}]}
]
ran = ec2.run_instances(
    ImageId=image,
    InstanceType="c5.large",
    MinCount=2,
    MaxCount=2,
    SubnetId=first,
    SecurityGroupIds=[groups["nodes"]],
    TagSpecifications=tags,
)
instances = [instance["InstanceId"] for instance in ran["Instances"]]

interface = ec2.create_network_interface(
    SubnetId=second, SecondaryPrivateIpAddressCount=3, Groups=[groups["nodes"]]
)["NetworkInterface"]["NetworkInterfaceId"]

scaling.create_launch_configuration(
    LaunchConfigurationName="nodes", ImageId=image, InstanceType="c5.large"
)
for name, wanted, keys in [("tagged", 1, ["k8s.io/cluster-autoscaler/prod"]), ("untagged", 0, [])]:
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchConfigurationName="nodes",
        MinSize=wanted,
        MaxSize=4,
        DesiredCapacity=wanted,
        VPCZoneIdentifier=first,
        Tags=[
            {
                "ResourceId": name,
                "ResourceType": "auto-scaling-group",
                "Key": key,
                "Value": "owned",
                "PropagateAtLaunch": True,
            }
            for key in keys
        ],
    )
other = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
elsewhere = ec2.create_subnet(VpcId=other, CidrBlock="10.99.1.0/24")["Subnet"]["SubnetId"]
scaling.create_auto_scaling_group(
    AutoScalingGroupName="elsewhere",
    LaunchConfigurationName="nodes",
    MinSize=0,
    MaxSize=1,
    DesiredCapacity=0,
    VPCZoneIdentifier=elsewhere,
)

# All instances of the VPC, that of the group included.
filters = [{"Name": "vpc-id", "Values": [vpc]}]
instances = [
    instance["InstanceId"]
    for reservation in ec2.describe_instances(Filters=filters)["Reservations"]
    for instance in reservation["Instances"]
]
free = {
    subnet["SubnetId"]: subnet["AvailableIpAddressCount"]
    for subnet in ec2.describe_subnets(Filters=filters)["Subnets"]
}
print(
    json.dumps(
        {
            "vpc": vpc,
            "subnets": [first, second],
            "free": free,
            "groups": groups,
            "prefix_list": prefix_list,
            "acl": acl,
            "route_table": table,
            "dhcp": dhcp,
            "instances": instances,
            "interface": interface,
        }
    )
)
