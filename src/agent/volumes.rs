//! The NodeVolumes of this node as far as they are known, and when each is worked on next.

use super::plan::Asked;
use crate::daemon::{Outcome, Queue};
use crate::model::{NodeVolumeSpec, NodeVolumeStatus, Phase};
use kube::core::Object;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Instant;

/// A NodeVolume as it is watched: what is wrong with one must not hide the others.
pub(super) type Watched = Object<Value, Value>;

/// One volume.
#[derive(Debug)]
struct Entry {
    asked: Asked,
    /// The version of the object that our last write made: an older one's status is not news.
    told: u64,
}

/// All of them, by name.
#[derive(Debug)]
pub(super) struct Volumes {
    entries: BTreeMap<String, Entry>,
    queue: Queue<String>,
    /// The moment that the queue counts from.
    started: Instant,
    /// The names of a list that has begun.
    listing: Vec<String>,
}

impl Volumes {
    pub(super) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            queue: Queue::default(),
            started: Instant::now(),
            listing: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.entries.keys()
    }

    pub(super) fn get(&self, volume: &str) -> Option<&Asked> {
        self.entries.get(volume).map(|entry| &entry.asked)
    }

    pub(super) fn remove(&mut self, volume: &str) {
        self.entries.remove(volume);
    }

    pub(super) fn begin(&mut self) {
        self.listing.clear();
    }

    pub(super) fn staged(&mut self, volume: &str) {
        self.listing.push(volume.to_owned());
    }

    /// The list is whole: what is not in it is gone.
    pub(super) fn listed(&mut self) {
        let mut listing = std::mem::take(&mut self.listing);
        listing.sort_unstable();
        self.entries.retain(|name, _| listing.binary_search(name).is_ok());
    }

    /// Takes an object over. Says whether it is another than before.
    pub(super) fn take(&mut self, mut asked: Asked, version: u64) -> bool {
        let known = self.entries.get(&asked.volume);
        let told = known.map_or(0, |entry| entry.told);
        if let Some(entry) = known {
            if asked.uid == entry.asked.uid && version < told {
                asked.status = entry.asked.status.clone();
            }
            if asked == entry.asked {
                return false;
            }
        }
        self.queue.renew(asked.volume.clone());
        self.entries.insert(asked.volume.clone(), Entry { asked, told });
        true
    }

    /// A status was written, in this version of the object.
    pub(super) fn on_status_written(
        &mut self,
        volume: &str,
        uid: &str,
        status: NodeVolumeStatus,
        version: u64,
    ) {
        if let Some(entry) = self.entries.get_mut(volume).filter(|entry| entry.asked.uid == uid) {
            entry.asked.status = status;
            entry.told = version;
        }
    }

    /// Every volume is to be looked at.
    pub(super) fn add_all(&mut self) {
        for volume in self.entries.keys() {
            self.queue.add(volume.clone());
        }
    }

    /// The next volume to work on.
    pub(super) fn next(&mut self) -> Option<Asked> {
        loop {
            let now = self.started.elapsed();
            let volume = self.queue.take(now)?;
            match self.entries.get(&volume) {
                Some(entry) => return Some(entry.asked.clone()),
                None => self.queue.done(&volume, Outcome::Settled, now),
            }
        }
    }

    /// Nobody works on a volume any more.
    pub(super) fn settle(&mut self, volume: &str, failed: bool) {
        let again = self.get(volume).is_some_and(|asked| failed || wants_another_try(&asked.status));
        let outcome = if again { Outcome::Failed } else { Outcome::Settled };
        self.queue.done(&volume.to_owned(), outcome, self.started.elapsed());
    }

    /// When the next one's time comes.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.queue.next_due().map(|due| self.started + due)
    }

    pub(super) fn phases(&self) -> [(Phase, usize); 5] {
        Phase::ALL.map(|phase| {
            (phase, self.entries.values().filter(|entry| entry.asked.status.phase == phase).count())
        })
    }
}

/// Whether what hinders a volume may be gone later.
fn wants_another_try(status: &NodeVolumeStatus) -> bool {
    match status.phase {
        Phase::Pending => true,
        Phase::Ready => status.reason.as_deref().is_some_and(|reason| reason != "ShrinkUnsupported"),
        // A lost one is looked for with every look at its base.
        Phase::Lost | Phase::Refused | Phase::Removed => false,
    }
}

/// Reads an object.
///
/// # Errors
/// What is wrong with it, as a fragment.
pub(super) fn read(object: Watched) -> Result<(Asked, u64), String> {
    let metadata = object.metadata;
    let spec: NodeVolumeSpec =
        serde_json::from_value(object.spec).map_err(|error| format!("spec: {error}"))?;
    let status: NodeVolumeStatus = match object.status {
        Some(status) => serde_json::from_value(status).map_err(|error| format!("status: {error}"))?,
        None => NodeVolumeStatus::default(),
    };
    let version = metadata.resource_version.and_then(|version| version.parse().ok()).unwrap_or(u64::MAX);
    let asked = Asked {
        volume: metadata.name.unwrap_or_default(),
        uid: metadata.uid.unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        spec,
        status,
    };
    Ok((asked, version))
}
