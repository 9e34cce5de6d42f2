//! Any workload, claim, volume or class → its storage facts, each with its field path.
//!
//! Facts borrow from the object's JSON; nothing is copied for the small pod that makes up most reviews.

mod claim;
mod class;
mod config;
mod container;
mod custom;
mod fault;
mod node;
mod node_selector;
mod outline;
mod pod;
mod pod_volume;
mod read;
mod volume;
mod workload;

pub(crate) use claim::CLASS_ANNOTATION;
pub use claim::{ClaimFacts, ClaimSpec, ClassName};
pub(crate) use class::NO_PROVISIONER;
pub use class::{BindingMode, ClassFacts, ReclaimPolicy};
pub(crate) use config::documents;
pub use config::{ConfigFacts, ConfigKind, ConfigText, ConfigValue, Sealed};
pub use container::{Container, Device, KeyRef, Mount, Part, Section};
pub use custom::{
    Case, ClaimAt, ClaimForm, CustomClaim, CustomFacts, CustomKind, FieldIs, Kinds, Lies, NamedTemplate,
    Path, PodParts, PodsAs, PodsAt, Store, StoreAt, TemplateFacts, TemplatesAt, Unchanged,
};
pub use fault::FactsFault;
pub(crate) use fault::OrFault;
pub use node::{NamespaceFacts, NodeFacts, OwnerFacts, OwnerRef};
pub use outline::Outline;
pub use pod::PodFacts;
pub use pod_volume::{FileSource, PodVolume, VolumeSource};
pub(crate) use read::Object;
pub use volume::{VolumeFacts, VolumeKind};
pub use workload::{ClaimTemplate, Workload, WorkloadKind};

use crate::json::Node;
use crate::model::{Labels, ObjectRef};
use read::{list, text};

/// What rules are told of an object.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Which object.
    pub id: ObjectRef,
    /// Its metadata.
    pub meta: Meta<'a>,
    /// What it says of storage.
    pub subject: Subject<'a>,
    /// The entry of the table, where it is a custom resource or a part of one: it is judged and never changed.
    pub custom: Option<&'a CustomKind>,
}

/// The parts of one object that are judged one by one: the object itself, and of a custom resource each of its pod
/// templates.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The object; a custom resource that is nothing but one pod template is that.
    pub first: Facts<'a>,
    /// The pod templates of a custom resource.
    pub more: Vec<Facts<'a>>,
}

impl<'a> Parts<'a> {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Facts<'a>> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// What look-ups know of it. What a custom resource makes is its operator's to make, so that of those only templates count.
    pub fn looked_up(&self) -> Option<&Facts<'a>> {
        self.first.custom.is_none_or(|entry| entry.template).then_some(&self.first)
    }

    /// The same, which remembers what a custom resource said before it was changed.
    #[must_use]
    pub(crate) fn compared(mut self, old: Option<Node<'_>>, namespace: Option<&str>, kinds: &Kinds) -> Self {
        if let (Subject::Custom(custom), Some(old)) = (&mut self.first.subject, old)
            && let Ok(Parts { first: Facts { subject: Subject::Custom(old), .. }, .. }) =
                Facts::read_all(old, namespace, kinds)
        {
            custom.compare(&old);
        }
        self
    }
}

impl<'a> From<Facts<'a>> for Parts<'a> {
    fn from(first: Facts<'a>) -> Self {
        Self { first, more: Vec::new() }
    }
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
    /// A ConfigMap or a Secret: looked up, not judged.
    Config(ConfigFacts),
    /// A custom resource of a known operator.
    Custom(Box<CustomFacts<'a>>),
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
        // Caches keep these, so that none may be of any length. No object has a name that is none, and so there is no such owner.
        let text = |key: &'static str| read::name(key, owner.get(key)?).ok();
        let kind = text("kind")?;
        let api_version = owner.get("apiVersion").and_then(Node::as_str).unwrap_or_default();
        Some(Self {
            kind,
            name: text("name")?,
            uid: text("uid").unwrap_or_default(),
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
                    "labels" => read.labels = Some(read::texts_by_name("labels", value)?),
                    "annotations" => read.annotations = Some(read::texts_by_name("annotations", value)?),
                    "uid" => read.uid = Some(text("uid", value)?),
                    "ownerReferences" => {
                        let mut owners = list("ownerReferences", value)?;
                        let controls = |owner: &Node<'_>| owner.get("controller")?.as_bool();
                        read.controller =
                            owners.find(|owner| controls(owner) == Some(true)).and_then(Owner::read);
                    }
                    // Messages and look-ups are made of these, so that none may be of any length.
                    "name" => read::name("name", value).map(drop)?,
                    "generateName" => read::name("generateName", value).map(drop)?,
                    "namespace" => read::name("namespace", value).map(drop)?,
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
            ("", "ConfigMap") => Subject::Config(ConfigFacts::read(ConfigKind::ConfigMap, object, &id)),
            ("", "Secret") => Subject::Config(ConfigFacts::read(ConfigKind::Secret, object, &id)),
            _ => match WorkloadKind::of(group, kind) {
                Some(kind) => Subject::Workload(Box::new(Workload::read(object, kind, meta)?)),
                None => Subject::Other,
            },
        };
        Ok(Self { id, meta, subject, custom: None })
    }

    /// Reads one object as [`read`](Self::read) does, and a custom resource by the table.
    ///
    /// # Errors
    /// The field that has a type which Kubernetes would refuse. What is odd in a custom resource is no error.
    pub fn read_all(
        object: impl Into<Node<'a>>,
        namespace: Option<&str>,
        kinds: &'a Kinds,
    ) -> Result<Parts<'a>, FactsFault> {
        let object = object.into();
        let facts = Self::read(object, namespace)?;
        let entry = match facts.subject {
            Subject::Other => kinds.entry(&facts.id.api_version, &facts.id.kind),
            _ => None,
        };
        let Some(entry) = entry else { return Ok(facts.into()) };
        let (custom, pods) = CustomFacts::read(object, entry, facts.meta);
        let part = |subject| Facts { id: facts.id.clone(), meta: facts.meta, subject, custom: Some(entry) };
        let mut more: Vec<Facts<'a>> =
            pods.into_iter().map(|pod| part(Subject::Workload(Box::new(pod)))).collect();
        let is_one_template = entry.stores.is_empty() && custom.unread.is_empty() && more.len() == 1;
        let only = if is_one_template { more.pop() } else { None };
        let first = only.unwrap_or_else(|| part(Subject::Custom(Box::new(custom))));
        Ok(Parts { first, more })
    }

    /// Whether volgate reads what objects of that kind say of storage.
    pub fn reads(api_version: &str, kind: &str) -> bool {
        match (group(api_version), kind) {
            ("", "PersistentVolumeClaim" | "PersistentVolume") | ("storage.k8s.io", "StorageClass") => true,
            (group, kind) => WorkloadKind::of(group, kind).is_some(),
        }
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
