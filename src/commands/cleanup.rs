//! `kubectl eksnet cleanup`: deletes probe pods that a run left behind.

use std::time::Duration;

use crate::args::Cleanup;
use crate::commands::live;
use crate::exit::{Failure, NO_VERDICT, OK};
use crate::output::print;

/// Limit of the whole sweep.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn run(options: Cleanup) -> Result<u8, Failure> {
    let swept = live::block_on(async {
        let connection = live::connection(&options.kubectl).await?;
        let namespace = options.kubectl.namespace.as_deref();
        Ok(eksnet_collect::sweep(&connection, namespace, options.older_than, LIMIT).await)
    })?;
    print(&format!(
        "found {} probe pods: deleted {} objects, left {} that are younger than the limit, could not delete {}\n",
        swept.pods,
        swept.deleted,
        swept.young,
        swept.left.len()
    ))?;
    for object in &swept.left {
        eprintln!("left: {object}");
    }
    for gap in &swept.gaps {
        eprintln!("not looked at: {gap}");
    }
    Ok(if swept.left.is_empty() && swept.gaps.is_empty() {
        OK
    } else {
        NO_VERDICT
    })
}
