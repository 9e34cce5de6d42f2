//! Points at which a test can end the process as a power failure would: at once, with nothing flushed and nothing
//! unwound.

/// The environment variable that names the point to end at, as `name`, or `name#3` for the third time it is reached.
pub const VARIABLE: &str = "VOLGATE_FAILPOINT";

/// Ends the process when the environment names this point. Builds without debug assertions know no points.
pub fn reached(point: &str) {
    #[cfg(debug_assertions)]
    armed(point);
    #[cfg(not(debug_assertions))]
    let _ = point;
}

#[cfg(debug_assertions)]
fn armed(point: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let wanted = std::env::var(VARIABLE).ok()?;
        let (name, times) = wanted.rsplit_once('#').unwrap_or((&wanted, "1"));
        Some((name.to_owned(), times.parse().unwrap_or(1)))
    });
    static REACHED: AtomicU32 = AtomicU32::new(0);

    if let Some((name, times)) = &*WANTED
        && name == point
        && REACHED.fetch_add(1, Ordering::Relaxed) + 1 == *times
    {
        std::process::abort();
    }
}
