//! The binary `volgate serve` as a process beside a control plane.

use super::{Cluster, Process, Scratch, User, volgate, wait_until};
#[cfg(feature = "cluster")]
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
#[cfg(feature = "cluster")]
use kube::api::{Api, Patch, PatchParams};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long the slowest machine may take for any step.
const LIMIT: Duration = Duration::from_secs(60);
/// volgate's user, as `manifests/rbac.yaml` names it: what it may not do there fails here.
const VOLGATE: &str = "system:serviceaccount:volgate-system:volgate";

/// Where `manifests/` install volgate.
pub const NAMESPACE: &str = "volgate-system";

/// volgate's user, for [`super::Options::users`].
pub fn user() -> User {
    User { name: VOLGATE.into(), groups: Vec::new() }
}

/// Applies what volgate needs in the cluster when it runs beside it.
pub fn install(cluster: &Cluster) {
    for file in ["namespace", "crd", "rbac", "registration"] {
        let file = super::run::root(format!("manifests/{file}.yaml"));
        let output = cluster.kubectl_blocking(&["apply", "-f", file.to_str().unwrap()], None);
        assert!(output.success, "{output}");
    }
}

/// Writes the webhook configurations of a webhook that the test serves by itself.
#[cfg(feature = "cluster")]
pub async fn register(client: kube::Client, registration: &volgate::cluster::Registration) {
    let (mutating, validating) = volgate::cluster::configurations(registration);
    let (name, params) = (volgate::cluster::NAME, PatchParams::apply("test").force());
    let api = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    api.patch(name, &params, &Patch::Apply(&validating)).await.unwrap();
    let api = Api::<MutatingWebhookConfiguration>::all(client);
    api.patch(name, &params, &Patch::Apply(&mutating)).await.unwrap();
}

/// A running `volgate serve`.
pub struct Serve {
    pub process: Process,
    pub health: SocketAddr,
    /// It is not as the other tests expect it.
    pub altered: bool,
    _scratch: Scratch,
}

impl Serve {
    /// Starts it as the user of the cluster that `manifests/rbac.yaml` makes, registered at this address, and waits until
    /// the API server has its word. See [`install`] and [`user`].
    pub async fn registered(cluster: &Cluster, webhook: SocketAddr, args: &[&str]) -> Self {
        let (url, listen) = (format!("https://{webhook}"), webhook.to_string());
        // The one before it may have been killed, and holds the lease until it is over.
        let standard = ["--register", "--url", &url, "--listen", &listen, "--lease-duration", "6"];
        let serve = Self::start(&cluster.kubeconfig_for(VOLGATE), &[&standard, args].concat());
        serve.ready().await;
        serve.logs("the webhook configurations are registered").await;
        serve
    }

    /// Starts it; health is on a free port. Without `--listen` in `args` the webhook is so too.
    pub fn start(kubeconfig: &Path, args: &[&str]) -> Self {
        Self::start_by(volgate(), kubeconfig, args)
    }

    /// The same by a command of volgate's with an environment of its own.
    pub fn start_by(mut command: Command, kubeconfig: &Path, args: &[&str]) -> Self {
        let scratch = Scratch::new("serve").unwrap();
        let (health, webhook) = (free_address(), free_address().to_string());
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
    pub async fn health(&self, path: &str) -> Result<(u16, String), String> {
        ask(self.health, path).await
    }

    /// Waits until a path of the health port is answered with this status, and returns the answer.
    pub async fn answers(&self, path: &str, status: u16) -> String {
        wait_until(&format!("{path} answers {status}"), LIMIT, async || {
            let seen = self.health(path).await;
            match seen {
                Ok((found, body)) if found == status => Ok(body),
                seen => Err(format!("{seen:?}\n{}", self.process.log_tail(20))),
            }
        })
        .await
    }

    /// Waits until it is ready.
    pub async fn ready(&self) {
        self.answers("/readyz", 200).await;
    }

    /// Waits for words in its log.
    pub async fn logs(&self, words: &str) -> String {
        wait_until(&format!("the log has {words:?}"), LIMIT, async || {
            let log = self.process.log();
            if log.contains(words) { Ok(log) } else { Err(log) }
        })
        .await
    }

    /// Waits until it ends by itself; its exit status and its log.
    pub async fn ends(&self) -> (Option<i32>, String) {
        let status = wait_until("volgate ends", LIMIT, async || {
            self.process.exited().ok_or_else(|| self.process.log_tail(20))
        })
        .await;
        (status.code(), self.process.log())
    }

    /// The sum of a metric's values over all series that have these labels.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, text) = self.health("/metrics").await.unwrap();
        let series = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let ours = series.filter(|line| labels.iter().all(|label| line.contains(label)));
        ours.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// What a health port answers: status and body; an error while nobody listens.
pub async fn ask(health: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let get = async {
        let mut stream = tokio::net::TcpStream::connect(health).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    let answer = get.await.map_err(|error: std::io::Error| error.to_string())?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(&answer)?;
    Ok((status, answer.split_once("\r\n\r\n").unwrap_or_default().1.to_owned()))
}

/// An address that nobody listened on a moment ago.
pub fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
