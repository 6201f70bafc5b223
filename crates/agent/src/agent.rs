//! Runs the probes of a plan side by side, and reports each as it ends.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use eksnet_probe::{Outcome, Plan, ProbeKind, ProbeResult};
use thiserror::Error;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::dns::{self, Queries};
use crate::output::Output;
use crate::resolv::read_resolv;
use crate::surroundings::Surroundings;
use crate::text::bounded;
use crate::{http, imds, lookup, sts, tcp, tls};

/// Most probes in one plan: a line about each fits the stream.
const MAX_PROBES: usize = 2000;

/// Most tries of one probe, for the same reason.
const MAX_TRIES: u32 = 100;

/// Longest nonce, in bytes; every line repeats it.
const MAX_NONCE_BYTES: usize = 128;

/// Why a plan cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// More probes than one stream has room for.
    #[error("the plan has {0} probes, the limit is {MAX_PROBES}: split it over several pods")]
    TooManyProbes(usize),
    /// More tries of one probe than one stream has room for.
    #[error("probe {id} asks for {tries} tries, the limit is {MAX_TRIES}")]
    TooManyTries {
        /// Id of the probe.
        id: u32,
        /// Tries that it asks for.
        tries: u32,
    },
    /// Two probes with one id; the reader keeps one result per id.
    #[error("the plan has two probes with id {0}")]
    DuplicateId(u32),
    /// A nonce that would fill the stream.
    #[error("the plan's nonce has {0} bytes, the limit is {MAX_NONCE_BYTES}")]
    LongNonce(usize),
}

/// Why a run ended before all its probes had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The plan's deadline came.
    Deadline,
    /// The pod was told to stop.
    Terminated,
}

/// A run that has ended; its stream is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// One result per probe of the plan, in the order in which they were written.
    pub results: Vec<ProbeResult>,
    /// Why it ended early, where it did.
    pub stopped: Option<Stopped>,
}

/// Runs `plan` in `surroundings`, writes its stream to `to`, and returns when the last line is
/// written: after the last probe, at the deadline (counted from `started`), or when `terminated`
/// completes, whichever is first.
///
/// # Errors
/// [`PlanError`], before anything is sent.
pub async fn run(
    plan: Plan,
    surroundings: Arc<Surroundings>,
    started: Instant,
    to: impl Write,
    terminated: impl Future<Output = ()>,
) -> Result<Report, PlanError> {
    run_with(plan, started, to, terminated, |kind| {
        probe(kind, Arc::clone(&surroundings))
    })
    .await
}

/// [`run`] with a probe of the caller's own.
///
/// # Errors
/// [`PlanError`], before anything is sent.
pub async fn run_with<F>(
    plan: Plan,
    started: Instant,
    to: impl Write,
    terminated: impl Future<Output = ()>,
    probe: impl Fn(ProbeKind) -> F,
) -> Result<Report, PlanError>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    accept(&plan)?;
    let mut output = Output::new(to, &plan.nonce, plan.probes.len());
    let mut results = Vec::with_capacity(plan.probes.len());
    let mut running = JoinSet::new();
    let mut ids: HashMap<Id, u32> = HashMap::new();
    for spec in plan.probes {
        let task = running.spawn(probe(spec.kind));
        ids.insert(task.id(), spec.id);
    }
    let deadline = sleep_until(started + Duration::from_millis(plan.deadline_ms));
    tokio::pin!(deadline, terminated);
    let stopped = loop {
        let joined = tokio::select! {
            biased;
            joined = running.join_next_with_id() => joined,
            () = &mut terminated => break Some(Stopped::Terminated),
            () = &mut deadline => break Some(Stopped::Deadline),
        };
        let (task, outcome) = match joined {
            None => break None,
            Some(Ok((task, outcome))) => (task, outcome),
            Some(Err(error)) => (error.id(), lost(error)),
        };
        if let Some(id) = ids.remove(&task) {
            results.push(output.result(ProbeResult { id, outcome }));
        }
    };
    let why = match stopped {
        Some(Stopped::Terminated) => "terminated",
        _ => "deadline",
    };
    for id in ids.into_values().collect::<BTreeSet<_>>() {
        let outcome = Outcome::NotRun {
            why: why.to_owned(),
        };
        results.push(output.result(ProbeResult { id, outcome }));
    }
    output.end(stopped.is_some());
    Ok(Report { results, stopped })
}

fn accept(plan: &Plan) -> Result<(), PlanError> {
    if plan.nonce.len() > MAX_NONCE_BYTES {
        return Err(PlanError::LongNonce(plan.nonce.len()));
    }
    if plan.probes.len() > MAX_PROBES {
        return Err(PlanError::TooManyProbes(plan.probes.len()));
    }
    let mut seen = BTreeSet::new();
    for spec in &plan.probes {
        if !seen.insert(spec.id) {
            return Err(PlanError::DuplicateId(spec.id));
        }
        let (ProbeKind::Dns { tries, .. } | ProbeKind::Tcp { tries, .. }) = spec.kind else {
            continue;
        };
        if tries > MAX_TRIES {
            return Err(PlanError::TooManyTries { id: spec.id, tries });
        }
    }
    Ok(())
}

/// A probe that panicked is a defect of the agent; the others go on and the reader learns of it.
fn lost(error: JoinError) -> Outcome {
    let why = if error.is_panic() {
        let payload = error.into_panic();
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        format!("the probe panicked: {}", bounded(text))
    } else {
        "the probe was cancelled".to_owned()
    };
    Outcome::NotRun { why }
}

async fn probe(kind: ProbeKind, surroundings: Arc<Surroundings>) -> Outcome {
    match kind {
        ProbeKind::Dns {
            server,
            transport,
            name,
            query,
            tries,
            gap_ms,
            timeout_ms,
        } => {
            let queries = Queries {
                server,
                transport,
                name,
                query,
                tries,
                gap: Duration::from_millis(gap_ms),
                timeout: Duration::from_millis(timeout_ms),
            };
            dns::probe(queries, surroundings).await
        }
        ProbeKind::Resolv => Outcome::Resolv(read_resolv(&surroundings.resolv_conf)),
        ProbeKind::Lookup { name, timeout_ms } => {
            lookup::probe(&name, Duration::from_millis(timeout_ms), &surroundings).await
        }
        ProbeKind::Tcp {
            host,
            port,
            tries,
            timeout_ms,
        } => {
            let limit = Duration::from_millis(timeout_ms);
            tcp::probe(&host, port, tries, limit, surroundings).await
        }
        ProbeKind::Tls {
            host,
            port,
            ca_pem,
            timeout_ms,
        } => {
            let limit = Duration::from_millis(timeout_ms);
            tls::probe(&host, port, ca_pem.as_deref(), limit, surroundings).await
        }
        ProbeKind::Http {
            host,
            port,
            path,
            timeout_ms,
        } => {
            let limit = Duration::from_millis(timeout_ms);
            http::probe(&host, port, &path, limit, surroundings).await
        }
        ProbeKind::Imds { server, timeout_ms } => {
            imds::probe(server, Duration::from_millis(timeout_ms), surroundings).await
        }
        ProbeKind::Sts {
            region,
            endpoint,
            timeout_ms,
        } => {
            let limit = Duration::from_millis(timeout_ms);
            sts::probe(region, endpoint, limit, surroundings).await
        }
    }
}

#[cfg(test)]
mod tests {
    use eksnet_probe::{PROTOCOL, ProbeSpec, Resolv, Transcript};

    use super::*;

    fn plan(deadline_ms: u64, names: &[&str]) -> Plan {
        let probes = (1..).zip(names).map(|(id, name)| ProbeSpec {
            id,
            kind: ProbeKind::Lookup {
                name: (*name).to_owned(),
                timeout_ms: 1000,
            },
        });
        Plan {
            protocol: PROTOCOL,
            nonce: "n".to_owned(),
            deadline_ms,
            probes: probes.collect(),
        }
    }

    /// Ends at once, never, or with a panic, as the name says.
    async fn scripted(kind: ProbeKind) -> Outcome {
        let ProbeKind::Lookup { name, .. } = kind else {
            unreachable!("the plans of these tests hold lookups only")
        };
        match name.as_str() {
            "never" => std::future::pending().await,
            "panic" => panic!("a defect"),
            _ => Outcome::Resolv(Resolv::default()),
        }
    }

    async fn ran(plan: Plan, terminated: impl Future<Output = ()>) -> (Report, Transcript) {
        let mut log = Vec::new();
        let report = run_with(plan, Instant::now(), &mut log, terminated, scripted)
            .await
            .unwrap();
        let transcript = Transcript::read(std::str::from_utf8(&log).unwrap(), "n").unwrap();
        assert!(transcript.complete);
        assert_eq!(transcript.results, report.results);
        (report, transcript)
    }

    fn outcome(report: &Report, id: u32) -> &Outcome {
        let of = report.results.iter().find(|result| result.id == id);
        &of.expect("a result per probe").outcome
    }

    fn not_run(why: &str) -> Outcome {
        Outcome::NotRun {
            why: why.to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_deadline_what_is_there_is_reported_and_the_rest_named() {
        let start = Instant::now();
        let (report, transcript) =
            ran(plan(3000, &["ok", "never", "ok"]), std::future::pending()).await;
        assert_eq!(start.elapsed(), Duration::from_millis(3000));
        assert_eq!(report.stopped, Some(Stopped::Deadline));
        assert!(transcript.cut);
        assert!(matches!(outcome(&report, 1), Outcome::Resolv(_)));
        assert_eq!(*outcome(&report, 2), not_run("deadline"));
        assert!(matches!(outcome(&report, 3), Outcome::Resolv(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_is_terminated_reports_likewise() {
        let terminated = tokio::time::sleep(Duration::from_millis(10));
        let (report, transcript) = ran(plan(3000, &["ok", "never"]), terminated).await;
        assert_eq!(report.stopped, Some(Stopped::Terminated));
        assert!(transcript.cut);
        assert_eq!(*outcome(&report, 2), not_run("terminated"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_panics_loses_no_other() {
        let (report, transcript) = ran(plan(3000, &["panic", "ok"]), std::future::pending()).await;
        assert_eq!(report.stopped, None);
        assert!(!transcript.cut);
        assert_eq!(
            *outcome(&report, 1),
            not_run("the probe panicked: a defect")
        );
        assert!(matches!(outcome(&report, 2), Outcome::Resolv(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_plan_ends_at_once_with_a_whole_stream() {
        let (report, transcript) = ran(plan(3000, &[]), std::future::pending()).await;
        assert!(report.results.is_empty());
        assert!(!transcript.cut);
    }

    #[tokio::test]
    async fn a_plan_whose_answer_could_not_be_read_is_refused() {
        let refused = async |plan: Plan| {
            run_with(
                plan,
                Instant::now(),
                Vec::new(),
                std::future::pending(),
                scripted,
            )
            .await
            .unwrap_err()
        };
        let mut twice = plan(1, &["ok", "ok"]);
        twice.probes[1].id = 1;
        assert_eq!(refused(twice).await, PlanError::DuplicateId(1));
        let many = plan(1, &["ok"; MAX_PROBES + 1]);
        assert_eq!(refused(many).await, PlanError::TooManyProbes(2001));
        let mut long = plan(1, &[]);
        long.nonce = "x".repeat(129);
        assert_eq!(refused(long).await, PlanError::LongNonce(129));
        let mut eager = plan(1, &["ok"]);
        eager.probes[0].kind = ProbeKind::Tcp {
            host: "10.0.0.1".to_owned(),
            port: 53,
            tries: 101,
            timeout_ms: 1,
        };
        assert_eq!(
            refused(eager).await,
            PlanError::TooManyTries { id: 1, tries: 101 }
        );
    }
}
