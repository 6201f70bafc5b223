//! Where evidence comes from, and which permission it takes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One rule of a ClusterRole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiGroupRule {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Resource, with its subresource, such as `pods/log`.
    pub resource: &'static str,
    /// Verbs.
    pub verbs: &'static [&'static str],
}

/// What reading a source takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Kubernetes rules.
    pub rbac: &'static [ApiGroupRule],
    /// IAM actions.
    pub iam: &'static [&'static str],
}

macro_rules! sources {
    ($($(#[$doc:meta])* $variant:ident = $key:literal,
        rbac [$($group:literal / $resource:literal [$($verb:literal)*]),*], iam [$($action:literal),*];)*) => {
        /// A source of evidence. The key, such as `k8s/nodes`, stands in reports and bundles.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Source {
            $($(#[$doc])* #[serde(rename = $key)] $variant,)*
            /// No particular source.
            #[default]
            #[serde(rename = "none")]
            None,
        }

        impl Source {
            /// Every source, in the order in which they are declared.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Key of the source, such as `k8s/nodes`.
            #[must_use]
            pub fn key(self) -> &'static str {
                match self {
                    $(Self::$variant => $key,)*
                    Self::None => "none",
                }
            }

            /// What reading it takes.
            #[must_use]
            pub fn permission(self) -> Permission {
                match self {
                    $(Self::$variant => Permission {
                        rbac: &[$(ApiGroupRule { group: $group, resource: $resource, verbs: &[$($verb),*] }),*],
                        iam: &[$($action),*],
                    },)*
                    Self::None => Permission { rbac: &[], iam: &[] },
                }
            }
        }
    };
}

sources! {
    /// Nodes.
    Nodes = "k8s/nodes", rbac ["" / "nodes" ["get" "list"]], iam [];
    /// Pods of the cluster, in a narrow form.
    Pods = "k8s/pods", rbac ["" / "pods" ["get" "list"]], iam [];
    /// Deployments.
    Deployments = "k8s/deployments", rbac ["apps" / "deployments" ["get" "list"]], iam [];
    /// DaemonSets.
    DaemonSets = "k8s/daemonsets", rbac ["apps" / "daemonsets" ["get" "list"]], iam [];
    /// Services.
    Services = "k8s/services", rbac ["" / "services" ["get" "list"]], iam [];
    /// Ingresses.
    Ingresses = "k8s/ingresses", rbac ["networking.k8s.io" / "ingresses" ["get" "list"]], iam [];
    /// EndpointSlices.
    EndpointSlices = "k8s/endpointslices", rbac ["discovery.k8s.io" / "endpointslices" ["get" "list"]], iam [];
    /// Events of the last hour.
    Events = "k8s/events", rbac ["" / "events" ["get" "list"]], iam [];
    /// The config maps that checks name: CoreDNS, kube-proxy, autoscaler status, aws-auth, amazon-vpc-cni.
    ConfigMaps = "k8s/configmaps", rbac ["" / "configmaps" ["get" "list"]], iam [];
    /// Leases of nodes and of leaders.
    Leases = "k8s/leases", rbac ["coordination.k8s.io" / "leases" ["get" "list"]], iam [];
    /// PodDisruptionBudgets.
    PodDisruptionBudgets = "k8s/poddisruptionbudgets", rbac ["policy" / "poddisruptionbudgets" ["get" "list"]], iam [];
    /// NetworkPolicies.
    NetworkPolicies = "k8s/networkpolicies", rbac ["networking.k8s.io" / "networkpolicies" ["get" "list"]], iam [];
    /// ServiceAccounts of the components that call AWS.
    ServiceAccounts = "k8s/serviceaccounts", rbac ["" / "serviceaccounts" ["get" "list"]], iam [];
    /// ENIConfigs of custom networking.
    EniConfigs = "k8s/eniconfigs", rbac ["crd.k8s.amazonaws.com" / "eniconfigs" ["get" "list"]], iam [];
    /// ValidatingWebhookConfigurations.
    ValidatingWebhooks = "k8s/validatingwebhookconfigurations", rbac ["admissionregistration.k8s.io" / "validatingwebhookconfigurations" ["get" "list"]], iam [];
    /// MutatingWebhookConfigurations.
    MutatingWebhooks = "k8s/mutatingwebhookconfigurations", rbac ["admissionregistration.k8s.io" / "mutatingwebhookconfigurations" ["get" "list"]], iam [];
    /// APIServices that a Service of the cluster answers.
    ApiServices = "k8s/apiservices", rbac ["apiregistration.k8s.io" / "apiservices" ["get" "list"]], iam [];
    /// SecurityGroupPolicies of security groups for pods.
    SecurityGroupPolicies = "k8s/securitygrouppolicies", rbac ["vpcresources.k8s.aws" / "securitygrouppolicies" ["get" "list"]], iam [];
    /// Karpenter's NodePools, or Provisioners of old.
    NodePools = "k8s/nodepools", rbac ["karpenter.sh" / "nodepools" ["get" "list"]], iam [];
    /// Karpenter's EC2NodeClasses.
    NodeClasses = "k8s/ec2nodeclasses", rbac ["karpenter.k8s.aws" / "ec2nodeclasses" ["get" "list"]], iam [];
    /// Karpenter's NodeClaims.
    NodeClaims = "k8s/nodeclaims", rbac ["karpenter.sh" / "nodeclaims" ["get" "list"]], iam [];
    /// PersistentVolumes.
    PersistentVolumes = "k8s/persistentvolumes", rbac ["" / "persistentvolumes" ["get" "list"]], iam [];
    /// StorageClasses.
    StorageClasses = "k8s/storageclasses", rbac ["storage.k8s.io" / "storageclasses" ["get" "list"]], iam [];
    /// Logs of the components, through the signature scan.
    Logs = "k8s/logs", rbac ["" / "pods/log" ["get"]], iam [];
    /// aws-node's metrics, through the pod proxy.
    CniMetrics = "k8s/cni-metrics", rbac ["" / "pods/proxy" ["get"]], iam [];
    /// Who calls AWS.
    CallerIdentity = "sts/caller-identity", rbac [], iam ["sts:GetCallerIdentity"];
    /// The EKS cluster.
    Cluster = "eks/cluster", rbac [], iam ["eks:DescribeCluster"];
    /// Managed node groups.
    Nodegroups = "eks/nodegroups", rbac [], iam ["eks:ListNodegroups", "eks:DescribeNodegroup"];
    /// Pod Identity associations.
    PodIdentityAssociations = "eks/pod-identity-associations", rbac [], iam ["eks:ListPodIdentityAssociations", "eks:DescribePodIdentityAssociation"];
    /// Add-ons that EKS manages.
    Addons = "eks/addons", rbac [], iam ["eks:ListAddons", "eks:DescribeAddon"];
    /// Access entries.
    AccessEntries = "eks/access-entries", rbac [], iam ["eks:ListAccessEntries", "eks:DescribeAccessEntry"];
    /// Instances of the cluster's VPC.
    Instances = "ec2/instances", rbac [], iam ["ec2:DescribeInstances"];
    /// Limits of the instance types in use.
    InstanceTypes = "ec2/instance-types", rbac [], iam ["ec2:DescribeInstanceTypes"];
    /// Subnets of the VPC.
    Subnets = "ec2/subnets", rbac [], iam ["ec2:DescribeSubnets"];
    /// CIDR reservations of the subnets.
    SubnetCidrReservations = "ec2/subnet-cidr-reservations", rbac [], iam ["ec2:GetSubnetCidrReservations"];
    /// Network interfaces of the VPC.
    NetworkInterfaces = "ec2/network-interfaces", rbac [], iam ["ec2:DescribeNetworkInterfaces"];
    /// Security groups of the VPC, with their rules.
    SecurityGroups = "ec2/security-groups", rbac [], iam ["ec2:DescribeSecurityGroups"];
    /// Network ACLs of the VPC.
    NetworkAcls = "ec2/network-acls", rbac [], iam ["ec2:DescribeNetworkAcls"];
    /// Route tables of the VPC.
    RouteTables = "ec2/route-tables", rbac [], iam ["ec2:DescribeRouteTables"];
    /// NAT gateways of the VPC.
    NatGateways = "ec2/nat-gateways", rbac [], iam ["ec2:DescribeNatGateways"];
    /// The VPC and its DNS attributes.
    Vpcs = "ec2/vpcs", rbac [], iam ["ec2:DescribeVpcs", "ec2:DescribeVpcAttribute"];
    /// VPC endpoints.
    VpcEndpoints = "ec2/vpc-endpoints", rbac [], iam ["ec2:DescribeVpcEndpoints"];
    /// DHCP options of the VPC.
    DhcpOptions = "ec2/dhcp-options", rbac [], iam ["ec2:DescribeDhcpOptions"];
    /// Entries of the managed prefix lists that security groups name.
    PrefixLists = "ec2/prefix-lists", rbac [], iam ["ec2:GetManagedPrefixListEntries"];
    /// Auto Scaling groups.
    AutoScalingGroups = "autoscaling/groups", rbac [], iam ["autoscaling:DescribeAutoScalingGroups"];
    /// Scaling activities of the Auto Scaling groups, the newest first.
    ScalingActivities = "autoscaling/activities", rbac [], iam ["autoscaling:DescribeScalingActivities"];
    /// Health of the targets of load balancers.
    TargetHealth = "elb/target-health", rbac [], iam ["elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth"];
    /// Simulated permissions of the components' roles.
    SimulatedPolicies = "iam/simulation", rbac [], iam ["iam:SimulatePrincipalPolicy", "iam:GetInstanceProfile"];
    /// Roles of service accounts, nodes and the cluster: trust policies and attached policies.
    Roles = "iam/roles", rbac [], iam ["iam:GetRole", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"];
    /// Policy documents.
    Policies = "iam/policies", rbac [], iam ["iam:GetRolePolicy", "iam:GetPolicy", "iam:GetPolicyVersion"];
    /// OIDC identity providers.
    OidcProviders = "iam/oidc-providers", rbac [], iam ["iam:ListOpenIDConnectProviders", "iam:GetOpenIDConnectProvider"];
    /// Instance profiles of the nodes, with their roles.
    InstanceProfiles = "iam/instance-profiles", rbac [], iam ["iam:GetInstanceProfile"];
    /// Payloads of service account tokens, decoded by hand; never read from a pod.
    TokenClaims = "pod/token-claims", rbac [], iam [];
    /// Probes run in debug pods.
    Probes = "probe/network", rbac ["" / "pods" ["create" "get" "list" "watch" "delete"], "" / "pods/log" ["get"], "" / "configmaps" ["create" "delete" "get"]], iam [];
    /// Probes run as a workload, with its service account.
    IdentityProbes = "probe/identity", rbac ["" / "pods" ["create" "get" "list" "watch" "delete"], "" / "pods/log" ["get"]], iam [];
    /// What people tried by hand and pasted: in saved evidence alone.
    Observations = "hand/observations", rbac [], iam [];
}

impl Source {
    /// The command whose output, saved to a file, gives this source; `None` for probes and logs of
    /// no particular pod.
    #[must_use]
    pub fn saved_by(self) -> Option<String> {
        let (service, name) = self.key().split_once('/')?;
        let pascal = |resource: &str| format!("aws ec2 describe-{resource} --output json");
        Some(match (service, name) {
            ("k8s", "logs") => "kubectl -n kube-system logs POD --timestamps".to_owned(),
            ("k8s", "cni-metrics") => return None,
            ("k8s", "nodes" | "eniconfigs" | "validatingwebhookconfigurations" | "mutatingwebhookconfigurations" | "apiservices" | "nodepools" | "ec2nodeclasses" | "nodeclaims" | "persistentvolumes" | "storageclasses") => format!("kubectl get {name} -o json"),
            ("k8s", _) => format!("kubectl get {name} -A -o json"),
            ("sts", _) => "aws sts get-caller-identity --output json".to_owned(),
            ("eks", "cluster") => "aws eks describe-cluster --name CLUSTER --output json".to_owned(),
            ("eks", "nodegroups") => "aws eks describe-nodegroup --cluster-name CLUSTER --nodegroup-name NAME --output json".to_owned(),
            ("eks", "addons") => "aws eks describe-addon --cluster-name CLUSTER --addon-name NAME --output json".to_owned(),
            ("eks", _) => format!("aws eks list-{name} --cluster-name CLUSTER --output json"),
            ("ec2", "subnet-cidr-reservations") => "aws ec2 get-subnet-cidr-reservations --subnet-id ID --output json".to_owned(),
            ("ec2", "prefix-lists") => "aws ec2 get-managed-prefix-list-entries --prefix-list-id ID --output json".to_owned(),
            ("ec2", _) => pascal(name),
            ("autoscaling", "activities") => "aws autoscaling describe-scaling-activities --output json".to_owned(),
            ("autoscaling", _) => "aws autoscaling describe-auto-scaling-groups --output json".to_owned(),
            ("elb", _) => "aws elbv2 describe-target-health --target-group-arn ARN --output json".to_owned(),
            ("iam", "roles") => "aws iam get-role --role-name ROLE --output json".to_owned(),
            ("iam", "policies") => "aws iam get-role-policy --role-name ROLE --policy-name NAME --output json".to_owned(),
            ("iam", "oidc-providers") => "aws iam list-open-id-connect-providers --output json".to_owned(),
            ("iam", "instance-profiles") => "aws iam get-instance-profile --instance-profile-name NAME --output json".to_owned(),
            ("iam", _) => "aws iam simulate-principal-policy --policy-source-arn ROLE --action-names ACTIONS --output json".to_owned(),
            _ => return None,
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}
