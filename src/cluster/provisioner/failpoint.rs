//! Where a test kills the process, in builds for tests alone.

/// Ends the process at once, as kill -9 does, when the environment names this place.
#[cfg(debug_assertions)]
pub(super) fn reached(write: &'static str, after: bool) {
    use crate::provisioner::Failpoint;
    use std::sync::LazyLock;
    static WANTED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("VOLGATE_FAILPOINT").ok());
    if WANTED.as_deref().is_some_and(|wanted| wanted == Failpoint { write, after }.name()) {
        tracing::warn!("failpoint {write}: the end");
        std::process::abort();
    }
}

/// Nothing, outside of tests.
#[cfg(not(debug_assertions))]
pub(super) fn reached(_write: &'static str, _after: bool) {}
