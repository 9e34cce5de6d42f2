//! The agent's one thread that talks to the API server: it hands volumes to the workers and tells what came of them.

use super::backend::Devices;
use super::in_time::in_time;
use super::node_storage::{Storage, base_status};
use super::orphans::{Known, Orphans};
use super::shared::Shared;
use super::volumes::{Volumes, Watched, read};
use super::worker::{Answer, Job};
use super::{measure, trash, worker};
use crate::cluster::{NODE_STORAGES, NODE_VOLUMES, chain, events, node_storages, node_volumes};
use crate::daemon::Check;
use crate::model::{NODE_LABEL, NodeVolumeStatus, node_label};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ApiResource};
use kube::runtime::watcher::{self, Event};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Objects of a page of a list: a page is in memory at once.
const PAGE: u32 = 100;
/// How many writes to the API server are on their way at once.
const WRITES: usize = 8;
/// How long after a change the room is measured again and reported: a burst of claims is one change.
const SETTLE: Duration = Duration::from_secs(1);
/// The pause between two attempts to read the node.
const NODE_PAUSE: Duration = Duration::from_secs(5);

/// What an agent is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The node's name.
    pub node: String,
    /// The directories of the node in which volumes are made: absolute paths.
    pub bases: Vec<String>,
    /// The directory beneath which the node's paths are seen.
    pub host_root: PathBuf,
    /// How much may be promised of what a disk holds, as a ratio.
    pub overcommit: f64,
    /// How often the bases and all volumes are looked at.
    pub look_every: Duration,
    /// How long a volume on the disk may be without a NodeVolume before it is called an orphan.
    pub orphan_grace: Duration,
    /// How often the files of directories are counted at most, for the metrics.
    pub walk_every: Duration,
    /// How many loop volumes the node may have; without any the agent opens no device.
    pub most_loop_devices: u32,
    /// For how many of its bytes a volume with a project quota may have one inode.
    pub bytes_per_inode: u64,
}

/// An agent.
#[derive(Debug)]
pub struct Agent {
    pub(super) options: Options,
    pub(super) shared: Arc<Shared>,
    pub(super) health: Arc<Health>,
}

/// What readiness goes by.
#[derive(Debug, Default)]
pub(super) struct Health {
    pub(super) node: AtomicBool,
    pub(super) listed: AtomicBool,
}

pub(super) enum News {
    Worker(Answer),
    Told { volume: String, uid: String, status: NodeVolumeStatus, written: Result<u64, kube::Error> },
    Node(Result<String, kube::Error>),
    Storage(Result<(), kube::Error>),
}

impl Agent {
    /// An agent that has not begun. To be made before the process is [confined](super::confine()), as it starts
    /// the thread that opens devices.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn new(options: Options) -> std::io::Result<Self> {
        let devices = Devices::start(&options.host_root, options.most_loop_devices)?;
        let shared = Arc::new(Shared::new(&options, devices));
        Ok(Self { options, shared, health: Arc::default() })
    }

    /// What readiness depends on.
    pub fn checks(&self) -> impl Fn() -> Vec<Check> + Clone + Send + Sync + 'static {
        let (shared, health) = (self.shared.clone(), self.health.clone());
        move || {
            let failed = |ok: &AtomicBool, why: &str| (!ok.load(Ordering::Relaxed)).then(|| why.to_owned());
            let mut checks = vec![
                ("node", failed(&health.node, "the Node object has not been read yet")),
                ("nodevolumes", failed(&health.listed, "they have not been listed yet")),
            ];
            let faults = shared.views.iter().map(|view| base_status(view)).filter(|base| !base.usable);
            let faults: Vec<_> =
                faults.map(|base| format!("{}: {}", base.path, base.message.unwrap_or_default())).collect();
            checks.push(("bases", (!faults.is_empty()).then(|| faults.join("; "))));
            checks
        }
    }

    /// The metrics, in the OpenMetrics format.
    pub fn metrics(&self) -> impl Fn() -> String + Clone + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || shared.metrics.render(shared.views.iter().map(AsRef::as_ref), &shared.usage.used())
    }

    /// Works until it is dropped.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub async fn run(self, client: kube::Client) -> std::io::Result<()> {
        let (sender, news) = unbounded_channel();
        measure::start(self.shared.clone(), self.options.walk_every)?;
        let mut workers = Vec::new();
        for view in &self.shared.views {
            let answers = sender.clone();
            let answer = move |answer| {
                // Nobody listens any more: the agent ends.
                let _ = answers.send(News::Worker(answer));
            };
            let emptied = trash::start(self.shared.clone(), view.clone())?;
            let jobs = worker::start(self.shared.clone(), view.clone(), answer, emptied)?;
            workers.push((view.path.clone(), jobs));
        }
        let running = Running {
            agent: self,
            client,
            workers,
            sender,
            writes: Arc::new(Semaphore::new(WRITES)),
            volumes: Volumes::new(),
            orphans: Orphans::default(),
            told_orphans: Vec::new(),
            storage: Storage::default(),
            node_asked: None,
            changed: None,
            looking: 0,
        };
        running.run(news).await;
        Ok(())
    }
}

/// An agent at work.
pub(super) struct Running {
    pub(super) agent: Agent,
    pub(super) client: kube::Client,
    pub(super) workers: Vec<(String, Sender<Job>)>,
    pub(super) sender: UnboundedSender<News>,
    pub(super) writes: Arc<Semaphore>,
    pub(super) volumes: Volumes,
    pub(super) orphans: Orphans,
    pub(super) told_orphans: Vec<Known>,
    pub(super) storage: Storage,
    /// When the node was asked for last.
    pub(super) node_asked: Option<Instant>,
    /// When something changed that the room depends on.
    pub(super) changed: Option<Instant>,
    /// How many workers are looking at their bases.
    pub(super) looking: usize,
}

impl Running {
    async fn run(mut self, mut news: UnboundedReceiver<News>) {
        let selector = format!("{NODE_LABEL}={}", node_label(&self.agent.options.node));
        let config = watcher::Config::default().labels(&selector).page_size(PAGE);
        let watch = |resource: ApiResource, of| {
            let api: Api<Watched> = Api::all_with(self.client.clone(), &resource);
            events(api, config.clone(), of)
        };
        let mut volumes = pin!(watch(node_volumes(), NODE_VOLUMES));
        let mut storages = pin!(watch(node_storages(), NODE_STORAGES));
        let mut looks = tokio::time::interval(self.agent.options.look_every);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.ask_for_node();
        loop {
            let soon = self.volumes.next_due().into_iter().chain(self.changed.map(|at| at + SETTLE)).min();
            let soon = async move {
                match soon {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // A watch that fails is tried again; volumes that are there are not touched.
                Some(event) = volumes.next() => if let Ok(event) = event { self.volume_event(event) },
                Some(event) = storages.next() => if let Ok(event) = event { self.storage_event(event) },
                Some(news) = news.recv() => self.news(news),
                _ = looks.tick() => {
                    self.look();
                    self.volumes.add_all();
                }
                () = soon => self.time(),
            }
            self.dispatch();
        }
    }

    fn volume_event(&mut self, event: Event<Watched>) {
        match event {
            Event::Init => self.volumes.begin(),
            Event::InitApply(object) | Event::Apply(object) => {
                self.volumes.staged(object.metadata.name.as_deref().unwrap_or_default());
                self.take(object);
            }
            Event::InitDone => {
                self.volumes.listed();
                self.note_live();
                if !self.agent.health.listed.swap(true, Ordering::Relaxed) {
                    tracing::info!(
                        volumes = self.volumes.len(),
                        "listed the node's volumes; watching from now on"
                    );
                }
                self.volumes.add_all();
                self.look();
            }
            Event::Delete(object) => {
                self.volumes.remove(object.metadata.name.as_deref().unwrap_or_default());
                self.note_live();
                self.changed.get_or_insert_with(Instant::now);
            }
        }
    }

    fn take(&mut self, object: Watched) {
        let name = object.metadata.name.clone().unwrap_or_default();
        let (asked, version) = match read(object) {
            Ok(read) => read,
            Err(fault) => {
                tracing::error!(volume = name, error = %fault, "a NodeVolume cannot be read and is left alone");
                return;
            }
        };
        let (own, other) = (&self.agent.options.node, &asked.spec.node);
        if own != other {
            tracing::error!(
                volume = name,
                label = own,
                spec = other,
                "the label and the spec of a NodeVolume name different nodes; it is left alone"
            );
            return;
        }
        if asked.spec.node_uid != self.agent.shared.node_uid() {
            // The Node object may have been deleted and made again meanwhile.
            self.ask_for_node();
        }
        if self.volumes.take(asked, version) {
            self.agent.shared.live().insert(name);
        }
    }

    fn note_live(&self) {
        *self.agent.shared.live() = self.volumes.names().cloned().collect();
    }

    fn news(&mut self, news: News) {
        match news {
            News::Worker(Answer::Volume { volume, news }) => self.on_worker_done(&volume, news),
            News::Worker(Answer::Looked) => {
                self.looking = self.looking.saturating_sub(1);
                if self.looking == 0 {
                    self.look_for_orphans();
                    self.tell_storage();
                    self.remove_orphans();
                }
            }
            News::Told { volume, uid, status, written } => {
                self.on_status_written(&volume, &uid, status, written)
            }
            News::Node(Ok(uid)) => {
                let known = self.agent.shared.node_uid();
                if known != uid {
                    tracing::info!(node = self.agent.options.node, uid, "this is the node");
                    self.agent.shared.set_node_uid(&uid);
                    self.agent.health.node.store(true, Ordering::Relaxed);
                    self.volumes.add_all();
                }
                self.tell_storage();
            }
            News::Node(Err(error)) => {
                let node = &self.agent.options.node;
                let error = chain(&error);
                tracing::warn!(
                    node,
                    error,
                    "failed to read the Node; without it no volume is made. Is --node-name right?"
                );
                self.node_asked = None;
                let (client, sender, node) = (self.client.clone(), self.sender.clone(), node.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(NODE_PAUSE).await;
                    let _ = sender.send(News::Node(node_uid(client, &node).await));
                });
            }
            News::Storage(written) => {
                self.storage.writing = false;
                if let Err(error) = written {
                    self.agent.shared.metrics.write_errors.inc();
                    tracing::warn!(
                        error = chain(&error),
                        "failed to write the NodeStorage; it is tried again"
                    );
                    self.changed.get_or_insert_with(|| Instant::now() + NODE_PAUSE);
                }
            }
        }
        self.agent.shared.metrics.phases(self.volumes.phases());
    }

    /// What had to wait for its time.
    fn time(&mut self) {
        if self.changed.is_some_and(|at| at + SETTLE <= Instant::now()) {
            self.look();
        }
    }

    fn look(&mut self) {
        self.changed = None;
        if self.looking == 0 {
            for (_, jobs) in &self.workers {
                self.looking += usize::from(jobs.send(Job::Look).is_ok());
            }
        }
    }

    pub(super) fn ask_for_node(&mut self) {
        // Every volume of a former node asks.
        if self.node_asked.is_some_and(|at| at.elapsed() < NODE_PAUSE) {
            return;
        }
        self.node_asked = Some(Instant::now());
        let (client, sender, node) =
            (self.client.clone(), self.sender.clone(), self.agent.options.node.clone());
        tokio::spawn(async move {
            let _ = sender.send(News::Node(node_uid(client, &node).await));
        });
    }
}

async fn node_uid(client: kube::Client, node: &str) -> Result<String, kube::Error> {
    let nodes: Api<Node> = Api::all(client);
    Ok(in_time(nodes.get_metadata(node)).await?.metadata.uid.unwrap_or_default())
}
