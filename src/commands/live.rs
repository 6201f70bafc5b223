//! A live cluster: connects, collects, and cleans up on every way out.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use eksnet_collect::Cleanup;
use eksnet_collect::{
    CollectError, Collected, ConnectOptions, Connection, Environment, Request, collect, connect,
};
use eksnet_model::{Check, Created, Source};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Aws, Kubectl, Probes};
use crate::exit::Failure;
use crate::progress::Line;
use crate::selection::sources;

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::no_verdict(format!("cannot start: {error}")))?;
    let result = runtime.block_on(future);
    // Requests that hang must not keep the program from ending.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// What a live run came to.
pub(crate) struct Live {
    pub(crate) collected: Collected,
    pub(crate) created: Created,
}

/// The connection that the flags describe.
pub(crate) async fn connection(kubectl: &Kubectl) -> Result<Connection, Failure> {
    let options = ConnectOptions {
        kubeconfig: kubectl.kubeconfig.clone(),
        context: kubectl.context.clone(),
        cluster: kubectl.cluster.clone(),
        user: kubectl.user.clone(),
        namespace: kubectl.namespace.clone(),
        act_as: kubectl.impersonate.clone(),
        act_as_groups: kubectl.impersonate_groups.clone(),
        act_as_uid: kubectl.impersonate_uid.clone(),
        request_timeout: kubectl.request_timeout,
        environment: Environment::of_process(),
        ..ConnectOptions::default()
    };
    connect(&options).await.map_err(|error| {
        if error.is_usage() {
            Failure::usage(error)
        } else {
            Failure::no_verdict(error)
        }
    })
}

/// The request that the flags describe.
pub(crate) fn request(
    checks: &[&Check],
    kubectl: &Kubectl,
    aws: &Aws,
    probes: &Probes,
) -> Result<Request, Failure> {
    request_from(sources(checks), kubectl, aws, probes)
}

/// The request that reads these sources, and probes.
pub(crate) fn request_from(
    sources: BTreeSet<Source>,
    kubectl: &Kubectl,
    aws: &Aws,
    probes: &Probes,
) -> Result<Request, Failure> {
    let signatures = eksnet_checks::signatures().map_err(anyhow::Error::from)?;
    Ok(Request {
        sources,
        no_probe: probes.no_probe,
        no_aws: aws.no_aws,
        aws_profile: aws.profile.clone(),
        aws_region: aws.region.clone(),
        cluster_name: aws.cluster_name.clone(),
        nodes: probes.nodes.clone().unwrap_or_default(),
        as_workload: probes.as_workload.clone(),
        probe_namespace: probes.probe_namespace.clone(),
        namespaces: kubectl.namespace.iter().cloned().collect(),
        agent_image: probes.agent_image.clone(),
        image_pull_secret: probes.image_pull_secret.clone(),
        timeout: probes.timeout,
        signatures: Arc::new(signatures),
        ..Request::default()
    })
}

/// The request that reads these sources and creates nothing. All namespaces are read: what pods take
/// is counted per node.
pub(crate) fn request_of(
    sources: &[Source],
    aws: &Aws,
    timeout: Duration,
) -> Result<Request, Failure> {
    let signatures = eksnet_checks::signatures().map_err(anyhow::Error::from)?;
    Ok(Request {
        sources: sources.iter().copied().collect(),
        no_probe: true,
        no_aws: aws.no_aws,
        aws_profile: aws.profile.clone(),
        aws_region: aws.region.clone(),
        cluster_name: aws.cluster_name.clone(),
        timeout,
        signatures: Arc::new(signatures),
        ..Request::default()
    })
}

/// Connects and collects. Whatever ends the run, a signal included, the probe pods are deleted first.
pub(crate) async fn run(
    kubectl: &Kubectl,
    request: &Request,
    line: &Line,
) -> Result<Live, Failure> {
    let mut signals = Signals::new()?;
    let connection = tokio::select! {
        connection = connection(kubectl) => connection?,
        number = signals.next() => return Err(Failure::signal(number, "interrupted before anything was created")),
    };
    let cleanup = Cleanup::new(&connection);
    let outcome = tokio::select! {
        collected = collect(&connection, request, &cleanup, line) => Ok(collected),
        number = signals.next() => Err(number),
    };
    // A second signal must not cut the deletion short: the pods would stay.
    let created = cleanup.cleanup(line).await;
    line.clear();
    warn_of_leftovers(&cleanup, created);
    match outcome {
        Ok(Ok(collected)) => Ok(Live { collected, created }),
        Ok(Err(
            error @ (CollectError::IdentityMismatch(_)
            | CollectError::Workload { .. }
            | CollectError::Nodes(_)),
        )) => Err(Failure::usage(error)),
        Err(number) => Err(Failure::signal(number, goodbye(created))),
    }
}

fn goodbye(created: Created) -> String {
    format!(
        "interrupted: created {} probe pods, deleted {}, left {}",
        created.pods, created.deleted, created.left
    )
}

fn warn_of_leftovers(cleanup: &Cleanup, created: Created) {
    if created.left > 0 {
        let names = cleanup.left().join(" ");
        eprintln!(
            "warning: could not confirm that these pods are gone: {names}; delete them with `kubectl eksnet cleanup --older-than 0s`"
        );
    }
}

/// The signals that end a run.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::no_verdict(format!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Number of the next signal.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
            _ = self.hangup.recv() => 1,
        }
    }
}
