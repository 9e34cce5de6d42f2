//! What the integration tests share: a real Kubernetes control plane, and processes that never outlive their test.
//!
//! ```ignore
//! use crate::support::Cluster;
//!
//! #[tokio::test]
//! async fn keeps_its_data() {
//!     let Some(cluster) = Cluster::shared() else { return };   // None only when the opt-out is set
//!     cluster.namespace("keeps-its-data", &[]).await;
//!     let output = cluster.kubectl(&["apply", "-f", "-"], Some(MANIFEST)).await;
//!     assert!(output.success, "{output}");
//! }
//! ```
//!
//! `tests/cluster/README.md` says what is built, where it is kept, and which environment variables count. With nodes on which
//! pods run: [`node`].

// Each test binary compiles the whole module and uses a part of it; a panic is how a test fails.
#![allow(dead_code, unused_imports, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[cfg(feature = "agent")]
pub mod agent;
pub mod assets;
pub mod cluster;
pub mod fixed;
pub mod fixtures;
pub mod helm;
#[cfg(feature = "serve")]
pub mod installed;
pub mod kept;
pub mod line;
pub mod node;
pub mod process;
pub mod report_crd;
pub mod run;
pub mod serve;
pub mod victim;

pub use assets::{assets, binary};
pub use cluster::{Cluster, Options, User, wait_until};
pub use line::Line;
pub use process::{Output, Process, Scratch, run, volgate};

/// Whether the one opt-out is set. Says so on stderr once, past libtest's capture, so that nobody takes a skipped test
/// for a passed one.
pub fn cluster_tests_skipped() -> bool {
    static SKIPPED: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        let skipped = std::env::var("VOLGATE_SKIP_CLUSTER_TESTS").is_ok_and(|value| value == "1");
        if skipped {
            say(
                "VOLGATE_SKIP_CLUSTER_TESTS=1: the tests that need a Kubernetes control plane were SKIPPED, not passed",
            );
        }
        skipped
    });
    *SKIPPED
}

/// Prints a line on stderr even where libtest captures output: a build of six minutes must not look like a hang.
pub fn say(message: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "[volgate tests] {message}");
}
