//! `kubectl eksnet doctor --plan`: what would be read and created.

use std::fmt::Write as _;

use eksnet_collect::ProbePlanPreview;
use eksnet_collect::{CollectError, Request};
use eksnet_model::Check;

use crate::args::Doctor;
use crate::commands::live;
use crate::exit::{Failure, OK};
use crate::output::print;
use crate::progress::Line;

pub(crate) fn run(checks: &[&'static Check], options: &Doctor, verbose: u8) -> Result<u8, Failure> {
    let request = live::request(checks, &options.kubectl, &options.aws, &options.probes)?;
    let line = Line::new(verbose);
    let preview = live::block_on(async {
        let connection = live::connection(&options.kubectl).await?;
        eksnet_collect::preview(&connection, &request, &line)
            .await
            .map_err(|error: CollectError| Failure::usage(error))
    });
    line.clear();
    print(&text(&request, &preview?))?;
    Ok(OK)
}

fn text(request: &Request, preview: &ProbePlanPreview) -> String {
    let mut text = String::from("Read, and nothing of it changed:\n");
    for call in &preview.calls {
        let _ = writeln!(text, "  {call}");
    }
    if !request.no_aws {
        for source in &request.sources {
            for action in source.permission().iam {
                let _ = writeln!(text, "  {action}");
            }
        }
    }
    let _ = writeln!(
        text,
        "\nCreated for this run, and deleted at its end: {} pods",
        preview.pods.len()
    );
    for pod in &preview.pods {
        let _ = writeln!(
            text,
            "  {} in {} on {} (class {}), {} probes",
            pod.name,
            pod.at.namespace,
            pod.at.node,
            pod.at.class,
            pod.probes.len()
        );
    }
    if !preview.pods.is_empty() {
        let _ = writeln!(text, "  image {}", preview.image);
    }
    if !preview.sampled.is_empty() {
        let _ = writeln!(text, "  {}", preview.sampled);
    }
    for gap in &preview.gaps {
        let _ = writeln!(text, "  not possible: {gap}");
    }
    text
}
