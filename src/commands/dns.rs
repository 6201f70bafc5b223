//! `kubectl eksnet dns`: from where which DNS server answers.

use eksnet_model::dns::matrix::DnsMatrix;
use eksnet_model::{Snapshot, Source};
use eksnet_triage::render;

use crate::args::{Dns, DnsFormat};
use crate::commands::{doctor, live};
use crate::exit::{FINDINGS, Failure, NO_VERDICT, OK};
use crate::output::{print, style};
use crate::progress::Line;

/// What aiming the probes takes, and telling what each server is.
const SOURCES: &[Source] = &[
    Source::Nodes,
    Source::Pods,
    Source::Services,
    Source::EndpointSlices,
    Source::DaemonSets,
    Source::Cluster,
    Source::Vpcs,
    Source::DhcpOptions,
    Source::Probes,
];

pub(crate) fn run(options: Dns, verbose: u8) -> Result<u8, Failure> {
    let snapshot = match doctor::saved(&options.saved)? {
        Some(given) => given.snapshot,
        None => cluster(&options, verbose)?,
    };
    let matrix = DnsMatrix::of(&snapshot, options.name.as_deref()).map_err(|gap| {
        Failure::no_verdict(format!("no probe ran, so no server was asked: {gap}"))
    })?;
    print(&match options.output {
        DnsFormat::Json => render::dns_json(&matrix).map_err(anyhow::Error::from)?,
        format @ (DnsFormat::Text | DnsFormat::Wide) => {
            render::dns(&matrix, &style(format == DnsFormat::Wide))
        }
    })?;
    Ok(if matrix.fails() {
        FINDINGS
    } else if matrix.cells().next().is_none() || !matrix.missing.is_empty() {
        NO_VERDICT
    } else {
        OK
    })
}

fn cluster(options: &Dns, verbose: u8) -> Result<Snapshot, Failure> {
    let mut request = live::request_from(
        SOURCES.iter().copied().collect(),
        &options.kubectl,
        &options.aws,
        &options.probes,
    )?;
    request.only_dns = true;
    request.dns_names = options.name.iter().cloned().collect();
    let line = Line::new(verbose);
    let live = live::block_on(live::run(&options.kubectl, &request, &line));
    line.clear();
    Ok(live?.collected.snapshot)
}
