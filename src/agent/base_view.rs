use super::base::{Identity, Records};
use super::plan::Room;
use super::{Fault, Record};
use crate::model::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What is known of a base. Its worker writes it.
#[derive(Debug)]
pub(super) struct BaseView {
    /// Its path on the node.
    pub(super) path: String,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    identity: Option<Identity>,
    records: Records,
    room: Option<Result<Room, Fault>>,
    trash: TrashCount,
}

/// What is in a base's trash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TrashCount {
    /// Removed volumes whose data is not gone yet.
    pub(super) entries: i64,
    /// Those of them that cannot be emptied for now, for what is in them.
    pub(super) stuck: i64,
}

impl BaseView {
    pub(super) fn new(path: String) -> Self {
        Self { path, inner: Mutex::default() }
    }

    /// Another disk may be there: nothing is known.
    pub(super) fn forget(&self) {
        *lock(&self.inner) = Inner::default();
    }

    pub(super) fn opened(&self, identity: Identity, records: Records) {
        let mut inner = lock(&self.inner);
        inner.identity = Some(identity);
        inner.records = records;
    }

    pub(super) fn with_records<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Record>) -> T) -> T {
        work(&mut lock(&self.inner).records.good)
    }

    pub(super) fn bad_record(&self, volume: &str) -> Option<String> {
        lock(&self.inner).records.bad.get(volume).cloned()
    }

    pub(super) fn bad_records(&self) -> usize {
        lock(&self.inner).records.bad.len()
    }

    pub(super) fn set_room(&self, room: Result<Room, Fault>) {
        lock(&self.inner).room = Some(room);
    }

    pub(super) fn room(&self) -> Option<Result<Room, Fault>> {
        lock(&self.inner).room.clone()
    }

    pub(super) fn set_trash(&self, trash: TrashCount) {
        lock(&self.inner).trash = trash;
    }

    pub(super) fn trash(&self) -> TrashCount {
        lock(&self.inner).trash
    }

    /// How many bytes are promised to its volumes, if it is on that device.
    pub(super) fn promised(&self, device: u64) -> i64 {
        let inner = lock(&self.inner);
        if inner.identity.is_none_or(|(on, _)| on != device) {
            return 0;
        }
        inner.records.good.values().map(|record| record.size_bytes.max(0)).fold(0, i64::saturating_add)
    }
}
