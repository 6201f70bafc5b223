//! Measures a made-up cluster and prints its page; on standard error, what that took:
//! `cargo run --release -p eksnet-capacity --example large -- 1000 > page.html`.

#[path = "../benches/large/synthetic.rs"]
mod synthetic;

use std::time::Instant;

use eksnet_capacity::{Ask, measure, render, what_if};

/// Most memory so far, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}

fn main() {
    let nodes = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(5_000);
    let snapshot = synthetic::cluster(nodes);
    let evidence = peak();
    let begun = Instant::now();
    let measured = measure(&snapshot);
    let seconds = begun.elapsed();
    let ask = Ask {
        pods: Some(u32::try_from(nodes).unwrap_or(u32::MAX).saturating_mul(4)),
        ..Ask::default()
    };
    let answer = what_if(&snapshot, &ask).ok();
    let asked = begun.elapsed();
    let page = render::html(&render::Shown {
        measured: &measured,
        what_if: answer.as_ref(),
        version: env!("CARGO_PKG_VERSION"),
    });
    eprintln!(
        "{nodes} nodes: measured in {seconds:.2?}, with a question {asked:.2?}, with a page {:.2?}; evidence {evidence} MiB, peak {} MiB more; page {} KiB",
        begun.elapsed(),
        peak().saturating_sub(evidence),
        page.len() / 1024
    );
    print!("{page}");
}
