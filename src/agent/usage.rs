use crate::model::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::Sender;
use std::time::Instant;

/// How many bytes volumes take, as they were measured.
#[derive(Debug, Default)]
pub(super) struct Usage {
    used: Mutex<BTreeMap<String, (i64, Instant)>>,
    wake: Mutex<Option<Sender<()>>>,
}

impl Usage {
    /// What each volume was measured to take, by its name; has them measured again for the next time.
    pub(super) fn used(&self) -> BTreeMap<String, i64> {
        if let Some(wake) = &*lock(&self.wake) {
            // Without its thread, what is known stays.
            let _ = wake.send(());
        }
        let used = lock(&self.used);
        used.iter().map(|(volume, (bytes, _))| (volume.clone(), *bytes)).collect()
    }

    /// When the volume was measured last.
    pub(super) fn measured_at(&self, volume: &str) -> Option<Instant> {
        lock(&self.used).get(volume).map(|(_, at)| *at)
    }

    /// The volume was measured.
    pub(super) fn set(&self, volume: &str, bytes: i64) {
        let mut used = lock(&self.used);
        used.insert(volume.to_owned(), (bytes, Instant::now()));
    }

    /// Forgets the volumes that are not to be kept.
    pub(super) fn keep(&self, is_kept: impl Fn(&str) -> bool) {
        lock(&self.used).retain(|volume, _| is_kept(volume));
    }

    /// Whoever asks from now on wakes that thread.
    pub(super) fn measured_on(&self, thread: Sender<()>) {
        *lock(&self.wake) = Some(thread);
    }
}
