//! `eksnet-fake-api`: a fake Kubernetes API server to try things against by hand.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use eksnet_testkit::{FakeApi, Resource};

/// Serves Kubernetes objects from files, with fake kubelets for the pods that are created
///
/// Runs until its standard input ends or it is interrupted.
#[derive(Debug, Parser)]
#[command(name = "eksnet-fake-api", version)]
struct Options {
    /// Objects as `kubectl get -o json` prints them: files, or folders of *.json
    #[arg(long, value_name = "PATH", num_args = 1..)]
    objects: Vec<PathBuf>,
    /// Writes a kubeconfig for the server here
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Runs this program, with a pod's arguments, for every pod that is created
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
    /// Custom resources to serve without objects, such as eniconfigs or nodepools
    #[arg(long, value_name = "PLURAL", value_delimiter = ',')]
    custom_resource: Vec<String>,
    /// Listens on this port of the loopback [default: any free one]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Serves plain HTTP
    #[arg(long)]
    plain_http: bool,
    /// Ignores standard input: runs until interrupted
    #[arg(long)]
    detach_stdin: bool,
}

fn main() -> ExitCode {
    match serve(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("eksnet-fake-api: {why}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Options) -> Result<(), String> {
    let mut builder = FakeApi::builder().port(options.port);
    for path in &options.objects {
        builder = builder
            .load(path)
            .map_err(|error| format!("loading {} failed: {error}", path.display()))?;
    }
    if let Some(agent) = &options.agent {
        builder = builder.agent(agent);
    }
    if options.plain_http {
        builder = builder.plain_http();
    }
    for plural in &options.custom_resource {
        let resource = Resource::well_known(plural)
            .ok_or_else(|| format!("{plural} is no custom resource of EKS or Karpenter"))?;
        builder = builder.resource(resource);
    }
    let api = builder
        .try_start()
        .map_err(|error| format!("listening on port {} failed: {error}", options.port))?;
    if let Some(path) = &options.kubeconfig {
        let kubeconfig = api.kubeconfig().write();
        std::fs::copy(kubeconfig.path(), path)
            .map_err(|error| format!("writing {} failed: {error}", path.display()))?;
    }
    println!("{}", api.url());
    // A reader of the pipe may wait for the line.
    std::io::stdout()
        .flush()
        .map_err(|error| format!("writing the URL failed: {error}"))?;
    if options.detach_stdin {
        loop {
            std::thread::park();
        }
    }
    let mut rest = Vec::new();
    std::io::stdin()
        .read_to_end(&mut rest)
        .map_err(|error| format!("reading standard input failed: {error}"))?;
    Ok(())
}
