//! What is kept of each object: as little as the plan needs, as there can be tens of thousands.

use super::names::{
    BACKEND, BASE, BETA_STORAGE_PROVISIONER, DIRECTORY, FINALIZER, NODE, OWNER, PROVISIONED_BY, RANCHER_NODE,
    RECLAIM, SELECTED_NODE, STORAGE_PROVISIONER,
};
use crate::facts::{ClassFacts, FactsFault, ReclaimPolicy};
use crate::model::{
    Backend, BaseStatus, ClaimReference, HOSTNAME, NodeStorageSpec, NodeStorageStatus, NodeVolumeSpec,
    NodeVolumeStatus, ObjectRef, Quantity,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Text that is kept for long and never grows.
type Text = Box<str>;
/// Text that many objects share; the world keeps one of each.
type Shared = Arc<str>;
type Map = BTreeMap<String, String>;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawMeta {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    generation: i64,
    deletion_timestamp: Option<String>,
    finalizers: Vec<String>,
    annotations: Option<Map>,
    labels: Option<Map>,
}

impl RawMeta {
    fn version(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str).filter(|text| !text.is_empty())
    }
    fn text(&self, key: &str) -> Option<Text> {
        self.annotation(key).map(Into::into)
    }
}

fn read<T: DeserializeOwned>(object: &Value) -> Result<T, FactsFault> {
    T::deserialize(object).map_err(|error| FactsFault::at("object", error.to_string()))
}

/// A quantity's bytes; one that cannot be read or does not fit is none.
fn bytes(text: Option<&String>) -> Option<i64> {
    i64::try_from(Quantity::parse(text?).ok()?.value()).ok()
}

/// A claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its namespace.
    pub namespace: Text,
    /// Its name.
    pub name: Text,
    /// Its uid.
    pub uid: Text,
    /// Its resource version, to tell older from newer.
    pub version: u64,
    /// The class that it names.
    pub class: Shared,
    /// Who is to make its volume.
    pub provisioner: Shared,
    /// The node that the scheduler chose.
    pub selected_node: Option<Text>,
    /// The volume that it is or will be bound to.
    pub volume: Option<Text>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// How many bytes it asks for.
    pub request: i64,
    /// The same as it was written.
    pub request_text: Text,
    /// How many bytes its status says that it has.
    pub capacity: i64,
    /// How many bytes its status says that are set aside for it.
    pub allocated: i64,
    /// Whether a step of its growth is noted in its status.
    pub growing: bool,
    /// What counts until it is bound.
    pub unbound: Option<Box<Unbound>>,
}

/// What counts of a claim until it is bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unbound {
    /// `accessModes`.
    pub access_modes: Vec<String>,
    /// Whether it is to be a block device.
    pub block: bool,
    /// Whether it has a `selector`.
    pub selector: bool,
    /// Whether it has a `dataSource` or `dataSourceRef`.
    pub source: bool,
    /// `volumeAttributesClassName`.
    pub attributes_class: Option<String>,
    /// Its labels.
    pub labels: Map,
    /// Its annotations.
    pub annotations: Map,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawClaim {
    metadata: RawMeta,
    spec: RawClaimSpec,
    status: RawClaimStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawClaimSpec {
    access_modes: Vec<String>,
    selector: Option<Value>,
    data_source: Option<Value>,
    data_source_ref: Option<Value>,
    storage_class_name: Option<String>,
    volume_name: String,
    volume_mode: String,
    volume_attributes_class_name: Option<String>,
    resources: RawResources,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawResources {
    requests: Option<Map>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawClaimStatus {
    capacity: Option<Map>,
    allocated_resources: Option<Map>,
    allocated_resource_statuses: Option<Map>,
    conditions: Vec<RawCondition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawCondition {
    r#type: String,
}

impl Claim {
    /// Reads a PersistentVolumeClaim.
    ///
    /// # Errors
    /// A field has a wrong type.
    pub fn read(object: &Value) -> Result<Self, FactsFault> {
        let RawClaim { metadata, spec, status } = read(object)?;
        let storage = |map: &Option<Map>| bytes(map.as_ref().and_then(|map| map.get("storage")));
        let request = spec.resources.requests.as_ref().and_then(|map| map.get("storage"));
        let provisioner = metadata.annotation(STORAGE_PROVISIONER);
        let class = metadata.annotation("volume.beta.kubernetes.io/storage-class");
        let unbound = spec.volume_name.is_empty().then(|| {
            Box::new(Unbound {
                access_modes: spec.access_modes,
                block: spec.volume_mode == "Block",
                selector: spec.selector.is_some(),
                source: spec.data_source.is_some() || spec.data_source_ref.is_some(),
                attributes_class: spec.volume_attributes_class_name.filter(|name| !name.is_empty()),
                labels: metadata.labels.clone().unwrap_or_default(),
                annotations: metadata.annotations.clone().unwrap_or_default(),
            })
        });
        let growing = |kind: &str| matches!(kind, "Resizing" | "FileSystemResizePending");
        Ok(Self {
            version: metadata.version(),
            class: class.or(spec.storage_class_name.as_deref()).unwrap_or_default().into(),
            provisioner: provisioner
                .or_else(|| metadata.annotation(BETA_STORAGE_PROVISIONER))
                .unwrap_or_default()
                .into(),
            selected_node: metadata.text(SELECTED_NODE),
            volume: Some(spec.volume_name).filter(|name| !name.is_empty()).map(Into::into),
            deleting: metadata.deletion_timestamp.is_some(),
            request: bytes(request).unwrap_or(0),
            request_text: request.map(String::as_str).unwrap_or_default().into(),
            capacity: storage(&status.capacity).unwrap_or(0),
            allocated: storage(&status.allocated_resources).unwrap_or(0),
            growing: status.allocated_resource_statuses.is_some_and(|map| map.contains_key("storage"))
                || status.conditions.iter().any(|condition| growing(&condition.r#type)),
            unbound,
            namespace: metadata.namespace.into(),
            name: metadata.name.into(),
            uid: metadata.uid.into(),
        })
    }

    /// The name of the volume that it has or will have.
    pub fn key(&self) -> String {
        match &self.volume {
            Some(volume) => volume.to_string(),
            None => format!("pvc-{}", self.uid),
        }
    }

    /// The texts that many claims share.
    pub(super) fn shared(&mut self) -> [&mut Shared; 2] {
        [&mut self.provisioner, &mut self.class]
    }

    /// Whether a volume that speaks of a claim so means this one. Without a uid it is kept for whoever has the name.
    pub fn is(&self, reference: &ClaimReference) -> bool {
        match reference.uid.as_str() {
            "" => self.is_named(&reference.namespace, &reference.name),
            uid => *self.uid == *uid,
        }
    }

    /// Whether it has this name.
    pub fn is_named(&self, namespace: &str, name: &str) -> bool {
        *self.namespace == *namespace && *self.name == *name
    }

    /// By which a NodeVolume names it.
    pub fn reference(&self) -> ClaimReference {
        ClaimReference {
            namespace: self.namespace.to_string(),
            name: self.name.to_string(),
            uid: self.uid.to_string(),
        }
    }
}

/// A class.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// What the webhook knows of it as well.
    pub facts: ClassFacts,
    /// Its uid.
    pub uid: String,
    /// Its resource version.
    pub version: u64,
    /// Its annotations.
    pub annotations: Map,
    /// `allowedTopologies`: of each alternative, the values that each label may have. Empty: anywhere.
    pub topologies: Vec<Vec<(String, Vec<String>)>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawClass {
    metadata: RawMeta,
    allowed_topologies: Option<Vec<RawTopology>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawTopology {
    match_label_expressions: Vec<RawLabelValues>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawLabelValues {
    key: String,
    values: Vec<String>,
}

impl Class {
    /// Reads a StorageClass.
    ///
    /// # Errors
    /// A field has a wrong type.
    pub fn read(object: &Value) -> Result<Self, FactsFault> {
        let RawClass { metadata, allowed_topologies } = read(object)?;
        let id = ObjectRef { name: metadata.name.clone(), ..ObjectRef::default() };
        let alternatives = allowed_topologies.unwrap_or_default().into_iter();
        let topologies = alternatives
            .map(|term| term.match_label_expressions.into_iter().map(|one| (one.key, one.values)).collect());
        Ok(Self {
            facts: ClassFacts::read(object.into(), &id)?,
            version: metadata.version(),
            topologies: topologies.collect(),
            uid: metadata.uid,
            annotations: metadata.annotations.unwrap_or_default(),
        })
    }

    /// Whether its `allowedTopologies` admit a node.
    pub fn allows(&self, node: &Node) -> bool {
        let holds = |(key, values): &(String, Vec<String>)| {
            node.labels.get(key).is_some_and(|found| values.contains(found))
        };
        self.topologies.is_empty() || self.topologies.iter().any(|term| term.iter().all(holds))
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Text,
    /// Its uid.
    pub uid: Text,
    /// Its resource version.
    pub version: u64,
    /// Its labels.
    pub labels: Map,
}

impl Node {
    /// Reads a Node's metadata.
    ///
    /// # Errors
    /// A field has a wrong type.
    pub fn read(object: &Value) -> Result<Self, FactsFault> {
        let metadata: RawMeta = read(object.get("metadata").unwrap_or(&Value::Null))?;
        Ok(Self {
            version: metadata.version(),
            name: metadata.name.into(),
            uid: metadata.uid.into(),
            labels: metadata.labels.unwrap_or_default(),
        })
    }

    /// The value of the label by which volumes are tied to it, which may differ from its name.
    pub fn hostname(&self) -> &str {
        self.labels.get(HOSTNAME).map_or(&self.name, String::as_str)
    }
}

/// A NodeStorage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Its node's name, which is its own.
    pub node: Text,
    /// Its node's uid.
    pub node_uid: Text,
    /// Its resource version.
    pub version: u64,
    /// What the agent reports of its bases.
    pub bases: Vec<BaseStatus>,
    /// How many orphans it reports.
    pub orphans: usize,
}

#[derive(Deserialize)]
struct RawStorage {
    #[serde(default)]
    metadata: RawMeta,
    spec: NodeStorageSpec,
    #[serde(default)]
    status: Option<NodeStorageStatus>,
}

impl Storage {
    /// Reads a NodeStorage.
    ///
    /// # Errors
    /// A field has a wrong type.
    pub fn read(object: &Value) -> Result<Self, FactsFault> {
        let RawStorage { metadata, spec, status } = read(object)?;
        let status = status.unwrap_or_default();
        Ok(Self {
            version: metadata.version(),
            node: metadata.name.into(),
            node_uid: spec.node_uid.into(),
            bases: status.bases,
            orphans: status.orphans.len(),
        })
    }

    /// What the agent reports of one base.
    pub fn base(&self, path: &str) -> Option<&BaseStatus> {
        self.bases.iter().find(|base| base.path == path)
    }
}

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
    pub(super) fn shared(&mut self) -> [&mut Shared; 1] {
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
    storage_class_name: String,
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
            class: spec.storage_class_name.into(),
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
}

impl Volume {
    /// The texts that many volumes share.
    pub(super) fn shared(&mut self) -> Vec<&mut Shared> {
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
