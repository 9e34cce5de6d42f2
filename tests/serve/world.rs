//! A control plane with the binary `volgate serve` beside it, which all tests of the file share, one at a time.

use crate::support::cluster::{ADMIN, DEVELOPER};
use crate::support::{Cluster, Options, Output, Process, Scratch, User, wait_until};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, MutexGuard};

/// How long the slowest machine may take for any step.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// volgate's user, as `manifests/rbac.yaml` names it: what it may not do there fails here.
const VOLGATE: &str = "system:serviceaccount:volgate-system:volgate";
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n";
/// A pod that the baseline refuses.
pub(crate) const REDIS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: redis}
spec: {containers: [{name: redis, image: redis}]}
";
/// One that it has nothing to say about.
pub(crate) const WEB: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: nginx}]}
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
        // What a test that failed may have left.
        world.works(ADMIN, "delete storagepolicies --all", None).await;
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
            users: vec![User { name: VOLGATE.into(), groups: Vec::new() }],
            ..Options::default()
        })?;
        for file in ["namespace", "crd", "rbac", "webhooks"] {
            let file = crate::support::run::root(format!("manifests/{file}.yaml"));
            let output = cluster.kubectl_blocking(&["apply", "-f", file.to_str().unwrap()], None);
            assert!(output.success, "{output}");
        }
        Some(Self { cluster, serve: None, webhook: free_address(), audit_log, _audit: audit })
    }

    /// Starts volgate anew, with further arguments, and waits until it has registered itself.
    pub(crate) async fn serve_with(&mut self, args: &[&str]) {
        self.serve = None;
        let (url, listen) = (format!("https://{}", self.webhook), self.webhook.to_string());
        let standard = ["--register", "--url", &url, "--listen", &listen];
        let mut serve = Serve::start(&self.cluster.kubeconfig_for(VOLGATE), &[&standard, args].concat());
        serve.altered = !args.is_empty();
        serve.ready().await;
        serve.logs("the webhook configurations are registered").await;
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

/// A running `volgate serve`.
pub(crate) struct Serve {
    pub(crate) process: Process,
    pub(crate) health: SocketAddr,
    /// It is not as the other tests expect it.
    pub(crate) altered: bool,
    _scratch: Scratch,
}

impl Serve {
    /// Starts it; health is on a free port. Without `--listen` in `args` the webhook is so too.
    pub(crate) fn start(kubeconfig: &Path, args: &[&str]) -> Self {
        let scratch = Scratch::new("serve").unwrap();
        let (health, webhook) = (free_address(), free_address().to_string());
        let mut command = Command::new(env!("CARGO_BIN_EXE_volgate"));
        command.arg("serve").args(args).args(["--health-listen", &health.to_string()]);
        if !args.contains(&"--listen") {
            command.args(["--listen", &webhook]);
        }
        command.env("KUBECONFIG", kubeconfig).env("HOME", scratch.path());
        for variable in ["KUBERNETES_SERVICE_HOST", "RUST_LOG", "HTTPS_PROXY", "https_proxy"] {
            command.env_remove(variable);
        }
        let process = Process::spawn("volgate", &command, &scratch.path().join("log")).unwrap();
        Self { process, health, altered: false, _scratch: scratch }
    }

    /// What it answers on the health port; an error while nobody listens.
    pub(crate) async fn health(&self, path: &str) -> Result<(u16, String), String> {
        let get = async {
            let mut stream = tokio::net::TcpStream::connect(self.health).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.map(|_| answer)
        };
        let answer = get.await.map_err(|error: std::io::Error| error.to_string())?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(&answer)?;
        Ok((status, answer.split_once("\r\n\r\n").unwrap_or_default().1.to_owned()))
    }

    /// Waits until a path of the health port is answered with this status, and returns the answer.
    pub(crate) async fn answers(&self, path: &str, status: u16) -> String {
        wait_until(&format!("{path} answers {status}"), LIMIT, async || {
            let seen = self.health(path).await;
            match seen {
                Ok((found, body)) if found == status => Ok(body),
                seen => Err(format!("{seen:?}\n{}", self.process.log_tail(20))),
            }
        })
        .await
    }

    pub(crate) async fn ready(&self) {
        self.answers("/readyz", 200).await;
    }

    /// Waits for words in its log.
    pub(crate) async fn logs(&self, words: &str) -> String {
        wait_until(&format!("the log has {words:?}"), LIMIT, async || {
            let log = self.process.log();
            if log.contains(words) { Ok(log) } else { Err(log) }
        })
        .await
    }

    /// Waits until it ends by itself; its exit status and its log.
    pub(crate) async fn ends(&self) -> (Option<i32>, String) {
        let status = wait_until("volgate ends", LIMIT, async || {
            self.process.exited().ok_or_else(|| self.process.log_tail(20))
        })
        .await;
        (status.code(), self.process.log())
    }

    /// The sum of a metric's values over all series that have these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, text) = self.health("/metrics").await.unwrap();
        let series = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let ours = series.filter(|line| labels.iter().all(|label| line.contains(label)));
        ours.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// An address that nobody listened on a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
