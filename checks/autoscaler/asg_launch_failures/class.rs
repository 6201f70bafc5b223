//! Why EC2 launched nothing. Source: the error codes of EC2's API and the issues of EKS node groups.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Capacity,
    Quota,
    Addresses,
    Template,
    Access,
    TimedOut,
    Backoff,
    Other,
}

impl Class {
    /// The class of a code or a message; `None` for words that are not known.
    pub(super) fn of(text: &str) -> Option<Self> {
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        Some(
            if has(&[
                "InsufficientInstanceCapacity",
                "UnfulfillableCapacity",
                "InsufficientCapacity",
                "do not have sufficient",
                "no Spot capacity",
                "could not launch Spot",
            ]) {
                Self::Capacity
            } else if has(&[
                "VcpuLimitExceeded",
                "InstanceLimitExceeded",
                "MaxSpotInstanceCountExceeded",
                "vCPU limit",
                "vCPU capacity",
                "PendingVerification",
                "InstanceLimit",
            ]) {
                Self::Quota
            } else if has(&[
                "InsufficientFreeAddresses",
                "free addresses",
                "free IP addresses",
            ]) {
                Self::Addresses
            } else if has(&[
                "InvalidAMIID",
                "InvalidKeyPair",
                "InvalidLaunchTemplate",
                "LaunchTemplate",
                "image id",
                "key pair",
                "InvalidGroup",
                "security group",
                "SecurityGroup",
            ]) {
                Self::Template
            } else if has(&[
                "Client.InternalError",
                "KMS",
                "UnauthorizedOperation",
                "not authorized",
            ]) {
                Self::Access
            } else {
                return None;
            },
        )
    }

    /// The class of an issue of a node group; `None` for one that has nothing to do with launches.
    pub(super) fn of_issue(code: &str, message: &str) -> Option<Self> {
        match code {
            "AsgInstanceLaunchFailures" => Some(Self::of(message).unwrap_or(Self::Other)),
            "InstanceLimitExceeded" => Some(Self::Quota),
            "InsufficientFreeAddresses" => Some(Self::Addresses),
            code if code.starts_with("Ec2LaunchTemplate") || code == "AmiIdNotFound" => {
                Some(Self::Template)
            }
            _ => None,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Capacity => "gets no instance: EC2 has no capacity of that type in that zone",
            Self::Quota => "gets no instance: the account's quota is used up",
            Self::Addresses => "gets no instance: the subnet has no free address",
            Self::Template => "gets no instance: its template names something that is not there",
            Self::Access => "gets no instance: a KMS key or a permission of the launch is missing",
            Self::TimedOut => "gave up on new instances: they did not become nodes in time",
            Self::Backoff => "is in backoff after a failure to scale up",
            Self::Other => "gets no instance: the launch fails",
        }
    }

    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::TimedOut => {
                "The instances were launched. What keeps them from joining is on the nodes: see node/join-failed."
            }
            _ => {
                "The autoscaler keeps the group in backoff for 5 min after a failure, doubled up to 30 min; a restart of it ends the backoff."
            }
        }
    }

    pub(super) fn signal(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Quota => "quota",
            Self::Addresses => "addresses",
            Self::Template => "template",
            Self::Access => "access",
            Self::TimedOut => "timed-out",
            Self::Backoff => "backoff",
            Self::Other => "other-failure",
        }
    }

    pub(super) fn fix(self, group: &str) -> String {
        match self {
            Self::Capacity => format!("aws autoscaling update-auto-scaling-group --auto-scaling-group-name {group} --mixed-instances-policy file://more-types.json   # more instance types, or more zones"),
            Self::Quota => "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-1216C47A --desired-value N   # Spot: L-34B43A08".to_owned(),
            Self::Addresses => format!("aws autoscaling update-auto-scaling-group --auto-scaling-group-name {group} --vpc-zone-identifier SUBNET_WITH_ROOM,..."),
            Self::Template => format!("aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names {group} --query 'AutoScalingGroups[].LaunchTemplate'   # then a new version of it"),
            Self::Access => "aws kms create-grant --key-id KEY --grantee-principal arn:aws:iam::ACCOUNT:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling --operations Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext DescribeKey CreateGrant".to_owned(),
            Self::TimedOut => format!("aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names {group} --query 'AutoScalingGroups[].Instances[].InstanceId'   # then: aws ec2 get-console-output --instance-id ID"),
            Self::Backoff | Self::Other => format!("aws autoscaling describe-scaling-activities --auto-scaling-group-name {group} --max-items 5   # mend what StatusMessage names"),
        }
    }
}
