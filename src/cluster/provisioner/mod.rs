//! The provisioner's controller: watches that feed a world, a queue of volumes to look at, and workers that carry out
//! the plan while this process leads.

mod capacity;
mod events;
mod execute;
mod metrics;
mod role;
mod sink;

pub use role::{provisioner_cluster_rules, provisioner_namespace_rules};

use super::calls::Calls;
use super::lease::{Candidate, LeaseSettings, Term, leads};
use super::watch::WatchState;
use super::watched::{CLAIMS, CLASSES, NODE_STORAGES, NODE_VOLUMES, NODES, VOLUMES};
use crate::daemon::Queue;
use crate::model::lock;
use crate::provisioner::{
    Bases, Claim, Class, Failpoint, Key, Memory, Node, NodeVolume, Settings, Storage, Volume, World,
};
use arc_swap::ArcSwap;
use events::Events;
use metrics::Metrics;

pub use metrics::sample as provisioner_metrics_sample;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How long writes that are under way may take when the end has come.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// What the controller is told.
#[derive(Debug, Clone)]
pub struct ProvisionerOptions {
    /// The provisioner's name, as classes have it.
    pub name: String,
    /// What an administrator can set.
    pub settings: Settings,
    /// How a leader is elected.
    pub lease: LeaseSettings,
    /// How many volumes are worked on at once.
    pub workers: usize,
}

/// The controller, as long as it is not dropped.
pub struct Provisioner {
    shared: Arc<Shared>,
    watches: Vec<(Arc<WatchState>, JoinHandle<()>)>,
    candidate: Candidate,
    namespace: String,
    workers: usize,
}

/// The controller has ended as it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// What watches and workers share.
struct Shared {
    name: String,
    client: kube::Client,
    calls: Calls,
    world: Mutex<World>,
    queue: Mutex<Queue<Key>>,
    memories: Mutex<HashMap<Key, Memory>>,
    /// When a claim that waits was first seen.
    seen: Mutex<HashMap<Key, Duration>>,
    settings: ArcSwap<Settings>,
    term: watch::Receiver<Term>,
    more: Notify,
    started: Instant,
    events: Events,
    metrics: Metrics,
}

/// A view of the controller for health and metrics.
#[derive(Clone)]
pub struct ProvisionerView {
    shared: Arc<Shared>,
    watches: Arc<[Arc<WatchState>]>,
}

impl Provisioner {
    /// Begins to watch. Nothing is written before [`Provisioner::run`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(client: kube::Client, options: ProvisionerOptions) -> Self {
        let ProvisionerOptions { name, settings, lease, workers } = options;
        let calls = Calls::new(client.clone());
        let events = Events::start(calls.clone(), &name, &lease.identity);
        let namespace = lease.namespace.clone();
        let (candidate, term) = Candidate::new(calls.clone(), lease);
        let shared = Arc::new(Shared {
            client,
            calls,
            world: Mutex::new(World::new(&name)),
            name,
            queue: Mutex::default(),
            memories: Mutex::default(),
            seen: Mutex::default(),
            settings: ArcSwap::from_pointee(settings),
            term,
            more: Notify::new(),
            started: Instant::now(),
            events,
            metrics: Metrics::new(),
        });
        let watches = vec![
            sink::watch::<Claim>(&shared, CLAIMS),
            sink::watch::<Volume>(&shared, VOLUMES),
            sink::watch::<Class>(&shared, CLASSES),
            sink::watch::<Node>(&shared, NODES),
            sink::watch::<NodeVolume>(&shared, NODE_VOLUMES),
            sink::watch::<Storage>(&shared, NODE_STORAGES),
        ];
        Self { shared, watches, candidate, namespace, workers }
    }

    /// For health and metrics.
    pub fn view(&self) -> ProvisionerView {
        let watches = self.watches.iter().map(|(state, _)| state.clone()).collect();
        ProvisionerView { shared: self.shared.clone(), watches }
    }

    /// Stands for election and works while it leads, until `stop` ends; then gives the lease back.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Stopped {
        let (shared, view) = (self.shared.clone(), self.view());
        let mut jobs = JoinSet::new();
        tokio::select! {
            () = self.candidate.run() => {}
            () = work(&shared, &view, self.workers, &mut jobs) => {}
            () = capacity::keep(&shared, &view, &self.namespace) => {}
            () = stop => {}
        }
        // What is under way ends while the lease still holds.
        let ended = async { while jobs.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WRITES, ended).await.is_err() {
            tracing::warn!(limit = ?LAST_WRITES, "some writes did not end in time and are left to the next leader");
        }
        self.candidate.release().await;
        Stopped
    }
}

impl Drop for Provisioner {
    fn drop(&mut self) {
        for (_, task) in &self.watches {
            task.abort();
        }
    }
}

/// Works, term after term.
async fn work(shared: &Arc<Shared>, view: &ProvisionerView, workers: usize, jobs: &mut JoinSet<()>) {
    let turns = Arc::new(Semaphore::new(workers.max(1)));
    let mut term = shared.term.clone();
    loop {
        // The sender lives as long as the candidate does, which is longer.
        if term.wait_for(|term| leads(*term)).await.is_err() {
            return;
        }
        while !view.waiting().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // What is known by now is looked at once; what changes from now on, as it does.
        // Cleared before it is asked for, so that nothing falls between.
        shared.queue().clear();
        let keys = shared.world().keys();
        {
            let mut queue = shared.queue();
            keys.into_iter().for_each(|key| queue.add(key));
        }
        while shared.leads() {
            while jobs.try_join_next().is_some() {}
            let Ok(turn) = turns.clone().acquire_owned().await else { return };
            let (next, due) = {
                let mut queue = shared.queue();
                (queue.take(shared.now()), queue.next_due())
            };
            let Some(key) = next else {
                drop(turn);
                let until = due.unwrap_or(Duration::MAX).min(shared.now() + Duration::from_secs(1));
                tokio::select! {
                    () = shared.more.notified() => {}
                    () = tokio::time::sleep(until.saturating_sub(shared.now())) => {}
                }
                continue;
            };
            let shared = shared.clone();
            jobs.spawn(async move {
                let outcome = shared.look(&key).await;
                shared.queue().done(&key, outcome, shared.now());
                drop(turn);
                shared.more.notify_one();
            });
        }
        // Another may lead: what is under way is cut off. A write that is on its way arrives before the lease is over.
        jobs.shutdown().await;
        *shared.queue() = Queue::default();
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn leads(&self) -> bool {
        leads(*self.term.borrow())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    fn queue(&self) -> MutexGuard<'_, Queue<Key>> {
        lock(&self.queue)
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<Key, Memory>> {
        lock(&self.memories)
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<Key, Duration>> {
        lock(&self.seen)
    }

    /// Changes the world, and queues what that touches.
    fn change(&self, change: impl FnOnce(&mut World)) {
        let (dirty, open) = {
            let mut world = self.world();
            change(&mut world);
            let dirty = world.take_dirty();
            let open: Vec<(Key, bool)> = dirty
                .iter()
                .map(|key| {
                    let waits = world.claim(key).is_some_and(|claim| claim.unbound.is_some());
                    (key.clone(), waits && world.volume(key).is_none())
                })
                .collect();
            (dirty, open)
        };
        if dirty.is_empty() {
            return;
        }
        {
            let (mut seen, now) = (self.seen(), self.now());
            for (key, waits) in open {
                if waits {
                    seen.entry(key).or_insert(now);
                } else {
                    seen.remove(&key);
                }
            }
        }
        // Also while the lease is renewed late: leadership may go on as if nothing had been, and the change must be known then.
        if self.term.borrow().is_some() {
            let mut queue = self.queue();
            dirty.into_iter().for_each(|key| queue.add(key));
            drop(queue);
            self.more.notify_one();
        }
    }
}

/// A place at which a test kills the process.
fn reached(write: &'static str, after: bool) {
    debug_assert!(Failpoint::WRITES.contains(&write), "{write} is none of the writes that are tested");
    crate::failpoint::reached(&Failpoint { write, after }.name());
}

impl ProvisionerView {
    /// What is waited for before anything can be done.
    pub fn waiting(&self) -> Vec<String> {
        let waiting = self.watches.iter().filter(|state| !state.listed());
        waiting
            .map(|state| match state.last_error() {
                Some((_, why)) => why,
                None => format!("the first list of {} is under way", state.watched),
            })
            .collect()
    }

    /// Puts other bases in force.
    pub fn set_bases(&self, bases: Bases) {
        let settings = Settings { bases, ..Settings::clone(&self.shared.settings.load()) };
        self.shared.settings.store(Arc::new(settings));
        self.shared.change(World::touch_waiting);
    }

    /// What is counted, as text in the OpenMetrics format.
    pub fn metrics(&self) -> String {
        let errors = self.watches.iter().filter_map(|state| state.last_error());
        let error = errors.map(|(at, _)| at.elapsed()).min();
        let depth = self.shared.queue().depth();
        self.shared.metrics.render(&self.shared.world(), depth, self.shared.leads(), error)
    }
}
