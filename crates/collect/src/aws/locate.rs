//! Which EKS cluster it is: by flag, context, instances behind the nodes, or endpoint.

use tokio::time::Instant;

use eksnet_model::{Why, aws};

use super::AwsSession;
use super::eks::{self, DESCRIBE_CLUSTER};
use super::failure::Failure;
use super::identity::host_of;
use super::paging::within;

/// Most clusters that are described to find the one with the context's endpoint.
const MOST_CLUSTERS: usize = 100;

/// What is known of the cluster's place in AWS.
#[derive(Debug)]
pub(crate) struct Located {
    /// Name, even when the cluster could not be described.
    pub(crate) name: Option<String>,
    /// The cluster, or why it is not known.
    pub(crate) cluster: Result<aws::Cluster, Failure>,
}

impl AwsSession {
    /// Finds the cluster and describes it.
    pub(crate) async fn locate(&self, deadline: Instant) -> Located {
        let flag = self.options.cluster_name.as_deref();
        if let Some(name) = flag.or(self.hints.cluster_name.as_deref()) {
            return self.described(name.to_owned(), deadline).await;
        }
        self.by_endpoint(deadline).await
    }

    async fn described(&self, name: String, deadline: Instant) -> Located {
        let call = eks::fetch_cluster(&self.eks, &name);
        let cluster = within(deadline, DESCRIBE_CLUSTER, call).await;
        Located {
            cluster: cluster.map_err(|failure| self.with_place(failure, &name)),
            name: Some(name),
        }
    }

    /// The only cluster of the region whose endpoint is the context's host.
    async fn by_endpoint(&self, deadline: Instant) -> Located {
        let unknown = |cluster| Located {
            name: None,
            cluster: Err(cluster),
        };
        let not_named =
            |why: Why, detail: String| Failure::new("finding the EKS cluster", why, detail);
        let host = host_of(&self.hints.api_host);
        if host.is_empty() {
            return unknown(not_named(
                Why::Failed,
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
            (Some(cluster), None, _) => Located {
                name: Some(cluster.name.clone()),
                cluster: Ok(cluster),
            },
            (None, _, Some(failure)) => unknown(failure),
            (None, _, None) => unknown(not_named(
                Why::Failed,
                format!(
                    "none of {} of {listed} clusters in {} has the endpoint {host}",
                    listed.min(MOST_CLUSTERS),
                    self.region
                ),
            )),
            (Some(_), Some(_), _) => unknown(not_named(
                Why::Failed,
                format!(
                    "more than one cluster in {} has the endpoint {host}",
                    self.region
                ),
            )),
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
            if let Some(expected) = self
                .hints
                .account
                .as_deref()
                .filter(|hint| *hint != account)
            {
                failure.detail += &format!("; the context names account {expected}");
            }
        }
        failure
    }
}
