//! Pauses after failures.

use std::time::Duration;

/// How long is waited after a failure: twice as long after each that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

/// The pauses between two tries of what failed on one volume.
pub const RETRY: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(300) };

impl Backoff {
    /// The pause after so many failures in a row; after none it is that after the first.
    pub fn pause(self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_longest() {
        let pauses: Vec<u64> = (0..12).map(|failures| RETRY.pause(failures).as_secs()).collect();
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(RETRY.pause(u32::MAX), RETRY.longest);
    }
}
