//! Creates probe pods, waits for each, and reads what it wrote.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eksnet_model::kubernetes::Pod;
use eksnet_model::{Gap, NotStarted, ProbePod, Source, Standpoint, Time};
use eksnet_probe::{PROTOCOL, Plan, ProbeSpec};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::cleanup::Cleanup;
use super::look::Seen;
use super::manifest::{self, Cast, Guise, Mold, Owner};
use super::object::{Kind, Object};
use super::start::{self, Progress as Start, not_started};
use crate::Progress;
use crate::kubernetes::api::Api;
use crate::kubernetes::fault::Fault;

/// Pause between two looks at the pods.
pub(crate) const PAUSE: Duration = Duration::from_millis(300);
/// For how long a sandbox may fail before the pod is given up: an address may be freed, or the CNI
/// may have just come up.
const SANDBOX: Duration = Duration::from_secs(6);
/// Looks in a row that a pod which was there must be missing before it counts as deleted: API
/// servers differ by a moment.
const MISSING: u32 = 3;

/// A pod that is to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) object: Object,
    pub(crate) at: Standpoint,
    pub(crate) plan: Vec<ProbeSpec>,
    pub(crate) guise: Option<Guise>,
}

/// What launching takes.
#[derive(Clone)]
pub(crate) struct Launcher<'a> {
    pub(crate) api: &'a Api,
    pub(crate) cleanup: &'a Cleanup,
    pub(crate) mold: Mold,
    pub(crate) nonce: String,
    /// Limit of the agent's own work, from its start.
    pub(crate) agent_limit: Duration,
    /// When pods that have not started are given up.
    pub(crate) start_by: Instant,
    /// When everything is given up.
    pub(crate) end_by: Instant,
    pub(crate) progress: &'a dyn Progress,
}

impl Launcher<'_> {
    /// Creates the pods, all in one namespace, and returns what became of each, in their order.
    ///
    /// # Errors
    /// A gap, when the user may create no pods there.
    pub(crate) async fn launch(mut self, planned: Vec<Planned>) -> Result<Vec<ProbePod>, Gap> {
        let Some(namespace) = planned.first().map(|one| one.object.namespace.clone()) else {
            return Ok(Vec::new());
        };
        let disguised = planned.iter().any(|one| {
            one.guise
                .as_ref()
                .is_some_and(|guise| !guise.labels.is_empty())
        });
        self.mold.owner = self.create_owner(&namespace, disguised).await?;
        let (seen, statuses) = watch::channel(Arc::new(Seen::default()));
        let done = AtomicUsize::new(0);
        let total = planned.len();
        self.progress.probes(total, total);
        let pods = join_all(planned.iter().map(|one| {
            let statuses = statuses.clone();
            let done = &done;
            let launcher = &self;
            async move {
                let pod = launcher.follow(one, statuses).await;
                let ended = done.fetch_add(1, Ordering::Relaxed) + 1;
                launcher.progress.probes(total - ended, total);
                pod
            }
        }));
        tokio::select! {
            pods = pods => pods.into_iter().collect(),
            () = self.look(&namespace, &planned, &seen) => Ok(Vec::new()),
        }
    }

    /// The run's own config map. Without the right to create it, pods without copied labels can do
    /// without an owner: no controller selects them.
    async fn create_owner(&self, namespace: &str, needed: bool) -> Result<Option<Owner>, Gap> {
        let object = Object {
            kind: Kind::ConfigMap,
            namespace: namespace.to_owned(),
            name: owner_name(&self.mold.run),
        };
        let map = manifest::config_map(&object, &self.mold, None);
        let mut answer = self.create(&object, &map).await;
        // The other group of pods of this run was first.
        if matches!(&answer, Err(fault) if fault.status().is_some_and(|status| status.as_u16() == 409))
        {
            answer = self.api.get(&object.path(), self.end_by).await;
        }
        match answer {
            Ok(made) => Ok(made["metadata"]["uid"].as_str().map(|uid| Owner {
                name: object.name,
                uid: uid.to_owned(),
            })),
            Err(fault) if needed => Err(self.gap(&fault, &object)),
            Err(_) => Ok(None),
        }
    }

    fn gap(&self, fault: &Fault, object: &Object) -> Gap {
        let plural = object.kind.plural();
        let permission = format!("create {plural} in {}", object.namespace);
        let tried = format!("POST {}", object.collection());
        fault.gap(Source::Probes, &tried, &permission)
    }

    /// Creates an object that cleaning up knows of before the request is sent.
    async fn create(&self, object: &Object, body: &Value) -> Result<Value, Fault> {
        self.cleanup.sending(object);
        let deadline = self.end_by.min(Instant::now() + Duration::from_secs(15));
        let answer = self.api.create(&object.collection(), body, deadline).await;
        self.cleanup.answered(object, &answer);
        answer
    }

    /// One pod from its creation to its results.
    async fn follow(
        &self,
        planned: &Planned,
        statuses: watch::Receiver<Arc<Seen>>,
    ) -> Result<ProbePod, Gap> {
        let mut pod = ProbePod {
            name: planned.object.name.as_str().into(),
            at: planned.at.clone(),
            plan: planned.plan.clone(),
            ..ProbePod::default()
        };
        if let Err(fault) = self.create_pod(planned).await {
            match start::refused(&fault) {
                Some(why) => {
                    pod.not_started = Some(why);
                    return Ok(pod);
                }
                None => return Err(self.gap(&fault, &planned.object)),
            }
        }
        let (status, end) = self.wait(&planned.object.name, statuses).await;
        pod.ip = status
            .as_ref()
            .and_then(|status| status.status.pod_ip.parse().ok());
        match end {
            End::NotStarted(why) => pod.not_started = Some(why),
            End::Ended(code) => self.read(planned, status.as_deref(), code, &mut pod).await,
        }
        pod.at_time = Some(Time(jiff::Timestamp::now()));
        Ok(pod)
    }

    async fn create_pod(&self, planned: &Planned) -> Result<(), Fault> {
        let encoded = Plan {
            protocol: PROTOCOL,
            nonce: self.nonce.clone(),
            deadline_ms: u64::try_from(self.agent_limit.as_millis()).unwrap_or(u64::MAX),
            probes: planned.plan.clone(),
        }
        .encode();
        if manifest::needs_config_map(&encoded) {
            let map = Object {
                kind: Kind::ConfigMap,
                ..planned.object.clone()
            };
            let body = manifest::config_map(&map, &self.mold, Some(&encoded));
            self.create(&map, &body).await?;
        }
        let cast = Cast {
            object: &planned.object,
            node: &planned.at.node,
            plan: &encoded,
            guise: planned.guise.as_ref(),
        };
        self.create(&planned.object, &manifest::pod(&cast, &self.mold))
            .await?;
        Ok(())
    }

    /// Waits until a pod has ended, cannot start, or has used up its time.
    async fn wait(
        &self,
        name: &str,
        mut statuses: watch::Receiver<Arc<Seen>>,
    ) -> (Option<Arc<Pod>>, End) {
        let created = Instant::now();
        let first = statuses.borrow().looks;
        loop {
            let seen = statuses.borrow_and_update().clone();
            let now = Instant::now();
            let known = seen.pods.get(name);
            let status = known.map(|(pod, _)| pod.clone());
            let mut waits_for = not_started("", "the API server has not shown it yet");
            match known.map(|(pod, missing)| (start::progress(pod), *missing)) {
                Some((Start::Ended(code), _)) => return (status, End::Ended(Some(code))),
                Some((Start::NotStarted(why), _)) => return (status, End::NotStarted(why)),
                Some((_, missing)) if missing >= MISSING => {
                    let why = not_started(
                        "Deleted",
                        "something deleted the pod while the run waited for it",
                    );
                    return (status, End::NotStarted(why));
                }
                Some((Start::Running, _)) if now >= self.end_by => {
                    return (status, End::Ended(None));
                }
                Some((Start::Running, _)) => {
                    let _ = timeout_at(self.end_by, statuses.changed()).await;
                    continue;
                }
                Some((Start::Waiting(why), _)) => waits_for = why,
                None => {}
            }
            let sandbox = start::sandbox_failure(name, seen.events.iter());
            if let Some(why) = &sandbox
                && why.reason == "FailedCreatePodSandBox"
                && created.elapsed() >= SANDBOX
            {
                return (status, End::NotStarted(why.clone()));
            }
            if now >= self.start_by {
                let looked = seen.looks > first;
                let why = given_up(waits_for, sandbox, created.elapsed(), looked);
                return (status, End::NotStarted(why));
            }
            let _ = timeout_at(self.start_by, statuses.changed()).await;
        }
    }
}

/// How waiting for a pod ended.
enum End {
    NotStarted(NotStarted),
    /// The agent ended, with its exit code, or `None` where it still runs and time is up.
    Ended(Option<i32>),
}

/// Name of a run's config map; the pods' names begin with it.
pub(crate) fn owner_name(run: &str) -> String {
    format!("eksnet-probe-{run}")
}

/// The last word on a pod that did not start in time.
fn given_up(
    waits_for: NotStarted,
    sandbox: Option<NotStarted>,
    after: Duration,
    looked: bool,
) -> NotStarted {
    if let Some(why) = sandbox {
        return why;
    }
    if !matches!(
        waits_for.reason.as_str(),
        "" | "ContainerCreating" | "PodInitializing"
    ) {
        return waits_for;
    }
    let seconds = after.as_secs();
    let state = match (
        looked,
        waits_for.reason.as_str(),
        waits_for.message.as_str(),
    ) {
        (false, _, _) => "the API server did not show its state".to_owned(),
        (true, "", "") => "no kubelet has taken it up".to_owned(),
        (true, "", message) => message.to_owned(),
        (true, reason, "") => reason.to_owned(),
        (true, reason, message) => format!("{reason}: {message}"),
    };
    not_started(
        "Timeout",
        &format!("not started after {seconds} s; {state}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_a_pod_names_the_cause_where_one_is_known() {
        let after = Duration::from_secs(20);
        let creating = || not_started("ContainerCreating", "");
        let sandbox = not_started("FailedCreatePodSandBox", "no address");
        assert_eq!(
            given_up(creating(), Some(sandbox.clone()), after, true),
            sandbox
        );
        let pull = not_started("ErrImagePull", "m");
        assert_eq!(given_up(pull.clone(), None, after, true), pull);
        let dead = given_up(not_started("", ""), None, after, true);
        assert_eq!(dead.reason, "Timeout");
        assert!(
            dead.message.contains("20 s") && dead.message.contains("no kubelet"),
            "{}",
            dead.message
        );
        assert!(
            given_up(creating(), None, after, true)
                .message
                .contains("ContainerCreating")
        );
    }
}
