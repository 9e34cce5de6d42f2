//! Any workload, claim, volume or class → its storage facts, each with its field path.
//!
//! Facts borrow from the object's JSON; nothing is copied for the small pod that makes up most reviews.

mod claim;
mod class;
mod container;
mod fault;
mod node;
mod node_selector;
mod outline;
mod pod;
mod pod_volume;
mod volume;
mod workload;

pub(crate) use claim::CLASS_ANNOTATION;
pub use claim::{ClaimFacts, ClaimSpec, ClassName};
pub use class::{BindingMode, ClassFacts, ReclaimPolicy};
pub use container::{Container, Device, Mount, Part, Section};
pub use fault::FactsFault;
pub(crate) use fault::{Object, OrFault};
pub use node::{NamespaceFacts, NodeFacts, OwnerFacts, OwnerRef};
pub use outline::Outline;
pub use pod::PodFacts;
pub use pod_volume::{PodVolume, VolumeSource};
pub use volume::{VolumeFacts, VolumeKind};
pub use workload::{ClaimTemplate, Workload, WorkloadKind};

use crate::json::Node;
use crate::model::{Labels, ObjectRef};
use fault::{list, map, text};

/// What rules are told of an object.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Which object.
    pub id: ObjectRef,
    /// Its metadata.
    pub meta: Meta<'a>,
    /// What it says of storage.
    pub subject: Subject<'a>,
}

/// What an object says of storage, by its kind.
#[derive(Debug)]
pub enum Subject<'a> {
    /// Anything with a pod template, and Pods themselves.
    Workload(Box<Workload<'a>>),
    /// A PersistentVolumeClaim.
    Claim(ClaimFacts),
    /// A PersistentVolume.
    Volume(VolumeFacts),
    /// A StorageClass.
    Class(ClassFacts),
    /// A Namespace: looked up, not judged.
    Namespace(NamespaceFacts),
    /// A Node: looked up, not judged.
    Node(NodeFacts),
    /// A kind that volgate has nothing to say about.
    Other,
}

/// Metadata that selectors and rules read.
#[derive(Debug, Default, Clone, Copy)]
pub struct Meta<'a> {
    /// `metadata.labels`.
    pub labels: Option<Node<'a>>,
    /// `metadata.annotations`.
    pub annotations: Option<Node<'a>>,
    /// `metadata.uid`.
    pub uid: Option<&'a str>,
    /// The owner reference with `controller: true`: its kind, name and uid.
    pub controller: Option<Owner<'a>>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
}

/// The controller that an object says it belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// `StatefulSet`, `ReplicaSet`, …
    pub kind: &'a str,
    /// The owner's name.
    pub name: &'a str,
    /// The owner's uid.
    pub uid: &'a str,
    /// Which of the kinds that hold a pod's spec it is: a `Job` of another API group than `batch` is none.
    pub workload: Option<WorkloadKind>,
}

impl<'a> Owner<'a> {
    fn read(owner: Node<'a>) -> Option<Self> {
        let kind = owner.get("kind")?.as_str()?;
        let api_version = owner.get("apiVersion").and_then(Node::as_str).unwrap_or_default();
        Some(Self {
            kind,
            name: owner.get("name")?.as_str()?,
            uid: owner.get("uid").and_then(Node::as_str).unwrap_or_default(),
            workload: WorkloadKind::of(group(api_version), kind),
        })
    }
}

impl<'a> Meta<'a> {
    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&'a str> {
        self.annotations?.get(key)?.as_str()
    }

    pub(crate) fn read(object: Node<'a>) -> Result<Self, FactsFault> {
        let Some(meta) = object.map_at("metadata")? else { return Ok(Self::default()) };
        let read = || -> Result<Self, FactsFault> {
            let mut read = Self::default();
            for (key, value) in meta.given() {
                match key {
                    "labels" => read.labels = Some(map("labels", value)?),
                    "annotations" => read.annotations = Some(map("annotations", value)?),
                    "uid" => read.uid = Some(text("uid", value)?),
                    "ownerReferences" => {
                        let mut owners = list("ownerReferences", value)?;
                        let controls = |owner: &Node<'_>| owner.get("controller")?.as_bool();
                        read.controller =
                            owners.find(|owner| controls(owner) == Some(true)).and_then(Owner::read);
                    }
                    "name" | "generateName" | "namespace" => long_name(key, value)?,
                    // Nobody asks for them here; each is a value all the same, and each takes its time elsewhere.
                    "finalizers" => {
                        list("finalizers", value)?;
                    }
                    "deletionTimestamp" => read.deleting = true,
                    _ => {}
                }
            }
            Ok(read)
        };
        read().or_within("metadata")
    }
}

/// Refuses a name of any length: it is part of messages and look-ups. One of another type is none, as before.
fn long_name(key: &str, value: Node<'_>) -> Result<(), FactsFault> {
    let key =
        ["name", "generateName", "namespace"].into_iter().find(|known| *known == key).unwrap_or_default();
    if value.as_str().is_some() { fault::name(key, value).map(|_| ()) } else { Ok(()) }
}

impl Labels for Meta<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels?.get(key)?.as_str()
    }
}

/// The group of an `apiVersion`; empty for Kubernetes' core.
fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The kinds that belong to no namespace, of those that volgate reads.
const CLUSTER_SCOPED: [&str; 4] = ["PersistentVolume", "StorageClass", "Namespace", "Node"];

impl<'a> Facts<'a> {
    /// Reads the facts of one object (not of a `List`: its items are read one by one).
    ///
    /// `namespace` is the request's, and stands in where the object names none.
    ///
    /// # Errors
    /// The field that has a type which Kubernetes would refuse.
    pub fn read(object: impl Into<Node<'a>>, namespace: Option<&str>) -> Result<Self, FactsFault> {
        let object = object.into();
        let api_version = object.name_at("apiVersion")?.unwrap_or_default();
        let kind = object.name_at("kind")?.unwrap_or_default();
        let meta = Meta::read(object)?;
        let id = Self::identify(object, namespace);
        let group = group(api_version);
        let subject = match (group, kind) {
            ("", "PersistentVolumeClaim") => Subject::Claim(ClaimFacts::read(object, &id)?),
            ("", "PersistentVolume") => Subject::Volume(VolumeFacts::read(object, &id)?),
            ("storage.k8s.io", "StorageClass") => Subject::Class(ClassFacts::read(object, &id)?),
            ("", "Namespace") => Subject::Namespace(NamespaceFacts::read(&id, &meta)),
            ("", "Node") => Subject::Node(NodeFacts::read(&id, &meta)),
            _ => match WorkloadKind::of(group, kind) {
                Some(kind) => Subject::Workload(Box::new(Workload::read(object, kind, meta)?)),
                None => Subject::Other,
            },
        };
        Ok(Self { id, meta, subject })
    }

    /// Which object it is; what has a wrong type counts as absent. `namespace` as in [`read`](Self::read).
    pub fn identify<'o>(object: impl Into<Node<'o>>, namespace: Option<&str>) -> ObjectRef {
        let object = object.into();
        let text =
            |map: Node<'o>, key| map.get(key).and_then(Node::as_str).filter(|text: &&str| !text.is_empty());
        let meta = object.get("metadata").unwrap_or(Node::NULL);
        let kind = text(object, "kind").unwrap_or_default();
        let name = match text(meta, "name") {
            Some(name) => name.to_owned(),
            None => text(meta, "generateName").map_or(String::new(), |prefix| format!("{prefix}*")),
        };
        let namespace = if CLUSTER_SCOPED.contains(&kind) {
            None
        } else {
            Some(text(meta, "namespace").or(namespace).unwrap_or("default").to_owned())
        };
        let api_version = text(object, "apiVersion").unwrap_or_default().to_owned();
        ObjectRef { api_version, kind: kind.to_owned(), namespace, name }
    }

    /// The namespace, or nothing for an object without one.
    pub fn namespace(&self) -> &str {
        self.id.namespace.as_deref().unwrap_or_default()
    }

    /// The workload, when the object is one.
    pub fn workload(&self) -> Option<&Workload<'a>> {
        match &self.subject {
            Subject::Workload(workload) => Some(workload),
            _ => None,
        }
    }
}
