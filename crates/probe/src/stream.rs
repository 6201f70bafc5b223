//! How results travel: JSON lines in the pod's log, and a verdict in the termination message.

use serde::{Deserialize, Serialize};

use crate::{Outcome, ProbeResult};

/// Most that an agent writes, in bytes. A container's log rotates at 10 MiB and only the newest
/// file is served, so a stream this short is never cut by rotation.
pub const MAX_STREAM_BYTES: usize = 1024 * 1024;

/// Most that a termination message holds, in bytes (kubelet cuts at 4096).
pub const MAX_TERMINATION_BYTES: usize = 4096;

/// One line of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "camelCase")]
pub enum Line {
    /// A result.
    Result {
        /// Nonce of the plan.
        nonce: String,
        /// The result.
        #[serde(flatten)]
        result: ProbeResult,
    },
    /// The last line.
    End {
        /// Nonce of the plan.
        nonce: String,
        /// Number of results written before.
        count: u32,
        /// Whether the deadline ended the run before all probes had finished.
        cut: bool,
    },
}

/// The short form of a run for the termination message: per probe the worst that matters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Nonce of the plan.
    pub nonce: String,
    /// Number of results.
    pub count: u32,
    /// The results that fit, most important first (DNS, then the rest), without answers.
    pub results: Vec<ProbeResult>,
}

/// What the plugin made of a pod's log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    /// Results with the right nonce, by id; the first of an id counts.
    pub results: Vec<ProbeResult>,
    /// Whether the last line came and its count agrees.
    pub complete: bool,
    /// Whether the agent's deadline cut its run.
    pub cut: bool,
    /// Lines that were no lines of this stream.
    pub foreign_lines: usize,
}

/// Why a stream cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// More than [`MAX_STREAM_BYTES`].
    TooLong,
}

impl std::fmt::Display for StreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong => write!(
                f,
                "the probe pod's log is longer than {MAX_STREAM_BYTES} bytes"
            ),
        }
    }
}

impl std::error::Error for StreamError {}

impl Transcript {
    /// Reads a pod's log.
    ///
    /// # Errors
    /// [`StreamError::TooLong`] for a log that no agent of ours wrote.
    pub fn read(log: &str, nonce: &str) -> Result<Self, StreamError> {
        if log.len() > MAX_STREAM_BYTES {
            return Err(StreamError::TooLong);
        }
        let mut transcript = Self::default();
        for line in log.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str(line) {
                Ok(Line::Result { nonce: of, result }) if of == nonce => {
                    if transcript.results.iter().all(|known| known.id != result.id) {
                        transcript.results.push(result);
                    }
                }
                Ok(Line::End {
                    nonce: of,
                    count,
                    cut,
                }) if of == nonce => {
                    transcript.complete = count as usize == transcript.results.len();
                    transcript.cut = cut;
                }
                _ => transcript.foreign_lines += 1,
            }
        }
        Ok(transcript)
    }
}

impl Verdict {
    /// The longest verdict over `results` that fits a termination message.
    ///
    /// # Panics
    /// Never: results are plain data.
    #[must_use]
    pub fn fit(nonce: &str, results: &[ProbeResult]) -> String {
        let mut short: Vec<ProbeResult> = results.iter().map(without_answers).collect();
        short.sort_by_key(|result| (!matches!(result.outcome, Outcome::Dns { .. }), result.id));
        let mut verdict = Self {
            nonce: nonce.to_owned(),
            count: u32::try_from(results.len()).unwrap_or(u32::MAX),
            results: short,
        };
        loop {
            let text = serde_json::to_string(&verdict).expect("a verdict is plain data");
            if text.len() <= MAX_TERMINATION_BYTES || verdict.results.is_empty() {
                return text;
            }
            let keep = verdict.results.len() * MAX_TERMINATION_BYTES / text.len();
            verdict
                .results
                .truncate(keep.min(verdict.results.len() - 1));
        }
    }

    /// Reads a termination message; `None` when it is not one of this plan.
    #[must_use]
    pub fn read(message: &str, nonce: &str) -> Option<Self> {
        serde_json::from_str::<Self>(message)
            .ok()
            .filter(|verdict| verdict.nonce == nonce)
    }
}

fn without_answers(result: &ProbeResult) -> ProbeResult {
    let mut short = result.clone();
    if let Outcome::Dns { tries } = &mut short.outcome {
        for each in tries {
            each.answers.clear();
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, DnsOutcome, DnsTry};

    fn dns(id: u32) -> ProbeResult {
        let answers = vec![Answer::Address([10, 0, 0, 1].into())];
        let tries = vec![DnsTry {
            outcome: DnsOutcome::Ok,
            elapsed_ms: 0.5,
            answers,
        }];
        ProbeResult {
            id,
            outcome: Outcome::Dns { tries },
        }
    }

    fn stream(nonce: &str, results: &[ProbeResult], count: u32) -> String {
        let mut lines: Vec<String> = results
            .iter()
            .map(|result| {
                let line = Line::Result {
                    nonce: nonce.to_owned(),
                    result: result.clone(),
                };
                serde_json::to_string(&line).unwrap_or_default()
            })
            .collect();
        let end = Line::End {
            nonce: nonce.to_owned(),
            count,
            cut: false,
        };
        lines.push(serde_json::to_string(&end).unwrap_or_default());
        lines.join("\n")
    }

    #[test]
    fn a_whole_stream_is_complete() {
        let transcript = Transcript::read(&stream("n", &[dns(1), dns(2)], 2), "n");
        let transcript = transcript.unwrap_or_default();
        assert!(transcript.complete);
        assert_eq!(transcript.results, [dns(1), dns(2)]);
    }

    #[test]
    fn a_stream_that_lost_a_line_is_not_complete() {
        let transcript = Transcript::read(&stream("n", &[dns(1)], 2), "n").unwrap_or_default();
        assert!(!transcript.complete);
    }

    #[test]
    fn lines_with_another_nonce_are_foreign() {
        let log = format!(
            "{}\n{}",
            stream("evil", &[dns(7)], 1),
            stream("n", &[dns(1)], 1)
        );
        let transcript = Transcript::read(&log, "n").unwrap_or_default();
        assert_eq!(transcript.results, [dns(1)]);
        assert_eq!(transcript.foreign_lines, 2);
        assert!(transcript.complete);
    }

    #[test]
    fn a_verdict_fits_the_termination_message_and_keeps_what_it_can() {
        let results: Vec<ProbeResult> = (0..500).map(dns).collect();
        let text = Verdict::fit("n", &results);
        assert!(text.len() <= MAX_TERMINATION_BYTES);
        let verdict = Verdict::read(&text, "n").expect("our own verdict");
        assert_eq!(verdict.count, 500);
        assert!(verdict.results.len() > 20, "{}", verdict.results.len());
        assert!(Verdict::read(&text, "other").is_none());
    }
}
