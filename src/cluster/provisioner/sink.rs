use super::super::Watched;
use super::super::object::Cached;
use super::super::watch::{Sink, WatchState, run};
use super::Shared;
use crate::facts::FactsFault;
use crate::model::ObjectRef;
use crate::provisioner::{Change, Claim, Class, Node, NodeVolume, Storage, Volume};
use serde_json::Value;
use std::fmt::Debug;
use std::sync::Arc;

macro_rules! cached {
    ($($type:ty: $metadata_only:literal),*) => {$(
        impl Cached for $type {
            const METADATA_ONLY: bool = $metadata_only;
            fn read(object: &Value, _id: &ObjectRef) -> Result<Self, FactsFault> {
                Self::read(object)
            }
        }
    )*};
}

cached!(Claim: false, Volume: false, Class: false, Node: false, NodeVolume: false, Storage: false);

/// Feeds the world with what one watch brings.
struct Feed<T> {
    shared: Arc<Shared>,
    staged: Vec<T>,
}

impl<T: Change + Cached + Clone + Debug> Sink for Feed<T> {
    type Facts = T;

    fn begin(&mut self) {
        self.staged = Vec::new();
    }
    fn stage(&mut self, one: T) {
        // What is another provisioner's would only take memory until the list is whole.
        self.staged.push(one);
    }
    fn replace(&mut self) {
        let all = std::mem::take(&mut self.staged);
        self.shared.change(|world| T::replace(all, world));
    }
    fn apply(&mut self, one: T) {
        self.shared.change(|world| one.put(world));
    }
    fn delete(&mut self, namespace: &str, name: &str) {
        self.shared.change(|world| T::remove(world, namespace, name));
    }
}

/// Begins to watch one kind.
pub(super) fn watch<T: Change + Cached>(
    shared: &Arc<Shared>,
    watched: Watched,
) -> (Arc<WatchState>, tokio::task::JoinHandle<()>) {
    let state = Arc::new(WatchState::new(watched));
    let (client, watching) = (shared.client.clone(), state.clone());
    let feed = Feed::<T> { shared: shared.clone(), staged: Vec::new() };
    let task = tokio::spawn(async move { run(client, &watching, feed).await });
    (state, task)
}
