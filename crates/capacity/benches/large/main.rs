//! A cluster of 5,000 nodes and some 160,000 pods: measured, asked, drawn.

#![allow(missing_docs)] // criterion's macros

mod synthetic;

use criterion::{Criterion, criterion_group, criterion_main};
use eksnet_capacity::{Ask, measure, render, what_if};

fn large(criterion: &mut Criterion) {
    let snapshot = synthetic::cluster(5_000);
    let mut group = criterion.benchmark_group("5,000 nodes");
    group.sample_size(10);
    group.bench_function("measure", |bench| bench.iter(|| measure(&snapshot)));
    let ask = Ask {
        pods: Some(20_000),
        ..Ask::default()
    };
    group.bench_function("what if 20,000 pods", |bench| {
        bench.iter(|| what_if(&snapshot, &ask).map(|answer| answer.running));
    });
    let measured = measure(&snapshot);
    let shown = render::Shown {
        measured: &measured,
        what_if: None,
        version: "0.1.0",
    };
    group.bench_function("html", |bench| bench.iter(|| render::html(&shown).len()));
    group.bench_function("json", |bench| {
        bench.iter(|| render::json(&shown).map(|text| text.len()));
    });
    group.finish();
}

criterion_group!(benches, large);
criterion_main!(benches);
