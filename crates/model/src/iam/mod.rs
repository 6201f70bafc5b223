//! IAM: roles, policies and trust, which actions the components call, and what a simulation said of
//! them.

mod aws_auth;
mod policy;
mod role;
pub mod trust;

pub use aws_auth::{MappedRole, mapped_roles, without_path};
pub use policy::{Conditions, Decision, PolicyDocument, Principal, Statement, like};
pub use role::{
    AttachedPolicy, InstanceProfile, OidcProvider, Policy, Role, TokenClaims, account_of_arn,
    issuer_of_arn, name_of_arn, without_scheme,
};

use serde::{Deserialize, Serialize};

use crate::Component;
use crate::aws::null_is_default;

/// The simulated permissions of one component's role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SimulatedRole {
    /// Whose role.
    pub component: Component,
    /// Namespace and name of its service account.
    pub service_account: String,
    /// ARN of the role, not of an assumed-role session.
    pub role_arn: String,
    /// How the component comes to it: `irsa`, `pod-identity` or `node`.
    pub via: String,
    /// `EvaluationResults` of `simulate-principal-policy`.
    #[serde(deserialize_with = "null_is_default")]
    pub results: Vec<EvaluationResult>,
}

/// One decision, as `simulate-principal-policy` writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EvaluationResult {
    /// Action.
    pub eval_action_name: String,
    /// `allowed`, `explicitDeny` or `implicitDeny`.
    pub eval_decision: String,
    /// Resource.
    #[serde(deserialize_with = "null_is_default")]
    pub eval_resource_name: String,
    /// Statements that decided.
    #[serde(deserialize_with = "null_is_default")]
    pub matched_statements: Vec<MatchedStatement>,
    /// Condition keys whose values the simulation lacked.
    #[serde(deserialize_with = "null_is_default")]
    pub missing_context_values: Vec<String>,
    /// What the permissions boundary says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions_boundary_decision_detail: Option<BoundaryDecision>,
    /// What service control policies say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organizations_decision_detail: Option<OrganizationsDecision>,
}

/// A statement that decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MatchedStatement {
    /// Policy.
    #[serde(deserialize_with = "null_is_default")]
    pub source_policy_id: String,
    /// Kind of policy.
    #[serde(deserialize_with = "null_is_default")]
    pub source_policy_type: String,
}

/// What the permissions boundary says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BoundaryDecision {
    /// Whether it allows.
    pub allowed_by_permissions_boundary: bool,
}

/// What service control policies say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct OrganizationsDecision {
    /// Whether they allow.
    pub allowed_by_organizations: bool,
}

/// How much a component depends on an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The component does not work without it.
    Required,
    /// A feature does not work without it.
    Feature,
}

/// One action that a component calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Such as `ec2:AttachNetworkInterface`.
    pub name: &'static str,
    /// How much the component depends on it.
    pub need: Need,
    /// First minor version of the component that calls it.
    pub since: u32,
    /// First minor version that no longer calls it.
    pub until: u32,
    /// Whether it changes something: such actions carry conditions on tags.
    pub writes: bool,
}

const fn required(name: &'static str) -> Action {
    Action {
        name,
        need: Need::Required,
        since: 0,
        until: u32::MAX,
        writes: false,
    }
}

const fn feature(name: &'static str) -> Action {
    Action {
        need: Need::Feature,
        ..required(name)
    }
}

const fn write(action: Action) -> Action {
    Action {
        writes: true,
        ..action
    }
}

/// cluster-autoscaler. Source: the Go files under `cluster-autoscaler/cloudprovider/aws` of
/// kubernetes/autoscaler, release branches 1.12 to 1.37; `DescribeAutoScalingInstances` stands in every
/// published policy, but no release calls it.
const CLUSTER_AUTOSCALER: &[Action] = &[
    required("autoscaling:DescribeAutoScalingGroups"),
    required("autoscaling:DescribeLaunchConfigurations"),
    Action {
        until: 24,
        ..required("autoscaling:DescribeTags")
    },
    Action {
        since: 24,
        ..feature("autoscaling:DescribeScalingActivities")
    },
    write(required("autoscaling:SetDesiredCapacity")),
    write(required("autoscaling:TerminateInstanceInAutoScalingGroup")),
    required("ec2:DescribeLaunchTemplateVersions"),
    Action {
        since: 23,
        ..required("ec2:DescribeInstanceTypes")
    },
    Action {
        since: 24,
        ..feature("ec2:DescribeImages")
    },
    Action {
        since: 24,
        ..feature("ec2:GetInstanceTypesFromInstanceRequirements")
    },
    Action {
        since: 23,
        ..feature("eks:DescribeNodegroup")
    },
];

/// The VPC CNI in IPv4 mode. Source: `docs/iam-policy.md` of amazon-vpc-cni-k8s at v1.23.1.
const VPC_CNI: &[Action] = &[
    write(required("ec2:AssignPrivateIpAddresses")),
    write(required("ec2:AttachNetworkInterface")),
    write(required("ec2:CreateNetworkInterface")),
    write(required("ec2:CreateTags")),
    write(required("ec2:ModifyNetworkInterfaceAttribute")),
    required("ec2:DescribeInstances"),
    required("ec2:DescribeNetworkInterfaces"),
    write(feature("ec2:DeleteNetworkInterface")),
    write(feature("ec2:DetachNetworkInterface")),
    write(feature("ec2:UnassignPrivateIpAddresses")),
    feature("ec2:DescribeInstanceTypes"),
    feature("ec2:DescribeSubnets"),
    feature("ec2:DescribeTags"),
];

/// AWS Load Balancer Controller, the calls without which no load balancer is made. Source:
/// `docs/install/iam_policy.json` of aws-load-balancer-controller.
const LOAD_BALANCER_CONTROLLER: &[Action] = &[
    required("ec2:DescribeSubnets"),
    required("ec2:DescribeSecurityGroups"),
    required("ec2:DescribeVpcs"),
    required("ec2:DescribeAvailabilityZones"),
    required("elasticloadbalancing:DescribeLoadBalancers"),
    required("elasticloadbalancing:DescribeListeners"),
    required("elasticloadbalancing:DescribeTargetGroups"),
    required("elasticloadbalancing:DescribeTargetHealth"),
    write(required("elasticloadbalancing:CreateLoadBalancer")),
    write(required("elasticloadbalancing:CreateListener")),
    write(required("elasticloadbalancing:CreateTargetGroup")),
    write(required("elasticloadbalancing:RegisterTargets")),
    write(required("elasticloadbalancing:AddTags")),
    Action {
        since: 9,
        ..feature("elasticloadbalancing:DescribeListenerAttributes")
    },
    Action {
        since: 10,
        ..feature("ec2:GetSecurityGroupsForVpc")
    },
    Action {
        since: 13,
        ..feature("ec2:DescribeRouteTables")
    },
    write(feature("ec2:CreateSecurityGroup")),
    write(feature("ec2:AuthorizeSecurityGroupIngress")),
];

/// EBS CSI controller. Source: `docs/example-iam-policy.json` of aws-ebs-csi-driver.
const EBS_CSI: &[Action] = &[
    write(required("ec2:AttachVolume")),
    write(required("ec2:CreateVolume")),
    write(required("ec2:DetachVolume")),
    write(required("ec2:DeleteVolume")),
    write(required("ec2:CreateTags")),
    required("ec2:DescribeVolumes"),
    required("ec2:DescribeInstances"),
    required("ec2:DescribeAvailabilityZones"),
    write(feature("ec2:CreateSnapshot")),
    write(feature("ec2:ModifyVolume")),
];

/// Karpenter. Source: its CloudFormation reference at v1.14.
const KARPENTER: &[Action] = &[
    required("ec2:DescribeImages"),
    required("ec2:DescribeInstances"),
    required("ec2:DescribeInstanceTypeOfferings"),
    required("ec2:DescribeInstanceTypes"),
    required("ec2:DescribeLaunchTemplates"),
    required("ec2:DescribeSecurityGroups"),
    required("ec2:DescribeSubnets"),
    required("ssm:GetParameter"),
    required("eks:DescribeCluster"),
    write(required("ec2:RunInstances")),
    write(required("ec2:CreateFleet")),
    write(required("ec2:CreateLaunchTemplate")),
    write(required("ec2:TerminateInstances")),
    write(required("ec2:CreateTags")),
    write(required("iam:PassRole")),
    feature("ec2:DescribeSpotPriceHistory"),
    feature("pricing:GetProducts"),
];

impl Component {
    /// The actions that this component calls at minor version `minor`; all of them when the version
    /// is unknown.
    pub fn actions(self, minor: Option<u32>) -> impl Iterator<Item = &'static Action> {
        let all: &[Action] = match self {
            Self::ClusterAutoscaler => CLUSTER_AUTOSCALER,
            Self::AwsNode => VPC_CNI,
            Self::LoadBalancerController => LOAD_BALANCER_CONTROLLER,
            Self::EbsCsi => EBS_CSI,
            Self::Karpenter => KARPENTER,
            _ => &[],
        };
        all.iter().filter(move |action| {
            minor.is_none_or(|minor| (action.since..action.until).contains(&minor))
        })
    }
}
