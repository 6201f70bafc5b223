//! Auto Scaling groups of the cluster.

use std::collections::HashSet;

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types as sdk;
use tokio::time::Instant;

use eksnet_model::aws;

use super::failure::Failure;
use super::paging::{Gathered, Page, gather};

/// Largest page of the API.
const PAGE: i32 = 100;

const DESCRIBE: &str = "autoscaling:DescribeAutoScalingGroups";

/// Every group of the region: the API filters by tags alone, and groups that lack their tags are
/// just what must be seen.
pub(crate) async fn fetch_groups(
    client: &Client,
    deadline: Instant,
) -> Gathered<aws::AutoScalingGroup> {
    gather(DESCRIBE, deadline, |token| async {
        let answer = client
            .describe_auto_scaling_groups()
            .max_records(PAGE)
            .set_next_token(token)
            .send()
            .await;
        let output = answer.map_err(|error| Failure::of_sdk(DESCRIBE, &error))?;
        Ok(Page {
            items: output
                .auto_scaling_groups
                .unwrap_or_default()
                .into_iter()
                .map(group)
                .collect(),
            next: output.next_token,
        })
    })
    .await
}

/// What tells the groups of a cluster from others.
#[derive(Debug, Default)]
pub(crate) struct Belonging<'a> {
    /// Name of the cluster.
    pub(crate) cluster: Option<&'a str>,
    /// Subnets of its VPC.
    pub(crate) subnets: HashSet<&'a str>,
    /// Instances behind its nodes.
    pub(crate) nodes: HashSet<&'a str>,
    /// Groups of its managed node groups.
    pub(crate) groups: HashSet<&'a str>,
}

impl Belonging<'_> {
    /// Whether a group is the cluster's, or could be: one without tags counts when it launches into
    /// the VPC, one that is tagged for another cluster does not.
    pub(crate) fn has(&self, group: &aws::AutoScalingGroup) -> bool {
        let named = clusters_of(group);
        if self.cluster.is_some_and(|cluster| named.contains(cluster))
            || self.groups.contains(group.auto_scaling_group_name.as_str())
            || group
                .instances
                .iter()
                .any(|instance| self.nodes.contains(instance.instance_id.as_str()))
        {
            return true;
        }
        let of_another = self.cluster.is_some() && !named.is_empty();
        !of_another && group.subnets().any(|subnet| self.subnets.contains(subnet))
    }
}

/// Clusters that the tags of a group name.
fn clusters_of(group: &aws::AutoScalingGroup) -> HashSet<&str> {
    group
        .tags
        .iter()
        .filter_map(|tag| match tag.key.as_str() {
            "eks:cluster-name" | "aws:eks:cluster-name" => Some(tag.value.as_str()),
            "k8s.io/cluster-autoscaler/enabled" => None,
            key => key.strip_prefix("kubernetes.io/cluster/").or_else(|| {
                // `k8s.io/cluster-autoscaler/node-template/..` describes nodes.
                key.strip_prefix("k8s.io/cluster-autoscaler/")
                    .filter(|rest| !rest.contains('/'))
            }),
        })
        .collect()
}

fn group(from: sdk::AutoScalingGroup) -> aws::AutoScalingGroup {
    let size = |size: Option<i32>| size.and_then(|size| u32::try_from(size).ok());
    aws::AutoScalingGroup {
        auto_scaling_group_name: from.auto_scaling_group_name.unwrap_or_default(),
        auto_scaling_group_arn: from.auto_scaling_group_arn.unwrap_or_default(),
        min_size: size(from.min_size).unwrap_or_default(),
        max_size: size(from.max_size).unwrap_or_default(),
        desired_capacity: size(from.desired_capacity).unwrap_or_default(),
        instances: from
            .instances
            .unwrap_or_default()
            .into_iter()
            .map(instance)
            .collect(),
        tags: from
            .tags
            .unwrap_or_default()
            .into_iter()
            .map(|tag| aws::Tag {
                key: tag.key.unwrap_or_default(),
                value: tag.value.unwrap_or_default(),
                propagate_at_launch: tag.propagate_at_launch,
            })
            .collect(),
        suspended_processes: from
            .suspended_processes
            .unwrap_or_default()
            .into_iter()
            .map(|process| aws::SuspendedProcess {
                process_name: process.process_name.unwrap_or_default(),
                suspension_reason: process.suspension_reason.unwrap_or_default(),
            })
            .collect(),
        vpc_zone_identifier: from.vpc_zone_identifier.unwrap_or_default(),
        availability_zones: from.availability_zones.unwrap_or_default(),
        status: from.status,
    }
}

fn instance(from: sdk::Instance) -> aws::GroupInstance {
    aws::GroupInstance {
        instance_id: from.instance_id.unwrap_or_default(),
        lifecycle_state: from
            .lifecycle_state
            .map(|state| state.as_str().to_owned())
            .unwrap_or_default(),
        health_status: from.health_status.unwrap_or_default(),
        availability_zone: from.availability_zone.unwrap_or_default(),
        instance_type: from.instance_type.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(keys: &[(&str, &str)], subnets: &str) -> aws::AutoScalingGroup {
        aws::AutoScalingGroup {
            auto_scaling_group_name: "g".to_owned(),
            vpc_zone_identifier: subnets.to_owned(),
            tags: keys
                .iter()
                .map(|(key, value)| aws::Tag {
                    key: (*key).to_owned(),
                    value: (*value).to_owned(),
                    propagate_at_launch: None,
                })
                .collect(),
            ..aws::AutoScalingGroup::default()
        }
    }

    fn prod() -> Belonging<'static> {
        Belonging {
            cluster: Some("prod"),
            subnets: HashSet::from(["subnet-a"]),
            nodes: HashSet::from(["i-1"]),
            groups: HashSet::from(["eks-managed"]),
        }
    }

    #[test]
    fn a_group_without_tags_that_launches_into_the_vpc_is_kept() {
        assert!(prod().has(&tagged(&[], "subnet-z, subnet-a")));
        assert!(!prod().has(&tagged(&[], "subnet-z")));
    }

    #[test]
    fn a_group_of_another_cluster_in_the_same_vpc_is_not() {
        let other = [("kubernetes.io/cluster/test", "owned")];
        assert!(!prod().has(&tagged(&other, "subnet-a")));
        let both = [
            ("kubernetes.io/cluster/test", "shared"),
            ("kubernetes.io/cluster/prod", "shared"),
        ];
        assert!(prod().has(&tagged(&both, "subnet-a")));
    }

    #[test]
    fn tags_of_the_autoscaler_that_name_no_cluster_decide_nothing() {
        let tags = [
            ("k8s.io/cluster-autoscaler/enabled", "true"),
            ("k8s.io/cluster-autoscaler/node-template/label/x", "y"),
        ];
        assert!(prod().has(&tagged(&tags, "subnet-a")));
        let named = [("k8s.io/cluster-autoscaler/prod", "owned")];
        assert!(prod().has(&tagged(&named, "subnet-z")));
    }

    #[test]
    fn nodes_and_managed_node_groups_make_a_group_the_clusters_own() {
        let mut with_node = tagged(&[("eks:cluster-name", "test")], "subnet-z");
        with_node.instances.push(aws::GroupInstance {
            instance_id: "i-1".to_owned(),
            ..aws::GroupInstance::default()
        });
        assert!(prod().has(&with_node));
        let mut managed = tagged(&[], "subnet-z");
        managed.auto_scaling_group_name = "eks-managed".to_owned();
        assert!(prod().has(&managed));
    }
}
