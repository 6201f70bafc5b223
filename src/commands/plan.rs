//! `kubectl eksnet doctor --plan`: what would be read and created.

use eksnet_model::Check;

use crate::args::Doctor;
use crate::commands::live;
use crate::exit::{Failure, OK};
use crate::output::print;

pub(crate) fn run(checks: &[&'static Check], options: &Doctor) -> Result<u8, Failure> {
    let request = live::request(checks, &options.kubectl, &options.aws, &options.probes)?;
    let preview = live::block_on(async {
        let connection = live::connection(&options.kubectl).await?;
        Ok(eksnet_collect::pods::preview(&connection, &request).await)
    })?;
    let mut text = String::from("Read, and nothing of it changed:\n");
    for source in &request.sources {
        let permission = source.permission();
        if request.no_aws && !permission.iam.is_empty() {
            continue;
        }
        let rbac = permission.rbac.iter().map(|rule| format!("{} {}", rule.verbs.join("/"), rule.resource));
        let needs: Vec<String> = rbac.chain(permission.iam.iter().map(|action| (*action).to_owned())).collect();
        text.push_str(&format!("  {source:28} {}\n", needs.join(", ")));
    }
    text.push_str(&preview.to_string());
    print(&text)?;
    Ok(OK)
}
