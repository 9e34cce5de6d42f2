//! What the agent's threads know together.

use super::Options;
use super::backend::Devices;
use super::base_view::BaseView;
use super::metrics::Metrics;
use super::usage::Usage;
use crate::model::Backend;
use crate::model::lock;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

/// What all of the agent knows.
#[derive(Debug)]
pub(super) struct Shared {
    /// Beneath what the node's paths are seen.
    pub(super) host_root: PathBuf,
    /// How much may be promised of what a disk holds.
    overcommit: f64,
    pub(super) views: Vec<Arc<BaseView>>,
    pub(super) metrics: Metrics,
    pub(super) usage: Usage,
    pub(super) devices: Devices,
    /// For how many of its bytes a volume with a quota has one inode.
    pub(super) bytes_per_inode: u64,
    live: Mutex<BTreeSet<String>>,
    node_uid: Mutex<String>,
}

impl Shared {
    pub(super) fn new(options: &Options, devices: Devices) -> Self {
        Self {
            host_root: options.host_root.clone(),
            overcommit: options.overcommit,
            views: options.bases.iter().map(|path| Arc::new(BaseView::new(path.clone()))).collect(),
            metrics: Metrics::new(),
            usage: Usage::default(),
            devices,
            bytes_per_inode: options.bytes_per_inode,
            live: Mutex::default(),
            node_uid: Mutex::default(),
        }
    }

    /// The volumes of which there is a NodeVolume. Whoever needs a base's records as well takes this first.
    pub(super) fn live(&self) -> MutexGuard<'_, BTreeSet<String>> {
        lock(&self.live)
    }

    pub(super) fn node_uid(&self) -> String {
        lock(&self.node_uid).clone()
    }

    pub(super) fn set_node_uid(&self, uid: &str) {
        uid.clone_into(&mut lock(&self.node_uid));
    }

    /// Whether a volume of any base has a project.
    pub(super) fn has_project(&self, id: u32) -> bool {
        let has = |view: &BaseView| {
            view.with_records(|records| records.values().any(|record| record.project == Some(id)))
        };
        self.views.iter().any(|view| has(view))
    }

    /// How many volumes of all bases have a loop device, or are to have one.
    pub(super) fn loop_volumes(&self) -> usize {
        let of = |view: &BaseView| {
            view.with_records(|records| {
                records.values().filter(|record| record.backend == Backend::Loop).count()
            })
        };
        self.views.iter().map(|view| of(view)).sum()
    }

    /// How many bytes may still be promised of a file system, by what is promised already in all bases on it.
    pub(super) fn promisable(&self, capacity: i64, device: u64) -> i64 {
        let promised: i64 = self.views.iter().map(|view| view.promised(device)).fold(0, i64::saturating_add);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "bytes, to the nearest few"
        )]
        let whole = (capacity as f64 * self.overcommit) as i64;
        whole.saturating_sub(promised)
    }
}
