//! What the plan of a volume comes to.

use super::events::Notice;
use crate::facts::ReclaimPolicy;
use crate::model::{ClaimReference, NodeVolumeSpec};
use serde_json::Value;
use std::time::Duration;

/// What must be true on the API server itself, not only in the caches, before anything is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// There is no volume of that name, and the claim is gone or has no volume.
    Unused(ClaimReference),
    /// The volume has this uid, and its claim is gone, and its reclaim policy is Delete.
    Released(Box<str>),
}

/// A write.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Ask a node's agent for a volume, or to take one over.
    CreateNodeVolume {
        /// What is asked for.
        spec: Box<NodeVolumeSpec>,
        /// What becomes of the data when neither claim nor volume is there any more.
        reclaim: ReclaimPolicy,
        /// What must be true, when it is asked for only to be removed.
        removal: Option<Removal>,
    },
    /// Make the volume.
    CreateVolume(Box<Value>),
    /// Take the claim's node away, by a patch that holds only for the claim as it was seen.
    Reschedule {
        /// The claim.
        claim: ClaimReference,
        /// The patch.
        patch: Value,
    },
    /// Ask the agent to remove it.
    SetAbsent {
        /// The NodeVolume's uid.
        uid: Box<str>,
        /// Its resource version.
        version: u64,
        /// What must be true.
        removal: Removal,
    },
    /// Ask the agent for another size, in bytes.
    SetSize {
        /// The NodeVolume's uid.
        uid: Box<str>,
        /// How many bytes.
        bytes: i64,
    },
    /// Note in the NodeVolume what becomes of the data.
    SetReclaim {
        /// The NodeVolume's uid.
        uid: Box<str>,
        /// What becomes of it.
        reclaim: ReclaimPolicy,
    },
    /// The NodeVolume has done its work.
    DeleteNodeVolume {
        /// Its uid.
        uid: Box<str>,
    },
    /// The data is gone: the volume goes.
    DeleteVolume {
        /// Its uid.
        uid: Box<str>,
    },
    /// Let a volume go that is being deleted.
    RemoveFinalizer {
        /// Its uid.
        uid: Box<str>,
    },
    /// The volume holds more now.
    WriteCapacity {
        /// Its uid.
        uid: Box<str>,
        /// The claim's request, as it was written.
        capacity: Box<str>,
    },
    /// The claim has more now, or waits for its node's kubelet.
    WriteClaimStatus {
        /// The claim.
        claim: ClaimReference,
        /// The claim's resource version.
        version: u64,
        /// The volume's new capacity, as the claim asked for it.
        capacity: Box<str>,
        /// Whether the kubelet must let the file system grow.
        node_step: bool,
    },
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// All is as it should be.
    Nothing,
    /// Nothing can be done until something changes, or until that time.
    Wait {
        /// When to look again.
        until: Option<Duration>,
        /// What people should know meanwhile.
        notice: Option<Notice>,
    },
    /// A write; afterwards, look again.
    Do {
        /// The write.
        action: Action,
        /// What people should know of it.
        notice: Option<Notice>,
    },
}

impl Step {
    pub(super) fn act(action: Action) -> Self {
        Self::Do { action, notice: None }
    }
    pub(super) fn wait() -> Self {
        Self::Wait { until: None, notice: None }
    }
    pub(super) fn tell(notice: Notice) -> Self {
        Self::Wait { until: None, notice: Some(notice) }
    }
}
