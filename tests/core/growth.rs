//! What a verdict costs grows no faster than the file that it is about, whatever its shape: counted in bytes that are
//! allocated, which any copy, list or text takes. `benches/growth.rs` measures the times of the same shapes.
#![allow(unreachable_pub)]

#[path = "../../benches/growth/mod.rs"]
pub(super) mod bench;

use crate::support::victim::alone;
use bench::counting::{Counting, taken_by};
use bench::shapes::SHAPES;
use std::alloc::System;

/// Of all tests of this binary; only [`every_shape_alone`] asks it.
#[global_allocator]
static ALLOCATOR: Counting<System> = Counting(System);

/// How many times as large the larger file is.
const TIMES: usize = 8;

/// How many bytes may be taken in all for each byte of the file where the power tells nothing yet.
const MOST_PER_BYTE: usize = 4_000;

/// How many bytes may be held at one time for each byte of the file.
const MOST_HELD_PER_BYTE: usize = 400;

/// How many more may be held by any file: what anchors and aliases may add is bounded by itself.
const MOST_HELD: usize = 48 << 20;

#[test]
fn a_verdict_takes_no_more_than_its_files_size_allows() {
    alone("growth::every_shape_alone");
}

/// In a process of its own, since it counts what the whole process takes.
#[test]
#[ignore = "the test above runs it, in a process of its own"]
fn every_shape_alone() {
    let policies = bench::policies();
    // What is made once for the whole process.
    bench::check(&policies, "a: 1\n");
    let mut faults = Vec::new();
    for shape in SHAPES {
        let each = ((shape.file)(2_000).len() - (shape.file)(1_000).len()).div_ceil(1_000);
        let count = (6_000 / each).max(16);
        let (small, large) = ((shape.file)(count), (shape.file)(count * TIMES));
        let (_, little) = taken_by(|| bench::check(&policies, &small));
        let (_, much) = taken_by(|| bench::check(&policies, &large));
        let power =
            (much.bytes as f64 / little.bytes as f64).ln() / (large.len() as f64 / small.len() as f64).ln();
        let (per_byte, held) = (much.bytes / large.len(), much.most / large.len());
        println!(
            "{:60} {:8} bytes: {per_byte:6} and at one time {held:4} for each, to the power of {power:.2}",
            shape.name,
            large.len()
        );
        // Where few of something meet few of another, the bound on both is not reached yet: then the factor counts.
        if (power > 1.25 && per_byte > MOST_PER_BYTE)
            || much.most > MOST_HELD + MOST_HELD_PER_BYTE * large.len()
        {
            faults.push(format!("{}: {per_byte} {held} {power:.2}", shape.name));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
