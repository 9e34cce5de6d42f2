//! What a verdict costs grows no faster than the file that it is about, whatever its shape: counted in bytes that are
//! allocated, which any copy, list or text takes. `benches/growth.rs` measures the times of the same shapes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, unreachable_pub)] // helpers of tests

#[path = "../benches/growth/mod.rs"]
mod growth;

use growth::counting::{Counting, taken_by};
use growth::shapes::SHAPES;
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: Counting<System> = Counting(System);

/// How many times as large the larger file is.
const TIMES: usize = 8;

/// How many bytes may be taken in all for each byte of the file where the power tells nothing yet.
const MOST_PER_BYTE: usize = 2_500;

/// How many bytes may be held at one time for each byte of the file: 300 MiB for a megabyte.
const MOST_HELD_PER_BYTE: usize = 310;

/// One test alone, since it counts what the whole process takes.
#[test]
fn a_verdict_takes_no_more_than_its_files_size_allows() {
    let policies = growth::policies();
    // What is made once for the whole process.
    growth::check(&policies, "a: 1\n");
    let mut faults = Vec::new();
    for shape in SHAPES {
        let each = ((shape.file)(2_000).len() - (shape.file)(1_000).len()).div_ceil(1_000);
        let count = (6_000 / each).max(16);
        let (small, large) = ((shape.file)(count), (shape.file)(count * TIMES));
        let (_, little) = taken_by(|| growth::check(&policies, &small));
        let (_, much) = taken_by(|| growth::check(&policies, &large));
        let power =
            (much.bytes as f64 / little.bytes as f64).ln() / (large.len() as f64 / small.len() as f64).ln();
        let (per_byte, held) = (much.bytes / large.len(), much.most / large.len());
        println!(
            "{:60} {:8} bytes: {per_byte:6} and at one time {held:4} for each, to the power of {power:.2}",
            shape.name,
            large.len()
        );
        // Where few of something meet few of another, the bound on both is not reached yet: then the factor counts.
        if (power > 1.25 && per_byte > MOST_PER_BYTE) || held > MOST_HELD_PER_BYTE {
            faults.push(format!("{}: {per_byte} {held} {power:.2}", shape.name));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
