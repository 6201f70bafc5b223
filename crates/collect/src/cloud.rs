//! The AWS side of a run.

use std::collections::BTreeSet;
use std::time::Duration;

use eksnet_model::iam::SimulatedRole;
use eksnet_model::{Aws, ClusterFacts, Evidence, Gap, Snapshot, Source, Why};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use crate::aws::{AwsOptions, AwsSession, Identity, READ_LATER, roles_to_simulate};
use crate::collect::CollectError;
use crate::progress::Ended;
use crate::{ClusterHints, Connection, Progress, Request};

/// What AWS said, and what it makes of the cluster.
pub(crate) struct Cloud {
    pub(crate) aws: Aws,
    pub(crate) facts: ClusterFacts,
    /// For what is asked later; `None` when there are no credentials.
    pub(crate) session: Option<AwsSession>,
}

/// Reads what is wanted of AWS; `None` when nothing is. `nodes` brings the hints with what the nodes
/// add to them, once they are listed.
///
/// # Errors
/// [`CollectError::IdentityMismatch`] when AWS describes another cluster than the context leads to.
pub(crate) async fn read(
    connection: &Connection,
    request: &Request,
    nodes: oneshot::Receiver<ClusterHints>,
    deadline: Instant,
    progress: &dyn Progress,
) -> Result<Option<Cloud>, CollectError> {
    let wanted = wanted(request);
    if wanted.is_empty() {
        return Ok(None);
    }
    let started = Instant::now();
    for source in wanted.iter().filter(|source| !is_later(**source)) {
        progress.started(*source);
    }
    let options = options(
        connection,
        request,
        deadline.saturating_duration_since(started),
    );
    let cloud = match timeout_at(deadline, fetch(connection, nodes, &options, &wanted)).await {
        Ok(cloud) => cloud?,
        Err(_) => missing(
            &wanted,
            &Gap::new(
                Source::None,
                Why::Timeout,
                "AWS was asked and did not answer in time",
            ),
        ),
    };
    tell(&cloud, &wanted, started.elapsed(), progress);
    Ok(Some(cloud))
}

/// Sources of AWS that are read: the ones that are wanted, and those that tell node classes and
/// resolvers apart where probes are to stand.
pub(crate) fn wanted(request: &Request) -> BTreeSet<Source> {
    if request.no_aws {
        return BTreeSet::new();
    }
    let mut wanted: BTreeSet<Source> = request
        .sources
        .iter()
        .copied()
        .filter(|source| !source.permission().iam.is_empty())
        .collect();
    if request.wants_probes() {
        wanted.extend([
            Source::Cluster,
            Source::Instances,
            Source::Subnets,
            Source::Vpcs,
            Source::DhcpOptions,
        ]);
    }
    wanted
}

/// Whether the source is read once pods are known.
fn is_later(source: Source) -> bool {
    source == Source::SimulatedPolicies || READ_LATER.contains(&source)
}

fn options(connection: &Connection, request: &Request, time: Duration) -> AwsOptions {
    AwsOptions {
        // The credential plugin's profile is the one that the user signs in with for this cluster.
        profile: request
            .aws_profile
            .clone()
            .or_else(|| connection.hints().profile.clone()),
        region: request.aws_region.clone(),
        cluster_name: request.cluster_name.clone(),
        // Connecting and reading have this limit each.
        timeout: time / 2,
    }
}

async fn fetch(
    connection: &Connection,
    nodes: oneshot::Receiver<ClusterHints>,
    options: &AwsOptions,
    wanted: &BTreeSet<Source>,
) -> Result<Cloud, CollectError> {
    let hints = connection.hints();
    let nodes = async {
        // A list that hangs must not take AWS down with it.
        let known = timeout(options.timeout / 2, nodes).await;
        known
            .ok()
            .and_then(Result::ok)
            .unwrap_or_else(|| hints.clone())
    };
    let has_region = hints.region.is_some() || options.region.is_some();
    let connected = if has_region {
        // Signing in takes no node.
        let (connected, hints) = tokio::join!(AwsSession::connect(options, hints), nodes);
        connected.map(|mut session| {
            session.hints = hints;
            session
        })
    } else {
        AwsSession::connect(options, &nodes.await).await
    };
    let session = match connected {
        Ok(session) => session,
        Err(gap) => return Ok(missing(wanted, &gap)),
    };
    let evidence = session.fetch(wanted).await;
    if let Identity::Mismatch { detail } = evidence.identity {
        return Err(CollectError::IdentityMismatch(
            format!("{detail}; --cluster-name or --profile chooses another, --no-aws reads the context alone").into(),
        ));
    }
    Ok(Cloud {
        aws: evidence.aws,
        facts: evidence.facts,
        session: Some(session),
    })
}

/// Asks IAM what the roles of the components in `snapshot` may do. A role that is not known is a
/// gap: what it may do was not asked.
pub(crate) async fn simulate(
    session: &AwsSession,
    snapshot: &Snapshot,
    deadline: Instant,
) -> Evidence<Vec<SimulatedRole>> {
    let roles = roles_to_simulate(&snapshot.kubernetes, &snapshot.aws, &snapshot.cluster);
    let unknown = roles.gaps.into_iter().next();
    if let Some(gap) = &unknown
        && roles.known.is_empty()
    {
        return Evidence::Absent(gap.clone());
    }
    let simulated = match timeout_at(deadline, session.simulate(&roles.known)).await {
        Ok(simulated) => simulated,
        Err(_) => {
            let detail = format!(
                "iam:SimulatePrincipalPolicy of {} roles did not end in time",
                roles.known.len()
            );
            Evidence::Absent(
                Gap::new(Source::SimulatedPolicies, Why::Timeout, detail)
                    .closed_by("--timeout with a longer limit"),
            )
        }
    };
    match (simulated, unknown) {
        (Evidence::Present(value), Some(gap)) => Evidence::Partial { value, gap },
        (simulated, _) => simulated,
    }
}

/// Everything that is wanted is missing, for one reason.
fn missing(wanted: &BTreeSet<Source>, gap: &Gap) -> Cloud {
    let mut aws = Aws::default();
    aws.fill_gaps(&|source| {
        if wanted.contains(&source) {
            Gap {
                source,
                ..gap.clone()
            }
        } else {
            Gap::new(source, Why::NotRequested, "")
        }
    });
    Cloud {
        aws,
        facts: ClusterFacts::default(),
        session: None,
    }
}

fn tell(cloud: &Cloud, wanted: &BTreeSet<Source>, elapsed: Duration, progress: &dyn Progress) {
    let snapshot = Snapshot {
        aws: cloud.aws.clone(),
        ..Snapshot::default()
    };
    let gaps = snapshot.gaps();
    for source in wanted.iter().filter(|source| !is_later(**source)) {
        let ended = match gaps.iter().any(|gap| gap.source == *source) {
            true => Ended::Absent,
            false => Ended::Complete,
        };
        progress.finished(*source, elapsed, ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_aws_nothing_of_it_is_wanted() {
        let request = Request {
            no_aws: true,
            ..Request::default()
        };
        assert!(wanted(&request).is_empty());
    }

    #[test]
    fn probes_want_what_tells_where_to_stand_and_whom_to_ask() {
        let request = Request {
            sources: [Source::Probes].into(),
            ..Request::default()
        };
        assert!(wanted(&request).contains(&Source::Vpcs));
        let without = Request {
            no_probe: true,
            ..request
        };
        assert!(wanted(&without).is_empty());
    }

    #[test]
    fn what_nobody_wanted_is_not_marked_as_failed() {
        let wanted = [Source::Subnets].into();
        let gap = Gap::new(Source::CallerIdentity, Why::Unauthenticated, "expired");
        let aws = missing(&wanted, &gap).aws;
        let of = |gap: Option<&Gap>| gap.map(|gap| (gap.source, gap.why.clone()));
        assert_eq!(
            of(aws.subnets.gap()),
            Some((Source::Subnets, Why::Unauthenticated))
        );
        assert_eq!(of(aws.vpcs.gap()), Some((Source::Vpcs, Why::NotRequested)));
    }
}
