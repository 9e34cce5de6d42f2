//! The NodeVolumes of this node as far as they are known, and when each is worked on next.

use super::plan::Asked;
use crate::model::{NodeVolumeSpec, NodeVolumeStatus, Phase};
use kube::core::Object;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The pause after the first attempt that came to nothing; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A NodeVolume as it is watched: what is wrong with one must not hide the others.
pub(super) type Watched = Object<Value, Value>;

/// One volume.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) asked: Asked,
    /// The version of the object that our last write made: an older one's status is not news.
    told: u64,
    /// Whether somebody is at it.
    pub(super) busy: bool,
    /// Whether it has changed meanwhile.
    pub(super) again: bool,
    failures: u32,
    pub(super) retry: Option<Instant>,
}

/// All of them, by name.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    pub(super) entries: BTreeMap<String, Entry>,
    /// The names of a list that has begun.
    listing: Vec<String>,
}

impl Volumes {
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

    /// Takes an object over. Says whether anything is to be done about it.
    pub(super) fn take(&mut self, asked: Asked, version: u64) -> bool {
        let Some(entry) = self.entries.get_mut(&asked.volume) else {
            let entry = Entry { asked, told: 0, busy: false, again: false, failures: 0, retry: None };
            self.entries.insert(entry.asked.volume.clone(), entry);
            return true;
        };
        let mut asked = asked;
        let same = asked.uid == entry.asked.uid;
        if same && version < entry.told {
            asked.status = entry.asked.status.clone();
        }
        let changed = asked != entry.asked;
        if changed {
            entry.asked = asked;
            entry.failures = 0;
            entry.retry = None;
        }
        changed
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

    /// Nobody is at a volume any more. Says whether it is due again at once.
    pub(super) fn settle(&mut self, volume: &str, failed: bool, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(volume) else { return false };
        entry.busy = false;
        if std::mem::take(&mut entry.again) {
            return true;
        }
        if failed || wants_another_try(&entry.asked.status) {
            let pause = FIRST_PAUSE.saturating_mul(1_u32 << entry.failures.min(10)).min(LONGEST_PAUSE);
            entry.failures = entry.failures.saturating_add(1);
            entry.retry = Some(now + pause);
        } else {
            entry.failures = 0;
            entry.retry = None;
        }
        false
    }

    /// The volumes whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        let due = self.entries.iter_mut().filter(|(_, entry)| entry.retry.is_some_and(|at| at <= now));
        due.map(|(name, entry)| {
            entry.retry = None;
            name.clone()
        })
        .collect()
    }

    /// When the next one's time comes.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.retry).min()
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
