//! `eksnet-agent`: runs a plan of network probes and writes what came back.
//!
//! Exit codes: 0 when the plan was run, whatever the probes found; 2 when there was no plan to run.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use eksnet_agent::{Report, Surroundings, run};
use eksnet_probe::{PROTOCOL, Plan, Verdict};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

const USAGE: &str = "usage: eksnet-agent run PLAN|@PATH
       eksnet-agent version

PLAN is the plan in hexadecimal, PATH a file that holds one.";

/// Largest plan file that is read, in bytes; a ConfigMap holds 1 MiB.
const MAX_PLAN_BYTES: u64 = 4 * 1024 * 1024;

/// Where kubelet reads the termination message.
const TERMINATION_LOG: &str = "/dev/termination-log";

fn main() -> ExitCode {
    let started = Instant::now();
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["version"] => {
            println!(
                "eksnet-agent {} (protocol {PROTOCOL})",
                env!("CARGO_PKG_VERSION")
            );
            ExitCode::SUCCESS
        }
        ["run", plan] => match read_plan(plan).and_then(|plan| run_to_end(plan, started)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => refuse(&why),
        },
        _ => refuse(USAGE),
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("eksnet-agent: {why}");
    ExitCode::from(2)
}

fn read_plan(argument: &str) -> Result<Plan, String> {
    let text = match argument.strip_prefix('@') {
        None => argument.to_owned(),
        Some(path) => {
            let mut text = String::new();
            File::open(path)
                .and_then(|file| file.take(MAX_PLAN_BYTES).read_to_string(&mut text))
                .map_err(|error| format!("reading the plan from {path} failed: {error}"))?;
            text
        }
    };
    Plan::decode(&text).map_err(|error| error.to_string())
}

fn run_to_end(plan: Plan, started: Instant) -> Result<(), String> {
    // What a panic says goes into the result of its probe; a log line of another shape would only
    // stand between the results.
    std::panic::set_hook(Box::new(|_| {}));
    let nonce = plan.nonce.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("starting the runtime failed: {error}"))?;
    let report: Report = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())
            .map_err(|error| format!("listening for SIGTERM failed: {error}"))?;
        let terminated = async {
            terminate.recv().await;
        };
        let surroundings = Arc::new(Surroundings::of_pod());
        run(plan, surroundings, started, stdout(), terminated)
            .await
            .map_err(|error| error.to_string())
    })?;
    write_verdict(&Verdict::fit(&nonce, &report.results));
    runtime.shutdown_background();
    Ok(())
}

/// The file is kubelet's: where there is none, nobody reads it. The stream is written already.
fn write_verdict(verdict: &str) {
    let path = std::env::var_os("EKSNET_TERMINATION_LOG").unwrap_or_else(|| TERMINATION_LOG.into());
    let _ = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(Path::new(&path))
        .and_then(|mut file| file.write_all(verdict.as_bytes()));
}
