//! Real nodes beside the real control plane: each a machine of its own, made of namespaces, with containerd, a kubelet,
//! kube-proxy and a pod network.
//!
//! ```ignore
//! #[tokio::test]
//! async fn keeps_its_data() {
//!     let Some(real) = RealCluster::shared() else { return };   // None only when an opt-out is set
//!     let pods = real.namespace("keeps-its-data").await;
//!     pods.apply(MANIFEST).await;
//!     pods.ready("redis").await;
//!     assert_eq!(pods.exec("redis", &["cat", "/data/hello.txt"]).await, "hello\n");
//! }
//! ```
//!
//! `tests/node/README.md` says what is installed, where it is kept, and which environment variables count.

mod credentials;
mod image;
mod kubelet;
mod machine;
mod own;
mod pods;
mod rancher;
mod real;
mod requirements;
mod slot;
mod tools;

pub use image::Image;
pub use kubelet::{Node, NodeOptions};
pub use machine::Machine;
pub use own::{OWN_IMAGE, optimised_volgate, volgate};
pub use pods::{LIMIT, Pods, is_ready};
pub use rancher::rancher;
pub use real::RealCluster;
pub use slot::Slot;
pub use tools::{Tools, library_dirs, unpacked};

use super::{cluster_tests_skipped, say};

/// Whether an opt-out is set, that of all cluster tests or that of the tests with nodes. Says so on stderr once.
pub fn node_tests_skipped() -> bool {
    static SKIPPED: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        let skipped = std::env::var("VOLGATE_SKIP_NODE_TESTS").is_ok_and(|value| value == "1");
        if skipped {
            say("VOLGATE_SKIP_NODE_TESTS=1: the tests that need a real node were SKIPPED, not passed");
        }
        skipped
    });
    cluster_tests_skipped() || *SKIPPED
}
