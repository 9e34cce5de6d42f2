//! One review in process, from its bytes to its answer's, with the baseline policy; beside it the bare parse of the
//! same bytes into a JSON tree, so that a loaded machine can be told from slow code.
//!
//! `cargo bench --no-default-features --bench review`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a bench that cannot be set up cannot run

#[path = "support.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::Value;
use std::hint::black_box;
use volgate::admission::{mutate, validate};
use volgate::engine::Engine;
use volgate::policy::{PolicySet, embedded_baseline};

fn review(criterion: &mut Criterion) {
    let policies = PolicySet::build(vec![embedded_baseline().unwrap()]).unwrap();
    let lookup = support::lookup();
    let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
    let cases = [
        ("pod of 2 containers", support::pod(2)),
        ("pod of 30 containers", support::pod(30)),
        ("denied redis pod", support::bare_redis()),
        ("claim", support::claim()),
    ];
    for (name, object) in cases {
        let bytes = support::review(&object);
        let mut group = criterion.benchmark_group(format!("{name} ({} bytes)", bytes.len()));
        group.bench_function("mutate", |bencher| bencher.iter(|| mutate(black_box(&bytes), &engine)));
        group.bench_function("validate", |bencher| bencher.iter(|| validate(black_box(&bytes), &engine)));
        group.bench_function("bare parse", |bencher| {
            bencher.iter(|| serde_json::from_slice::<Value>(black_box(&bytes)).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, review);
criterion_main!(benches);
