use crate::model::lock;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How far apart lines of the log are that anybody can cause.
const INTERVAL: Duration = Duration::from_secs(60);

/// Keeps a log from being filled by who can cause a line of it: one line an interval, with the number of those that were
/// left out.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Whether the line is to be written now; then how many were not since the last.
    pub(super) fn now(&self) -> Option<u64> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Option<u64> {
        let mut told = lock(&self.0);
        if told.last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            told.left_out += 1;
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_line_an_interval_that_counts_the_others() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.at(start), Some(0));
        assert_eq!([1, 2, 59].map(|second| seldom.at(start + Duration::from_secs(second))), [None; 3]);
        assert_eq!(seldom.at(start + INTERVAL), Some(3));
        assert_eq!(seldom.at(start + INTERVAL), None);
    }
}
