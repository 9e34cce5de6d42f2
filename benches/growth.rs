//! How time grows with a file: each shape at a tenth, three tenths and the whole of a megabyte, the exponent of the
//! growth, and the memory that the whole takes beyond the file itself. All that `volgate check` does is in it: reading,
//! judging, both forms of the report, the changes written into the text.
//!
//! `cargo bench --no-default-features --bench growth [-- PART OF A NAME]`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a bench that cannot be set up cannot run
#![allow(clippy::cast_precision_loss, unreachable_pub)]

#[path = "growth/mod.rs"]
mod growth;

use growth::counting::{Counting, taken_by};
use growth::shapes::SHAPES;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting<mimalloc::MiMalloc> = Counting(mimalloc::MiMalloc);

const MEGABYTE: usize = 1_000_000;

fn main() {
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let policies = growth::policies();
    growth::check(&policies, "a: 1\n");
    println!(
        "| shape | n | n | 3n | 10n | exponent | findings | MiB at most | bytes taken for a byte |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for shape in SHAPES.iter().filter(|shape| shape.name.contains(&part)) {
        let each = ((shape.file)(2_000).len() - (shape.file)(1_000).len()) as f64 / 1_000.0;
        let count = (MEGABYTE as f64 / each / 10.0) as usize;
        let mut found = 0;
        let mut time = |times: usize| {
            let text = (shape.file)(count * times);
            let once = |_| {
                let start = Instant::now();
                found = growth::check(&policies, &text);
                start.elapsed()
            };
            let best = (0..3).map(once).min().unwrap_or_default();
            (best, text)
        };
        let ((one, _), (three, _), (ten, text)) = (time(1), time(3), time(10));
        let (_, taken) = taken_by(|| growth::check(&policies, &text));
        let exponent = (ten.as_secs_f64() / one.as_secs_f64()).ln() / 10f64.ln();
        println!(
            "| {} | {count} | {} | {} | {} | {exponent:.2} | {found} | {} | {} |",
            shape.name,
            millis(one),
            millis(three),
            millis(ten),
            taken.most >> 20,
            taken.bytes / text.len().max(1)
        );
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
