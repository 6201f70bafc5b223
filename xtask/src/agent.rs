//! Builds the static agent.

use std::path::PathBuf;

use crate::build::{cargo, run, target};

/// Statically linked against glibc, so that it runs in an image made from scratch. A target folder of
/// its own and an explicit target keep the flag away from proc macros, which cannot be static.
/// `getrandom` is told to use the system call: an empty image has no /dev.
const FLAGS: &str = "-C target-feature=+crt-static --cfg getrandom_backend=\"linux_getrandom\"";
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the agent and returns its path.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let folder = target().join("static");
    run(cargo()
        .args([
            "build",
            "--package",
            "eksnet-agent",
            "--profile",
            "agent",
            "--target",
            TARGET,
        ])
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", &folder))?;
    Ok(folder.join(TARGET).join("agent/eksnet-agent"))
}
