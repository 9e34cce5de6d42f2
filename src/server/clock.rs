use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What time it is; given in, so that tests can say.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

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
        Self(Arc::new(seconds))
    }

    /// Seconds since 1970 (UTC).
    pub fn now(&self) -> i64 {
        (self.0)()
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
}
