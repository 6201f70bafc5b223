//! The stream of results, kept under its bound.

use std::io::Write;

use eksnet_probe::{Line, MAX_STREAM_BYTES, Outcome, ProbeResult};

/// Reason given for a result that found no room.
const NO_ROOM: &str = "no room in the stream";

/// Writes results as they come, never more than [`MAX_STREAM_BYTES`] in all, and always with room
/// left for a line about each result that is still to come and for the last line.
#[derive(Debug)]
pub struct Output<W> {
    to: W,
    nonce: String,
    bound: usize,
    written: usize,
    awaited: usize,
    count: u32,
}

impl<W: Write> Output<W> {
    /// A stream for `expected` results.
    pub fn new(to: W, nonce: &str, expected: usize) -> Self {
        Self::with_bound(to, nonce, expected, MAX_STREAM_BYTES)
    }

    fn with_bound(to: W, nonce: &str, expected: usize, bound: usize) -> Self {
        Self {
            to,
            nonce: nonce.to_owned(),
            bound,
            written: 0,
            awaited: expected,
            count: 0,
        }
    }

    /// Writes one result: whole where there is room, else without answers, else as
    /// [`Outcome::NotRun`]. Returns what was written.
    pub fn result(&mut self, result: ProbeResult) -> ProbeResult {
        let waiting = self.awaited.saturating_sub(1);
        let room = self
            .bound
            .saturating_sub(self.written)
            .saturating_sub(waiting * self.least_line())
            .saturating_sub(self.last_line().len());
        let fitting = [without_answers, not_run]
            .into_iter()
            .fold(result, |result, shorten| {
                if self.line(&result).len() <= room {
                    result
                } else {
                    shorten(result)
                }
            });
        let line = self.line(&fitting);
        self.write(&line);
        self.count += 1;
        self.awaited = waiting;
        fitting
    }

    /// Writes the last line; `cut` says that the run ended before all probes had.
    pub fn end(mut self, cut: bool) -> W {
        let line = self.encode(&Line::End {
            nonce: self.nonce.clone(),
            count: self.count,
            cut,
        });
        self.write(&line);
        self.to
    }

    /// Nobody may be reading any more, and the termination message still counts.
    fn write(&mut self, line: &str) {
        self.written += line.len();
        let _ = self.to.write_all(line.as_bytes());
        let _ = self.to.flush();
    }

    fn line(&self, result: &ProbeResult) -> String {
        self.encode(&Line::Result {
            nonce: self.nonce.clone(),
            result: result.clone(),
        })
    }

    fn least_line(&self) -> usize {
        let least = ProbeResult {
            id: u32::MAX,
            outcome: Outcome::NotRun {
                why: NO_ROOM.to_owned(),
            },
        };
        self.line(&least).len()
    }

    fn last_line(&self) -> String {
        self.encode(&Line::End {
            nonce: self.nonce.clone(),
            count: u32::MAX,
            cut: false,
        })
    }

    fn encode(&self, line: &Line) -> String {
        let mut text = serde_json::to_string(line).expect("a line is plain data");
        text.push('\n');
        text
    }
}

fn without_answers(mut result: ProbeResult) -> ProbeResult {
    if let Outcome::Dns { tries } = &mut result.outcome {
        for each in tries {
            each.answers.clear();
        }
    }
    result
}

fn not_run(result: ProbeResult) -> ProbeResult {
    ProbeResult {
        id: result.id,
        outcome: Outcome::NotRun {
            why: NO_ROOM.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use eksnet_probe::{Answer, DnsOutcome, DnsTry, Transcript};

    use super::*;

    fn dns(id: u32, answers: usize) -> ProbeResult {
        let tries = (0..5)
            .map(|_| DnsTry {
                outcome: DnsOutcome::Ok,
                elapsed_ms: 1234.567,
                answers: vec![Answer::Alias("x".repeat(200)); answers],
            })
            .collect();
        ProbeResult {
            id,
            outcome: Outcome::Dns { tries },
        }
    }

    fn stream(results: impl ExactSizeIterator<Item = ProbeResult>, bound: usize) -> String {
        let mut output = Output::with_bound(Vec::new(), "nonce", results.len(), bound);
        for result in results {
            output.result(result);
        }
        String::from_utf8(output.end(false)).unwrap()
    }

    #[test]
    fn results_that_fit_are_written_whole() {
        let log = stream((0..3).map(|id| dns(id, 2)), MAX_STREAM_BYTES);
        let transcript = Transcript::read(&log, "nonce").unwrap();
        assert!(transcript.complete);
        assert_eq!(transcript.results, [dns(0, 2), dns(1, 2), dns(2, 2)]);
    }

    #[test]
    fn a_stream_that_fills_up_loses_answers_first_then_results_and_never_an_id() {
        let log = stream((0..1000).map(|id| dns(id, 32)), MAX_STREAM_BYTES);
        assert!(log.len() <= MAX_STREAM_BYTES, "{} bytes", log.len());
        let transcript = Transcript::read(&log, "nonce").unwrap();
        assert!(transcript.complete);
        assert_eq!(transcript.results.len(), 1000);
        assert_eq!(transcript.results[0], dns(0, 32));
        assert!(
            transcript
                .results
                .iter()
                .any(|result| *result == dns(result.id, 0))
        );
    }

    #[test]
    fn at_the_very_end_a_result_becomes_a_line_that_says_so() {
        let log = stream((0..20).map(|id| dns(id, 0)), 2500);
        assert!(log.len() <= 2500, "{} bytes", log.len());
        let transcript = Transcript::read(&log, "nonce").unwrap();
        assert!(transcript.complete);
        assert_eq!(transcript.results.len(), 20);
        assert!(transcript.results.iter().any(|result| matches!(
            &result.outcome,
            Outcome::NotRun { why } if why == NO_ROOM
        )));
        assert_eq!(transcript.results[0], dns(0, 0));
    }

    #[test]
    fn a_reader_that_went_away_does_not_stop_the_run() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut output = Output::new(Closed, "nonce", 1);
        assert_eq!(output.result(dns(1, 1)), dns(1, 1));
        output.end(false);
    }
}
