//! A control plane with the binary `volgate serve` beside it, which all tests of the file share, one at a time.

use crate::support::cluster::{ADMIN, DEVELOPER};
use crate::support::serve::{self, Serve, free_address};
use crate::support::{Cluster, Options, Output, Scratch, wait_until};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// How long the slowest machine may take for any step.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n";
/// A pod that the baseline refuses.
pub(crate) const REDIS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: redis}
spec: {containers: [{name: redis, image: redis}]}
";
/// One that it can have nothing to say about: volgate is not asked.
pub(crate) const WEB: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: nginx}]}
";
/// One that it might have something to say about, and has not.
pub(crate) const SCRATCH: &str = "
apiVersion: v1
kind: Pod
metadata: {name: scratch}
spec:
  containers: [{name: web, image: nginx, volumeMounts: [{name: tmp, mountPath: /tmp}]}]
  volumes: [{name: tmp, emptyDir: {}}]
";

/// The control plane and volgate.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) serve: Option<Serve>,
    webhook: SocketAddr,
    audit_log: PathBuf,
    _audit: Scratch,
}

impl World {
    /// The one world, with volgate in force under the baseline. `None` only when the opt-out is set.
    pub(crate) async fn lock() -> Option<MutexGuard<'static, Self>> {
        static WORLD: OnceLock<Option<Mutex<World>>> = OnceLock::new();
        let mut world = WORLD.get_or_init(|| Self::start().map(Mutex::new)).as_ref()?.lock().await;
        // What a test that failed may have left. volgate makes the baseline once, and never again.
        world.works(ADMIN, "delete storagepolicies --all", None).await;
        world.works(ADMIN, "apply -f policies/baseline.yaml", None).await;
        if world.serve.as_ref().is_none_or(|serve| serve.altered || serve.process.exited().is_some()) {
            world.serve_with(&[]).await;
        }
        world.in_force().await;
        Some(world)
    }

    fn start() -> Option<Self> {
        let audit = Scratch::new("audit").unwrap();
        let policy = audit.path().join("policy.yaml");
        std::fs::write(&policy, AUDIT_POLICY).unwrap();
        let audit_log = audit.path().join("audit.log");
        let cluster = Cluster::own(Options {
            scheduler: false,
            api_server_args: vec![
                format!("--audit-policy-file={}", policy.display()),
                format!("--audit-log-path={}", audit_log.display()),
            ],
            // As every installer has it, so that each controller is a user of its own.
            controller_manager_args: vec!["--use-service-account-credentials=true".into()],
            users: vec![serve::user()],
            ..Options::default()
        })?;
        serve::install(&cluster);
        Some(Self { cluster, serve: None, webhook: free_address(), audit_log, _audit: audit })
    }

    /// Starts volgate anew, with further arguments, and waits until it has registered itself.
    pub(crate) async fn serve_with(&mut self, args: &[&str]) {
        self.serve = None;
        let mut serve = Serve::registered(&self.cluster, self.webhook, args).await;
        serve.altered = !args.is_empty();
        self.serve = Some(serve);
    }

    /// Waits until the API server asks volgate and volgate judges by the baseline.
    pub(crate) async fn in_force(&self) {
        self.becomes("the baseline is in force", REDIS, |output| output.stderr.contains("durable-data"))
            .await;
    }

    /// Waits until a manifest in the namespace `default`, sent as a dry run, is answered so.
    pub(crate) async fn becomes(&self, what: &str, manifest: &str, wanted: impl Fn(&Output) -> bool) {
        wait_until(what, LIMIT, async || {
            let output =
                self.kubectl(DEVELOPER, "create -n default --dry-run=server -f -", Some(manifest)).await;
            if wanted(&output) { Ok(()) } else { Err(output.to_string()) }
        })
        .await;
    }

    pub(crate) fn serve(&self) -> &Serve {
        self.serve.as_ref().unwrap()
    }

    /// kubectl, with a line of arguments that are separated by one space each.
    pub(crate) async fn kubectl(&self, user: &str, line: &str, stdin: Option<&str>) -> Output {
        let args: Vec<&str> = line.split(' ').collect();
        self.cluster.kubectl_as(user, &args, stdin).await
    }

    /// As [`Self::kubectl`], and it must work. What it printed.
    pub(crate) async fn works(&self, user: &str, line: &str, stdin: Option<&str>) -> String {
        let output = self.kubectl(user, line, stdin).await;
        assert!(output.success, "kubectl {line}: {output}\n{}", stdin.unwrap_or_default());
        output.stdout
    }

    /// The developer is let through.
    pub(crate) async fn accepts(&self, line: &str, stdin: Option<&str>) {
        self.works(DEVELOPER, line, stdin).await;
    }

    /// The developer is refused by a policy, with these words.
    pub(crate) async fn rejects(&self, line: &str, stdin: Option<&str>, words: &[&str]) {
        let output = self.kubectl(DEVELOPER, line, stdin).await;
        assert!(!output.success, "kubectl {line} is accepted\n{}", stdin.unwrap_or_default());
        let denied = r#"admission webhook "workloads.volgate.dev" denied the request: "#;
        for part in std::iter::once(&denied).chain(words) {
            assert!(output.stderr.contains(part), "{part:?} is not in {output}");
        }
    }

    /// The developer is refused because volgate does not answer.
    pub(crate) async fn fails_closed(&self, line: &str, stdin: Option<&str>) {
        let output = self.kubectl(DEVELOPER, line, stdin).await;
        let failed = r#"failed calling webhook "workloads.volgate.dev""#;
        assert!(!output.success && output.stderr.contains(failed), "kubectl {line}: {output}");
    }

    /// A stored object, as the administrator sees it; null when there is none.
    pub(crate) async fn get(&self, what: &str) -> Value {
        let output = self.kubectl(ADMIN, &format!("get {what} --ignore-not-found -o json"), None).await;
        assert!(output.success, "{output}");
        if output.stdout.is_empty() { Value::Null } else { serde_json::from_str(&output.stdout).unwrap() }
    }

    /// Waits until an object is as it should be.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_until(what, LIMIT, async || {
            let found = self.get(what).await;
            if wanted(&found) { Ok(found) } else { Err(found.to_string()) }
        })
        .await
    }

    /// The annotation that volgate's validating webhook left in the API server's audit log for an object's creation.
    pub(crate) async fn audited(&self, resource: &str, namespace: &str, name: &str) -> Value {
        wait_until("the audit log has it", LIMIT, async || {
            let log = std::fs::read_to_string(&self.audit_log).map_err(|error| error.to_string())?;
            let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut found = events.filter(|event| {
                let about = &event["objectRef"];
                event["verb"] == "create"
                    && event["stage"] == "ResponseComplete"
                    && (&about["resource"], &about["namespace"], &about["name"])
                        == (&json!(resource), &json!(namespace), &json!(name))
            });
            found.next_back().map(|event| event["annotations"].clone()).ok_or_else(|| "not yet".to_owned())
        })
        .await
    }
}
