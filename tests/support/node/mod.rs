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
mod real;
mod slot;
mod tools;

pub use image::Image;
pub use kubelet::{Node, NodeOptions};
pub use machine::Machine;
pub use own::volgate;
pub use pods::Pods;
pub use real::RealCluster;
pub use slot::Slot;
pub use tools::{Tools, library_dirs, unpacked};

use super::{cluster_tests_skipped, say};
use std::io::ErrorKind;
use std::process::{Command, Stdio};

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

/// Runs a program of this machine to its end, and returns what it printed. `package` is where it comes from.
fn system(package: &str, command: &mut Command) -> Result<String, String> {
    let line = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().map_err(|e| match e.kind() {
        ErrorKind::NotFound => {
            how_to_go_on(&format!("there is no {:?}, of the package {package}", command.get_program()))
        }
        _ => format!("failed to run {line}: {e}"),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{line} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

fn how_to_go_on(fault: &str) -> String {
    format!(
        "this test needs a real Kubernetes node, and {fault}.\n\
         One of these helps:\n\
         - run the tests as root on Debian or Ubuntu, with Go and the packages iproute2, util-linux, mount and \
         libc-bin installed, and the way to the package servers of both open (tests/node/README.md tells more);\n\
         - set VOLGATE_SKIP_NODE_TESTS=1 to skip every test that needs a node (they then prove nothing)."
    )
}
