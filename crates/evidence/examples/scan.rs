//! Reads standard input as evidence and prints how often each signature was hit, whichever component the
//! lines are of, with the processor time and the most memory that it took.

use std::collections::BTreeMap;
use std::io;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let signatures = eksnet_checks::signatures()?;
    let loaded = eksnet_evidence::load_stream("mixed", io::stdin().lock(), &signatures)?;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let scans = loaded
        .snapshot
        .kubernetes
        .logs
        .value()
        .cloned()
        .unwrap_or_default();
    let lines: u64 = scans.iter().map(|scan| scan.lines).sum();
    for hits in scans.iter().flat_map(|scan| &scan.hits) {
        *counts.entry(hits.signature.to_string()).or_default() += hits.count;
    }
    for (signature, count) in &counts {
        println!("{count} {signature}");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    eprintln!(
        "{lines} lines, {} logs, {} signatures; {peak}",
        scans.len(),
        counts.len()
    );
    Ok(())
}
