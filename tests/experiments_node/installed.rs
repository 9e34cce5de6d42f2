//! A cluster with a real node in which volgate is installed as its users install it: `kubectl apply -k manifests/`, with the
//! certificate's Secret that `docs/install.md` tells of, and all of it in pods of its own image.

use crate::support::Options;
use crate::support::node::{NodeOptions, RealCluster, node_tests_skipped, volgate};
use crate::support::run::root;
use jiff::civil::Date;
use serde_json::json;
use tokio::sync::OnceCell;
use volgate::tls::Authority;

/// What is waited for until volgate is installed.
const ROLLED_OUT: [&str; 1] = ["deployment/volgate"];
const NAMESPACE: &str = "volgate-system";

/// The cluster.
pub(crate) struct Installed {
    pub(crate) real: RealCluster,
}

impl Installed {
    /// The one that all tests of the file share; each takes a namespace of its own. `None` only when an opt-out is set.
    pub(crate) async fn shared() -> Option<&'static Self> {
        static SHARED: OnceCell<Installed> = OnceCell::const_new();
        if node_tests_skipped() {
            return None;
        }
        Some(SHARED.get_or_init(Self::start).await)
    }

    async fn start() -> Self {
        let options = Options {
            // As every installer has it, so that each controller is a user of its own.
            controller_manager_args: vec!["--use-service-account-credentials=true".into()],
            ..Options::default()
        };
        let image = volgate().unwrap_or_else(|fault| panic!("{fault}"));
        let nodes = [0, 1].map(|_| NodeOptions { images: vec![image.clone()], ..NodeOptions::default() });
        let real = RealCluster::start(options, &nodes).unwrap_or_else(|fault| panic!("{fault}"));
        let installed = Self { real };
        installed.install().await;
        installed
    }

    async fn install(&self) {
        self.works(&["create", "namespace", NAMESPACE], None).await;
        self.works(&["apply", "-f", "-"], Some(&certificate())).await;
        let manifests = root("manifests");
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
    }

    /// kubectl, which must work; what it printed.
    pub(crate) async fn works(&self, args: &[&str], stdin: Option<&str>) -> String {
        let output = self.real.kubectl(args, stdin).await;
        assert!(output.success, "kubectl {args:?}: {output}");
        output.stdout
    }
}

/// The Secret with the webhook's certificate.
fn certificate() -> String {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let pem = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let issue = |today: Date| -> Result<_, volgate::tls::TlsFault> {
        let authority = Authority::new(today)?;
        let pair = authority.issue(&["volgate.volgate-system.svc".to_owned()], today)?;
        Ok((authority.pem(), pem(pair.certificate), pem(pair.key)))
    };
    let (ca, certificate, key) = issue(today).unwrap();
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "volgate-tls", "namespace": NAMESPACE},
        "stringData": {"ca.crt": ca, "tls.crt": certificate, "tls.key": key}
    })
    .to_string()
}
