//! Probing, from the choice of standpoints to the results.

use std::time::Duration;

use eksnet_model::{Evidence, Gap, ProbePod, ProbeRun, Snapshot, Source, Text, Why};
use serde_json::Value;
use tokio::time::Instant;

use super::cleanup::Cleanup;
use super::image::default_image;
use super::launch::{Launcher, Planned};
use super::manifest::{self, Cast, Mold};
use super::prepare::{Prepared, prepare};
use super::start::way_round;
use crate::collect::CollectError;
use crate::random;
use crate::watch::Watch;
use crate::{Connection, Progress, Request};

/// Time that an agent gets for its probes, from its start. The longest of them, three tries of TCP
/// at 3 s each, fits.
pub(crate) const AGENT: Duration = Duration::from_secs(12);
/// Time that a pod gets to start, where the run's own time allows.
const START: Duration = Duration::from_secs(25);
/// Time for reading logs before the run's end.
const READING: Duration = Duration::from_secs(2);
/// Requests at one time: creating and reading dozens of pods must not queue behind lists and logs.
const AT_ONCE: usize = 24;

/// What probing came to.
pub(crate) struct Probed {
    pub(crate) network: Evidence<ProbeRun>,
    pub(crate) identity: Evidence<ProbeRun>,
}

/// Settings that all pods of a run share.
pub(crate) fn mold(request: &Request, cleanup: &Cleanup) -> Mold {
    Mold {
        run: cleanup.run().to_owned(),
        image: request.agent_image.clone().unwrap_or_else(default_image),
        pull_secret: request.image_pull_secret.clone(),
        // Longer than the run: a pod of a run that could not clean up still ends.
        active_deadline: (request.timeout + Duration::from_secs(60))
            .clamp(Duration::from_secs(90), Duration::from_secs(900)),
        owner: None,
    }
}

/// Runs the probes.
///
/// # Errors
/// As [`prepare`].
pub(crate) async fn probe(
    connection: &Connection,
    request: &Request,
    snapshot: &Snapshot,
    cleanup: &Cleanup,
    end_by: Instant,
    progress: &dyn Progress,
) -> Result<Probed, CollectError> {
    let Prepared {
        network,
        sampled,
        network_gap,
        identity,
        identity_notes,
        role_arn,
        identity_gap,
    } = prepare(connection, request, snapshot, cleanup, end_by).await?;
    let api = connection.api.with_permits(AT_ONCE);
    let now = Instant::now();
    // What starts must still have time for its probes.
    let latest_start = end_by.checked_sub(AGENT + READING).unwrap_or(now);
    let launcher = Launcher {
        api: &api,
        cleanup,
        mold: mold(request, cleanup),
        nonce: random::hex(8),
        agent_limit: AGENT,
        start_by: latest_start
            .clamp(now, now + START)
            .max(now + Duration::from_secs(3)),
        end_by,
        progress,
    };
    let watch = Watch(progress);
    let of_network = async {
        match network_gap {
            Some(gap) => Evidence::Absent(gap),
            None if network.is_empty() => Evidence::not_requested(Source::Probes),
            None => {
                let launch = launcher.clone().launch(network);
                let reading = async { evidence(Source::Probes, launch.await, sampled) };
                watch.source(Source::Probes, reading).await
            }
        }
    };
    let of_identity = async {
        match (identity_gap, identity) {
            (Some(gap), _) => Evidence::Absent(gap),
            (None, None) => Evidence::not_requested(Source::IdentityProbes),
            (None, Some(planned)) => {
                let reading = async {
                    let mut notes = identity_notes;
                    let planned = with_token(&launcher, planned, role_arn, &mut notes).await;
                    let launched = launcher.clone().launch(vec![planned]).await;
                    evidence(Source::IdentityProbes, launched, notes)
                };
                watch.source(Source::IdentityProbes, reading).await
            }
        }
    };
    let (network, identity) = tokio::join!(Box::pin(of_network), Box::pin(of_identity));
    Ok(Probed { network, identity })
}

/// Gives the identity pod a token of its own where the cluster's webhook injects none although the
/// service account names a role. What the webhook does is seen by a dry run, which stores nothing.
async fn with_token(
    launcher: &Launcher<'_>,
    mut planned: Planned,
    role_arn: Option<String>,
    notes: &mut Text,
) -> Planned {
    let (Some(role), Some(guise)) = (role_arn, planned.guise.as_mut()) else {
        return planned;
    };
    let cast = Cast {
        object: &planned.object,
        node: &planned.at.node,
        plan: "",
        guise: Some(guise),
    };
    let pod = manifest::pod(&cast, &launcher.mold);
    let path = format!("{}?dryRun=All", planned.object.collection());
    let deadline = launcher
        .end_by
        .min(Instant::now() + Duration::from_secs(10));
    // A refusal here comes again, and is told, at the real creation.
    if let Ok(dry) = launcher.api.create(&path, &pod, deadline).await
        && !is_injected(&dry)
    {
        guise.role_arn = Some(role);
        let note = "no webhook injected credentials: the probe brought a token of its own";
        *notes = if notes.is_empty() {
            note.into()
        } else {
            format!("{notes}; {note}").into()
        };
    }
    planned
}

/// Whether admission gave the pod credentials: IRSA's or Pod Identity's.
fn is_injected(pod: &Value) -> bool {
    const NAMES: [&str; 2] = [
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers
        .flat_map(|container| container["env"].as_array().into_iter().flatten())
        .any(|env| {
            env["name"]
                .as_str()
                .is_some_and(|name| NAMES.contains(&name))
        })
}

/// What was launched as evidence: present only if every pod answered everything.
fn evidence(
    source: Source,
    launched: Result<Vec<ProbePod>, Gap>,
    sampled: Text,
) -> Evidence<ProbeRun> {
    let pods = match launched {
        Ok(pods) => pods,
        Err(gap) => return Evidence::Absent(Gap { source, ..gap }),
    };
    let gap = gap_of(source, &pods);
    let run = ProbeRun {
        pods,
        sampled,
        ..ProbeRun::default()
    };
    match gap {
        None => Evidence::Present(run),
        Some(gap) => Evidence::Partial { value: run, gap },
    }
}

fn gap_of(source: Source, pods: &[ProbePod]) -> Option<Gap> {
    let total = pods.len();
    let not_started: Vec<_> = pods
        .iter()
        .filter_map(|pod| pod.not_started.as_ref())
        .collect();
    if let Some(first) = not_started.first() {
        let detail = format!(
            "{} of {total} probe pods did not start; {}: {}",
            not_started.len(),
            first.reason,
            first.message
        );
        let why = if first.reason == "Timeout" {
            Why::Timeout
        } else {
            Why::Failed
        };
        let gap = Gap::new(source, why, detail);
        let way = not_started.iter().find_map(|why| way_round(&why.reason));
        return Some(match way {
            Some(way) => gap.closed_by(way),
            None => gap,
        });
    }
    let incomplete: Vec<_> = pods.iter().filter(|pod| !pod.complete).collect();
    let first = incomplete.first()?;
    let why = match &first.log_error {
        Some(error) => error.to_string(),
        None => "its results are not whole".to_owned(),
    };
    let detail = format!(
        "{} of {total} probe pods did not tell all; {}: {why}",
        incomplete.len(),
        first.name
    );
    let gap = Gap::new(source, Why::Truncated, detail);
    Some(gap.closed_by("--timeout with a longer limit, and the right to get pods/log"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pods::start::not_started;

    fn pod(name: &str, complete: bool) -> ProbePod {
        ProbePod {
            name: name.into(),
            complete,
            ..ProbePod::default()
        }
    }

    #[test]
    fn evidence_is_present_only_if_every_pod_answered_everything() {
        let whole = evidence(Source::Probes, Ok(vec![pod("a", true)]), "1 of 9".into());
        assert!(matches!(&whole, Evidence::Present(run) if run.sampled == "1 of 9"));
        let mut refused = pod("b", false);
        refused.not_started = Some(not_started("PodSecurity", "violates"));
        let some = evidence(
            Source::Probes,
            Ok(vec![pod("a", true), refused]),
            Text::default(),
        );
        let gap = some.gap().unwrap();
        assert!(
            gap.detail
                .contains("1 of 2 probe pods did not start; PodSecurity"),
            "{}",
            gap.detail
        );
        assert!(gap.closes.as_ref().unwrap().contains("--probe-namespace"));
        let cut = evidence(Source::Probes, Ok(vec![pod("c", false)]), Text::default());
        assert_eq!(cut.gap().unwrap().why, Why::Truncated);
    }

    #[test]
    fn an_address_that_is_missing_is_no_fault_of_our_pod() {
        let mut stuck = pod("a", false);
        stuck.not_started = Some(not_started(
            "FailedCreatePodSandBox",
            "failed to assign an IP address",
        ));
        let gap = gap_of(Source::Probes, &[stuck]).unwrap();
        assert_eq!(gap.closes, None);
    }

    #[test]
    fn credentials_of_either_kind_are_seen_as_injected() {
        let with = |name: &str| json!({"spec": {"containers": [{}, {"env": [{"name": name, "value": "x"}]}]}});
        assert!(is_injected(&with("AWS_WEB_IDENTITY_TOKEN_FILE")));
        assert!(is_injected(&with("AWS_CONTAINER_CREDENTIALS_FULL_URI")));
        assert!(!is_injected(&with("AWS_REGION")));
    }
}
