use super::claim::{access_modes, volume_mode};
use super::fault::{FactsFault, OrFault};
use super::node::owned;
use super::read::{Object, quantity_at};
use super::{ClassName, Meta, ReclaimPolicy};
use crate::json::Node;
use crate::model::{AccessMode, NodeSelector, ObjectRef, Quantity, VolumeMode};
use std::collections::BTreeMap;

/// A PersistentVolume. Owned, because the caches keep it as well.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VolumeFacts {
    /// Its name.
    pub name: String,
    /// The legacy annotation, or else `storageClassName`.
    pub class: ClassName,
    /// What happens when its claim goes.
    pub reclaim: ReclaimPolicy,
    /// `accessModes`, with their text where it is not a known mode.
    pub access_modes: Vec<Result<AccessMode, String>>,
    /// `volumeMode`.
    pub volume_mode: VolumeMode,
    /// `capacity.storage`.
    pub capacity: Option<Quantity>,
    /// `nodeAffinity.required`: the nodes that can use it; none means all.
    pub node_affinity: Option<NodeSelector>,
    /// `claimRef`: namespace, name, uid.
    pub claim: Option<(String, String, String)>,
    /// Whether `status.phase` is Available, or there is no status and no claimRef yet.
    pub available: bool,
    /// Whether `status.phase` is Released or Failed: the claim that it was bound to has gone.
    pub released: bool,
    /// Its labels, for the selectors of claims. Only of a volume that is available and reserved for no claim: no
    /// selector is asked of another, and the caches hold thousands.
    pub labels: Option<Box<BTreeMap<String, String>>>,
    /// What backs it.
    pub kind: VolumeKind,
    /// `mountOptions`.
    pub mount_options: Vec<String>,
}

/// What backs a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VolumeKind {
    /// `local`, with its path.
    Local(String),
    /// `hostPath`, with its path.
    HostPath(String),
    /// `csi`, with its driver.
    Csi(String),
    /// Another type, by its field's name.
    Other(String),
    /// No source at all.
    #[default]
    None,
}

/// The fields of a PersistentVolume's spec that are no volume source.
const NOT_A_SOURCE: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

impl VolumeFacts {
    /// Reads a PersistentVolume.
    ///
    /// # Errors
    /// The field that has a wrong type.
    pub fn read(object: Node<'_>, id: &ObjectRef) -> Result<Self, FactsFault> {
        let meta = Meta::read(object)?;
        let Some(spec) = object.map_at("spec")? else {
            return Ok(Self { name: id.name.clone(), ..Self::default() });
        };
        let phase = object.get("status").and_then(|status| status.get("phase")).and_then(Node::as_str);
        let read = || -> Result<Self, FactsFault> {
            let field = spec.name_at("storageClassName")?;
            let class = ClassName::of(meta.annotation(super::claim::CLASS_ANNOTATION), field);
            let claim = spec.map_at("claimRef")?.map(|claim| {
                let text = |key| claim.get(key).and_then(Node::as_str).unwrap_or_default().to_owned();
                (text("namespace"), text("name"), text("uid"))
            });
            let capacity = match spec.map_at("capacity")? {
                Some(capacity) => quantity_at(capacity, "storage").or_within("capacity")?,
                None => None,
            };
            let affinity = spec.map_at("nodeAffinity")?.and_then(|affinity| affinity.get("required"));
            let available = phase.map_or(claim.is_none(), |phase| phase == "Available");
            let labels =
                meta.labels.filter(|labels| available && claim.is_none() && labels.fields().next().is_some());
            Ok(Self {
                name: id.name.clone(),
                // A volume without a class has the class "", and only claims with "" bind to it.
                class: if class == ClassName::Absent { ClassName::Empty } else { class },
                reclaim: match spec.str_at("persistentVolumeReclaimPolicy")? {
                    Some(text) => ReclaimPolicy::parse(text)
                        .map_err(|why| FactsFault::at("persistentVolumeReclaimPolicy", why))?,
                    None => ReclaimPolicy::Retain,
                },
                access_modes: access_modes(spec)?,
                volume_mode: volume_mode(spec)?,
                capacity,
                node_affinity: affinity.filter(|a| !a.is_null()).map(NodeSelector::parse),
                available,
                released: matches!(phase, Some("Released" | "Failed")),
                labels: labels.map(|labels| Box::new(owned(Some(labels)))),
                claim,
                kind: kind(spec)?,
                mount_options: spec
                    .list_at("mountOptions")?
                    .filter_map(Node::as_str)
                    .map(str::to_owned)
                    .collect(),
            })
        };
        read().or_within("spec")
    }
}

fn kind(spec: Node<'_>) -> Result<VolumeKind, FactsFault> {
    let text = |field: &'static str, key: &'static str| -> Result<Option<String>, FactsFault> {
        match spec.map_at(field)? {
            Some(source) => Ok(Some(source.str_at(key).or_within(field)?.unwrap_or_default().to_owned())),
            None => Ok(None),
        }
    };
    if let Some(path) = text("local", "path")? {
        return Ok(VolumeKind::Local(path));
    }
    if let Some(path) = text("hostPath", "path")? {
        return Ok(VolumeKind::HostPath(path));
    }
    if let Some(driver) = text("csi", "driver")? {
        return Ok(VolumeKind::Csi(driver));
    }
    let sources = spec.fields().filter(|(key, value)| value.is_map() && !NOT_A_SOURCE.contains(key));
    // Of several, which no API server takes, the first by name.
    let other = sources.map(|(key, _)| key).min();
    Ok(other.map_or(VolumeKind::None, |key| VolumeKind::Other(key.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn labels_are_kept_of_a_volume_that_a_selector_can_be_asked_of() {
        let labels = |spec: Value, phase: Option<&str>| {
            let object = json!({"metadata": {"name": "v", "labels": {"disk": "nvme"}}, "spec": spec, "status": {"phase": phase}});
            VolumeFacts::read((&object).into(), &ObjectRef::default()).unwrap().labels.is_some()
        };
        let reserved = json!({"claimRef": {"namespace": "a", "name": "c"}});
        assert!(labels(json!({}), Some("Available")) && labels(json!({}), None));
        assert!(!labels(json!({}), Some("Released")));
        assert!(!labels(reserved.clone(), Some("Bound")) && !labels(reserved, Some("Available")));
    }
}
