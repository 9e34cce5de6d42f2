//! The agent's one thread that talks to the API server: it hands volumes to the workers and tells what came of them.

use super::backend::Devices;
use super::in_time::in_time;
use super::node_storage::{base_status, is_news};
use super::orphans::{Known, Orphans};
use super::plan::{Around, Found, Seen, Step, plan};
use super::shared::Shared;
use super::volumes::{Volumes, Watched, read};
use super::worker::{Answer, Job};
use super::{Fault, point, trash, usage, worker};
use crate::cluster::{chain, node_storage, node_storage_api, node_volumes};
use crate::model::{NODE_LABEL, NodeStorageSpec, NodeStorageStatus, NodeVolumeStatus, node_label};
use crate::server::Check;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
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
    options: Options,
    shared: Arc<Shared>,
    health: Arc<Health>,
}

/// What readiness goes by.
#[derive(Debug, Default)]
struct Health {
    node: AtomicBool,
    listed: AtomicBool,
}

enum News {
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
        move || shared.metrics.render(&shared)
    }

    /// Works until it is dropped.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub async fn run(self, client: kube::Client) -> std::io::Result<()> {
        let (sender, news) = unbounded_channel();
        usage::start(self.shared.clone(), self.options.walk_every)?;
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
            volumes: Volumes::default(),
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

/// The NodeStorage as far as it is known.
#[derive(Debug, Default)]
struct Storage {
    listed: bool,
    there: bool,
    remove: Vec<String>,
    told: NodeStorageStatus,
    writing: bool,
}

struct Running {
    agent: Agent,
    client: kube::Client,
    workers: Vec<(String, Sender<Job>)>,
    sender: UnboundedSender<News>,
    writes: Arc<Semaphore>,
    volumes: Volumes,
    orphans: Orphans,
    told_orphans: Vec<Known>,
    storage: Storage,
    /// When the node was asked for last.
    node_asked: Option<Instant>,
    /// When something changed that the room depends on.
    changed: Option<Instant>,
    /// How many workers are looking at their bases.
    looking: usize,
}

impl Running {
    async fn run(mut self, mut news: UnboundedReceiver<News>) {
        let selector = format!("{NODE_LABEL}={}", node_label(&self.agent.options.node));
        let config = watcher::Config::default().labels(&selector).page_size(PAGE);
        let volumes: Api<Watched> = Api::all_with(self.client.clone(), &node_volumes());
        let mut volumes = pin!(watcher(volumes, config.clone()).default_backoff());
        let storages: Api<Watched> = Api::all_with(self.client.clone(), &crate::cluster::node_storages());
        let mut storages = pin!(watcher(storages, config).default_backoff());
        let mut faults = (WatchFault::default(), WatchFault::default());
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
                Some(event) = volumes.next() => match event {
                    Ok(event) => { faults.0.over(); self.volume_event(event); }
                    Err(error) => faults.0.note("nodevolumes", &error),
                },
                Some(event) = storages.next() => match event {
                    Ok(event) => { faults.1.over(); self.storage_event(event); }
                    Err(error) => faults.1.note("nodestorages", &error),
                },
                Some(news) = news.recv() => self.news(news),
                _ = looks.tick() => {
                    self.look();
                    self.dispatch_all();
                }
                () = soon => self.time(),
            }
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
                        volumes = self.volumes.entries.len(),
                        "listed the node's volumes; watching from now on"
                    );
                }
                self.dispatch_all();
                self.look();
            }
            Event::Delete(object) => {
                self.volumes.entries.remove(object.metadata.name.as_deref().unwrap_or_default());
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
                tracing::error!(volume = name, "a NodeVolume cannot be read and is left alone: {fault}");
                return;
            }
        };
        let (own, other) = (&self.agent.options.node, &asked.spec.node);
        if own != other {
            tracing::error!(
                volume = name,
                "a NodeVolume has the label of the node {own}, and its spec is of the node {other}: it is left alone"
            );
            return;
        }
        if asked.spec.node_uid != self.agent.shared.node_uid() {
            // The Node object may have been deleted and made again meanwhile.
            self.ask_for_node();
        }
        if self.volumes.take(asked, version) {
            self.agent.shared.live().insert(name.clone());
            self.dispatch(&name);
        }
    }

    fn note_live(&self) {
        *self.agent.shared.live() = self.volumes.entries.keys().cloned().collect();
    }

    fn storage_event(&mut self, event: Event<Watched>) {
        match event {
            Event::Init => {
                self.storage.there = false;
                return;
            }
            Event::InitApply(object) | Event::Apply(object) => {
                if object.metadata.name.as_deref() != Some(&self.agent.options.node) {
                    return;
                }
                let spec: Option<NodeStorageSpec> = serde_json::from_value(object.spec).ok();
                self.storage.remove = spec.map(|spec| spec.remove_orphans).unwrap_or_default();
                let status = object.status.and_then(|status| serde_json::from_value(status).ok());
                self.storage.told = status.unwrap_or_default();
                self.storage.there = true;
            }
            Event::InitDone => self.storage.listed = true,
            Event::Delete(object) => {
                if object.metadata.name.as_deref() == Some(&self.agent.options.node) {
                    self.storage.there = false;
                    self.ask_for_node();
                }
            }
        }
        self.tell_storage();
        self.remove_orphans();
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
                    self.dispatch_all();
                }
                self.tell_storage();
            }
            News::Node(Err(error)) => {
                let node = &self.agent.options.node;
                tracing::warn!(
                    "failed to read the Node {node}: {}; without it no volume is made. Is --node-name right?",
                    chain(&error)
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
                    tracing::warn!("failed to write the NodeStorage: {}; it is tried again", chain(&error));
                    self.changed.get_or_insert_with(|| Instant::now() + NODE_PAUSE);
                }
            }
        }
        self.agent.shared.metrics.phases(self.volumes.phases());
    }

    /// What had to wait for its time.
    fn time(&mut self) {
        let now = Instant::now();
        for volume in self.volumes.due(now) {
            self.dispatch(&volume);
        }
        if self.changed.is_some_and(|at| at + SETTLE <= now) {
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

    fn dispatch_all(&mut self) {
        let all: Vec<String> = self.volumes.entries.keys().cloned().collect();
        for volume in all {
            self.dispatch(&volume);
        }
    }

    /// Gives a volume to its worker. Before all volumes and the node are known, nobody can say what is in whose way.
    fn dispatch(&mut self, volume: &str) {
        let known = self.agent.health.listed.load(Ordering::Relaxed)
            && self.agent.health.node.load(Ordering::Relaxed);
        let Some(entry) = self.volumes.entries.get_mut(volume).filter(|_| known) else { return };
        if entry.busy {
            entry.again = true;
            return;
        }
        entry.busy = true;
        let asked = entry.asked.clone();
        match self.workers.iter().find(|(base, _)| *base == asked.spec.base) {
            Some((_, jobs)) => {
                if jobs.send(Job::Volume(Box::new(asked))).is_err() {
                    tracing::error!(
                        volume,
                        "failed to go on: the thread of its base has ended; restart the agent"
                    );
                }
            }
            None => {
                let bases: Vec<&str> = self.workers.iter().map(|(base, _)| base.as_str()).collect();
                let fault = Fault::lasting(
                    "UnknownBase",
                    format!(
                        "{} is none of the agent's bases, which are {}",
                        asked.spec.base,
                        bases.join(", ")
                    ),
                );
                let seen = Seen { record: None, found: Found::Nothing, bound: None, attached: false };
                let node_uid = &self.agent.shared.node_uid();
                let steps = plan(&asked, &seen, &Around { node_uid, base: Err(fault), others: Vec::new() });
                let news = steps.into_iter().find_map(|step| match step {
                    Step::Report(status) => Some(status),
                    _ => None,
                });
                self.on_worker_done(volume, news);
            }
        }
    }

    /// A volume is as far as its worker can bring it.
    fn on_worker_done(&mut self, volume: &str, news: Option<NodeVolumeStatus>) {
        let Some(entry) = self.volumes.entries.get(volume) else { return };
        let Some(status) = news else {
            self.settle(volume, false);
            return;
        };
        tracing::info!(
            volume,
            claim = format_args!("{}/{}", entry.asked.spec.claim.namespace, entry.asked.spec.claim.name),
            reason = status.reason,
            "{:?}{}{}",
            status.phase,
            if status.message.is_some() { ": " } else { "" },
            status.message.as_deref().unwrap_or_default()
        );
        self.changed.get_or_insert_with(Instant::now);
        let status = status.with_condition(&entry.asked.status.conditions, &now());
        let (volume, uid) = (volume.to_owned(), entry.asked.uid.clone());
        let api: Api<Watched> = Api::all_with(self.client.clone(), &node_volumes());
        let (sender, writes) = (self.sender.clone(), self.writes.clone());
        self.agent.shared.metrics.writes.inc();
        tokio::spawn(async move {
            // It is closed only when everything ends.
            let _turn = writes.acquire().await;
            point("report", "before");
            // With the uid, no object of the same name that came later is meant.
            let patch = json!({"metadata": {"uid": uid}, "status": whole(&status)});
            let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
            let written = in_time(api.patch_status(&volume, &params, &patch)).await;
            point("report", "after");
            let version = |object: Watched| object.metadata.resource_version.and_then(|v| v.parse().ok());
            let written = written.map(|object| version(object).unwrap_or_default());
            let _ = sender.send(News::Told { volume, uid, status, written });
        });
    }

    fn on_status_written(
        &mut self,
        volume: &str,
        uid: &str,
        status: NodeVolumeStatus,
        written: Result<u64, kube::Error>,
    ) {
        let failed = match written {
            Ok(version) => {
                self.volumes.on_status_written(volume, uid, status, version);
                false
            }
            // Deleted, or deleted and written again: the watch tells.
            Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => false,
            Err(error) => {
                self.agent.shared.metrics.write_errors.inc();
                tracing::warn!(volume, "failed to write the status: {}; it is tried again", chain(&error));
                true
            }
        };
        self.settle(volume, failed);
    }

    fn settle(&mut self, volume: &str, failed: bool) {
        if self.volumes.settle(volume, failed, Instant::now()) {
            self.dispatch(volume);
        }
    }

    fn ask_for_node(&mut self) {
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

    fn look_for_orphans(&mut self) {
        if !self.agent.health.listed.load(Ordering::Relaxed) {
            return;
        }
        let mut records = Vec::new();
        {
            let live = self.agent.shared.live();
            for view in &self.agent.shared.views {
                let without = |records: &mut std::collections::BTreeMap<String, super::Record>| {
                    records
                        .values()
                        .filter(|record| !live.contains(&record.volume))
                        .cloned()
                        .collect::<Vec<_>>()
                };
                records
                    .extend(view.with_records(without).into_iter().map(|record| (view.path.clone(), record)));
            }
        }
        let without = records.iter().map(|(base, record)| (base.as_str(), record));
        let known = self.orphans.look(without, Instant::now(), self.agent.options.orphan_grace);
        for orphan in &known {
            if !self.told_orphans.contains(orphan) {
                tracing::warn!(
                    volume = orphan.told.volume,
                    "{} is an orphan: no NodeVolume speaks of it. It stays until it is named in spec.removeOrphans of \
                     the NodeStorage {}",
                    orphan.told.path,
                    self.agent.options.node
                );
            }
        }
        self.told_orphans = known;
        self.agent.shared.metrics.orphans.set(i64::try_from(self.orphans.count()).unwrap_or(i64::MAX));
    }

    fn remove_orphans(&mut self) {
        for orphan in &self.told_orphans {
            if !self.storage.remove.contains(&orphan.told.path) {
                continue;
            }
            let Some((_, jobs)) = self.workers.iter().find(|(base, _)| *base == orphan.base) else {
                continue;
            };
            tracing::info!(
                volume = orphan.told.volume,
                "removing the orphan {}, as spec.removeOrphans of the NodeStorage asks",
                orphan.told.path
            );
            self.looking += usize::from(jobs.send(Job::RemoveOrphan(orphan.told.volume.clone())).is_ok());
        }
    }

    /// Writes the NodeStorage when there is news.
    fn tell_storage(&mut self) {
        let shared = &self.agent.shared;
        let known = self.storage.listed && !shared.node_uid().is_empty();
        if !known || self.storage.writing || shared.views.iter().any(|view| view.room().is_none()) {
            return;
        }
        let status = NodeStorageStatus {
            bases: shared.views.iter().map(|view| base_status(view)).collect(),
            orphans: self.told_orphans.iter().map(|known| known.told.clone()).collect(),
            ..NodeStorageStatus::default()
        };
        if self.storage.there && !is_news(&self.storage.told, &status) {
            return;
        }
        let status = status.with_condition(&self.storage.told.conditions, 1, &now());
        self.storage.writing = true;
        shared.metrics.writes.inc();
        let spec = NodeStorageSpec {
            node: self.agent.options.node.clone(),
            node_uid: shared.node_uid(),
            remove_orphans: Vec::new(),
        };
        let (client, sender, there) = (self.client.clone(), self.sender.clone(), self.storage.there);
        tokio::spawn(async move {
            let written = in_time(write_storage(client, spec, status, there)).await;
            let _ = sender.send(News::Storage(written));
        });
    }
}

async fn node_uid(client: kube::Client, node: &str) -> Result<String, kube::Error> {
    let nodes: Api<Node> = Api::all(client);
    Ok(in_time(nodes.get_metadata(node)).await?.metadata.uid.unwrap_or_default())
}

async fn write_storage(
    client: kube::Client,
    spec: NodeStorageSpec,
    status: NodeStorageStatus,
    there: bool,
) -> Result<(), kube::Error> {
    let api = node_storage_api(client);
    let name = spec.node.clone();
    if !there {
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: name.clone(),
            uid: spec.node_uid.clone(),
            ..OwnerReference::default()
        };
        let mut storage = node_storage(spec);
        storage.metadata.owner_references = Some(vec![owner]);
        match api.create(&PostParams::default(), &storage).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.code == 409 => {}
            Err(error) => return Err(error),
        }
    }
    // Absent lists would leave the old ones standing.
    let patch = json!({"status": {"bases": status.bases, "orphans": status.orphans, "conditions": status.conditions}});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await.map(|_| ())
}

/// The time as it stands in a condition.
fn now() -> String {
    k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A status in which what is absent is said to be so, as a merge patch needs it.
fn whole(status: &NodeVolumeStatus) -> Value {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        for field in ["path", "sizeBytes", "reason", "message"] {
            fields.entry(field).or_insert(Value::Null);
        }
    }
    value
}

/// A watch that fails is told once.
#[derive(Debug, Default)]
struct WatchFault(Option<String>);

impl WatchFault {
    fn note(&mut self, resource: &str, error: &watcher::Error) {
        let text = chain(error);
        if self.0.as_ref() == Some(&text) {
            tracing::debug!(resource, "still: {text}");
            return;
        }
        tracing::warn!(
            resource,
            "failed to watch {resource}: {text}; volumes that are there are not touched. It is tried again"
        );
        self.0 = Some(text);
    }

    fn over(&mut self) {
        self.0 = None;
    }
}
