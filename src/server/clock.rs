use crate::model::lock;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// By how many seconds two clocks may differ that both count as right: a certificate is valid from the day before it is made.
const TOLERANCE: u64 = 12 * 3_600;

/// What time it is; given in, so that tests can say.
#[derive(Clone)]
pub struct Clock {
    own: Arc<dyn Fn() -> i64 + Send + Sync>,
    told: ToldTime,
}

/// What somebody else has said of the time: the API server, in its answers. It goes on without the machine's clock.
#[derive(Debug, Clone, Default)]
pub struct ToldTime(Arc<Mutex<Option<(i64, Instant)>>>);

impl ToldTime {
    /// Takes what was said just now, in seconds since 1970 (UTC).
    pub fn hear(&self, seconds: i64) {
        *lock(&self.0) = Some((seconds, Instant::now()));
    }

    fn now(&self) -> Option<i64> {
        let (seconds, at) = (*lock(&self.0))?;
        Some(seconds.saturating_add(i64::try_from(at.elapsed().as_secs()).unwrap_or(i64::MAX)))
    }
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
    }

    /// A clock that tells seconds since 1970 (UTC).
    pub fn new(seconds: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { own: Arc::new(seconds), told: ToldTime::default() }
    }

    /// The same, held against the time that somebody else tells. Where they differ by far the other one counts: it is the API server
    /// that holds certificates against its clock, and the cluster's time is the API server's.
    pub fn beside(self, told: ToldTime) -> Self {
        Self { told, ..self }
    }

    /// Seconds since 1970 (UTC).
    pub fn now(&self) -> i64 {
        let own = (self.own)();
        self.told.now().filter(|told| told.abs_diff(own) > TOLERANCE).unwrap_or(own)
    }

    /// That this machine's clock and the one that it is held against differ by far. One of them is wrong, and nothing that lasts can
    /// be made by it: there may be several API servers.
    pub fn doubt(&self) -> Option<String> {
        let (own, told) = ((self.own)(), self.told.now()?);
        let text = |at| Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string());
        (told.abs_diff(own) > TOLERANCE).then(|| {
            format!(
                "the clock of this node shows {}, and the API server's {}: no certificate is made until they agree",
                text(own),
                text(told)
            )
        })
    }

    /// Today (UTC).
    pub fn today(&self) -> Date {
        let now = Timestamp::from_second(self.now()).unwrap_or(Timestamp::MAX);
        TimeZone::UTC.to_datetime(now).date()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_changes_at_midnight_utc() {
        assert_eq!(Clock::new(|| 1_795_391_999).today(), jiff::civil::date(2026, 11, 22));
        assert_eq!(Clock::new(|| 1_795_392_000).today(), jiff::civil::date(2026, 11, 23));
    }

    #[test]
    fn a_clock_that_is_far_from_the_api_servers_does_not_count() {
        const NOW: i64 = 1_795_392_000;
        const DAY: i64 = 86_400;
        for (own, wanted, doubted) in [
            (NOW, NOW, false),
            (NOW + 2 * 3_600, NOW + 2 * 3_600, false),
            (NOW - 2 * 3_600, NOW - 2 * 3_600, false),
            (NOW + DAY, NOW, true),
            (NOW - 365 * DAY, NOW, true),
            (i64::MAX, NOW, true),
            (i64::MIN, NOW, true),
        ] {
            let told = ToldTime::default();
            let clock = Clock::new(move || own).beside(told.clone());
            assert_eq!((clock.now(), clock.doubt()), (own, None), "nobody has said anything");
            told.hear(NOW);
            assert_eq!(clock.doubt().is_some(), doubted, "{own}");
            // A second may have gone by.
            assert!((wanted..wanted + 60).contains(&clock.now()), "{own}: {}", clock.now());
        }
    }
}
