//! All wanted sources at the same time.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use eksnet_model::{Aws, ClusterFacts, Evidence, Gap, Source, Text, Why};

use super::identity::{Identity, compare};
use super::locate::Located;
use super::{AwsSession, eks};

/// What AWS said.
#[derive(Clone, Debug)]
pub struct AwsEvidence {
    /// Per source, its evidence; sources that nobody wanted stay unasked.
    pub aws: Aws,
    /// The cluster as AWS knows it.
    pub facts: ClusterFacts,
    /// Whether it is the cluster of the context.
    pub identity: Identity,
    /// Requests that were sent, retries included, per action such as `ec2:DescribeSubnets`.
    pub calls: BTreeMap<String, u64>,
}

impl AwsSession {
    /// Reads the wanted sources, and those that they hang on. It ends within the timeout of the
    /// options, and never fails as a whole.
    pub async fn fetch(&self, wanted: &BTreeSet<Source>) -> AwsEvidence {
        let start = Instant::now();
        let deadline = start + self.options.timeout;
        // Finding the cluster must leave time for the rest.
        let located = self.locate(start + self.options.timeout / 2).await;
        let mut evidence = self.begin(&located);
        if let Identity::Mismatch { detail } = &evidence.identity {
            let gap =
                Gap::new(Source::None, Why::Failed, detail.clone()).closed_by("--cluster-name");
            evidence.aws = all_missing(wanted, &gap);
        } else {
            self.fetch_eks(wanted, &located, deadline, &mut evidence.aws)
                .await;
        }
        evidence.calls = self.calls();
        evidence
    }

    /// What is known once the cluster was looked for.
    fn begin(&self, located: &Located) -> AwsEvidence {
        let mut facts = ClusterFacts {
            name: located.name.as_deref().map(Text::from),
            region: Some(self.region.as_str().into()),
            ..ClusterFacts::default()
        };
        if let Some(caller) = self.caller.value() {
            facts.account = Some(caller.account.as_str().into());
            facts.partition = caller.arn.split(':').nth(1).map(Text::from);
        }
        let mut aws = Aws {
            caller_identity: self.caller.clone(),
            ..Aws::default()
        };
        let identity = match &located.cluster {
            Ok(cluster) => {
                facts.eks = Some(true);
                facts.version = Some(cluster.version.as_str().into());
                if let Some((partition, account)) = place_of_arn(&cluster.arn) {
                    facts.partition = Some(partition.into());
                    facts.account = Some(account.into());
                }
                aws.cluster = Evidence::Present(cluster.clone());
                compare(&self.hints, cluster)
            }
            Err(failure) => {
                let gap = self.gap(Source::Cluster, failure);
                aws.cluster = Evidence::Absent(gap.clone());
                Identity::Unknown(gap)
            }
        };
        if let Identity::Note(note) = &identity {
            facts.notes.push(note.clone());
        }
        AwsEvidence {
            aws,
            facts,
            identity,
            calls: BTreeMap::new(),
        }
    }

    async fn fetch_eks(
        &self,
        wanted: &BTreeSet<Source>,
        located: &Located,
        deadline: Instant,
        aws: &mut Aws,
    ) {
        let Some(name) = located.name.as_deref() else {
            return;
        };
        if wanted.contains(&Source::Nodegroups) {
            let found = eks::fetch_nodegroups(&self.eks, name, deadline).await;
            aws.nodegroups = found.into_evidence(|failure| self.gap(Source::Nodegroups, failure));
        }
        if wanted.contains(&Source::PodIdentityAssociations) {
            let found = eks::fetch_pod_identity_associations(&self.eks, name, deadline).await;
            aws.pod_identity_associations =
                found.into_evidence(|failure| self.gap(Source::PodIdentityAssociations, failure));
        }
    }
}

/// Partition and account of an ARN.
fn place_of_arn(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.split(':').skip(1);
    let partition = parts.next()?;
    let account = parts.nth(2)?;
    (!account.is_empty()).then_some((partition, account))
}

/// Evidence in which every wanted source is missing for the same reason.
fn all_missing(wanted: &BTreeSet<Source>, gap: &Gap) -> Aws {
    let mut aws = Aws::default();
    aws.fill_gaps(&|source| {
        let gap = Gap {
            source,
            ..gap.clone()
        };
        if wanted.contains(&source) {
            gap
        } else {
            Gap::new(source, Why::NotRequested, "")
        }
    });
    aws
}
