//! An object as a watch brings it: read to facts while it is decoded, so that no more than one object at a time exists
//! as JSON, however long the list.

use super::Watched;
use crate::facts::{
    ClaimFacts, ClassFacts, FactsFault, Meta, NamespaceFacts, NodeFacts, OwnerFacts, VolumeFacts,
};
use crate::model::ObjectRef;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DynamicResourceScope;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt::Debug;

/// Facts that a watch can bring.
pub(super) trait Cached: Sized + Clone + Debug + Send + Sync + 'static {
    /// Whether the metadata says it all; the API server then sends nothing else.
    const METADATA_ONLY: bool;
    /// How many objects a page of a list has. It is in memory whole, and each of its objects may have more than a megabyte.
    const PAGE: u32 = 50;

    /// Reads an object, with the same reader as `check` has.
    fn read(object: &Value, id: &ObjectRef) -> Result<Self, FactsFault>;

    /// Says of which kind it is, as an object that is sent as its metadata alone does not say.
    fn set_kind(&mut self, _kind: &'static str) {}
}

impl Cached for ClaimFacts {
    const METADATA_ONLY: bool = false;
    fn read(object: &Value, id: &ObjectRef) -> Result<Self, FactsFault> {
        Self::read(object.into(), id)
    }
}

impl Cached for VolumeFacts {
    const METADATA_ONLY: bool = false;
    fn read(object: &Value, id: &ObjectRef) -> Result<Self, FactsFault> {
        Self::read(object.into(), id)
    }
}

impl Cached for ClassFacts {
    const METADATA_ONLY: bool = false;
    fn read(object: &Value, id: &ObjectRef) -> Result<Self, FactsFault> {
        Self::read(object.into(), id)
    }
}

impl Cached for NamespaceFacts {
    const METADATA_ONLY: bool = true;
    fn read(object: &Value, id: &ObjectRef) -> Result<Self, FactsFault> {
        Ok(Self::read(id, &Meta::read(object.into())?))
    }
}

impl Cached for NodeFacts {
    const METADATA_ONLY: bool = true;
    fn read(object: &Value, id: &ObjectRef) -> Result<Self, FactsFault> {
        Ok(Self::read(id, &Meta::read(object.into())?))
    }
}

impl Cached for OwnerFacts {
    const METADATA_ONLY: bool = true;
    fn read(object: &Value, id: &ObjectRef) -> Result<Self, FactsFault> {
        Ok(Self::read(id, &Meta::read(object.into())?))
    }
    fn set_kind(&mut self, kind: &'static str) {
        kind.clone_into(&mut self.kind);
    }
}

/// The facts of a workload that can be scaled, which is read whole.
#[derive(Debug, Clone)]
pub(super) struct Whole(OwnerFacts);

impl Cached for Whole {
    const METADATA_ONLY: bool = false;
    fn read(object: &Value, id: &ObjectRef) -> Result<Self, FactsFault> {
        OwnerFacts::read_whole(object.into(), id).map(Self)
    }
    fn set_kind(&mut self, kind: &'static str) {
        self.0.set_kind(kind);
    }
}

impl From<Whole> for OwnerFacts {
    fn from(whole: Whole) -> Self {
        whole.0
    }
}

/// The whole object, for policies: there are few of them.
impl Cached for Value {
    const METADATA_ONLY: bool = false;
    fn read(object: &Value, _id: &ObjectRef) -> Result<Self, FactsFault> {
        Ok(object.clone())
    }
}

/// An object of a watch.
#[derive(Debug, Clone)]
pub(super) struct Observed<F> {
    /// Name, namespace and resource version; nothing else of it is kept.
    pub(super) meta: ObjectMeta,
    /// What it says, or why that cannot be read.
    pub(super) facts: Result<F, FactsFault>,
}

/// The metadata that counts; `managedFields`, mostly the larger part of an object, is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    namespace: Option<String>,
    resource_version: Option<String>,
    uid: Option<Value>,
    generation: Option<Value>,
    creation_timestamp: Option<Value>,
    deletion_timestamp: Option<Value>,
    finalizers: Option<Value>,
    labels: Option<Value>,
    annotations: Option<Value>,
    owner_references: Option<Value>,
}

#[derive(Deserialize)]
struct Raw {
    metadata: Metadata,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// kubectl's copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl<'de, F: Cached> Deserialize<'de> for Observed<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Raw { metadata, mut rest } = Raw::deserialize(deserializer)?;
        let mut annotations = metadata.annotations;
        if let Some(Value::Object(annotations)) = &mut annotations {
            annotations.remove(LAST_APPLIED);
        }
        let id = ObjectRef {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            ..ObjectRef::default()
        };
        let fields = [
            ("name", Some(Value::from(metadata.name.clone()))),
            ("namespace", metadata.namespace.clone().map(Value::from)),
            ("uid", metadata.uid),
            ("resourceVersion", metadata.resource_version.clone().map(Value::from)),
            ("generation", metadata.generation),
            ("creationTimestamp", metadata.creation_timestamp),
            ("deletionTimestamp", metadata.deletion_timestamp),
            ("finalizers", metadata.finalizers),
            ("labels", metadata.labels),
            ("annotations", annotations),
            ("ownerReferences", metadata.owner_references),
        ];
        let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        rest.insert("metadata".to_owned(), Value::Object(fields.collect()));
        let meta = ObjectMeta {
            name: Some(metadata.name),
            namespace: metadata.namespace,
            resource_version: metadata.resource_version,
            ..ObjectMeta::default()
        };
        Ok(Self { meta, facts: F::read(&Value::Object(rest), &id) })
    }
}

impl<F: Cached> Resource for Observed<F> {
    type DynamicType = Watched;
    type Scope = DynamicResourceScope;

    fn kind(watched: &Watched) -> Cow<'_, str> {
        watched.kind.into()
    }
    fn group(watched: &Watched) -> Cow<'_, str> {
        watched.group.into()
    }
    fn version(watched: &Watched) -> Cow<'_, str> {
        watched.version.into()
    }
    fn plural(watched: &Watched) -> Cow<'_, str> {
        watched.resource.into()
    }
    fn metadata_api() -> bool {
        F::METADATA_ONLY
    }
    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Facts, OwnerRef, Subject, WorkloadKind};
    use serde_json::json;

    fn observe<F: Cached>(object: &Value) -> Observed<F> {
        serde_json::from_str(&object.to_string()).unwrap()
    }

    #[test]
    fn reads_what_check_reads() {
        let class = json!({"storageclass.kubernetes.io/is-default-class": "true"});
        let metadata = json!({"name": "x", "namespace": "a", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": class, "managedFields": [{"manager": "kubectl", "fieldsV1": {}}]});
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata,
            "spec": {"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "fast"},
            "status": {"phase": "Bound"}});
        let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata,
            "spec": {"capacity": {"storage": "1Gi"}, "nfs": {"server": "s"}}, "status": {"phase": "Available"}});
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata,
            "provisioner": "p", "parameters": {"a": "b"}});
        match Facts::read(&claim, None).unwrap().subject {
            Subject::Claim(facts) => assert_eq!(observe::<ClaimFacts>(&claim).facts.unwrap(), facts),
            other => panic!("{other:?}"),
        }
        match Facts::read(&volume, None).unwrap().subject {
            Subject::Volume(facts) => assert_eq!(observe::<VolumeFacts>(&volume).facts.unwrap(), facts),
            other => panic!("{other:?}"),
        }
        match Facts::read(&class, None).unwrap().subject {
            Subject::Class(facts) => {
                assert!(facts.is_default && !facts.created.is_empty());
                assert_eq!(observe::<ClassFacts>(&class).facts.unwrap(), facts);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_metadata_alone_and_leaves_out_the_copy_of_kubectl() {
        let object = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {
            "name": "x", "namespace": "a", "uid": "u", "resourceVersion": "7", "labels": {"tier": "data"},
            "annotations": {"why": "so", LAST_APPLIED: "{}"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "v", "controller": true}]}});
        let observed = observe::<OwnerFacts>(&object);
        assert_eq!(observed.meta.resource_version.as_deref(), Some("7"));
        let mut owner = observed.facts.unwrap();
        owner.set_kind("ReplicaSet");
        assert_eq!(
            (owner.kind.as_str(), owner.namespace.as_str(), owner.uid.as_str()),
            ("ReplicaSet", "a", "u")
        );
        assert_eq!(
            owner.controller,
            Some(Box::new(OwnerRef {
                kind: "Deployment".into(),
                name: "d".into(),
                uid: "v".into(),
                workload: Some(WorkloadKind::Deployment)
            }))
        );
        let namespace = observe::<NamespaceFacts>(&object).facts.unwrap();
        assert_eq!(namespace.annotations, [("why".to_owned(), "so".to_owned())].into());
    }

    #[test]
    fn a_malformed_object_is_a_fault_of_its_own_and_not_of_its_list() {
        let list = json!([
            {"metadata": {"name": "bad"}, "spec": {"capacity": 7}},
            {"metadata": {"name": "good"}, "spec": {"capacity": {"storage": "1Gi"}}}]);
        let list: Vec<Observed<VolumeFacts>> = serde_json::from_str(&list.to_string()).unwrap();
        assert_eq!(list[0].meta.name.as_deref(), Some("bad"));
        assert_eq!(list[0].facts.as_ref().unwrap_err().path.to_string(), "spec.capacity");
        assert!(list[1].facts.is_ok());
    }
}
