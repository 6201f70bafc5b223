//! What a test wants to become of a pod.

use std::sync::Arc;

use eksnet_probe::{Plan, ProbeResult};
use serde_json::Value;

use crate::kubelet::gate::Gate;
use crate::kubelet::view::{PodView, transcript};

/// Points in the life of a pod at which [`PodScript::hold`] can stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The pod is stored, the answer to its creation is withheld.
    Created,
    /// The pod is Pending.
    Pending,
    /// The pod is Running; its log is not written yet.
    Running,
    /// The pod is marked for deletion and still there.
    Deleting,
}

/// What a pod writes: its log and its termination message.
type Writes = Arc<dyn Fn(&PodView) -> (String, String) + Send + Sync>;
type Condition = Arc<dyn Fn(&PodView) -> bool + Send + Sync>;

/// How far a pod gets.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    Runs,
    /// A container waits for ever, with this reason and message.
    Waits {
        reason: String,
        message: String,
        events: Vec<(String, String)>,
    },
    /// The kubelet refuses it: phase Failed.
    Rejected {
        reason: String,
        message: String,
    },
}

/// The life of the pods that it is for: Pending, Running, Succeeded, unless told otherwise.
///
/// ```
/// use eksnet_probe::{Outcome, ProbeResult};
/// use eksnet_testkit::PodScript;
///
/// // On node n1 every probe of the plan fails to run; n2 has no address left.
/// let n1 = PodScript::succeeds().on_node("n1").answers(|plan, _| {
///     plan.probes.iter().map(|probe| ProbeResult {
///         id: probe.id,
///         outcome: Outcome::NotRun { why: "scripted".to_owned() },
///     }).collect()
/// });
/// let n2 = PodScript::no_address().on_node("n2");
/// ```
#[derive(Clone)]
pub struct PodScript {
    conditions: Vec<Condition>,
    start: Start,
    writes: Option<Writes>,
    exit_code: i64,
    gates: Vec<(Phase, Gate)>,
}

impl Default for PodScript {
    fn default() -> Self {
        Self::succeeds()
    }
}

impl PodScript {
    /// Runs and ends with exit code 0; the log is empty.
    #[must_use]
    pub fn succeeds() -> Self {
        Self {
            conditions: Vec::new(),
            start: Start::Runs,
            writes: None,
            exit_code: 0,
            gates: Vec::new(),
        }
    }

    /// The image cannot be pulled: `ImagePullBackOff`, with the events of the pull.
    #[must_use]
    pub fn image_pull_back_off(image: &str) -> Self {
        let failed = format!(
            "Failed to pull image \"{image}\": rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": {image}: not found"
        );
        let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {failed}");
        Self::waits("ImagePullBackOff", &message)
            .event("Failed", &failed)
            .event("Failed", "Error: ErrImagePull")
            .event("BackOff", &format!("Back-off pulling image \"{image}\""))
    }

    /// The CNI plugin has no address: the sandbox is never made.
    #[must_use]
    pub fn no_address() -> Self {
        Self::sandbox_fails(
            "plugin type=\"aws-cni\" name=\"aws-cni\" failed (add): add cmd: failed to assign an IP address to container",
        )
    }

    /// The sandbox is never made, for this reason of the CNI plugin.
    #[must_use]
    pub fn sandbox_fails(why: &str) -> Self {
        let sandbox = "5a0d6f0c2d3ee1a1b1a4a0b7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091";
        let message = format!(
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"{sandbox}\": {why}"
        );
        Self::waits("ContainerCreating", "").event("FailedCreatePodSandBox", &message)
    }

    /// The node holds as many pods as it may: phase Failed, reason `OutOfpods`.
    #[must_use]
    pub fn out_of_pods() -> Self {
        Self::rejected(
            "OutOfpods",
            "Node didn't have enough resource: pods, requested: 1, used: 29, capacity: 29",
        )
    }

    /// The kubelet refuses the pod with this reason and message: phase Failed.
    #[must_use]
    pub fn rejected(reason: &str, message: &str) -> Self {
        let mut script = Self::succeeds();
        script.start = Start::Rejected {
            reason: reason.to_owned(),
            message: format!("Pod was rejected: {message}"),
        };
        script
    }

    /// The runtime cannot make the container: `CreateContainerError`.
    #[must_use]
    pub fn create_container_error(message: &str) -> Self {
        Self::waits("CreateContainerError", message).event("Failed", &format!("Error: {message}"))
    }

    /// The container waits for ever, with this reason and message.
    #[must_use]
    pub fn waits(reason: &str, message: &str) -> Self {
        let mut script = Self::succeeds();
        script.start = Start::Waits {
            reason: reason.to_owned(),
            message: message.to_owned(),
            events: Vec::new(),
        };
        script
    }

    /// One more warning event about a pod that waits.
    #[must_use]
    pub fn event(mut self, reason: &str, message: &str) -> Self {
        if let Start::Waits { events, .. } = &mut self.start {
            events.push((reason.to_owned(), message.to_owned()));
        }
        self
    }

    /// Only for pods on this node.
    #[must_use]
    pub fn on_node(self, node: &str) -> Self {
        let of = node.to_owned();
        self.when(move |pod| pod.node() == of)
    }

    /// Only for pods for which `condition` holds.
    #[must_use]
    pub fn when(mut self, condition: impl Fn(&PodView) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Arc::new(condition));
        self
    }

    /// The pod's log.
    #[must_use]
    pub fn log(mut self, log: impl Fn(&PodView) -> String + Send + Sync + 'static) -> Self {
        let before = self.writes.take();
        self.writes = Some(Arc::new(move |pod| {
            let message = before.as_ref().map(|writes| writes(pod).1);
            (log(pod), message.unwrap_or_default())
        }));
        self
    }

    /// The pod's termination message; kubelet keeps 4096 bytes of it.
    #[must_use]
    pub fn termination_message(
        mut self,
        message: impl Fn(&PodView) -> String + Send + Sync + 'static,
    ) -> Self {
        let before = self.writes.take();
        self.writes = Some(Arc::new(move |pod| {
            let log = before.as_ref().map(|writes| writes(pod).0);
            (log.unwrap_or_default(), message(pod))
        }));
        self
    }

    /// The pod answers as an agent would that got these results for its plan: log and termination
    /// message. A pod without a plan writes why it has none.
    #[must_use]
    pub fn answers(
        mut self,
        answer: impl Fn(&Plan, &PodView) -> Vec<ProbeResult> + Send + Sync + 'static,
    ) -> Self {
        self.writes = Some(Arc::new(move |pod| match pod.plan() {
            Some(plan) => {
                let results = answer(&plan, pod);
                transcript(&plan, results)
            }
            None => ("eksnet-agent: no plan\n".to_owned(), String::new()),
        }));
        self
    }

    /// The container ends with this code; any but 0 makes the pod Failed.
    #[must_use]
    pub fn exits(mut self, code: i64) -> Self {
        self.exit_code = code;
        self
    }

    /// Holds the pod in a phase until the gate is released.
    #[must_use]
    pub fn hold(mut self, phase: Phase, gate: &Gate) -> Self {
        self.gates.push((phase, gate.clone()));
        self
    }

    pub(crate) fn is_for(&self, pod: &PodView) -> bool {
        self.conditions.iter().all(|condition| condition(pod))
    }

    pub(crate) fn gate(&self, phase: Phase) -> Gate {
        self.gates
            .iter()
            .find(|(of, _)| *of == phase)
            .map_or_else(Gate::opened, |(_, gate)| gate.clone())
    }

    pub(crate) fn start(&self) -> &Start {
        &self.start
    }

    pub(crate) fn exit_code(&self) -> i64 {
        self.exit_code
    }

    /// Whether log and message are scripted, so that no real agent runs.
    pub(crate) fn writes_itself(&self) -> bool {
        self.writes.is_some()
    }

    pub(crate) fn written(&self, pod: &PodView) -> (String, String) {
        self.writes
            .as_ref()
            .map(|writes| writes(pod))
            .unwrap_or_default()
    }
}

/// First container of a pod.
pub(crate) fn first_container(pod: &Value) -> &str {
    pod["spec"]["containers"][0]["name"]
        .as_str()
        .unwrap_or_default()
}
