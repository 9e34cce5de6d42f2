//! The engine alone: facts, verdict and patch with the baseline policy, after the JSON is parsed: onto a tape, as the
//! webhook does. `mutate` and `validate` are what one review costs; `judge`, which `check` uses, is both of them, the
//! second on the changed object. `check` has its objects as trees: that is measured as well.
//!
//! `cargo bench --no-default-features --bench engine`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a bench that cannot be set up cannot run

#[path = "support.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use std::hint::black_box;
use volgate::engine::Engine;
use volgate::policy::{PolicySet, embedded_baseline, load};
use volgate::rule::Review;

fn engine(criterion: &mut Criterion) {
    let policies = PolicySet::build(vec![embedded_baseline().unwrap()]).unwrap();
    let lookup = support::lookup();
    let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
    let mut group = criterion.benchmark_group("engine");
    let cases = [
        ("pod of 2 containers", support::pod(2)),
        ("pod of 30 containers", support::pod(30)),
        ("denied redis pod", support::bare_redis()),
        ("claim", support::claim()),
    ];
    for (name, object) in cases {
        let review = Review::create(&object);
        let mut bench = |entry: &str, run: &dyn Fn(&Review<'_>)| {
            group.bench_function(format!("{name}, {entry}"), |bencher| {
                bencher.iter(|| run(black_box(&review)))
            });
        };
        bench("mutate", &|review| drop(black_box(engine.mutate(review).unwrap())));
        bench("validate", &|review| drop(black_box(engine.check(review).unwrap().findings)));
        bench("judge", &|review| drop(black_box(engine.mutate_and_check(review).unwrap())));
    }
    group.finish();
}

/// What so many `cel` rules cost a review, beside what the review costs without one.
fn cel(criterion: &mut Criterion) {
    let lookup = support::lookup();
    let pod = support::pod(2);
    let review = Review::create(&pod);
    let mut group = criterion.benchmark_group("engine");
    for count in [0, 1, 20] {
        // One rule that is about no pod stands for none: a policy has at least one.
        let none = json!({"cel": {"name": "none", "expression": "true", "kinds": ["StorageClass"]}});
        let rules = support::EXPRESSIONS.iter().take(count).enumerate();
        let rules =
            rules.map(|(n, expression)| json!({"cel": {"name": format!("n{n}"), "expression": expression}}));
        let rules: Vec<_> = rules.chain([none]).collect();
        let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
                            "spec": {"rules": rules}});
        let policies = PolicySet::build(vec![load(&policy).unwrap()]).unwrap();
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        assert!(engine.check(&review).unwrap().findings.is_empty(), "all of them are true");
        group.bench_function(format!("pod of 2 containers, validate with {count} cel rules"), |bencher| {
            bencher.iter(|| drop(black_box(engine.check(black_box(&review)).unwrap().findings)))
        });
    }
    group.finish();
}

criterion_group!(benches, engine, cel);
criterion_main!(benches);
