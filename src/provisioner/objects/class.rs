//! Classes.

use super::{Map, Node, RawMeta, read};
use crate::facts::{ClassFacts, FactsFault};
use crate::model::ObjectRef;
use serde::Deserialize;
use serde_json::Value;

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
