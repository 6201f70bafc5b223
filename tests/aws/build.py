"""Builds, in the moto server that the environment names, the AWS side of a bundle.

Reads `{"aws": AWS_OF_THE_BUNDLE, "allowDnsTo": GROUP_OR_NULL}`: with a group, every node may ask it
for DNS. Prints what the ids of the bundle became: addresses and names stay, ids are moto's.
"""

import json
import sys

import boto3

order = json.load(sys.stdin)
aws = order["aws"]
ec2 = boto3.client("ec2")
iam = boto3.client("iam")
scaling = boto3.client("autoscaling")
became = {}

vpc = aws["vpcs"][0]
made = ec2.create_vpc(CidrBlock=vpc["CidrBlock"])["Vpc"]["VpcId"]
became[vpc["VpcId"]] = made
ec2.modify_vpc_attribute(VpcId=made, EnableDnsHostnames={"Value": True})
# What AWS gives a VPC by itself, and this AWS does not.
options = ec2.create_dhcp_options(
    DhcpConfigurations=[{"Key": "domain-name-servers", "Values": ["AmazonProvidedDNS"]}]
)["DhcpOptions"]["DhcpOptionsId"]
ec2.associate_dhcp_options(DhcpOptionsId=options, VpcId=made)

gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=made)
of_vpc = [{"Name": "vpc-id", "Values": [made]}]
table = ec2.describe_route_tables(Filters=of_vpc)["RouteTables"][0]["RouteTableId"]
ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
became[aws["routeTables"][0]["RouteTableId"]] = table
acl = ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"][0]["NetworkAclId"]
became[aws["networkAcls"][0]["NetworkAclId"]] = acl

for subnet in aws["subnets"]:
    answer = ec2.create_subnet(
        VpcId=made, CidrBlock=subnet["CidrBlock"], AvailabilityZone=subnet["AvailabilityZone"]
    )
    became[subnet["SubnetId"]] = answer["Subnet"]["SubnetId"]
    ec2.create_tags(Resources=[became[subnet["SubnetId"]]], Tags=subnet["Tags"])
    ec2.modify_subnet_attribute(
        SubnetId=became[subnet["SubnetId"]], MapPublicIpOnLaunch={"Value": True}
    )

for group in aws["securityGroups"]:
    answer = ec2.create_security_group(
        GroupName=group["GroupName"], Description=group["GroupName"], VpcId=made
    )
    became[group["GroupId"]] = answer["GroupId"]


def rule(of):
    peers = [{"GroupId": became[pair["GroupId"]]} for pair in of.get("UserIdGroupPairs", [])]
    return {**of, "UserIdGroupPairs": peers}


for group in aws["securityGroups"]:
    ec2.authorize_security_group_ingress(
        GroupId=became[group["GroupId"]],
        IpPermissions=[rule(of) for of in group["IpPermissions"]],
    )

profiles = {}
for name in sorted({one["IamInstanceProfile"]["Arn"].split("/")[-1] for one in aws["instances"]}):
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    for policy in ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy"):
        iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
    scales = {"Effect": "Allow", "Action": ["autoscaling:*", "ec2:*", "eks:*"], "Resource": "*"}
    iam.put_role_policy(
        RoleName=name,
        PolicyName="cluster-autoscaler",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [scales]}),
    )
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)

image = ec2.describe_images()["Images"][0]["ImageId"]
for instance in aws["instances"]:
    # Tags of the prefix `aws:` are AWS's own: attaching to the group sets that one.
    tags = [tag for tag in instance["Tags"] if not tag["Key"].startswith("aws:")]
    answer = ec2.run_instances(
        ImageId=image,
        InstanceType=instance["InstanceType"],
        MinCount=1,
        MaxCount=1,
        SubnetId=became[instance["SubnetId"]],
        PrivateIpAddress=instance["PrivateIpAddress"],
        SecurityGroupIds=[became[group["GroupId"]] for group in instance["SecurityGroups"]],
        IamInstanceProfile={"Name": instance["IamInstanceProfile"]["Arn"].split("/")[-1]},
        MetadataOptions=instance["MetadataOptions"],
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"][0]
    became[instance["InstanceId"]] = answer["InstanceId"]

for interface in aws["networkInterfaces"]:
    instance = became[interface["Attachment"]["InstanceId"]]
    device = interface["Attachment"]["DeviceIndex"]
    addresses = [one["PrivateIpAddress"] for one in interface["PrivateIpAddresses"]]
    if device == 0:
        # The instance has no other yet: the bundle lists first interfaces first.
        filters = [{"Name": "attachment.instance-id", "Values": [instance]}]
        found = ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
        (made_id,) = [one["NetworkInterfaceId"] for one in found]
    else:
        made_id = ec2.create_network_interface(
            SubnetId=became[interface["SubnetId"]],
            PrivateIpAddress=addresses[0],
            Description=interface["Description"].replace(
                interface["Attachment"]["InstanceId"], instance
            ),
            Groups=[became[group["GroupId"]] for group in interface["Groups"]],
        )["NetworkInterface"]["NetworkInterfaceId"]
        ec2.attach_network_interface(
            NetworkInterfaceId=made_id, InstanceId=instance, DeviceIndex=device
        )
    became[interface["NetworkInterfaceId"]] = made_id
    if addresses[1:]:
        ec2.assign_private_ip_addresses(NetworkInterfaceId=made_id, PrivateIpAddresses=addresses[1:])

for group in aws["autoScalingGroups"]:
    name = group["AutoScalingGroupName"]
    ids = [became[one["InstanceId"]] for one in group["Instances"]]
    kind = group["Instances"][0]["InstanceType"]
    scaling.create_launch_configuration(
        LaunchConfigurationName=name, ImageId=image, InstanceType=kind
    )
    subnets = [became[subnet] for subnet in group["VPCZoneIdentifier"].split(",")]
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchConfigurationName=name,
        MinSize=0,
        MaxSize=group["MaxSize"],
        DesiredCapacity=0,
        VPCZoneIdentifier=",".join(subnets),
        Tags=[
            {**tag, "ResourceId": name, "ResourceType": "auto-scaling-group"}
            for tag in group["Tags"]
        ],
    )
    scaling.attach_instances(AutoScalingGroupName=name, InstanceIds=ids)
    scaling.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=group["MinSize"])

if order["allowDnsTo"]:
    asks = [{"GroupId": became[one["SecurityGroups"][0]["GroupId"]]} for one in aws["instances"]]
    peers = [peer for at, peer in enumerate(asks) if peer not in asks[:at]]
    dns = {"FromPort": 53, "ToPort": 53, "UserIdGroupPairs": peers}
    ec2.authorize_security_group_ingress(
        GroupId=became[order["allowDnsTo"]],
        IpPermissions=[{"IpProtocol": protocol, **dns} for protocol in ("udp", "tcp")],
    )

print(json.dumps(became))
