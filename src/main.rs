//! `kubectl eksnet`: finds out why networking on an Amazon EKS cluster is broken, proves it, and says
//! how to fix it.
//!
//! Nothing here decides what is healthy: arguments become options, options become a snapshot, and the
//! checks and the triage judge it.

mod args;
mod commands;
mod exit;
mod output;
mod progress;
mod selection;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};
use crate::exit::Failure;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::of_usage(&error),
    };
    let done = std::panic::catch_unwind(|| run(args));
    match done {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(failure)) => failure.report(),
        // The panic hook has written its one line.
        Err(_) => ExitCode::from(exit::INTERNAL),
    }
}

fn run(args: Args) -> Result<u8, Failure> {
    exit::quiet_panics(args.verbose);
    match args.command {
        Command::Doctor(options) => commands::doctor::run(options, args.verbose),
        Command::Dns(options) => commands::dns::run(*options, args.verbose),
        Command::Capacity(options) => commands::capacity::run(*options, args.verbose),
        Command::Collect(options) => commands::collect::run(options, args.verbose),
        Command::Checks(options) => commands::checks::run(&options),
        Command::Explain(options) => commands::explain::run(&options),
        Command::Permissions(options) => commands::permissions::run(&options),
        Command::Cleanup(options) => commands::cleanup::run(options),
        Command::Version(options) => commands::version::run(&options),
        Command::Generate(options) => commands::generate::run(&options),
    }
}
