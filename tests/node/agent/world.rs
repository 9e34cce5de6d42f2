//! A control plane with volgate's CRDs, which all tests of the file share, and for each test a node with an agent of its
//! own: the binary, with a scratch directory as the node's root.

use crate::support::agent as support_agent;
pub(crate) use crate::support::agent::names;
use crate::support::cluster::ADMIN;
use crate::support::serve::{ask, free_address};
use crate::support::{Cluster, Process, Scratch, wait_until};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::OnceCell;
use volgate::cluster::{NodeStorage, NodeVolume, node_storage_api, node_volume, node_volume_api};
use volgate::failpoint;
use volgate::model::{
    Backend, ClaimReference, Desired, NodeStorageStatus, NodeVolumeMode, NodeVolumeSpec, NodeVolumeStatus,
    Phase,
};

/// How long the slowest machine may take for any step.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// The base of every node here.
pub(crate) const BASE: &str = "/opt/local-path-provisioner";
const GIB: i64 = 1 << 30;

/// A node, its disk and its agent.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) uid: String,
    cluster: &'static Cluster,
    health: SocketAddr,
    args: Vec<String>,
    agent: Option<Process>,
    scratch: Scratch,
}

async fn cluster() -> Option<&'static Cluster> {
    static CRDS: OnceCell<()> = OnceCell::const_new();
    let cluster = tokio::task::spawn_blocking(Cluster::shared).await.unwrap()?;
    CRDS.get_or_init(async || {
        let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/crd.yaml");
        let output = cluster.kubectl(&["apply", "-f", crds], None).await;
        assert!(output.success, "{output}");
        let args = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
        let output = cluster.kubectl(&args, None).await;
        assert!(output.success, "{output}");
    })
    .await;
    Some(cluster)
}

impl Node {
    /// A node with a running agent. `None` only when the opt-out is set.
    pub(crate) async fn start(name: &str) -> Option<Self> {
        let mut node = Self::without_agent(name).await?;
        node.start_agent(&[], None).await;
        Some(node)
    }

    /// A node whose agent does not run yet.
    pub(crate) async fn without_agent(name: &str) -> Option<Self> {
        let cluster = cluster().await?;
        let object = cluster.fake_node(name, &[]).await;
        let scratch = Scratch::new(name).unwrap();
        let node = Self {
            name: name.to_owned(),
            uid: object.metadata.uid.unwrap(),
            cluster,
            health: free_address(),
            args: Vec::new(),
            agent: None,
            scratch,
        };
        std::fs::create_dir_all(node.base()).unwrap();
        Some(node)
    }

    /// Starts the agent, with further arguments and, if wanted, a point at which it ends.
    pub(crate) async fn start_agent(&mut self, args: &[&str], failpoint: Option<&str>) {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.agent = None;
        self.agent = Some(self.spawn(failpoint));
        if failpoint.is_none() {
            wait_until("the agent is ready", LIMIT, async || {
                let (_, answer) = self.get("/readyz").await?;
                // A base that cannot be used is what some tests are about.
                let ready = answer.contains("[+]node ok") && answer.contains("[+]nodevolumes ok");
                if ready { Ok(()) } else { Err(format!("{answer}\n{}", self.log())) }
            })
            .await;
        }
    }

    /// Kills the agent and starts it again as it was.
    pub(crate) async fn restart_agent(&mut self) {
        let args = self.args.clone();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.start_agent(&args, None).await;
    }

    /// What the agent is called with, but for where the node's root is seen.
    pub(crate) fn agent_args(&self) -> Vec<String> {
        let health = self.health.to_string();
        let args = ["agent", "--node-name", &self.name, "--health-listen", &health];
        let often = ["--look-every", "1", "--orphan-grace", "1", "--walk-every", "1"];
        args.iter().chain(&often).map(|arg| (*arg).to_owned()).chain(self.args.clone()).collect()
    }

    /// Where the agent answers over HTTP.
    pub(crate) fn health(&self) -> SocketAddr {
        self.health
    }

    /// The cluster that the node is of.
    pub(crate) fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    fn spawn(&self, failpoint: Option<&str>) -> Process {
        let args = self.agent_args();
        let mut command = support_agent::command(&self.cluster.kubeconfig_for(ADMIN), &self.root(), &args);
        if let Some(failpoint) = failpoint {
            command.env(failpoint::VARIABLE, failpoint);
        }
        Process::spawn("agent", &command, &self.scratch.path().join("agent.log")).unwrap()
    }

    /// The agent's process.
    pub(crate) fn agent(&self) -> &Process {
        self.agent.as_ref().unwrap()
    }

    pub(crate) fn stop_agent(&mut self) {
        self.agent = None;
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("agent.log")).unwrap_or_default()
    }

    /// What the node's paths are beneath.
    pub(crate) fn root(&self) -> PathBuf {
        self.scratch.path().join("root")
    }

    /// A place beside the node's root, of which the agent has no business.
    pub(crate) fn outside(&self, path: &str) -> PathBuf {
        self.scratch.path().join(path)
    }

    /// Where the base is seen.
    pub(crate) fn base(&self) -> PathBuf {
        self.at(BASE)
    }

    /// Where a path of the node is seen.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// A path beneath the base.
    pub(crate) fn beneath(&self, path: &str) -> PathBuf {
        self.base().join(path)
    }

    pub(crate) fn api(&self) -> Api<NodeVolume> {
        node_volume_api(self.cluster.client(ADMIN))
    }

    pub(crate) fn client(&self) -> kube::Client {
        self.cluster.client(ADMIN)
    }

    pub(crate) async fn kubectl(&self, args: &[&str]) -> String {
        let output = self.cluster.kubectl(args, None).await;
        assert!(output.success, "{output}");
        output.stdout
    }

    /// What the controller would ask for: a directory of 1Gi, named by the volume.
    pub(crate) fn spec(&self, volume: &str) -> NodeVolumeSpec {
        NodeVolumeSpec {
            node: self.name.clone(),
            node_uid: self.uid.clone(),
            claim: ClaimReference {
                namespace: "default".into(),
                name: format!("claim-of-{volume}"),
                uid: format!("uid-of-{volume}"),
            },
            class: "local-path".into(),
            backend: Backend::Directory,
            base: BASE.into(),
            directory: format!("{volume}_default_claim"),
            size_bytes: GIB,
            volume_mode: NodeVolumeMode::Filesystem,
            desired: Desired::Present,
            adopt: false,
        }
    }

    /// Asks for a volume.
    pub(crate) async fn ask(&self, volume: &str, change: impl FnOnce(&mut NodeVolumeSpec)) {
        let mut spec = self.spec(volume);
        change(&mut spec);
        self.api().create(&PostParams::default(), &node_volume(volume, spec)).await.unwrap();
    }

    /// Changes a volume's spec.
    pub(crate) async fn change(&self, volume: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.api().patch(volume, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Asks for a volume's end.
    pub(crate) async fn ask_absent(&self, volume: &str) {
        self.change(volume, json!({"desired": "Absent"})).await;
    }

    pub(crate) async fn forget(&self, volume: &str) {
        self.api().delete(volume, &DeleteParams::default()).await.unwrap();
    }

    pub(crate) async fn volume(&self, volume: &str) -> NodeVolume {
        self.api().get(volume).await.unwrap()
    }

    /// Waits for a phase that is about the volume's newest spec.
    pub(crate) async fn phase(&self, volume: &str, phase: Phase) -> NodeVolumeStatus {
        self.until(volume, &format!("{phase:?}"), |status| status.phase == phase).await
    }

    /// Waits for a status that is about the volume's newest spec.
    pub(crate) async fn until(
        &self,
        volume: &str,
        what: &str,
        is: impl Fn(&NodeVolumeStatus) -> bool,
    ) -> NodeVolumeStatus {
        let api = self.api();
        wait_until(&format!("{volume} is {what}"), LIMIT, async || {
            let object = api.get(volume).await.map_err(|e| e.to_string())?;
            let status = object.status.clone().unwrap_or_default();
            if Some(status.observed_generation) == object.metadata.generation && is(&status) {
                return Ok(status);
            }
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            Err(format!("{status:?}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n")))
        })
        .await
    }

    /// Waits until the trash is empty.
    pub(crate) async fn trash_is_empty(&self) {
        let trash = self.beneath(".volgate/trash");
        wait_until("the trash is empty", LIMIT, async || match names(&trash) {
            names if names.is_empty() => Ok(()),
            names => Err(format!("{names:?}")),
        })
        .await;
    }

    /// The NodeStorage, when it has a status that is as wanted.
    pub(crate) async fn storage(&self, what: &str, is: impl Fn(&NodeStorageStatus) -> bool) -> NodeStorage {
        let api = node_storage_api(self.client());
        wait_until(&format!("the NodeStorage tells {what}"), LIMIT, async || {
            let object = api.get(&self.name).await.map_err(|e| e.to_string())?;
            if object.status.as_ref().is_some_and(&is) { Ok(object) } else { Err(format!("{object:?}")) }
        })
        .await
    }

    /// What the agent answers over HTTP: status and body.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, String), String> {
        ask(self.health, path).await
    }

    /// The value of a metric whose line begins so.
    pub(crate) async fn metric(&self, begins: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics").await.unwrap();
        let line = text.lines().find(|line| line.starts_with(begins))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

/// The permissions of a path.
pub(crate) fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}
