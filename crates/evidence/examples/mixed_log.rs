//! Prints the mixed log of the benchmark (`MEGABYTES`), or, with `--expressions`, what grep has to look for.

use std::io::{self, Write as _};

#[path = "../benches/mixed/mod.rs"]
mod mixed;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let signatures = eksnet_checks::signatures()?;
    let argument = std::env::args().nth(1).unwrap_or_default();
    let mut out = io::stdout().lock();
    if argument == "--expressions" {
        for signature in signatures.iter() {
            writeln!(out, "{}", signature.regex)?;
        }
        return Ok(());
    }
    let mut left: usize = argument.parse::<usize>()? << 20;
    let mut log = mixed::Mixed::new(&signatures);
    while left > 0 {
        let mut piece = String::new();
        log.fill(&mut piece, left.min(1 << 20));
        out.write_all(piece.as_bytes())?;
        left = left.saturating_sub(piece.len());
    }
    Ok(())
}
