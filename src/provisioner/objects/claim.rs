//! Claims.

use super::super::names::{BETA_STORAGE_PROVISIONER, SELECTED_NODE, STORAGE_PROVISIONER};
use super::{Map, RawMeta, Shared, Text, as_name, bytes, read};
use crate::facts::FactsFault;
use crate::model::ClaimReference;
use serde::Deserialize;
use serde_json::Value;

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

/// The longest label or annotation that is kept of a claim, in bytes: paths are made of them, and none can be longer.
const LONGEST_KEPT: usize = 1024;
/// The most that is kept of a claim's labels or annotations, in bytes: it may have a megabyte of them, and whoever may make claims
/// would choose how much memory the controller takes.
const MOST_KEPT: usize = 16 * 1024;
/// What an entry takes besides its texts.
const ENTRY: usize = 64;

/// As much of labels or annotations as is kept; what comes beyond counts as not there.
fn kept(map: Option<&Map>) -> Map {
    let mut bytes = 0;
    let short = map.into_iter().flatten().filter(|(_, value)| value.len() <= LONGEST_KEPT);
    let kept = short.take_while(|(key, value)| {
        bytes += key.len() + value.len() + ENTRY;
        bytes <= MOST_KEPT
    });
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Each access mode once: the API server takes any number of them.
fn each_once(modes: Vec<String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for mode in modes {
        if !once.contains(&mode) {
            once.push(mode);
        }
    }
    once
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
        let unbound = spec.volume_name.is_empty().then(|| {
            Box::new(Unbound {
                access_modes: each_once(spec.access_modes),
                block: spec.volume_mode == "Block",
                selector: spec.selector.is_some(),
                source: spec.data_source.is_some() || spec.data_source_ref.is_some(),
                attributes_class: spec.volume_attributes_class_name.filter(|name| !name.is_empty()),
                labels: kept(metadata.labels.as_ref()),
                annotations: kept(metadata.annotations.as_ref()),
            })
        });
        let growing = |kind: &str| matches!(kind, "Resizing" | "FileSystemResizePending");
        Ok(Self {
            version: metadata.version(),
            class: metadata.class(spec.storage_class_name.as_deref()),
            provisioner: provisioner
                .or_else(|| metadata.annotation(BETA_STORAGE_PROVISIONER))
                .unwrap_or_default()
                .into(),
            selected_node: metadata.annotation(SELECTED_NODE).map(|node| as_name(node).into()),
            volume: Some(as_name(&spec.volume_name)).filter(|name| !name.is_empty()).map(Into::into),
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
    pub(in crate::provisioner) fn shared(&mut self) -> [&mut Shared; 2] {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::CLASS_ANNOTATION;
    use serde_json::json;

    #[test]
    fn the_legacy_annotation_names_the_class_even_if_it_is_empty() {
        let class = |annotations: Value, field: Value| {
            let claim = json!({"metadata": {"name": "c", "annotations": annotations}, "spec": {"storageClassName": field}});
            Claim::read(&claim).unwrap().class.to_string()
        };
        let annotation = |text: &str| json!({"volume.beta.kubernetes.io/storage-class": text});
        assert_eq!(class(json!({}), json!("fast")), "fast");
        assert_eq!(class(json!({}), Value::Null), "");
        assert_eq!(class(annotation("old"), json!("fast")), "old");
        assert_eq!(class(annotation(""), json!("fast")), "", "no class at all, and so no volume of one");
    }

    #[test]
    fn a_claim_chooses_no_size_of_its_own() {
        let texts = |count: usize, length: usize| -> Map {
            (0..count).map(|n| (format!("key-{n:06}"), "x".repeat(length))).collect()
        };
        let size = |map: &Map| map.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let mut annotations = texts(1, 200_000);
        annotations.extend([
            ("a".to_owned(), "dir".to_owned()),
            (CLASS_ANNOTATION.to_owned(), "c".repeat(9_000)),
            (SELECTED_NODE.to_owned(), "n".repeat(9_000)),
        ]);
        let modes = ["ReadWriteOnce", "ReadOnlyMany"].repeat(5_000);
        let claim = json!({"metadata": {"name": "c", "labels": texts(20_000, 30), "annotations": annotations},
            "spec": {"accessModes": modes}});
        let claim = Claim::read(&claim).unwrap();
        let rest = claim.unbound.as_ref().unwrap();
        assert_eq!(rest.annotations.get("a").map(String::as_str), Some("dir"));
        assert!(size(&rest.annotations) < 2_000 && (1_000..16_384).contains(&size(&rest.labels)));
        assert_eq!(rest.access_modes, ["ReadWriteOnce", "ReadOnlyMany"]);
        assert_eq!((claim.class.len(), claim.selected_node.map_or(0, |node| node.len())), (254, 254));
        let named =
            Claim::read(&json!({"metadata": {"name": "c"}, "spec": {"volumeName": "v".repeat(9_000)}}))
                .unwrap();
        assert_eq!(named.key().len(), 254);
    }
}
