//! Developer commands: `cargo xtask COMMAND`.
//!
//! They run the built binaries and depend on no crate of the workspace, so that they build in
//! seconds and cannot disagree with what users run.

mod agent;
mod build;
mod disturb;
mod docs;
mod image;
mod incidents;
mod new_check;
mod release;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Developer commands of kubectl-eksnet")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the folder of a new check and refresh its family's list.
    NewCheck {
        /// Family, such as `cni`.
        family: String,
        /// Slug, such as `subnet-low-ips`.
        slug: String,
    },
    /// Refresh every family's list of checks.
    Registry,
    /// Write the documents that are generated from the code.
    Docs {
        /// Write nothing; fail when a document is out of date.
        #[arg(long)]
        check: bool,
    },
    /// Run the plugin over folders of real incidents and print how often it names the cause.
    Incidents {
        /// Folder of folders with `evidence/` and `expected.yaml`.
        folder: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Plugin to run; when not given, the crates that it is made of are called.
        #[arg(long)]
        binary: Option<PathBuf>,
        /// Read a copy of each: files renamed and shuffled, prose left out, a tenth of the lines cut, as this
        /// number decides.
        #[arg(long, value_name = "SEED")]
        disturb: Option<u64>,
        /// Leave out each line in turn, and print where another cause is then claimed.
        #[arg(long, conflicts_with_all = ["json", "binary", "disturb"])]
        without_each_line: bool,
    },
    /// Print the report on saved evidence, without building what talks to clusters.
    Diagnose {
        /// File or folder.
        evidence: PathBuf,
    },
    /// Print what is read of saved evidence, as JSON without what is missing.
    Read {
        /// File or folder.
        evidence: PathBuf,
    },
    /// Build the static agent and print its path.
    Agent,
    /// Write the agent's image as an archive that `docker load`, `podman load` and `ctr images
    /// import` take.
    AgentImage {
        /// File to write.
        #[arg(short, long, default_value = "dist/eksnet-agent-image.tar")]
        output: PathBuf,
        /// Static binary to put in; built when not given.
        #[arg(long)]
        binary: Option<PathBuf>,
    },
    /// Build the release archive of this platform and render krew-manifest.yaml from it.
    Release {
        /// Folder for the archives.
        #[arg(short, long, default_value = "dist")]
        output: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::NewCheck { family, slug } => new_check::run(&family, &slug),
        Command::Registry => new_check::refresh_all(),
        Command::Docs { check } => docs::run(check),
        Command::Incidents {
            folder,
            json,
            binary,
            disturb,
            without_each_line,
        } => {
            if without_each_line {
                return incidents::without_each_line(&folder);
            }
            incidents::run_all(&folder, json, binary.as_deref(), disturb)
        }
        Command::Diagnose { evidence } => incidents::diagnose(&evidence),
        Command::Read { evidence } => incidents::show(&evidence),
        Command::Agent => {
            println!("{}", agent::build()?.display());
            Ok(())
        }
        Command::AgentImage { output, binary } => image::run(&output, binary),
        Command::Release { output } => release::run(&output),
    }
}
