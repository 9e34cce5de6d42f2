use super::{FactsFault, Meta, Outline, Owner, WorkloadKind};
use crate::json::Node;
use crate::model::{Labels, ObjectRef, PackedLabels};
use std::collections::BTreeMap;

/// A namespace as selectors see it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NamespaceFacts {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A node as affinities see it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A controller that owns pods: what a pod inherits from it for selectors.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OwnerFacts {
    /// `StatefulSet`, `ReplicaSet`, …
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its labels.
    pub labels: PackedLabels,
    /// Its own controller (a ReplicaSet's Deployment, a Job's CronJob).
    pub controller: Option<Box<OwnerRef>>,
    /// What else the rules on replicas read of it. Only of a workload that was read whole, and only where there is such.
    pub outline: Option<Outline>,
}

/// The controller that a cached object says it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerRef {
    /// `Deployment`, `CronJob`, …
    pub kind: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its uid.
    pub uid: Box<str>,
    /// Which of the kinds that hold a pod's spec it is.
    pub workload: Option<WorkloadKind>,
}

impl From<Owner<'_>> for OwnerRef {
    fn from(owner: Owner<'_>) -> Self {
        Self {
            kind: owner.kind.into(),
            name: owner.name.into(),
            uid: owner.uid.into(),
            workload: owner.workload,
        }
    }
}

impl<'a> From<&'a OwnerRef> for Owner<'a> {
    fn from(owner: &'a OwnerRef) -> Self {
        Self { kind: &owner.kind, name: &owner.name, uid: &owner.uid, workload: owner.workload }
    }
}

/// The most bytes of labels that are kept of one workload. An object may have more than a megabyte of them, and whoever may make
/// workloads would choose how much memory the caches take. What comes beyond counts as not there.
const MOST_LABELS: usize = 16 * 1024;

/// As many of a workload's labels as are kept.
pub(super) fn kept_labels<'a>(labels: Option<Node<'a>>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut bytes = 0;
    let texts =
        labels.into_iter().flat_map(Node::fields).filter_map(|(key, value)| Some((key, value.as_str()?)));
    texts.take_while(move |(key, value)| {
        bytes += key.len() + value.len();
        bytes <= MOST_LABELS
    })
}

pub(super) fn owned(map: Option<Node<'_>>) -> BTreeMap<String, String> {
    map.into_iter()
        .flat_map(Node::fields)
        .filter_map(|(key, value)| Some((key.to_owned(), value.as_str()?.to_owned())))
        .collect()
}

impl NamespaceFacts {
    /// From a Namespace object's metadata. The label with the name, which the API server adds, is there always.
    pub fn read(id: &ObjectRef, meta: &Meta<'_>) -> Self {
        let mut labels = owned(meta.labels);
        labels.entry("kubernetes.io/metadata.name".to_owned()).or_insert_with(|| id.name.clone());
        Self { name: id.name.clone(), labels, annotations: owned(meta.annotations) }
    }
}

impl NodeFacts {
    /// From a Node object's metadata.
    pub fn read(id: &ObjectRef, meta: &Meta<'_>) -> Self {
        Self { name: id.name.clone(), labels: owned(meta.labels) }
    }
}

impl OwnerFacts {
    /// From a controller's metadata.
    pub fn read(id: &ObjectRef, meta: &Meta<'_>) -> Self {
        Self {
            kind: id.kind.clone(),
            namespace: id.namespace.clone().unwrap_or_default(),
            name: id.name.clone(),
            uid: meta.uid.unwrap_or_default().to_owned(),
            labels: kept_labels(meta.labels).collect(),
            controller: meta.controller.map(|owner| Box::new(owner.into())),
            outline: None,
        }
    }

    /// From a whole workload that can be scaled.
    ///
    /// # Errors
    /// The field of its metadata that has a type which Kubernetes would refuse.
    pub fn read_whole(object: Node<'_>, id: &ObjectRef) -> Result<Self, FactsFault> {
        Ok(Self { outline: Outline::of(object), ..Self::read(id, &Meta::read(object)?) })
    }
}

impl Labels for NamespaceFacts {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.label(key)
    }
}

impl Labels for NodeFacts {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.label(key)
    }
}
