//! Volumes on the disk that no NodeVolume speaks of: found by their records, told, and removed only when an administrator
//! names them.

use super::Record;
use super::plan::Asked;
use crate::model::{Desired, NodeVolumeSpec, NodeVolumeStatus, Orphan};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many are told in a status.
const TOLD: usize = 100;

/// Since when each volume without a NodeVolume has been without.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    since: BTreeMap<(String, String), Instant>,
}

/// One that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The base that it is in.
    pub(super) base: String,
    /// As the status tells it.
    pub(super) told: Orphan,
}

impl Orphans {
    /// Takes note of what is without a NodeVolume now, as pairs of base and record, and gives what has been so for longer
    /// than `grace`: a NodeVolume may be about to be written again.
    pub(super) fn look<'a>(
        &mut self,
        without: impl IntoIterator<Item = (&'a str, &'a Record)>,
        now: Instant,
        grace: Duration,
    ) -> Vec<Known> {
        let mut since = BTreeMap::new();
        let mut known = Vec::new();
        for (base, record) in without {
            let key = (base.to_owned(), record.volume.clone());
            let first = self.since.get(&key).copied().unwrap_or(now);
            since.insert(key, first);
            if now.duration_since(first) >= grace && known.len() < TOLD {
                let path = format!("{}/{}", base.trim_end_matches('/'), record.directory);
                known.push(Known {
                    base: base.to_owned(),
                    told: Orphan { path, volume: record.volume.clone() },
                });
            }
        }
        self.since = since;
        known
    }

    /// How many there are, of any age.
    pub(super) fn count(&self) -> usize {
        self.since.len()
    }
}

/// The removal of an orphan, as if the controller had asked for it.
pub(super) fn removal(base: &str, record: &Record) -> Asked {
    let spec = NodeVolumeSpec {
        node: String::new(),
        node_uid: String::new(),
        claim: record.claim.clone(),
        class: record.class.clone(),
        backend: record.backend,
        base: base.to_owned(),
        directory: record.directory.clone(),
        size_bytes: record.size_bytes,
        volume_mode: record.volume_mode,
        desired: Desired::Absent,
        adopt: false,
    };
    Asked {
        volume: record.volume.clone(),
        uid: String::new(),
        generation: 0,
        spec,
        status: NodeVolumeStatus::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, ClaimReference, NodeVolumeMode};

    #[test]
    fn is_told_after_the_grace_and_forgotten_when_it_is_known_again() {
        let record = Record {
            volume: "pvc-1".into(),
            claim: ClaimReference::default(),
            class: String::new(),
            directory: "d".into(),
            backend: Backend::Directory,
            volume_mode: NodeVolumeMode::Filesystem,
            size_bytes: 1,
            made: true,
            project: None,
        };
        let (mut orphans, start, grace) = (Orphans::default(), Instant::now(), Duration::from_secs(60));
        let mut look = |there: bool, seconds: u64| {
            let without = there.then_some(("/base", &record));
            let known = orphans.look(without, start + Duration::from_secs(seconds), grace);
            known.into_iter().map(|known| known.told.path).collect::<Vec<_>>()
        };
        assert!(look(true, 0).is_empty());
        assert!(look(true, 59).is_empty());
        assert_eq!(look(true, 60), ["/base/d"]);
        assert!(look(false, 61).is_empty());
        assert!(look(true, 62).is_empty(), "the time starts again");
    }
}
