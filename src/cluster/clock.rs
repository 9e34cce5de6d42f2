//! The wall clock, which only others read: it stands in what is written for people, and in the Lease. What this controller
//! decides by is the monotonic one.

use k8s_openapi::jiff::Timestamp;

/// What the clock says. Builds with debug assertions shift it by the seconds in `VOLGATE_CLOCK_SHIFT`, so that a test can
/// have machines whose clocks differ.
pub(super) fn now() -> Timestamp {
    let now = Timestamp::now();
    #[cfg(debug_assertions)]
    let now = shifted(now);
    now
}

#[cfg(debug_assertions)]
fn shifted(now: Timestamp) -> Timestamp {
    use k8s_openapi::jiff::SignedDuration;
    use std::sync::LazyLock;

    static SHIFT: LazyLock<i64> = LazyLock::new(|| {
        std::env::var("VOLGATE_CLOCK_SHIFT").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    });
    now.saturating_add(SignedDuration::from_secs(*SHIFT)).unwrap_or(now)
}
