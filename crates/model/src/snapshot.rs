//! Everything that is known about one cluster at one time.

use serde::{Deserialize, Serialize};

use crate::kubernetes as k8s;
use crate::run::see_gap;
use crate::{
    ClusterFacts, Evidence, Gap, LogScan, Observations, Origin, ProbeRun, Source, Time, aws, iam,
};

/// Everything that is known about one cluster at one time. Immutable once collected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Snapshot {
    /// Where it comes from.
    pub origin: Origin,
    /// When it was taken; in saved evidence, the newest time in it. Checks know no other clock.
    #[serde(deserialize_with = "crate::time::lenient")]
    pub taken_at: Option<Time>,
    /// The cluster as a whole.
    pub cluster: ClusterFacts,
    /// What the Kubernetes API said.
    pub kubernetes: Kubernetes,
    /// What AWS said.
    pub aws: Aws,
    /// What probes in debug pods met.
    pub probes: Evidence<ProbeRun>,
    /// What probes run as a workload met.
    pub identity_probes: Evidence<ProbeRun>,
    /// What people tried by hand and pasted.
    pub observations: Evidence<Observations>,
}

macro_rules! group {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $source:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: Evidence<$type>,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: Evidence::not_requested(Source::$source),)* }
            }
        }

        impl $name {
            fn each_gap(&self, see: &mut impl FnMut(&Gap)) {
                $(see_gap(&self.$field, see);)*
            }

            /// Marks everything that nobody asked for with the gap that `why` gives for its source.
            pub fn fill_gaps(&mut self, why: &impl Fn(Source) -> Gap) {
                $(if let Evidence::Absent(Gap {
                    why: crate::Why::NotRequested,
                    ..
                }) = &self.$field
                {
                    self.$field = Evidence::Absent(why(Source::$source));
                })*
            }
        }
    };
}

group! {
    /// What the Kubernetes API said.
    Kubernetes {
        /// Nodes.
        nodes: Vec<k8s::Node> = Nodes,
        /// Pods of the cluster.
        pods: Vec<k8s::Pod> = Pods,
        /// Deployments.
        deployments: Vec<k8s::Deployment> = Deployments,
        /// DaemonSets.
        daemonsets: Vec<k8s::DaemonSet> = DaemonSets,
        /// Services.
        services: Vec<k8s::Service> = Services,
        /// Ingresses.
        ingresses: Vec<k8s::Ingress> = Ingresses,
        /// EndpointSlices.
        endpointslices: Vec<k8s::EndpointSlice> = EndpointSlices,
        /// Events.
        events: Vec<k8s::Event> = Events,
        /// Config maps that checks name.
        configmaps: Vec<k8s::ConfigMap> = ConfigMaps,
        /// Leases.
        leases: Vec<k8s::Lease> = Leases,
        /// PodDisruptionBudgets.
        poddisruptionbudgets: Vec<k8s::PodDisruptionBudget> = PodDisruptionBudgets,
        /// NetworkPolicies.
        networkpolicies: Vec<k8s::NetworkPolicy> = NetworkPolicies,
        /// ServiceAccounts.
        serviceaccounts: Vec<k8s::ServiceAccount> = ServiceAccounts,
        /// ENIConfigs.
        eniconfigs: Vec<k8s::EniConfig> = EniConfigs,
        /// aws-node's metrics, per node.
        cni_metrics: Vec<k8s::CniMetrics> = CniMetrics,
        /// ValidatingWebhookConfigurations.
        validatingwebhookconfigurations: Vec<k8s::WebhookConfiguration> = ValidatingWebhooks,
        /// MutatingWebhookConfigurations.
        mutatingwebhookconfigurations: Vec<k8s::WebhookConfiguration> = MutatingWebhooks,
        /// APIServices.
        apiservices: Vec<k8s::ApiService> = ApiServices,
        /// SecurityGroupPolicies.
        securitygrouppolicies: Vec<k8s::SecurityGroupPolicy> = SecurityGroupPolicies,
        /// Karpenter's NodePools.
        nodepools: Vec<k8s::NodePool> = NodePools,
        /// Karpenter's templates of instances.
        nodeclasses: Vec<k8s::NodeClass> = NodeClasses,
        /// Nodes that Karpenter makes.
        nodeclaims: Vec<k8s::NodeClaim> = NodeClaims,
        /// PersistentVolumes.
        persistentvolumes: Vec<k8s::PersistentVolume> = PersistentVolumes,
        /// StorageClasses.
        storageclasses: Vec<k8s::StorageClass> = StorageClasses,
        /// Signature scans of logs.
        logs: Vec<LogScan> = Logs,
    }
}

group! {
    /// What AWS said.
    Aws {
        /// Who calls.
        caller_identity: aws::CallerIdentity = CallerIdentity,
        /// The EKS cluster.
        cluster: aws::Cluster = Cluster,
        /// Managed node groups.
        nodegroups: Vec<aws::Nodegroup> = Nodegroups,
        /// Pod Identity associations.
        pod_identity_associations: Vec<aws::PodIdentityAssociation> = PodIdentityAssociations,
        /// Add-ons that EKS manages.
        addons: Vec<aws::Addon> = Addons,
        /// Access entries.
        access_entries: Vec<aws::AccessEntry> = AccessEntries,
        /// Instances.
        instances: Vec<aws::Instance> = Instances,
        /// Instance types in use.
        instance_types: Vec<aws::InstanceType> = InstanceTypes,
        /// Subnets.
        subnets: Vec<aws::Subnet> = Subnets,
        /// CIDR reservations of subnets.
        subnet_cidr_reservations: Vec<aws::SubnetCidrReservation> = SubnetCidrReservations,
        /// Network interfaces.
        network_interfaces: Vec<aws::NetworkInterface> = NetworkInterfaces,
        /// Security groups.
        security_groups: Vec<aws::SecurityGroup> = SecurityGroups,
        /// Network ACLs.
        network_acls: Vec<aws::NetworkAcl> = NetworkAcls,
        /// Route tables.
        route_tables: Vec<aws::RouteTable> = RouteTables,
        /// NAT gateways.
        nat_gateways: Vec<aws::NatGateway> = NatGateways,
        /// VPCs.
        vpcs: Vec<aws::Vpc> = Vpcs,
        /// VPC endpoints.
        vpc_endpoints: Vec<aws::VpcEndpoint> = VpcEndpoints,
        /// DHCP options.
        dhcp_options: Vec<aws::DhcpOptions> = DhcpOptions,
        /// Prefix lists.
        prefix_lists: Vec<aws::PrefixList> = PrefixLists,
        /// Auto Scaling groups.
        auto_scaling_groups: Vec<aws::AutoScalingGroup> = AutoScalingGroups,
        /// Scaling activities of the Auto Scaling groups.
        scaling_activities: Vec<aws::ScalingActivity> = ScalingActivities,
        /// Health of the targets of load balancers.
        target_health: Vec<aws::TargetHealthDescription> = TargetHealth,
        /// Simulated permissions.
        simulated_policies: Vec<iam::SimulatedRole> = SimulatedPolicies,
        /// Roles.
        roles: Vec<iam::Role> = Roles,
        /// Policy documents.
        policies: Vec<iam::Policy> = Policies,
        /// OIDC identity providers.
        oidc_providers: Vec<iam::OidcProvider> = OidcProviders,
        /// Instance profiles.
        instance_profiles: Vec<iam::InstanceProfile> = InstanceProfiles,
        /// Payloads of tokens.
        token_claims: Vec<iam::TokenClaims> = TokenClaims,
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            origin: Origin::default(),
            taken_at: None,
            cluster: ClusterFacts::default(),
            kubernetes: Kubernetes::default(),
            aws: Aws::default(),
            probes: Evidence::not_requested(Source::Probes),
            identity_probes: Evidence::not_requested(Source::IdentityProbes),
            observations: Evidence::not_requested(Source::Observations),
        }
    }
}

impl Snapshot {
    /// Marks everything that nobody asked for with the gap that `why` gives for its source.
    pub fn fill_gaps(&mut self, why: &impl Fn(Source) -> Gap) {
        self.kubernetes.fill_gaps(why);
        self.aws.fill_gaps(why);
    }

    pub(crate) fn each_gap(&self, mut see: impl FnMut(&Gap)) {
        self.kubernetes.each_gap(&mut see);
        self.aws.each_gap(&mut see);
        see_gap(&self.probes, &mut see);
        see_gap(&self.identity_probes, &mut see);
        see_gap(&self.observations, &mut see);
    }
}
