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
            // ripgrep joins expressions into one, in which a group's name may stand once.
            let parts = signature.regex.split("(?P<");
            let unnamed: Vec<&str> = parts
                .enumerate()
                .map(|(at, part)| match part.split_once('>') {
                    Some((_, rest)) if at > 0 => rest,
                    _ => part,
                })
                .collect();
            writeln!(out, "{}", unnamed.join("("))?;
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
