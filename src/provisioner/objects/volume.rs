//! Volumes.

use super::super::names::{BACKEND, BASE, DIRECTORY, FINALIZER, NODE, PROVISIONED_BY, RANCHER_NODE};
use super::{Map, RawMeta, Shared, Text, bytes, read};
use crate::facts::{FactsFault, ReclaimPolicy};
use crate::model::{Backend, ClaimReference, HOSTNAME};
use serde::Deserialize;
use serde_json::Value;

/// How far a volume is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum VolumePhase {
    /// The controller manager has not looked at it yet.
    #[default]
    Pending,
    /// It waits for a claim.
    Available,
    /// A claim has it.
    Bound,
    /// Its claim is gone.
    Released,
    /// Its claim is gone, and something went wrong.
    Failed,
}

impl VolumePhase {
    /// Its name in Kubernetes' API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Available => "Available",
            Self::Bound => "Bound",
            Self::Released => "Released",
            Self::Failed => "Failed",
        }
    }
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: Text,
    /// Its uid.
    pub uid: Text,
    /// Its resource version.
    pub version: u64,
    /// Who made it.
    pub provisioner: Shared,
    /// How far it is.
    pub phase: VolumePhase,
    /// What becomes of its data when its claim is gone.
    pub reclaim: ReclaimPolicy,
    /// Its class.
    pub class: Shared,
    /// The claim that it is or was for.
    pub claim: Option<ClaimReference>,
    /// How many bytes it says that it holds.
    pub capacity: i64,
    /// Where it is on its node; of a volume that volgate made, `made` says so.
    pub path: Text,
    /// Whether it is a block device.
    pub block: bool,
    /// Whether it has [`FINALIZER`].
    pub finalizer: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// What its node affinity asks of [`HOSTNAME`], when that is one value.
    pub hostname: Option<Shared>,
    /// Its node's name, where an annotation tells it.
    pub node: Option<Shared>,
    /// How volgate made it; nothing of another provisioner's.
    pub made: Option<Made>,
}

/// Where and how volgate made a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The base.
    pub base: Shared,
    /// The directory beneath it.
    pub directory: Text,
    /// The backend.
    pub backend: Backend,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawVolume {
    metadata: RawMeta,
    spec: RawVolumeSpec,
    status: RawPhase,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawPhase {
    phase: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawVolumeSpec {
    capacity: Option<Map>,
    persistent_volume_reclaim_policy: String,
    storage_class_name: Option<String>,
    volume_mode: String,
    claim_ref: Option<RawClaimRef>,
    local: Option<RawPath>,
    host_path: Option<RawPath>,
    node_affinity: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawPath {
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawClaimRef {
    namespace: String,
    name: String,
    uid: String,
}

impl Volume {
    /// Reads a PersistentVolume.
    ///
    /// # Errors
    /// A field has a wrong type.
    pub fn read(object: &Value) -> Result<Self, FactsFault> {
        let RawVolume { metadata, spec, status } = read(object)?;
        let backend = metadata
            .annotation(BACKEND)
            .and_then(|name| Backend::ALL.into_iter().find(|backend| backend.name() == name));
        let made = match (metadata.annotation(BASE).map(Into::into), metadata.text(DIRECTORY), backend) {
            (Some(base), Some(directory), Some(backend)) => Some(Made { base, directory, backend }),
            _ => None,
        };
        let source = spec.local.or(spec.host_path).filter(|_| made.is_none());
        let path = source.unwrap_or_default().path;
        Ok(Self {
            version: metadata.version(),
            provisioner: metadata.annotation(PROVISIONED_BY).unwrap_or_default().into(),
            phase: match status.phase.as_str() {
                "Available" => VolumePhase::Available,
                "Bound" => VolumePhase::Bound,
                "Released" => VolumePhase::Released,
                "Failed" => VolumePhase::Failed,
                _ => VolumePhase::Pending,
            },
            // Without a word for it, nothing is removed.
            reclaim: ReclaimPolicy::parse(&spec.persistent_volume_reclaim_policy)
                .unwrap_or(ReclaimPolicy::Retain),
            class: metadata.class(spec.storage_class_name.as_deref()),
            claim: spec.claim_ref.map(|claim| ClaimReference {
                namespace: claim.namespace,
                name: claim.name,
                uid: claim.uid,
            }),
            capacity: bytes(spec.capacity.as_ref().and_then(|map| map.get("storage"))).unwrap_or(0),
            path: path.into(),
            block: spec.volume_mode == "Block",
            finalizer: metadata.finalizers.iter().any(|finalizer| finalizer == FINALIZER),
            deleting: metadata.deletion_timestamp.is_some(),
            hostname: hostname(&spec.node_affinity),
            node: metadata.annotation(NODE).or_else(|| metadata.annotation(RANCHER_NODE)).map(Into::into),
            made,
            name: metadata.name.into(),
            uid: metadata.uid.into(),
        })
    }

    /// The texts that many volumes share.
    pub(in crate::provisioner) fn shared(&mut self) -> Vec<&mut Shared> {
        let base = self.made.as_mut().map(|made| &mut made.base);
        let places = [self.hostname.as_mut(), self.node.as_mut(), base];
        [&mut self.provisioner, &mut self.class].into_iter().chain(places.into_iter().flatten()).collect()
    }
}

/// The one hostname that a volume's affinity asks for.
fn hostname(affinity: &Value) -> Option<Shared> {
    let terms = affinity.get("required")?.get("nodeSelectorTerms")?.as_array()?;
    let [term] = terms.as_slice() else { return None };
    let wanted = term.get("matchExpressions")?.as_array()?;
    let one = wanted.iter().find(|expression| {
        expression.get("key").and_then(Value::as_str) == Some(HOSTNAME)
            && expression.get("operator").and_then(Value::as_str) == Some("In")
    })?;
    let [value] = one.get("values")?.as_array()?.as_slice() else { return None };
    value.as_str().map(Into::into)
}
