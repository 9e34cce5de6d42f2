use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long what happened counts.
const HOUR: Duration = Duration::from_secs(3_600);
/// How far apart the totals that are kept are, so that there are 61 at most.
const STEP: Duration = Duration::from_secs(60);

/// What two counters rose by within the last hour, to the minute.
#[derive(Debug, Default)]
pub(super) struct Window {
    totals: VecDeque<(Instant, (u64, u64))>,
}

impl Window {
    /// Takes the totals of that moment, and says what they rose by.
    pub(super) fn sample(&mut self, now: Instant, totals: (u64, u64)) -> (u64, u64) {
        if self.totals.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= STEP) {
            // The first is what a counter begins with, whatever it holds when it is looked at first.
            let base = if self.totals.is_empty() { (0, 0) } else { totals };
            self.totals.push_back((now, base));
        }
        while self.totals.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= HOUR) {
            self.totals.pop_front();
        }
        let (_, before) = self.totals.front().copied().unwrap_or((now, totals));
        (totals.0.saturating_sub(before.0), totals.1.saturating_sub(before.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_an_hour_counts_no_more() {
        let (mut window, start) = (Window::default(), Instant::now());
        let mut at = |minutes: u64, totals| window.sample(start + Duration::from_secs(minutes * 60), totals);
        assert_eq!(at(0, (3, 1)), (3, 1), "all since the beginning");
        assert_eq!(at(1, (4, 1)), (4, 1));
        assert_eq!(at(30, (10, 2)), (10, 2));
        assert_eq!(at(61, (10, 2)), (6, 1), "since minute 1");
        assert_eq!(at(95, (11, 2)), (1, 0));
        for minute in 96..300 {
            at(minute, (11, 2));
        }
        assert_eq!(at(300, (11, 2)), (0, 0));
        assert!(window.totals.len() <= 62, "{}", window.totals.len());
    }
}
