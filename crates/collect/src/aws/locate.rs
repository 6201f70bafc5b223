//! Which EKS cluster it is, and in which VPC: by flag, context, instances behind the nodes, or
//! endpoint.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use eksnet_model::{Why, aws};

use super::AwsSession;
use super::eks::{self, DESCRIBE_CLUSTER};
use super::failure::Failure;
use super::identity::host_of;
use super::paging::{Gathered, within};

/// Most clusters that are described to find the one with the context's endpoint.
const MOST_CLUSTERS: usize = 100;

/// Most nodes that are asked for tags and VPC: the first ones tell what all of them would.
const MOST_NODES: usize = 200;

/// What is known of the cluster's place in AWS.
#[derive(Debug)]
pub(crate) struct Located {
    /// Name, even when the cluster could not be described.
    pub(crate) name: Option<String>,
    /// The cluster, or why it is not known.
    pub(crate) cluster: Result<aws::Cluster, Failure>,
    /// Instances behind the nodes, where they were asked for.
    nodes: Option<Gathered<aws::Instance>>,
}

impl AwsSession {
    /// Finds the cluster and describes it.
    pub(crate) async fn locate(&self, deadline: Instant) -> Located {
        let flag = self.options.cluster_name.as_deref();
        if let Some(name) = flag.or(self.hints.cluster_name.as_deref()) {
            return Box::pin(self.described(name.to_owned(), deadline, None)).await;
        }
        let nodes = Box::pin(self.fetch_nodes(None, deadline)).await;
        match name_by_tags(&nodes.items) {
            Some(name) => Box::pin(self.described(name, deadline, Some(nodes))).await,
            None => {
                let (name, cluster) = match Box::pin(self.by_endpoint(deadline)).await {
                    Ok(cluster) => (Some(cluster.name.clone()), Ok(cluster)),
                    Err(failure) => (None, Err(failure)),
                };
                Located {
                    name,
                    cluster,
                    nodes: Some(nodes),
                }
            }
        }
    }

    /// The VPC: as the cluster says, else where most of the nodes are.
    pub(crate) async fn vpc(
        &self,
        located: &Located,
        deadline: Instant,
    ) -> Result<String, Failure> {
        let cluster = located.cluster.as_ref();
        let said = cluster.map_or("", |cluster| cluster.resources_vpc_config.vpc_id.as_str());
        if !said.is_empty() {
            return Ok(said.to_owned());
        }
        let asked;
        let nodes = match &located.nodes {
            Some(nodes) => nodes,
            None => {
                asked = self.fetch_nodes(located.name.as_deref(), deadline).await;
                &asked
            }
        };
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for node in &nodes.items {
            *votes.entry(node.vpc_id.as_str()).or_default() += 1;
        }
        votes.remove("");
        if let Some((vpc, _)) = votes.into_iter().max_by_key(|(_, count)| *count) {
            return Ok(vpc.to_owned());
        }
        let first = cluster.err().or(nodes.failure.as_ref());
        Err(Failure::new(
            "finding the VPC of the cluster",
            first.map_or(Why::Failed, |failure| failure.why.clone()),
            match first {
                Some(failure) => format!("{}: {}", failure.action, failure.detail),
                None => "neither the cluster nor an instance behind a node names it".to_owned(),
            },
        ))
    }

    async fn described(
        &self,
        name: String,
        deadline: Instant,
        nodes: Option<Gathered<aws::Instance>>,
    ) -> Located {
        let call = eks::fetch_cluster(&self.eks, &name);
        let cluster = within(deadline, DESCRIBE_CLUSTER, call).await;
        Located {
            cluster: cluster.map_err(|failure| self.with_place(failure, &name)),
            name: Some(name),
            nodes,
        }
    }

    /// Instances behind the nodes that Kubernetes named, else those with the tag of the cluster.
    async fn fetch_nodes(&self, name: Option<&str>, deadline: Instant) -> Gathered<aws::Instance> {
        let ec2 = match &self.ec2 {
            Ok(ec2) => ec2,
            Err(failure) => {
                let mut none = Gathered::default();
                none.fail(failure.clone());
                return none;
            }
        };
        // Nodes on Fargate and on premises have no instance.
        let mut ids: Vec<String> = self.hints.instance_ids.clone();
        ids.retain(|id| id.starts_with("i-"));
        ids.truncate(MOST_NODES);
        if !ids.is_empty() {
            return ec2.fetch_instances_by("instance-id", &ids, deadline).await;
        }
        let mut names = self.hints.private_dns_names.clone();
        names.truncate(MOST_NODES);
        if let Some(cluster) = name.filter(|_| names.is_empty()) {
            let tag = [format!("kubernetes.io/cluster/{cluster}")];
            return ec2.fetch_instances_by("tag-key", &tag, deadline).await;
        }
        ec2.fetch_instances_by("private-dns-name", &names, deadline)
            .await
    }

    /// The only cluster of the region whose endpoint is the context's host.
    async fn by_endpoint(&self, deadline: Instant) -> Result<aws::Cluster, Failure> {
        let not_found =
            |detail: String| Failure::new("finding the EKS cluster", Why::Failed, detail);
        let host = host_of(&self.hints.api_host);
        if host.is_empty() {
            return Err(not_found(
                "neither the context nor an instance names it".to_owned(),
            ));
        }
        let mut names = eks::list_clusters(&self.eks, deadline).await;
        let listed = names.items.len();
        names.items.truncate(MOST_CLUSTERS);
        let (names, mut clusters) = names.split();
        clusters.join(eks::fetch_clusters(&self.eks, names, deadline).await);
        let mut same = clusters
            .items
            .into_iter()
            .filter(|cluster| host_of(&cluster.endpoint) == host);
        match (same.next(), same.next(), clusters.failure) {
            (Some(cluster), None, _) => Ok(cluster),
            (None, _, Some(failure)) => Err(failure),
            (None, _, None) => Err(not_found(format!(
                "none of {} of {listed} clusters in {} has the endpoint {host}",
                listed.min(MOST_CLUSTERS),
                self.region
            ))),
            (Some(_), Some(_), _) => Err(not_found(format!(
                "more than one cluster in {} has the endpoint {host}",
                self.region
            ))),
        }
    }

    /// A cluster that is not found is most often one of another region or account.
    fn with_place(&self, mut failure: Failure, name: &str) -> Failure {
        if failure.not_found() {
            let account = self
                .caller
                .value()
                .map_or("unknown", |caller| caller.account.as_str());
            failure.detail = format!(
                "no EKS cluster {name} in region {} of account {account}",
                self.region
            );
            let expected = self.hints.account.as_deref();
            if let Some(expected) = expected.filter(|expected| *expected != account) {
                failure.detail += &format!("; the context names account {expected}");
            }
        }
        failure
    }
}

/// The only cluster that the tags of the instances name.
fn name_by_tags(instances: &[aws::Instance]) -> Option<String> {
    let names: BTreeSet<&str> = instances
        .iter()
        .flat_map(|instance| &instance.tags)
        .filter_map(|tag| match tag.key.as_str() {
            "aws:eks:cluster-name" | "eks:cluster-name" => Some(tag.value.as_str()),
            key => key.strip_prefix("kubernetes.io/cluster/"),
        })
        .filter(|name| !name.is_empty())
        .collect();
    match names.len() {
        1 => names.first().map(|name| (*name).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(tags: &[(&str, &str)]) -> aws::Instance {
        aws::Instance {
            tags: tags
                .iter()
                .map(|(key, value)| aws::Tag {
                    key: (*key).to_owned(),
                    value: (*value).to_owned(),
                    propagate_at_launch: None,
                })
                .collect(),
            ..aws::Instance::default()
        }
    }

    #[test]
    fn tags_name_the_cluster_only_when_they_agree() {
        let owned = instance(&[("kubernetes.io/cluster/prod", "owned")]);
        let managed = instance(&[("aws:eks:cluster-name", "prod"), ("Name", "x")]);
        let other = instance(&[("eks:cluster-name", "test")]);
        let found = name_by_tags(&[owned.clone(), managed, instance(&[])]);
        assert_eq!(found.as_deref(), Some("prod"));
        assert_eq!(name_by_tags(&[owned, other]), None);
        assert_eq!(name_by_tags(&[]), None);
    }
}
