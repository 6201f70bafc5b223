//! moto: a mock of AWS that computes its answers, for what fixtures cannot show: that requests are
//! encoded as AWS reads them, and that counts fit.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// How long moto may take to start; it takes seconds on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The server ends when its standard input does: it cannot outlive a test that was killed.
const PROGRAM: &str = "
import os, sys, threading
def end():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=end, daemon=True).start()
from moto.server import main
main(['-H', '127.0.0.1', '-p', '0'])
";

/// A running `moto.server` (`pip install 'moto[server]'`) on a loopback port. It and whatever it
/// started end when dropped, also when a test panics.
///
/// ```no_run
/// use eksnet_testkit::{Moto, require};
///
/// let Some(moto) = require("moto", Moto::start()) else { return };
/// // Run the plugin with the variables of `moto.env()`.
/// # let _ = moto.url();
/// ```
#[derive(Debug)]
pub struct Moto {
    child: Child,
    url: String,
}

impl Moto {
    /// Starts moto with the managed policies of IAM and waits until it listens.
    ///
    /// # Errors
    /// Why it does not run: Python or moto is not installed, or it did not start in time.
    pub fn start() -> Result<Self, String> {
        use std::os::unix::process::CommandExt as _;
        let mut child = Command::new("python3")
            .args(["-c", PROGRAM])
            .env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("python3 did not run: {error}"))?;
        let stderr = child.stderr.take();
        let mut moto = Self {
            child,
            url: String::new(),
        };
        let (said, lines) = channel();
        std::thread::spawn(move || drain(stderr, &said));
        let mut last = String::new();
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => match line.split_once("Running on ") {
                    Some((_, url)) => {
                        moto.url = url.trim().to_owned();
                        return Ok(moto);
                    }
                    None if line.trim().is_empty() => {}
                    None => last = line,
                },
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("moto.server ended: {last}"));
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!(
                        "moto.server did not listen within {} s: {last}",
                        PATIENCE.as_secs()
                    ));
                }
            }
        }
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Environment that points an AWS SDK, and nothing else, at this server; see
    /// [`crate::FakeAws::env`].
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        super::fake::env(&self.url)
    }
}

/// Reads on for as long as moto writes: a full pipe would stop it.
fn drain(stderr: Option<ChildStderr>, said: &Sender<String>) {
    let lines = stderr
        .into_iter()
        .flat_map(|err| BufReader::new(err).lines());
    for line in lines.map_while(Result::ok) {
        let _ = said.send(line);
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
