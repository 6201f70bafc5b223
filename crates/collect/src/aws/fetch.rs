//! All wanted sources at the same time.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use eksnet_model::{Aws, ClusterFacts, Evidence, Gap, Source, Text, Why};

use super::AwsSession;
use super::identity::{Identity, compare};
use super::locate::Located;
use super::reading::Reading;

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

/// What names the roles that a cluster lives by.
const NAMES_ROLES: [Source; 4] = [
    Source::Cluster,
    Source::Instances,
    Source::Nodegroups,
    Source::PodIdentityAssociations,
];

/// What sources need of each other.
const HANGS_ON: [(Source, &[Source]); 11] = [
    (Source::OidcProviders, &[Source::Cluster]),
    (Source::InstanceProfiles, &[Source::Instances]),
    (Source::Roles, &NAMES_ROLES),
    (Source::Policies, &NAMES_ROLES),
    (Source::InstanceTypes, &[Source::Instances]),
    (Source::AutoScalingGroups, &[Source::Subnets]),
    (
        Source::ScalingActivities,
        &[Source::AutoScalingGroups, Source::Subnets],
    ),
    (
        Source::PrefixLists,
        &[Source::SecurityGroups, Source::RouteTables],
    ),
    (Source::DhcpOptions, &[Source::Vpcs]),
    (Source::SubnetCidrReservations, &[Source::Subnets]),
    (
        Source::SimulatedPolicies,
        &[
            Source::Nodegroups,
            Source::PodIdentityAssociations,
            Source::Instances,
            Source::AutoScalingGroups,
            Source::Subnets,
        ],
    ),
];

impl AwsSession {
    /// Reads the wanted sources, and those that they hang on. It ends within the timeout of the
    /// options, and never fails as a whole.
    pub async fn fetch(&self, wanted: &BTreeSet<Source>) -> AwsEvidence {
        let start = Instant::now();
        let timeout = self.options.timeout;
        let wanted = with_needs(wanted);
        // Finding the cluster and its VPC must leave time for the rest.
        let located = Box::pin(self.locate(start + timeout / 2)).await;
        let mut evidence = self.begin(&located);
        if let Identity::Mismatch { detail } = &evidence.identity {
            evidence.aws = all_missing(&wanted, detail);
        } else {
            let vpc = Box::pin(self.vpc(&located, start + timeout / 4 * 3)).await;
            let reading = Reading {
                session: self,
                wanted: &wanted,
                name: located.name.as_deref(),
                vpc: &vpc,
                deadline: start + timeout,
            };
            Box::pin(reading.fetch_all(&mut evidence.aws)).await;
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
        if let Some((partition, account)) = self.caller.value().and_then(|c| place_of_arn(&c.arn)) {
            facts.partition = Some(partition.into());
            facts.account = Some(account.into());
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
                if let Some(account) = &self.hints.account {
                    facts.account = Some(account.as_str().into());
                }
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
}

/// The wanted sources and those that they hang on.
fn with_needs(wanted: &BTreeSet<Source>) -> BTreeSet<Source> {
    let mut all = wanted.clone();
    for (source, needs) in HANGS_ON {
        if wanted.contains(&source) {
            all.extend(needs);
        }
    }
    all
}

/// Partition and account of an ARN.
fn place_of_arn(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.split(':').skip(1);
    let partition = parts.next()?;
    let account = parts.nth(2)?;
    (!account.is_empty()).then_some((partition, account))
}

/// Evidence in which every wanted source is missing because the cluster is another one.
fn all_missing(wanted: &BTreeSet<Source>, detail: &Text) -> Aws {
    let mut aws = Aws::default();
    aws.fill_gaps(&|source| {
        if wanted.contains(&source) {
            Gap::new(source, Why::Failed, detail.clone()).closed_by("--cluster-name")
        } else {
            Gap::new(source, Why::NotRequested, "")
        }
    });
    aws
}
