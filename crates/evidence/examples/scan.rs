//! Reads standard input as evidence and prints how often each signature was hit, with the most memory that it
//! took. With `--lines`, each line is a record of an unknown component, as grep sees it, and all signatures are
//! printed in their order.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _};

use eksnet_model::{LogScan, Scanner, SignatureSet};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let signatures = eksnet_checks::signatures()?;
    if std::env::args().nth(1).as_deref() == Some("--lines") {
        return lines(&signatures);
    }
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

fn lines(signatures: &SignatureSet) -> Result<(), Box<dyn std::error::Error>> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for line in io::stdin().lock().lines() {
        let mut scanner = Scanner::new(signatures, LogScan::default(), None);
        scanner.line_at(None, &line?);
        for hits in scanner.finish().hits {
            *counts.entry(hits.signature.to_string()).or_default() += hits.count;
        }
    }
    for signature in signatures.iter() {
        let count = counts.get(&signature.id).copied().unwrap_or_default();
        println!("{count} {}", signature.id);
    }
    Ok(())
}
