use super::Meta;
use super::fault::{FactsFault, OrFault};
use super::node::owned;
use super::read::{Object, each, quantity_at};
use crate::json::{Items, Node};
use crate::model::{
    AccessMode, LabelSelector, ObjectRef, Quantity, Requirement, SelectorOperator, VolumeMode, beginning,
};

/// The class that a claim or volume names: three states that mean three things.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClassName {
    /// No field and no legacy annotation: a default may be filled in.
    #[default]
    Absent,
    /// `""`: static binding to a volume without a class; never filled.
    Empty,
    /// A class by name.
    Named(String),
}

impl ClassName {
    /// The class that a claim or a volume names. The legacy annotation wins over the field, even if it is empty, as
    /// Kubernetes has it.
    pub(crate) fn of(annotation: Option<&str>, field: Option<&str>) -> Self {
        match annotation.or(field) {
            None => Self::Absent,
            Some("") => Self::Empty,
            Some(name) => Self::Named(name.to_owned()),
        }
    }

    /// The name, when there is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            _ => None,
        }
    }
}

/// The legacy way of naming a class, still honoured by Kubernetes.
pub(crate) const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// A PersistentVolumeClaim. Owned, because the caches keep it as well.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClaimFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, empty before it is stored.
    pub uid: String,
    /// What it asks for.
    pub spec: ClaimSpec,
    /// Whether `status.phase` is Bound.
    pub bound: bool,
    /// Whether it belongs to a pod, as the claim of a generic ephemeral volume does.
    pub of_pod: bool,
}

/// What a claim asks for; a volumeClaimTemplate and an ephemeral volume's template have the same.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClaimSpec {
    /// The legacy annotation, or else `storageClassName`: the annotation wins, as Kubernetes has it.
    pub class: ClassName,
    /// Whether the class is the legacy annotation's.
    pub class_in_annotation: bool,
    /// `volumeName`.
    pub volume_name: Option<String>,
    /// `accessModes`, with their text where it is not a known mode.
    pub access_modes: Vec<Result<AccessMode, String>>,
    /// `volumeMode`.
    pub volume_mode: VolumeMode,
    /// `resources.requests.storage`.
    pub request: Option<Quantity>,
    /// `selector`: the labels that a volume must have to be bound to it.
    pub selector: Option<Box<LabelSelector>>,
    /// Whether its provisioner has to copy something into the volume: `dataSource` or `dataSourceRef` names a claim or a snapshot.
    /// From anything else a populator fills it.
    pub is_copy: bool,
    /// Whether `volumeAttributesClassName` is set.
    pub has_attributes_class: bool,
    /// The claim of the same namespace whose data it begins with, where `dataSource` or `dataSourceRef` names one.
    pub copy_of: Option<Box<str>>,
}

impl ClaimFacts {
    /// Reads a PersistentVolumeClaim.
    ///
    /// # Errors
    /// The field that has a wrong type.
    pub fn read(object: Node<'_>, id: &ObjectRef) -> Result<Self, FactsFault> {
        let meta = Meta::read(object)?;
        let phase = object.get("status").and_then(|status| status.get("phase")).and_then(Node::as_str);
        Ok(Self {
            namespace: id.namespace.clone().unwrap_or_default(),
            name: id.name.clone(),
            uid: meta.uid.unwrap_or_default().to_owned(),
            spec: ClaimSpec::read(object, &meta)?,
            bound: phase == Some("Bound"),
            of_pod: meta.controller.is_some_and(|owner| owner.kind == "Pod"),
        })
    }
}

impl ClaimSpec {
    /// Reads the `spec` beneath a claim or a claim template.
    pub(crate) fn read(object: Node<'_>, meta: &Meta<'_>) -> Result<Self, FactsFault> {
        let annotation = meta.annotation(CLASS_ANNOTATION).map(|class| beginning(class, 253));
        let Some(spec) = object.map_at("spec")? else {
            let class = ClassName::of(annotation, None);
            return Ok(Self { class_in_annotation: annotation.is_some(), class, ..Self::default() });
        };
        let mut read = Self::of_spec(spec).or_within("spec")?;
        if let Some(annotation) = annotation {
            read.class = ClassName::of(Some(annotation), None);
            read.class_in_annotation = true;
        }
        Ok(read)
    }

    /// Reads a `spec` that stands alone.
    pub(super) fn of_spec(spec: Node<'_>) -> Result<Self, FactsFault> {
        Ok(Self {
            class: ClassName::of(None, spec.name_at("storageClassName")?),
            class_in_annotation: false,
            volume_name: spec.name_at("volumeName")?.filter(|name| !name.is_empty()).map(str::to_owned),
            access_modes: access_modes(spec)?,
            volume_mode: volume_mode(spec)?,
            request: storage_request(spec)?,
            selector: match spec.map_at("selector")? {
                Some(selector) => Some(Box::new(label_selector(selector).or_within("selector")?)),
                None => None,
            },
            is_copy: {
                let sources = [spec.map_at("dataSource")?, spec.map_at("dataSourceRef")?];
                sources.into_iter().flatten().any(is_of_provisioner)
            },
            has_attributes_class: spec
                .name_at("volumeAttributesClassName")?
                .is_some_and(|name| !name.is_empty()),
            copy_of: ["dataSourceRef", "dataSource"]
                .into_iter()
                .find_map(|field| copied_claim(spec.get(field)?)),
        })
    }
}

/// Whether a data source is one that provisioners copy, and no populator fills.
fn is_of_provisioner(source: Node<'_>) -> bool {
    let text = |key: &str| source.get(key).and_then(Node::as_str).unwrap_or_default();
    matches!(
        (text("apiGroup"), text("kind")),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    )
}

/// The claim that a data source names, where it is one of the same namespace.
fn copied_claim(source: Node<'_>) -> Option<Box<str>> {
    let text = |key: &str| source.get(key).and_then(Node::as_str).unwrap_or_default();
    let is_claim = text("apiGroup").is_empty() && text("kind") == "PersistentVolumeClaim";
    // The API server takes a name of any length here; no claim has one.
    let name = beginning(text("name"), 254);
    (is_claim && text("namespace").is_empty()).then(|| name.into())
}

/// The most access modes that are read: each of a claim's is held against each of a volume's.
const MOST_MODES: usize = 64;

pub(super) fn access_modes(spec: Node<'_>) -> Result<Vec<Result<AccessMode, String>>, FactsFault> {
    modes(spec.list_at("accessModes")?)
}

/// The access modes of a list.
pub(super) fn modes(modes: Items<'_>) -> Result<Vec<Result<AccessMode, String>>, FactsFault> {
    let read = |item: Node<'_>| match item.as_str() {
        // An abbreviation is kubectl's way to show a mode; the API server refuses it in an object.
        Some(text) => {
            AccessMode::parse(text).filter(|mode| mode.as_str() == text).ok_or_else(|| text.to_owned())
        }
        None => Err(item.to_string()),
    };
    if modes.len() > MOST_MODES {
        let message = format!("has {} entries, and Kubernetes has four access modes", modes.len());
        return Err(FactsFault::at("accessModes", message));
    }
    Ok(modes.map(read).collect())
}

pub(super) fn volume_mode(spec: Node<'_>) -> Result<VolumeMode, FactsFault> {
    match spec.str_at("volumeMode")? {
        None | Some("" | "Filesystem") => Ok(VolumeMode::Filesystem),
        Some("Block") => Ok(VolumeMode::Block),
        Some(other) => {
            Err(FactsFault::at("volumeMode", format!("must be Filesystem or Block, not {other:?}")))
        }
    }
}

/// The most labels and values of a selector that are read: caches keep each claim's, and hold it against the labels of volumes.
const MOST_SELECTED: usize = 256;

fn label_selector(selector: Node<'_>) -> Result<LabelSelector, FactsFault> {
    let labels = selector.map_at("matchLabels")?.map_or(0, |labels| labels.fields().count());
    let expressions = selector.list_at("matchExpressions")?;
    let values = expressions.map(|one| 1 + one.get("values").map_or(0, |values| values.items().len()));
    let all = labels + values.sum::<usize>();
    if all > MOST_SELECTED {
        let message = format!("has {all} labels and values, and at most {MOST_SELECTED} are read");
        return Err(FactsFault::at("matchExpressions", message));
    }
    let requirement = |item: Node<'_>, _| {
        let operator = match item.str_at("operator")?.unwrap_or_default() {
            "In" => SelectorOperator::In,
            "NotIn" => SelectorOperator::NotIn,
            "Exists" => SelectorOperator::Exists,
            "DoesNotExist" => SelectorOperator::DoesNotExist,
            other => {
                let message = format!("must be In, NotIn, Exists or DoesNotExist, not {other:?}");
                return Err(FactsFault::at("operator", message));
            }
        };
        Ok(Requirement {
            key: item.str_at("key")?.unwrap_or_default().to_owned(),
            operator,
            values: item.list_at("values")?.filter_map(Node::as_str).map(str::to_owned).collect(),
        })
    };
    Ok(LabelSelector {
        match_labels: owned(selector.map_at("matchLabels")?),
        match_expressions: each(selector, "matchExpressions", requirement)?,
    })
}

fn storage_request(spec: Node<'_>) -> Result<Option<Quantity>, FactsFault> {
    let Some(resources) = spec.map_at("resources")? else { return Ok(None) };
    let read = || match resources.map_at("requests")? {
        Some(requests) => quantity_at(requests, "storage").or_within("requests"),
        None => Ok(None),
    };
    read().or_within("resources")
}
