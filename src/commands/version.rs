//! `kubectl eksnet version`.

use serde_json::json;

use crate::args::{ListFormat, Version};
use crate::exit::{Failure, OK};
use crate::output::print;

pub(crate) fn run(options: &Version) -> Result<u8, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    print(&match options.output {
        ListFormat::Text => format!("kubectl-eksnet {version}\n"),
        ListFormat::Json => format!(
            "{:#}\n",
            json!({
                "version": version,
                "report": eksnet_model::REPORT_SCHEMA,
                "bundle": eksnet_model::BUNDLE_SCHEMA,
                "agentImage": eksnet_collect::default_image(),
            })
        ),
    })?;
    Ok(OK)
}
