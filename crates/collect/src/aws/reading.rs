//! The sources of one cluster, side by side.

use std::collections::BTreeSet;
use std::future::Future;

use tokio::time::Instant;

use eksnet_model::{Aws, Evidence, Gap, Source, Why, aws};

use super::activities::fetch_activities;
use super::ec2::Ec2;
use super::failure::Failure;
use super::groups::{Belonging, fetch_groups};
use super::paging::Gathered;
use super::{AwsSession, eks};

/// One reading of the sources of a cluster.
pub(crate) struct Reading<'a> {
    pub(crate) session: &'a AwsSession,
    pub(crate) wanted: &'a BTreeSet<Source>,
    /// Name of the cluster, where it is known.
    pub(crate) name: Option<&'a str>,
    /// Its VPC, or why it is not known.
    pub(crate) vpc: &'a Result<String, Failure>,
    pub(crate) deadline: Instant,
}

impl<'a> Reading<'a> {
    /// Reads the wanted sources into `aws`, side by side where none waits for another.
    pub(crate) async fn fetch_all(&self, aws: &mut Aws) {
        let at = self.deadline;
        let members = Box::pin(async {
            let (nodegroups, instances, subnets, groups) = tokio::join!(
                self.of_cluster(Source::Nodegroups, |client, name| {
                    eks::fetch_nodegroups(client, name, at)
                }),
                self.of_vpc(Source::Instances, |ec2, vpc| ec2.fetch_instances(vpc, at)),
                self.of_vpc(Source::Subnets, |ec2, vpc| ec2.fetch_subnets(vpc, at)),
                self.groups_of_region(),
            );
            let groups = self.groups_of_cluster(groups, &nodegroups, &subnets);
            let (types, reservations, activities) = tokio::join!(
                self.instance_types(&instances, &nodegroups, &groups),
                self.cidr_reservations(&subnets),
                self.scaling_activities(&groups),
            );
            (
                nodegroups,
                instances,
                subnets,
                groups,
                types,
                reservations,
                activities,
            )
        });
        let rules = Box::pin(async {
            let (groups, tables) = tokio::join!(
                self.of_vpc(Source::SecurityGroups, |ec2, vpc| {
                    ec2.fetch_security_groups(vpc, at)
                }),
                self.of_vpc(Source::RouteTables, |ec2, vpc| {
                    ec2.fetch_route_tables(vpc, at)
                }),
            );
            let lists = self.prefix_lists(&groups, &tables).await;
            (groups, tables, lists)
        });
        let dns = Box::pin(async {
            let vpcs = self
                .of_vpc(Source::Vpcs, |ec2, vpc| ec2.fetch_vpcs(vpc, at))
                .await;
            let options = self.dhcp_options(&vpcs).await;
            (vpcs, options)
        });
        let interfaces = self.of_vpc(Source::NetworkInterfaces, |ec2, vpc| {
            ec2.fetch_network_interfaces(vpc, at)
        });
        let acls = self.of_vpc(Source::NetworkAcls, |ec2, vpc| {
            ec2.fetch_network_acls(vpc, at)
        });
        let endpoints = self.of_vpc(Source::VpcEndpoints, |ec2, vpc| {
            ec2.fetch_vpc_endpoints(vpc, at)
        });
        let gateways = self.of_vpc(Source::NatGateways, |ec2, vpc| {
            ec2.fetch_nat_gateways(vpc, at)
        });
        let entries = self.of_cluster(Source::AccessEntries, |client, name| {
            eks::fetch_access_entries(client, name, at)
        });
        let addons = self.of_cluster(Source::Addons, |client, name| {
            eks::fetch_addons(client, name, at)
        });
        let associations = self.of_cluster(Source::PodIdentityAssociations, |client, name| {
            eks::fetch_pod_identity_associations(client, name, at)
        });
        let (
            members,
            rules,
            dns,
            interfaces,
            acls,
            endpoints,
            gateways,
            entries,
            addons,
            associations,
        ) = tokio::join!(
            members,
            rules,
            dns,
            interfaces,
            acls,
            endpoints,
            gateways,
            entries,
            addons,
            associations
        );
        (
            aws.nodegroups,
            aws.instances,
            aws.subnets,
            aws.auto_scaling_groups,
            aws.instance_types,
            aws.subnet_cidr_reservations,
            aws.scaling_activities,
        ) = members;
        (aws.security_groups, aws.route_tables, aws.prefix_lists) = rules;
        (aws.vpcs, aws.dhcp_options) = dns;
        aws.network_interfaces = interfaces;
        aws.network_acls = acls;
        aws.vpc_endpoints = endpoints;
        aws.nat_gateways = gateways;
        aws.access_entries = entries;
        aws.addons = addons;
        aws.pod_identity_associations = associations;
    }

    fn wants(&self, source: Source) -> bool {
        self.wanted.contains(&source)
    }

    /// What `read` gathers of EC2, which needs no VPC.
    async fn of_ec2<T, Fut>(
        &self,
        source: Source,
        read: impl FnOnce(&'a Ec2) -> Fut,
    ) -> Evidence<Vec<T>>
    where
        Fut: Future<Output = Gathered<T>>,
    {
        if !self.wants(source) {
            return Evidence::not_requested(source);
        }
        match &self.session.ec2 {
            Ok(ec2) => self.evidence(source, read(ec2).await),
            Err(failure) => Evidence::Absent(self.session.gap(source, failure)),
        }
    }

    /// What `read` gathers of the VPC.
    async fn of_vpc<T, Fut>(
        &self,
        source: Source,
        read: impl FnOnce(&'a Ec2, &'a str) -> Fut,
    ) -> Evidence<Vec<T>>
    where
        Fut: Future<Output = Gathered<T>>,
    {
        match self.vpc {
            Ok(vpc) => self.of_ec2(source, |ec2| read(ec2, vpc)).await,
            Err(failure) if self.wants(source) => {
                Evidence::Absent(self.session.gap(source, failure))
            }
            Err(_) => Evidence::not_requested(source),
        }
    }

    /// What `read` gathers of the cluster in EKS.
    async fn of_cluster<T, Fut>(
        &self,
        source: Source,
        read: impl FnOnce(&'a aws_sdk_eks::Client, &'a str) -> Fut,
    ) -> Evidence<Vec<T>>
    where
        Fut: Future<Output = Gathered<T>>,
    {
        if !self.wants(source) {
            return Evidence::not_requested(source);
        }
        match self.name {
            Some(name) => self.evidence(source, read(&self.session.eks, name).await),
            None => Evidence::Absent(
                Gap::new(
                    source,
                    Why::Failed,
                    "the name of the EKS cluster is not known",
                )
                .closed_by("--cluster-name"),
            ),
        }
    }

    fn evidence<T>(&self, source: Source, gathered: Gathered<T>) -> Evidence<Vec<T>> {
        gathered.into_evidence(|failure| self.session.gap(source, failure))
    }

    async fn groups_of_region(&self) -> Option<Gathered<aws::AutoScalingGroup>> {
        if !self.wants(Source::AutoScalingGroups) {
            return None;
        }
        Some(fetch_groups(&self.session.autoscaling, self.deadline).await)
    }

    /// The groups that are the cluster's or could be. Without all subnets of the VPC, groups that
    /// lack their tags go unseen, and that is said.
    fn groups_of_cluster(
        &self,
        groups: Option<Gathered<aws::AutoScalingGroup>>,
        nodegroups: &Evidence<Vec<aws::Nodegroup>>,
        subnets: &Evidence<Vec<aws::Subnet>>,
    ) -> Evidence<Vec<aws::AutoScalingGroup>> {
        let source = Source::AutoScalingGroups;
        let Some(mut groups) = groups else {
            return Evidence::not_requested(source);
        };
        let belonging = Belonging {
            cluster: self.name,
            subnets: each(subnets)
                .map(|subnet| subnet.subnet_id.as_str())
                .collect(),
            nodes: self
                .session
                .hints
                .instance_ids
                .iter()
                .map(String::as_str)
                .collect(),
            groups: each(nodegroups)
                .flat_map(|nodegroup| &nodegroup.resources.auto_scaling_groups)
                .map(|group| group.name.as_str())
                .collect(),
        };
        groups.items.retain(|group| belonging.has(group));
        if let Some(gap) = subnets.gap() {
            groups.fail(Failure::new(
                "telling the groups of the VPC from others",
                gap.why.clone(),
                gap.detail.to_string(),
            ));
        }
        self.evidence(source, groups)
    }

    async fn instance_types(
        &self,
        instances: &Evidence<Vec<aws::Instance>>,
        nodegroups: &Evidence<Vec<aws::Nodegroup>>,
        groups: &Evidence<Vec<aws::AutoScalingGroup>>,
    ) -> Evidence<Vec<aws::InstanceType>> {
        let of_groups = each(groups).flat_map(|group| &group.instances);
        let types: BTreeSet<String> = each(instances)
            .map(|instance| &instance.instance_type)
            .chain(each(nodegroups).flat_map(|nodegroup| &nodegroup.instance_types))
            .chain(of_groups.map(|instance| &instance.instance_type))
            .chain(&self.session.hints.instance_types)
            .filter(|name| !name.is_empty())
            .cloned()
            .collect();
        let types: Vec<String> = types.into_iter().collect();
        let at = self.deadline;
        let found = self
            .of_ec2(Source::InstanceTypes, |ec2| async {
                ec2.fetch_instance_types(&types, at).await
            })
            .await;
        self.hanging_on(Source::InstanceTypes, found, &[instances.gap()])
    }

    async fn prefix_lists(
        &self,
        groups: &Evidence<Vec<aws::SecurityGroup>>,
        tables: &Evidence<Vec<aws::RouteTable>>,
    ) -> Evidence<Vec<aws::PrefixList>> {
        let of_rules = each(groups)
            .flat_map(|group| {
                group
                    .ip_permissions
                    .iter()
                    .chain(&group.ip_permissions_egress)
            })
            .flat_map(|rule| &rule.prefix_list_ids)
            .map(|list| &list.prefix_list_id);
        let of_routes = each(tables)
            .flat_map(|table| &table.routes)
            .filter_map(|route| route.destination_prefix_list_id.as_ref());
        let ids: BTreeSet<String> = of_rules.chain(of_routes).cloned().collect();
        let ids: Vec<String> = ids.into_iter().collect();
        let at = self.deadline;
        let found = self
            .of_ec2(Source::PrefixLists, |ec2| async {
                ec2.fetch_prefix_lists(&ids, at).await
            })
            .await;
        self.hanging_on(Source::PrefixLists, found, &[groups.gap(), tables.gap()])
    }

    async fn cidr_reservations(
        &self,
        subnets: &Evidence<Vec<aws::Subnet>>,
    ) -> Evidence<Vec<aws::SubnetCidrReservation>> {
        let ids: Vec<String> = each(subnets).map(|one| one.subnet_id.clone()).collect();
        let at = self.deadline;
        let found = self
            .of_ec2(Source::SubnetCidrReservations, |ec2| async {
                ec2.fetch_cidr_reservations(&ids, at).await
            })
            .await;
        self.hanging_on(Source::SubnetCidrReservations, found, &[subnets.gap()])
    }

    async fn scaling_activities(
        &self,
        groups: &Evidence<Vec<aws::AutoScalingGroup>>,
    ) -> Evidence<Vec<aws::ScalingActivity>> {
        let source = Source::ScalingActivities;
        if !self.wants(source) {
            return Evidence::not_requested(source);
        }
        let names: Vec<&str> = each(groups)
            .map(|group| group.auto_scaling_group_name.as_str())
            .collect();
        let found = fetch_activities(&self.session.autoscaling, &names, self.deadline).await;
        self.hanging_on(source, self.evidence(source, found), &[groups.gap()])
    }

    async fn dhcp_options(
        &self,
        vpcs: &Evidence<Vec<aws::Vpc>>,
    ) -> Evidence<Vec<aws::DhcpOptions>> {
        // `default` stands for a VPC without options of its own.
        let ids: Vec<String> = each(vpcs)
            .map(|vpc| vpc.dhcp_options_id.clone())
            .filter(|id| id.starts_with("dopt-"))
            .collect();
        let at = self.deadline;
        let found = self
            .of_ec2(Source::DhcpOptions, |ec2| async {
                ec2.fetch_dhcp_options(&ids, at).await
            })
            .await;
        // A VPC of which the attributes alone are missing still names its options.
        let gap = vpcs.gap().filter(|_| vpcs.value().is_none());
        self.hanging_on(Source::DhcpOptions, found, &[gap])
    }

    /// `found`, which was asked for what other sources named: where these have gaps, it cannot be
    /// complete.
    fn hanging_on<T>(
        &self,
        source: Source,
        found: Evidence<Vec<T>>,
        gaps: &[Option<&Gap>],
    ) -> Evidence<Vec<T>> {
        let Some(gap) = gaps.iter().copied().flatten().next() else {
            return found;
        };
        let gap = Gap {
            source,
            ..gap.clone()
        };
        match found {
            Evidence::Present(value) if value.is_empty() => Evidence::Absent(gap),
            Evidence::Present(value) => Evidence::Partial { value, gap },
            other => other,
        }
    }
}

fn each<T>(evidence: &Evidence<Vec<T>>) -> impl Iterator<Item = &T> {
    evidence.value().into_iter().flatten()
}
