//! One run: from a connection to a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use eksnet_model::iam::SimulatedRole;
use eksnet_model::kubernetes::{CniMetrics, Node};
use eksnet_model::{Evidence, Gap, LogScan, Origin, OriginKind, Snapshot, Source, Text, Time, Why};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::aws::{AwsSession, HeldByIam, READ_LATER};
use crate::cloud;
use crate::kubernetes::sources::Lists;
use crate::kubernetes::{facts, logs, metrics};
use crate::pods::preview::preview as pods_preview;
use crate::pods::{Cleanup, ProbePlanPreview, stage};
use crate::progress::Ended;
use crate::watch::Watch;
use crate::{Connection, Progress, Request};

/// What a run collected.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The evidence.
    pub snapshot: Snapshot,
    /// Milliseconds per phase: `kubernetes`, `aws`, `logs`, `metrics`,
    /// `probes`, `simulation`, `total`.
    pub timings: BTreeMap<Text, u64>,
}

/// Why a run ended without a snapshot. All else that goes wrong is a gap in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectError {
    /// The EKS cluster that AWS describes is not the cluster that the context leads to: evidence of
    /// two clusters must never be mixed. Exit 2.
    #[error("{0}")]
    IdentityMismatch(Text),
    /// `--as-workload` names what does not exist. Exit 2.
    #[error("--as-workload {workload}: {why}")]
    Workload {
        /// What was asked for.
        workload: Text,
        /// What came back.
        why: Text,
    },
    /// `--nodes` names nodes that do not exist. Exit 2.
    #[error("--nodes names {0}, which the cluster does not have")]
    Nodes(Text),
}

/// Collects what `request` asks for.
///
/// Every pod that is created is registered with `cleanup` before its request is sent, and deleted
/// at the end. A caller that gives this future up (on a signal) runs [`Cleanup::cleanup`] itself;
/// running it in any case is safe.
///
/// # Errors
/// [`CollectError`]; whatever the cluster or AWS refuse is a gap in the snapshot instead.
pub async fn collect(
    connection: &Connection,
    request: &Request,
    cleanup: &Cleanup,
    progress: &dyn Progress,
) -> Result<Collected, CollectError> {
    let started = Instant::now();
    let connection = &connection.limited(request.concurrency);
    let budget = Budget::new(started, request.timeout);
    let mut timings = BTreeMap::new();
    let (mut snapshot, session) =
        read(connection, request, &budget, progress, &mut timings).await?;
    let reading = Reading {
        connection,
        request,
        snapshot: &snapshot,
        budget: &budget,
        watch: Watch(progress),
    };
    // Boxed: all of them at one time are a large future.
    let (probed, logs, metrics, simulated, held) = tokio::join!(
        Box::pin(timed(reading.probe(cleanup, progress))),
        Box::pin(timed(reading.logs())),
        Box::pin(timed(reading.metrics())),
        Box::pin(timed(reading.simulate(session.as_ref()))),
        Box::pin(timed(reading.held_by_iam(session.as_ref()))),
    );
    // At the end of the run, so that counters had time to move.
    let metrics_again = timed(reading.metrics_again(metrics.0)).await;
    for (phase, took) in [
        ("probes", probed.1),
        ("logs", logs.1),
        ("metrics", metrics.1 + metrics_again.1),
        ("simulation", simulated.1),
        ("iam", held.1),
    ] {
        timings.insert(phase.into(), millis(took));
    }
    if let Some(probed) = probed.0? {
        snapshot.probes = probed.network;
        snapshot.identity_probes = probed.identity;
    }
    if let Some(simulated) = simulated.0 {
        snapshot.aws.simulated_policies = simulated;
    }
    if let Some(held) = held.0 {
        snapshot.aws.roles = held.roles;
        snapshot.aws.policies = held.policies;
        snapshot.aws.oidc_providers = held.oidc_providers;
        snapshot.aws.instance_profiles = held.instance_profiles;
    }
    if let Some(logs) = logs.0 {
        snapshot.kubernetes.logs = logs;
    }
    if let Some(metrics) = metrics_again.0 {
        snapshot.kubernetes.cni_metrics = metrics;
    }
    mark_flags(&mut snapshot, request);
    timings.insert("total".into(), millis(started.elapsed()));
    Ok(Collected { snapshot, timings })
}

/// What [`collect`] would create and ask for: reads what choosing takes, and creates nothing.
///
/// # Errors
/// As [`collect`].
pub async fn preview(
    connection: &Connection,
    request: &Request,
    progress: &dyn Progress,
) -> Result<ProbePlanPreview, CollectError> {
    let connection = &connection.limited(request.concurrency);
    let budget = Budget::new(Instant::now(), request.timeout);
    // Nothing but what choosing takes.
    let reading = Request {
        sources: [Source::Probes, Source::IdentityProbes].into(),
        ..request.clone()
    };
    let (snapshot, _) = read(
        connection,
        &reading,
        &budget,
        progress,
        &mut BTreeMap::new(),
    )
    .await?;
    pods_preview(connection, request, &snapshot, budget.end).await
}

/// Reads what the Kubernetes API lists and what AWS says, at one time. Nothing is created.
async fn read(
    connection: &Connection,
    request: &Request,
    budget: &Budget,
    progress: &dyn Progress,
    timings: &mut BTreeMap<Text, u64>,
) -> Result<(Snapshot, Option<AwsSession>), CollectError> {
    let mut snapshot = Snapshot {
        origin: Origin {
            kind: OriginKind::Cluster,
            name: connection.hints().context_name.as_str().into(),
        },
        taken_at: Some(Time(jiff::Timestamp::now())),
        ..Snapshot::default()
    };
    let fallback = fallback_namespaces(connection, request);
    let lists = Lists {
        api: &connection.api,
        request,
        fallback: &fallback,
        deadline: budget.reading,
        watch: Watch(progress),
    };
    let (told, nodes) = oneshot::channel();
    let nodes_known = |nodes: &[Node]| {
        let mut hints = connection.hints().clone();
        hints.learn_nodes(nodes);
        // Nobody listens where nothing of AWS is wanted.
        let _ = told.send(hints);
    };
    let (listed, of_aws) = tokio::join!(
        timed(lists.fetch(&mut snapshot.kubernetes, nodes_known)),
        Box::pin(timed(cloud::read(
            connection,
            request,
            nodes,
            budget.reading,
            progress
        ))),
    );
    timings.insert("kubernetes".into(), millis(listed.1));
    timings.insert("aws".into(), millis(of_aws.1));
    let mut session = None;
    if let Some(cloud) = of_aws.0? {
        snapshot.aws = cloud.aws;
        snapshot.cluster = cloud.facts;
        session = cloud.session;
    }
    facts::learn(&mut snapshot, connection);
    Ok((snapshot, session))
}

/// What is read once it is known which pods there are.
struct Reading<'a> {
    connection: &'a Connection,
    request: &'a Request,
    snapshot: &'a Snapshot,
    budget: &'a Budget,
    watch: Watch<'a>,
}

impl Reading<'_> {
    async fn probe(
        &self,
        cleanup: &Cleanup,
        progress: &dyn Progress,
    ) -> Result<Option<stage::Probed>, CollectError> {
        if !self.request.wants_probes() {
            return Ok(None);
        }
        let end = self.budget.end;
        let probing = stage::probe(
            self.connection,
            self.request,
            self.snapshot,
            cleanup,
            end,
            progress,
        );
        let probed = probing.await;
        // Also after an error: some pods may have been created before it.
        let created = cleanup.cleanup(progress).await;
        let mut probed = probed?;
        if let Some(run) = probed.network.value_mut() {
            run.created = created.pods;
            run.deleted = created.deleted;
        }
        Ok(Some(probed))
    }

    async fn simulate(&self, session: Option<&AwsSession>) -> Option<Evidence<Vec<SimulatedRole>>> {
        let session = session.filter(|_| self.request.wants(Source::SimulatedPolicies))?;
        let asking = cloud::simulate(session, self.snapshot, self.budget.end);
        Some(self.watch.source(Source::SimulatedPolicies, asking).await)
    }

    async fn held_by_iam(&self, session: Option<&AwsSession>) -> Option<HeldByIam> {
        let wanted: BTreeSet<Source> = READ_LATER
            .into_iter()
            .filter(|source| self.request.wants(*source))
            .collect();
        let session = session.filter(|_| !wanted.is_empty())?;
        let started = Instant::now();
        for source in &wanted {
            self.watch.0.started(*source);
        }
        let held = session
            .held_by_iam(self.snapshot, &wanted, self.budget.end)
            .await;
        for source in wanted {
            let ended = match held.is_complete(source) {
                true => Ended::Complete,
                false => Ended::Absent,
            };
            self.watch.0.finished(source, started.elapsed(), ended);
        }
        Some(held)
    }

    async fn logs(&self) -> Option<Evidence<Vec<LogScan>>> {
        if !self.request.wants(Source::Logs) {
            return None;
        }
        let api = &self.connection.api;
        let signatures = &self.request.signatures;
        let reading = logs::fetch_logs(api, self.snapshot, signatures, self.budget.observing);
        Some(self.watch.source(Source::Logs, reading).await)
    }

    async fn metrics(&self) -> Option<metrics::Sampled> {
        if !self.request.wants(Source::CniMetrics) {
            return None;
        }
        let api = &self.connection.api;
        Some(metrics::sample(api, self.snapshot, self.budget.end).await)
    }

    async fn metrics_again(
        &self,
        first: Option<metrics::Sampled>,
    ) -> Option<Evidence<Vec<CniMetrics>>> {
        let again = metrics::sample_again(&self.connection.api, first?, self.budget.end);
        Some(self.watch.source(Source::CniMetrics, again).await)
    }
}

/// What a future came to, and how long it took.
async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    let outcome = work.await;
    (outcome, started.elapsed())
}

pub(crate) fn millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// How the time of a run is shared out.
#[derive(Clone, Copy, Debug)]
struct Budget {
    /// Until when lists and AWS are read: half of the time, so that probes get theirs.
    reading: Instant,
    /// Until when logs are read: a last sample of metrics follows.
    observing: Instant,
    /// When the run ends; cleaning up has time of its own.
    end: Instant,
}

impl Budget {
    fn new(started: Instant, timeout: Duration) -> Self {
        Self {
            reading: started + timeout / 2,
            observing: started + timeout * 9 / 10,
            end: started + timeout,
        }
    }
}

/// Namespaces that are listed where listing all of them is refused: what networking hangs on, where
/// the probes stand, and what the user works in.
fn fallback_namespaces(connection: &Connection, request: &Request) -> Vec<String> {
    let mut namespaces = vec!["kube-system".to_owned()];
    let own = request
        .namespaces
        .iter()
        .chain([&request.probe_namespace])
        .map(String::as_str)
        .chain([connection.namespace()])
        .chain(
            request
                .as_workload
                .as_ref()
                .map(|workload| workload.namespace.as_str()),
        );
    for namespace in own {
        if !namespace.is_empty() && namespaces.iter().all(|known| known != namespace) {
            namespaces.push(namespace.to_owned());
        }
    }
    namespaces
}

/// Sources that a flag switched off say which.
fn mark_flags(snapshot: &mut Snapshot, request: &Request) {
    let off = |source, flag: &str| {
        let detail = format!("{flag} was given");
        let closes = format!("a run without {flag}");
        Gap::new(source, Why::NotRequested, detail).closed_by(closes)
    };
    if request.no_aws {
        snapshot.aws.fill_gaps(&|source| off(source, "--no-aws"));
    }
    if request.no_probe {
        snapshot.probes = eksnet_model::Evidence::Absent(off(Source::Probes, "--no-probe"));
        snapshot.identity_probes =
            eksnet_model::Evidence::Absent(off(Source::IdentityProbes, "--no-probe"));
    }
}
