//! `kubectl eksnet doctor`: evidence in, report out.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use eksnet_evidence::LoadError;
use eksnet_model::dns::matrix::DnsMatrix;
use eksnet_model::{BundleError, Created, Report, Snapshot, Source, Text, UnreadFile, judge};
use eksnet_triage::render;
use eksnet_triage::{Graph, Input, report};

use crate::args::{Doctor, FailOn, Format, Saved};
use crate::commands::live;
use crate::exit::{Failure, INTERNAL};
use crate::output::{print, style};
use crate::progress::Line;
use crate::selection::{select, sources};

/// The outage that the project was made for, as a bundle.
const DEMO: &[u8] = include_bytes!("../demo/outage.json");

/// Evidence, however it was come by.
pub(crate) struct Given {
    pub(crate) snapshot: Snapshot,
    unread: Vec<UnreadFile>,
    created: Created,
    timings: BTreeMap<Text, u64>,
    /// Whether probes were to be expected.
    probes: bool,
}

pub(crate) fn run(options: Doctor, verbose: u8) -> Result<u8, Failure> {
    let started = Instant::now();
    let checks = select(&options.select)?;
    if options.plan {
        return super::plan::run(&checks, &options, verbose);
    }
    let wants_probes = sources(&checks).contains(&Source::Probes);
    let given = match saved(&options.saved)? {
        Some(given) => given,
        None => cluster(&checks, &options, verbose, wants_probes)?,
    };

    let begun = Instant::now();
    let judged = judge(&given.snapshot, &checks, &eksnet_checks::symptoms());
    let mut timings = given.timings;
    timings.insert("judge".into(), millis(begun));
    timings.insert("total".into(), millis(started));
    let graph = Graph::load().map_err(anyhow::Error::from)?;
    let report = report(Input {
        snapshot: &given.snapshot,
        judged,
        graph: &graph,
        unread: given.unread,
        timings,
        created: given.created,
        version: env!("CARGO_PKG_VERSION").into(),
        fail_on: match options.fail_on {
            FailOn::Critical => eksnet_triage::FailOn::Critical,
            FailOn::Error => eksnet_triage::FailOn::Error,
            FailOn::Warning => eksnet_triage::FailOn::Warning,
            FailOn::Never => eksnet_triage::FailOn::Never,
        },
        probes_expected: given.probes,
        selected: checks.len() < eksnet_checks::all().len(),
    });
    print(&rendered(&report, &given.snapshot, options.output)?)?;
    Ok(u8::try_from(report.exit_code).unwrap_or(INTERNAL))
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn rendered(report: &Report, snapshot: &Snapshot, format: Format) -> Result<String, Failure> {
    let style = style(format == Format::Wide);
    Ok(match format {
        Format::Json => render::json(report).map_err(anyhow::Error::from)?,
        Format::Markdown => render::markdown(report),
        Format::Short => render::short(report),
        Format::Text => render::text(report, &style),
        Format::Wide => {
            // Of evidence without probes there is none.
            let matrix = DnsMatrix::of(snapshot, None);
            let section = matrix.map(|matrix| render::dns_section(&matrix, &style));
            render::text_with(report, &style, &section.unwrap_or_default())
        }
    })
}

/// What is looked at instead of a cluster, if anything.
pub(crate) fn saved(saved: &Saved) -> Result<Option<Given>, Failure> {
    if saved.demo {
        let snapshot = Snapshot::read_bundle(DEMO).map_err(anyhow::Error::from)?;
        return Ok(Some(from_snapshot(snapshot, Vec::new())));
    }
    saved.from.as_deref().map(load).transpose()
}

fn load(path: &Path) -> Result<Given, Failure> {
    let signatures = eksnet_checks::signatures().map_err(anyhow::Error::from)?;
    let loaded = if path == Path::new("-") {
        eksnet_evidence::load_stream("standard input", std::io::stdin().lock(), &signatures)
    } else {
        eksnet_evidence::load(path, &signatures)
    };
    match loaded {
        Ok(loaded) => Ok(from_snapshot(loaded.snapshot, loaded.unread)),
        // What is cut off held evidence once: there is no verdict, but nothing to change in the call.
        Err(
            error @ LoadError::Bundle {
                why: BundleError::Truncated(_),
                ..
            },
        ) => Err(Failure::no_verdict(format!(
            "{error}; copy it again, or collect again"
        ))),
        Err(error) => Err(Failure::usage(error)),
    }
}

/// Saved evidence: what the run created that made it is told, nothing is created now.
fn from_snapshot(snapshot: Snapshot, unread: Vec<UnreadFile>) -> Given {
    let probes = snapshot.probes.value();
    let created = probes.map_or_else(Created::default, |run| Created {
        pods: run.created,
        deleted: run.deleted,
        left: run.created.saturating_sub(run.deleted),
    });
    Given {
        created,
        snapshot,
        unread,
        timings: BTreeMap::new(),
        probes: false,
    }
}

fn cluster(
    checks: &[&'static eksnet_model::Check],
    options: &Doctor,
    verbose: u8,
    wants_probes: bool,
) -> Result<Given, Failure> {
    let request = live::request(checks, &options.kubectl, &options.aws, &options.probes)?;
    let line = Line::new(verbose);
    let live = live::block_on(live::run(&options.kubectl, &request, &line));
    line.clear();
    let live = live?;
    Ok(Given {
        snapshot: live.collected.snapshot,
        unread: Vec::new(),
        created: live.created,
        timings: live.collected.timings,
        probes: wants_probes && !options.probes.no_probe,
    })
}
