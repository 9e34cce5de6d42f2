use super::index::{Extra, Row, Shelf, Table};
use super::object::{Cached, Whole};
use super::watch::{Sink, WatchState, run};
use super::watched::{CLAIMS, CLASSES, NAMESPACES, NODES, OWNERS, VOLUMES};
use super::{Index, Watched};
use crate::facts::{
    ClaimFacts, ClassFacts, NamespaceFacts, NodeFacts, OwnerFacts, VolumeFacts, WorkloadKind,
};
use crate::lookup::Lookup;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The informer caches: an [`Index`] and the watches that feed it. Dropping it ends the watches.
pub struct Caches {
    index: Arc<Index>,
    caches: Vec<Cache>,
}

struct Cache {
    state: Arc<WatchState>,
    size: Box<dyn Fn() -> usize + Send + Sync>,
    task: JoinHandle<()>,
}

/// How one cache is doing.
#[derive(Debug, Clone)]
pub struct CacheStatus {
    /// What it holds.
    pub watched: Watched,
    /// Whether it has been filled once.
    pub synced: bool,
    /// How many objects it holds.
    pub objects: usize,
    /// How many lists have been taken over; more than one says that a watch had fallen behind.
    pub lists: u64,
    /// How often the list or the watch failed and was begun again. It grows as long as the cache is stale.
    pub restarts: u64,
    /// The last error and how long ago it came. While the way to the API server is broken there is one every 30 s at
    /// least (or when a connection attempt times out); an older one is over.
    pub last_error: Option<(Duration, String)>,
}

impl Caches {
    /// Begins to list and watch, each kind in a task of its own. Returns at once: see [`Caches::synced`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(client: &kube::Client) -> Self {
        let index = Arc::new(Index::new(OWNERS.map(|owner| owner.kind)));
        let mut caches = vec![
            Cache::start::<ClaimFacts, _, _, _>(client, CLAIMS, &index, |index| Some(&index.claims)),
            Cache::start::<VolumeFacts, _, _, _>(client, VOLUMES, &index, |index| Some(&index.volumes)),
            Cache::start::<ClassFacts, _, _, _>(client, CLASSES, &index, |index| Some(&index.classes)),
            Cache::start::<NamespaceFacts, _, _, _>(client, NAMESPACES, &index, |index| {
                Some(&index.namespaces)
            }),
            Cache::start::<NodeFacts, _, _, _>(client, NODES, &index, |index| Some(&index.nodes)),
        ];
        for owner in OWNERS {
            let scaled = WorkloadKind::of(owner.group, owner.kind).is_some_and(WorkloadKind::has_replicas);
            caches.push(if scaled {
                Cache::start::<Whole, _, _, _>(client, owner, &index, move |index| index.owners(owner.kind))
            } else {
                Cache::start::<OwnerFacts, _, _, _>(client, owner, &index, move |index| {
                    index.owners(owner.kind)
                })
            });
        }
        Self { index, caches }
    }

    /// What reviews look up. It stays as it is when the caches are dropped.
    pub fn lookup(&self) -> Arc<dyn Lookup> {
        Arc::clone(&self.index) as Arc<dyn Lookup>
    }

    /// Whether every cache has been filled once. It stays so when the API server is away afterwards: the last known
    /// state answers better than none.
    pub fn synced(&self) -> bool {
        self.caches.iter().all(|cache| cache.state.listed())
    }

    /// For each cache that has not been filled yet, what it waits for.
    pub fn waiting(&self) -> Vec<String> {
        let waiting = self.caches.iter().filter(|cache| !cache.state.listed());
        waiting
            .map(|cache| match cache.state.last_error() {
                Some((_, why)) => why,
                None => format!("the first list of {} is under way", cache.state.watched),
            })
            .collect()
    }

    /// How many objects each cache holds, by resource.
    pub fn sizes(&self) -> Vec<(&'static str, usize)> {
        self.caches.iter().map(|cache| (cache.state.watched.resource, (cache.size)())).collect()
    }

    /// The newest error of any watch, and how long ago it came.
    pub fn last_error(&self) -> Option<(Duration, String)> {
        let errors = self.caches.iter().filter_map(|cache| cache.state.last_error());
        errors.max_by_key(|(at, _)| *at).map(|(at, why)| (at.elapsed(), why))
    }

    /// All of it, cache by cache.
    pub fn statuses(&self) -> Vec<CacheStatus> {
        let status = |cache: &Cache| CacheStatus {
            watched: cache.state.watched,
            synced: cache.state.listed(),
            objects: (cache.size)(),
            lists: cache.state.lists(),
            restarts: cache.state.restarts(),
            last_error: cache.state.last_error().map(|(at, why)| (at.elapsed(), why)),
        };
        self.caches.iter().map(status).collect()
    }
}

impl Drop for Caches {
    fn drop(&mut self) {
        for cache in &self.caches {
            cache.task.abort();
        }
    }
}

impl Cache {
    /// `C` is what the watch brings, `F` what is kept of it.
    fn start<C, F, X, S>(client: &kube::Client, watched: Watched, index: &Arc<Index>, shelf: S) -> Self
    where
        C: Cached + Into<F>,
        F: Row + Send + Sync + 'static,
        X: Extra<F> + Send + Sync + 'static,
        S: Fn(&Index) -> Option<&Shelf<F, X>> + Copy + Send + Sync + 'static,
    {
        let state = Arc::new(WatchState::new(watched));
        let feed = Feed {
            index: Arc::clone(index),
            shelf,
            staged: Table::default(),
            brought: PhantomData::<fn() -> C>,
        };
        let (client, watching) = (client.clone(), Arc::clone(&state));
        let task = tokio::spawn(async move { run(client, &watching, feed).await });
        let index = Arc::clone(index);
        let size = Box::new(move || shelf(&index).map_or(0, Shelf::len));
        Self { state, size, task }
    }
}

/// Puts what a watch brings on a shelf of the index.
struct Feed<C, F, X, S> {
    index: Arc<Index>,
    shelf: S,
    staged: Table<F, X>,
    brought: PhantomData<fn() -> C>,
}

impl<C, F, X, S> Sink for Feed<C, F, X, S>
where
    C: Cached + Into<F>,
    F: Row + Send + Sync,
    X: Extra<F> + Send,
    S: Fn(&Index) -> Option<&Shelf<F, X>> + Send,
{
    type Facts = C;

    fn begin(&mut self) {
        self.staged = Table::default();
    }
    fn stage(&mut self, facts: C) {
        if let Some(shelf) = (self.shelf)(&self.index) {
            shelf.stage(&mut self.staged, facts.into());
        }
    }
    fn replace(&mut self) {
        if let Some(shelf) = (self.shelf)(&self.index) {
            shelf.replace(std::mem::take(&mut self.staged));
        }
    }
    fn apply(&mut self, facts: C) {
        if let Some(shelf) = (self.shelf)(&self.index) {
            shelf.apply(facts.into());
        }
    }
    fn delete(&mut self, namespace: &str, name: &str) {
        if let Some(shelf) = (self.shelf)(&self.index) {
            shelf.delete(namespace, name);
        }
    }
}
