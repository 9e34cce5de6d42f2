//! A cluster with a real node, where volgate is in force under the baseline.

use crate::support::Options;
use crate::support::node::{NodeOptions, RealCluster, node_tests_skipped};
use crate::support::serve::{Serve, free_address, install, user};
use tokio::sync::OnceCell;

/// The cluster and volgate.
pub(crate) struct Guarded {
    pub(crate) real: RealCluster,
    _serve: Serve,
}

impl Guarded {
    /// The one that all tests of the file share; each takes a namespace of its own. `None` only when an opt-out is set.
    pub(crate) async fn shared() -> Option<&'static Self> {
        static SHARED: OnceCell<Guarded> = OnceCell::const_new();
        if node_tests_skipped() {
            return None;
        }
        Some(SHARED.get_or_init(Self::start).await)
    }

    async fn start() -> Self {
        let options = Options {
            // As every installer has it, so that each controller is a user of its own.
            controller_manager_args: vec!["--use-service-account-credentials=true".into()],
            users: vec![user()],
            ..Options::default()
        };
        let real =
            RealCluster::start(options, &[NodeOptions::default()]).unwrap_or_else(|fault| panic!("{fault}"));
        install(&real);
        let serve = Serve::registered(&real, free_address(), &[]).await;
        Self { real, _serve: serve }
    }
}
