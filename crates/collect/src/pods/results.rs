//! What a probe pod wrote: its log, else its termination message.

use std::time::Duration;

use eksnet_model::ProbePod;
use eksnet_model::kubernetes::Pod;
use eksnet_probe::{MAX_STREAM_BYTES, Transcript, Verdict};
use tokio::time::{Instant, sleep};

use super::launch::{Launcher, PAUSE, Planned};
use super::manifest::CONTAINER;
use super::object::Object;
use crate::kubernetes::api::Ask;
use crate::kubernetes::fault::{Fault, excerpt};

/// Limit of reading one log: kubelet may not answer.
const READ: Duration = Duration::from_secs(6);

impl Launcher<'_> {
    /// Reads the results of a pod that has ended: from its log, else from its termination message.
    pub(crate) async fn read(
        &self,
        planned: &Planned,
        status: Option<&Pod>,
        code: Option<i32>,
        pod: &mut ProbePod,
    ) {
        let transcript = match self.transcript(&planned.object).await {
            Ok((transcript, foreign)) => {
                if transcript.results.is_empty() && !transcript.complete {
                    let code = code.map_or_else(
                        || "did not end".to_owned(),
                        |code| format!("ended with exit code {code}"),
                    );
                    let wrote = if foreign.is_empty() {
                        "nothing".to_owned()
                    } else {
                        foreign
                    };
                    pod.log_error = Some(format!("the agent {code} and wrote {wrote}").into());
                }
                transcript
            }
            Err(fault) => {
                let tried = format!("GET {}/log", planned.object.path());
                pod.log_error = Some(format!("{tried}: {}", fault.says()).into());
                Transcript::default()
            }
        };
        pod.complete = transcript.complete && !transcript.cut;
        pod.results = transcript.results;
        if pod.complete {
            return;
        }
        let message = status
            .and_then(|pod| pod.status.container_statuses.first())
            .and_then(|status| status.state.terminated.as_ref())
            .map_or("", |end| end.message.as_str());
        let Some(verdict) = Verdict::read(message, &self.nonce) else {
            return;
        };
        for result in verdict.results {
            let is_new = pod.results.iter().all(|known| known.id != result.id);
            if is_new && pod.plan.iter().any(|spec| spec.id == result.id) {
                pod.results.push(result);
            }
        }
        pod.complete =
            pod.results.len() == verdict.count as usize && pod.results.len() == pod.plan.len();
    }

    /// The log as a transcript, and the start of it where it is none. A log that is not whole is
    /// read once more: kubelet may not have caught up with its container.
    async fn transcript(&self, object: &Object) -> Result<(Transcript, String), Fault> {
        let limit = MAX_STREAM_BYTES + 1;
        let path = format!(
            "{}/log?container={CONTAINER}&limitBytes={limit}",
            object.path()
        );
        let ask = Ask {
            accept: "*/*",
            is_patient: false,
            ..Ask::get(&path)
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let deadline = Instant::now() + READ;
            let read = async { self.api.send(&ask, deadline).await?.bytes(limit * 2).await };
            let outcome = read.await.and_then(|bytes| {
                let text = String::from_utf8_lossy(&bytes);
                let transcript = Transcript::read(&text, &self.nonce)
                    .map_err(|error| Fault::Malformed(error.to_string()))?;
                Ok((transcript, excerpt(&bytes)))
            });
            let is_whole = matches!(&outcome, Ok((transcript, _)) if transcript.complete);
            if is_whole || tries >= 2 || Instant::now() + PAUSE >= self.end_by {
                return outcome;
            }
            sleep(PAUSE).await;
        }
    }
}
