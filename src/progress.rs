//! What is being waited for, on standard error and only on a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use eksnet_collect::{Ended, Progress};
use eksnet_model::Source;

/// One line that is drawn over itself; with `-v`, a line per source as it ends.
pub(crate) struct Line {
    terminal: bool,
    verbose: bool,
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Source>,
    probes: Option<(usize, usize)>,
    drawn: bool,
}

impl Line {
    pub(crate) fn new(verbose: u8) -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            verbose: verbose > 0,
            begun: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// Takes the line away, so that the report stands alone.
    pub(crate) fn clear(&self) {
        if let Ok(mut state) = self.state.lock()
            && std::mem::take(&mut state.drawn)
        {
            eprint!("\r\u{1b}[2K");
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        change(&mut state);
        if !self.terminal || self.verbose {
            return;
        }
        let seconds = self.begun.elapsed().as_secs_f32();
        let mut what = match (state.probes, state.waiting.as_slice()) {
            (Some((waiting, total)), _) => {
                format!("{} of {total} probe pods have answered", total - waiting)
            }
            (None, []) => "judging".to_owned(),
            (None, [one]) => format!("reading {one}"),
            (None, [first, rest @ ..]) => format!("reading {first} and {} more", rest.len()),
        };
        what.truncate(60);
        let mut err = std::io::stderr().lock();
        // A terminal that went away is no reason to stop.
        let _ = write!(err, "\r\u{1b}[2K{what} ({seconds:.1} s)");
        let _ = err.flush();
        state.drawn = true;
    }
}

impl Progress for Line {
    fn started(&self, source: Source) {
        self.change(|state| state.waiting.push(source));
    }

    fn finished(&self, source: Source, elapsed: Duration, ended: Ended) {
        if self.verbose {
            let how = match ended {
                Ended::Complete => "read",
                Ended::Partial => "read in part",
                Ended::Absent => "not read",
            };
            eprintln!("{source}: {how} in {:.2} s", elapsed.as_secs_f32());
        }
        self.change(|state| state.waiting.retain(|one| *one != source));
    }

    fn probes(&self, waiting: usize, total: usize) {
        self.change(|state| state.probes = (waiting > 0).then_some((waiting, total)));
    }

    fn deleting(&self, left: usize) {
        if self.verbose {
            eprintln!("deleting probe pods: {left} not confirmed gone");
        }
    }
}
