//! Some lines of a text, which are called by their places in the whole: what a report shows of a file that was let go.

use std::ops::Range;

/// A piece of the whole text. It begins at the beginning of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its first byte among those that were kept.
    pub(super) at: usize,
    /// The line of that byte among those that were kept, from 0.
    pub(super) nth: usize,
    /// Its first byte in the whole text.
    pub(super) from: usize,
    /// The line of that byte in the whole text, from 0.
    pub(super) line: usize,
}

/// Which lines of a text were kept, to find a byte of it again.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// What was kept of the text, in its order, and where that begins now.
    ranges: Vec<(Range<usize>, usize)>,
}

impl Kept {
    pub(super) fn add(&mut self, range: Range<usize>, at: usize) {
        self.ranges.push((range, at));
    }

    /// Where a byte stands now. One that was not kept stands at the end of what was kept before it.
    #[must_use]
    pub fn place(&self, byte: usize) -> usize {
        let after = self.ranges.partition_point(|(range, _)| range.start <= byte);
        let found = after.checked_sub(1).and_then(|index| self.ranges.get(index));
        found.map_or(0, |(range, at)| at + byte.min(range.end) - range.start)
    }
}

/// Joins ranges that touch or overlap; the result is in order.
pub(super) fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
