//! NodeVolumes.

use super::super::names::{OWNER, RECLAIM};
use super::{RawMeta, Shared, Text, read};
use crate::facts::{FactsFault, ReclaimPolicy};
use crate::model::{NodeVolumeSpec, NodeVolumeStatus};
use serde::Deserialize;
use serde_json::Value;

/// A NodeVolume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeVolume {
    /// Its name, which is the volume's.
    pub name: Text,
    /// Its uid.
    pub uid: Text,
    /// Its resource version.
    pub version: u64,
    /// Whose controller answers for it.
    pub provisioner: Shared,
    /// Its generation.
    pub generation: i64,
    /// What it is to be.
    pub spec: NodeVolumeSpec,
    /// What the agent tells, without a path that is the one that was asked for.
    pub status: NodeVolumeStatus,
    /// Whether the path that the agent tells is the one that was asked for.
    pub as_asked: bool,
    /// What becomes of the data when neither claim nor volume is there any more.
    pub reclaim: ReclaimPolicy,
}

#[derive(Deserialize)]
struct RawNodeVolume {
    #[serde(default)]
    metadata: RawMeta,
    spec: NodeVolumeSpec,
    #[serde(default)]
    status: Option<NodeVolumeStatus>,
}

impl NodeVolume {
    /// Reads a NodeVolume.
    ///
    /// # Errors
    /// A field has a wrong type.
    pub fn read(object: &Value) -> Result<Self, FactsFault> {
        let RawNodeVolume { metadata, spec, status } = read(object)?;
        let reclaim = metadata.annotation(RECLAIM).map(ReclaimPolicy::parse);
        let mut status = status.unwrap_or_default();
        let as_asked = status.path.as_deref().is_some_and(|path| path == spec.reached_at(&metadata.name));
        if as_asked {
            status.path = None;
        }
        Ok(Self {
            as_asked,
            version: metadata.version(),
            // Without a word for it, nothing is removed.
            reclaim: reclaim.and_then(Result::ok).unwrap_or(ReclaimPolicy::Retain),
            provisioner: metadata.annotation(OWNER).unwrap_or_default().into(),
            generation: metadata.generation,
            spec,
            status,
            name: metadata.name.into(),
            uid: metadata.uid.into(),
        })
    }

    /// The texts that many NodeVolumes share.
    pub(in crate::provisioner) fn shared(&mut self) -> [&mut Shared; 1] {
        [&mut self.provisioner]
    }

    /// Whether the agent's status is about the spec as it is now.
    pub fn answered(&self) -> bool {
        self.status.observed_generation >= self.generation
    }

    /// What the agent says is wrong, in one line.
    pub fn complaint(&self) -> Option<String> {
        let (reason, message) = (self.status.reason.as_deref(), self.status.message.as_deref());
        match (reason, message) {
            (Some(reason), Some(message)) => Some(format!("{message} ({reason})")),
            (one, other) => one.or(other).map(str::to_owned),
        }
    }
}
