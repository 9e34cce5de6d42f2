//! A cluster with a real node in which volgate is installed as its users install it: `kubectl apply -k manifests/`, all of it
//! in pods of its own image.

use super::Options;
use super::node::{Image, NodeOptions, RealCluster, node_tests_skipped, volgate};
use super::run::root;
use super::wait_until;
use std::time::Duration;
use tokio::sync::OnceCell;

/// What is waited for until volgate is installed.
const ROLLED_OUT: [&str; 3] =
    ["deployment/volgate", "deployment/volgate-provisioner", "daemonset/volgate-agent"];
/// How long the slowest machine may take until the configurations are written.
const LIMIT: Duration = Duration::from_secs(120);
const NAMESPACE: &str = "volgate-system";

/// The cluster.
pub struct Installed {
    /// Its control plane and its nodes.
    pub real: RealCluster,
}

impl Installed {
    /// The one that all tests of the file share; each takes a namespace of its own. `None` only when an opt-out is set.
    pub async fn shared() -> Option<&'static Self> {
        static SHARED: OnceCell<Installed> = OnceCell::const_new();
        if node_tests_skipped() {
            return None;
        }
        let start = async || {
            let image = volgate().unwrap_or_else(|fault| panic!("{fault}"));
            let installed = Self::cluster(2, vec![image]);
            installed.install("manifests").await;
            installed
        };
        Some(SHARED.get_or_init(start).await)
    }

    /// A cluster without volgate that has these images on each of its nodes.
    pub fn cluster(nodes: usize, images: Vec<Image>) -> Self {
        let options = Options {
            // As every installer has it, so that each controller is a user of its own.
            controller_manager_args: vec!["--use-service-account-credentials=true".into()],
            ..Options::default()
        };
        let nodes = vec![NodeOptions { images, ..NodeOptions::default() }; nodes];
        let real = RealCluster::start(options, &nodes).unwrap_or_else(|fault| panic!("{fault}"));
        Self { real }
    }

    /// Installs volgate by a folder of manifests, and waits until all of it is ready.
    pub async fn install(&self, manifests: &str) {
        let manifests = root(manifests);
        self.works(&["apply", "-k", manifests.to_str().unwrap()], None).await;
        for what in ROLLED_OUT {
            let waited = ["rollout", "status", what, "--namespace", NAMESPACE, "--timeout=120s"];
            let output = self.real.kubectl(&waited, None).await;
            if !output.success {
                let pods = self.real.kubectl(&["describe", "pods", "--namespace", NAMESPACE], None).await;
                let logs = ["logs", "--namespace", NAMESPACE, "--prefix", "--tail=30", what];
                let logs = self.real.kubectl(&logs, None).await;
                panic!("{what} does not get ready: {output}\n{pods}\n{logs}");
            }
        }
        wait_until("the webhook configurations are in force", LIMIT, async || {
            let policies = "jsonpath={.webhooks[*].failurePolicy}";
            let get = ["get", "validatingwebhookconfiguration", "volgate", "-o", policies];
            let output = self.real.kubectl(&get, None).await;
            if output.stdout.contains("Fail") { Ok(()) } else { Err(output.to_string()) }
        })
        .await;
    }

    /// kubectl, which must work; what it printed.
    pub async fn works(&self, args: &[&str], stdin: Option<&str>) -> String {
        let output = self.real.kubectl(args, stdin).await;
        assert!(output.success, "kubectl {args:?}: {output}");
        output.stdout
    }
}
