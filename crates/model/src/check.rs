//! What a check is, and how it reads evidence.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::kubernetes as k8s;
use crate::{
    Evidence, Finding, Gap, LogScan, ProbeRun, Role, Severity, Snapshot, Source, Text, Time,
    Topology, Why, aws, iam,
};

/// What is known of a check without running it.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// `family/slug`, names the condition.
    pub id: &'static str,
    /// One line: the condition as a sentence without full stop.
    pub title: &'static str,
    /// The worst severity that its findings have.
    pub severity: Severity,
    /// Cause, mechanism or risk.
    pub role: Role,
    /// Sources without which the check cannot pass.
    pub needs: &'static [Source],
    /// Sources that sharpen its findings, or stand in for one another.
    pub helps: &'static [Source],
    /// Signals that its findings may carry.
    pub signals: &'static [&'static str],
    /// Log signatures that speak for it, TOML; empty where there are none.
    pub signatures: &'static str,
    /// The runbook, Markdown.
    pub doc: &'static str,
}

impl Meta {
    /// The part of the id before the slash.
    #[must_use]
    pub fn family(&self) -> &'static str {
        self.id
            .split_once('/')
            .map_or(self.id, |(family, _)| family)
    }

    /// A finding of this check with its role and the given severity.
    pub fn finding(&self, severity: Severity, title: impl Into<Text>) -> Finding {
        Finding::new(self.id, self.role, severity, title)
    }
}

/// A check: what is known of it, and the pure function that judges.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What is known without running it.
    pub meta: &'static Meta,
    /// Judges. An empty list claims that nothing is wrong; the runner turns that into
    /// [`crate::Outcome::Unknown`] unless the evidence that was read is complete.
    pub run: fn(&Cx<'_>) -> Result<Vec<Finding>, Stop>,
}

/// An observer of a symptom: like a check, but outside the registry. Its id starts with `sym/`.
#[derive(Clone, Copy, Debug)]
pub struct Symptom {
    /// `sym/slug`.
    pub id: &'static str,
    /// Observes; gaps are of no interest, as a symptom never passes.
    pub observe: fn(&Cx<'_>) -> Result<Vec<Finding>, Stop>,
}

/// Why a check ends without a verdict of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// Its subject does not exist here; the text says why.
    NotApplicable(Text),
    /// It cannot be told for lack of this evidence.
    Unknown(Vec<Gap>),
}

impl Stop {
    /// The check's subject does not exist here.
    pub fn not_applicable(why: impl Into<Text>) -> Self {
        Self::NotApplicable(why.into())
    }

    /// It cannot be told, because of this.
    #[must_use]
    pub fn unknown(gap: Gap) -> Self {
        Self::Unknown(vec![gap])
    }
}

/// How far a check relied on a source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Touch {
    /// Read whole.
    Complete,
    /// Read in part: a pass is out of reach.
    Incomplete(Gap),
    /// Missing, but not decisive.
    Without(Gap),
}

/// What a check sees: the snapshot, through views that record what was read.
pub struct Cx<'a> {
    snapshot: &'a Snapshot,
    topology: &'a Topology<'a>,
    touched: RefCell<BTreeMap<(Source, Text), Touch>>,
}

macro_rules! views {
    ($($(#[$doc:meta])* $name:ident -> $type:ty = $source:ident, $($path:ident).+;)*) => {
        $($(#[$doc])*
        pub fn $name(&self) -> View<'_, $type> {
            View { evidence: &self.snapshot.$($path).+, source: Source::$source, cx: self }
        })*
    };
}

impl<'a> Cx<'a> {
    /// A context over a snapshot and the topology that was made of it.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, topology: &'a Topology<'a>) -> Self {
        Self {
            snapshot,
            topology,
            touched: RefCell::default(),
        }
    }

    /// The snapshot's time: what windows such as "in the last ten minutes" end at. `None` when the
    /// evidence carries no time; windows do not apply then.
    #[must_use]
    pub fn now(&self) -> Option<Time> {
        self.snapshot.taken_at
    }

    pub(crate) fn snapshot(&self) -> &'a Snapshot {
        self.snapshot
    }

    /// Whether `at` lies within the last `seconds` of the snapshot. True when either time is unknown:
    /// windows do not apply without timestamps.
    #[must_use]
    pub fn within(&self, at: Option<Time>, seconds: i64) -> bool {
        match (self.now(), at) {
            (Some(now), Some(at)) => now.seconds_since(at) <= seconds,
            _ => true,
        }
    }

    /// What is known of the cluster as a whole: name, region, version.
    #[must_use]
    pub fn cluster(&self) -> &'a crate::ClusterFacts {
        &self.snapshot.cluster
    }

    /// Which pod stands on which node, instance, interface and subnet. It is built from the sources
    /// that are there: a lookup that fails there proves nothing. Read the source itself before
    /// claiming that something is absent.
    #[must_use]
    pub fn topology(&self) -> &'a Topology<'a> {
        self.topology
    }

    /// The name to print in commands: the cluster's own, or a placeholder.
    #[must_use]
    pub fn cluster_name(&self) -> &'a str {
        self.snapshot.cluster.name.as_deref().unwrap_or("CLUSTER")
    }

    views! {
        /// Nodes.
        nodes -> Vec<k8s::Node> = Nodes, kubernetes.nodes;
        /// Pods of the cluster.
        pods -> Vec<k8s::Pod> = Pods, kubernetes.pods;
        /// Deployments.
        deployments -> Vec<k8s::Deployment> = Deployments, kubernetes.deployments;
        /// DaemonSets.
        daemonsets -> Vec<k8s::DaemonSet> = DaemonSets, kubernetes.daemonsets;
        /// Services.
        services -> Vec<k8s::Service> = Services, kubernetes.services;
        /// Ingresses.
        ingresses -> Vec<k8s::Ingress> = Ingresses, kubernetes.ingresses;
        /// EndpointSlices.
        endpoint_slices -> Vec<k8s::EndpointSlice> = EndpointSlices, kubernetes.endpointslices;
        /// Events.
        events -> Vec<k8s::Event> = Events, kubernetes.events;
        /// Config maps that checks name.
        config_maps -> Vec<k8s::ConfigMap> = ConfigMaps, kubernetes.configmaps;
        /// Leases.
        leases -> Vec<k8s::Lease> = Leases, kubernetes.leases;
        /// PodDisruptionBudgets.
        pod_disruption_budgets -> Vec<k8s::PodDisruptionBudget> = PodDisruptionBudgets, kubernetes.poddisruptionbudgets;
        /// NetworkPolicies.
        network_policies -> Vec<k8s::NetworkPolicy> = NetworkPolicies, kubernetes.networkpolicies;
        /// ServiceAccounts.
        service_accounts -> Vec<k8s::ServiceAccount> = ServiceAccounts, kubernetes.serviceaccounts;
        /// ENIConfigs.
        eni_configs -> Vec<k8s::EniConfig> = EniConfigs, kubernetes.eniconfigs;
        /// aws-node's metrics, per node.
        cni_metrics -> Vec<k8s::CniMetrics> = CniMetrics, kubernetes.cni_metrics;
        /// ValidatingWebhookConfigurations.
        validating_webhooks -> Vec<k8s::WebhookConfiguration> = ValidatingWebhooks, kubernetes.validatingwebhookconfigurations;
        /// MutatingWebhookConfigurations.
        mutating_webhooks -> Vec<k8s::WebhookConfiguration> = MutatingWebhooks, kubernetes.mutatingwebhookconfigurations;
        /// APIServices.
        api_services -> Vec<k8s::ApiService> = ApiServices, kubernetes.apiservices;
        /// SecurityGroupPolicies.
        security_group_policies -> Vec<k8s::SecurityGroupPolicy> = SecurityGroupPolicies, kubernetes.securitygrouppolicies;
        /// Karpenter's NodePools.
        node_pools -> Vec<k8s::NodePool> = NodePools, kubernetes.nodepools;
        /// Karpenter's templates of instances.
        node_classes -> Vec<k8s::NodeClass> = NodeClasses, kubernetes.nodeclasses;
        /// Nodes that Karpenter makes.
        node_claims -> Vec<k8s::NodeClaim> = NodeClaims, kubernetes.nodeclaims;
        /// PersistentVolumes.
        persistent_volumes -> Vec<k8s::PersistentVolume> = PersistentVolumes, kubernetes.persistentvolumes;
        /// StorageClasses.
        storage_classes -> Vec<k8s::StorageClass> = StorageClasses, kubernetes.storageclasses;
        /// Signature scans of logs.
        logs -> Vec<LogScan> = Logs, kubernetes.logs;
        /// The EKS cluster.
        eks_cluster -> aws::Cluster = Cluster, aws.cluster;
        /// Managed node groups.
        nodegroups -> Vec<aws::Nodegroup> = Nodegroups, aws.nodegroups;
        /// Pod Identity associations.
        pod_identity_associations -> Vec<aws::PodIdentityAssociation> = PodIdentityAssociations, aws.pod_identity_associations;
        /// Instances.
        instances -> Vec<aws::Instance> = Instances, aws.instances;
        /// Instance types in use.
        instance_types -> Vec<aws::InstanceType> = InstanceTypes, aws.instance_types;
        /// Subnets.
        subnets -> Vec<aws::Subnet> = Subnets, aws.subnets;
        /// Network interfaces.
        network_interfaces -> Vec<aws::NetworkInterface> = NetworkInterfaces, aws.network_interfaces;
        /// Security groups.
        security_groups -> Vec<aws::SecurityGroup> = SecurityGroups, aws.security_groups;
        /// Network ACLs.
        network_acls -> Vec<aws::NetworkAcl> = NetworkAcls, aws.network_acls;
        /// Route tables.
        route_tables -> Vec<aws::RouteTable> = RouteTables, aws.route_tables;
        /// NAT gateways.
        nat_gateways -> Vec<aws::NatGateway> = NatGateways, aws.nat_gateways;
        /// VPCs.
        vpcs -> Vec<aws::Vpc> = Vpcs, aws.vpcs;
        /// VPC endpoints.
        vpc_endpoints -> Vec<aws::VpcEndpoint> = VpcEndpoints, aws.vpc_endpoints;
        /// CIDR reservations of subnets.
        subnet_cidr_reservations -> Vec<aws::SubnetCidrReservation> = SubnetCidrReservations, aws.subnet_cidr_reservations;
        /// DHCP options.
        dhcp_options -> Vec<aws::DhcpOptions> = DhcpOptions, aws.dhcp_options;
        /// Prefix lists.
        prefix_lists -> Vec<aws::PrefixList> = PrefixLists, aws.prefix_lists;
        /// Auto Scaling groups.
        auto_scaling_groups -> Vec<aws::AutoScalingGroup> = AutoScalingGroups, aws.auto_scaling_groups;
        /// Add-ons that EKS manages.
        addons -> Vec<aws::Addon> = Addons, aws.addons;
        /// Access entries.
        access_entries -> Vec<aws::AccessEntry> = AccessEntries, aws.access_entries;
        /// Roles.
        roles -> Vec<iam::Role> = Roles, aws.roles;
        /// Policy documents.
        policies -> Vec<iam::Policy> = Policies, aws.policies;
        /// OIDC identity providers.
        oidc_providers -> Vec<iam::OidcProvider> = OidcProviders, aws.oidc_providers;
        /// Instance profiles.
        instance_profiles -> Vec<iam::InstanceProfile> = InstanceProfiles, aws.instance_profiles;
        /// Payloads of tokens.
        token_claims -> Vec<iam::TokenClaims> = TokenClaims, aws.token_claims;
        /// Scaling activities of the Auto Scaling groups.
        scaling_activities -> Vec<aws::ScalingActivity> = ScalingActivities, aws.scaling_activities;
        /// Health of the targets of load balancers.
        target_health -> Vec<aws::TargetHealthDescription> = TargetHealth, aws.target_health;
        /// Simulated permissions.
        simulated_policies -> Vec<iam::SimulatedRole> = SimulatedPolicies, aws.simulated_policies;
        /// Network probes.
        probes -> ProbeRun = Probes, probes;
        /// Probes run as a workload.
        identity_probes -> ProbeRun = IdentityProbes, identity_probes;
        /// What people tried by hand and pasted.
        observations -> crate::Observations = Observations, observations;
    }

    pub(crate) fn touched(self) -> BTreeMap<(Source, Text), Touch> {
        self.touched.into_inner()
    }

    /// The sources that were read so far.
    #[must_use]
    pub fn sources_read(&self) -> Vec<Source> {
        let mut sources: Vec<Source> = self
            .touched
            .borrow()
            .keys()
            .map(|(source, _)| *source)
            .collect();
        sources.dedup();
        sources
    }

    /// Keeps the strictest record: incomplete beats complete beats without.
    fn record(&self, source: Source, scope: Text, touch: Touch) {
        let mut touched = self.touched.borrow_mut();
        let entry = touched
            .entry((source, scope))
            .or_insert_with(|| touch.clone());
        let strictness = |touch: &Touch| match touch {
            Touch::Incomplete(_) => 2,
            Touch::Complete => 1,
            Touch::Without(_) => 0,
        };
        if strictness(&touch) > strictness(entry) {
            *entry = touch;
        }
    }
}

/// One source of the snapshot, as a check sees it.
#[derive(Clone, Copy)]
pub struct View<'a, T> {
    evidence: &'a Evidence<T>,
    source: Source,
    cx: &'a Cx<'a>,
}

impl<'a, T> View<'a, T> {
    /// The value even where it is partial: enough to report something that is there and wrong. A
    /// check that finds nothing in partial evidence ends as unknown.
    ///
    /// # Errors
    /// [`Stop::Unknown`] when there is nothing at all.
    pub fn some(self) -> Result<&'a T, Stop> {
        match self.evidence {
            Evidence::Present(value) => {
                self.cx
                    .record(self.source, Text::default(), Touch::Complete);
                Ok(value)
            }
            Evidence::Partial { value, gap } => {
                self.cx
                    .record(self.source, Text::default(), Touch::Incomplete(gap.clone()));
                Ok(value)
            }
            Evidence::Absent(gap) => self.missing(gap),
        }
    }

    /// The value, complete: required before claiming that something is absent.
    ///
    /// # Errors
    /// [`Stop::Unknown`] when anything is missing.
    pub fn all(self) -> Result<&'a T, Stop> {
        match self.evidence {
            Evidence::Present(value) => {
                self.cx
                    .record(self.source, Text::default(), Touch::Complete);
                Ok(value)
            }
            Evidence::Partial { gap, .. } | Evidence::Absent(gap) => self.missing(gap),
        }
    }

    /// The value, complete for one namespace: what RBAC that allows only some namespaces, or a list
    /// of one namespace in a folder, can give.
    ///
    /// # Errors
    /// [`Stop::Unknown`] when anything of that namespace is missing.
    pub fn all_in(self, namespace: &str) -> Result<&'a T, Stop> {
        match self.evidence {
            Evidence::Partial {
                value,
                gap:
                    Gap {
                        why: Why::OnlyNamespaces(names),
                        ..
                    },
            } if names.iter().any(|name| *name == namespace) => {
                self.cx
                    .record(self.source, namespace.into(), Touch::Complete);
                Ok(value)
            }
            _ => self.all(),
        }
    }

    /// The value where there is one; its absence is noted beside the outcome, but does not decide.
    pub fn optional(self) -> Option<&'a T> {
        match self.evidence {
            Evidence::Present(value) => {
                self.cx
                    .record(self.source, Text::default(), Touch::Complete);
                Some(value)
            }
            Evidence::Partial { value, gap } => {
                self.cx
                    .record(self.source, Text::default(), Touch::Without(gap.clone()));
                Some(value)
            }
            Evidence::Absent(gap) => {
                self.cx
                    .record(self.source, Text::default(), Touch::Without(gap.clone()));
                None
            }
        }
    }

    /// Whether nothing is missing; records nothing.
    #[must_use]
    pub fn is_complete(self) -> bool {
        self.evidence.is_complete()
    }

    /// What is missing; records nothing.
    #[must_use]
    pub fn gap(self) -> Option<&'a Gap> {
        self.evidence.gap()
    }

    fn missing(self, gap: &Gap) -> Result<&'a T, Stop> {
        self.cx
            .record(self.source, Text::default(), Touch::Incomplete(gap.clone()));
        Err(Stop::unknown(gap.clone()))
    }
}
